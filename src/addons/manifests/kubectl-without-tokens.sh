#!/bin/sh
# kube-addons-main.sh waits until the default ServiceAccount of kube-system lists a token Secret. Since Kubernetes
# 1.24 it never does. This wrapper answers that one request and passes everything else to kubectl.
case "$*" in
get*" serviceaccount default "*) echo "none-since-kubernetes-1.24" ;;
*) exec kubectl "$@" ;;
esac
