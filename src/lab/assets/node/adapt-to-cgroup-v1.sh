#!/bin/sh
# Runs before containerd starts. On a host with cgroup v2 a node is as kind makes it; on v1 it needs two changes.
set -eu
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then exit 0; fi
# Nothing in the node manages the cgroups by systemd. The kubelet takes the driver from containerd, over the CRI.
sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' /etc/containerd/config.toml
# The kubelet from 1.35 on refuses cgroup v1 unless it is told otherwise. A flag wins over kubeadm's file.
grep -q fail-cgroupv1 /etc/default/kubelet || sed -i 's/$/ --fail-cgroupv1=false/' /etc/default/kubelet
