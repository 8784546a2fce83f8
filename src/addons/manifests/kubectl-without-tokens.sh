#!/bin/sh
# kube-addons-main.sh waits until the default ServiceAccount of kube-system lists a token Secret, and from
# Kubernetes 1.24 on none ever does. That one question is answered here; everything else is kubectl's.
case "$*" in
get*" serviceaccount default "*) echo "none-since-kubernetes-1.24" ;;
*) exec kubectl "$@" ;;
esac
