#!/bin/bash
# Makes a node out of Debian's packages and kind's files. Runs once, while the node image is built.
set -o errexit -o nounset -o pipefail

# edit FILE EXPRESSION: sed in place that fails when nothing was changed, so that a new kind release whose files
# look different is noticed here and not as a node that does not start.
edit() {
  local before
  before="$(sha256sum "$1")"
  sed -i -E -e "$2" "$1"
  if [[ "$(sha256sum "$1")" == "$before" ]]; then
    echo "configure.sh: nothing to change in $1 by: $2" >&2
    exit 1
  fi
}

chmod 755 /kind/bin/* /usr/local/bin/*

mkdir -p /etc/cni/net.d /etc/kubernetes/manifests
kubelet --version | cut -d ' ' -f 2 | tr -d '\n' >/kind/version
ln -sf /lib/systemd/systemd /sbin/init

# As kind does it: only what a node needs is started.
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
  /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/*
find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
echo "ReadKMsg=no" >>/etc/systemd/journald.conf
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service

# The runtime's base specification, without the limits that only CAP_SYS_RESOURCE could raise.
ctr oci spec | jq 'del(.process.rlimits)' >/etc/containerd/cri-base.json

config=/etc/containerd/config.toml
# A negative score needs CAP_SYS_RESOURCE, which the machine may lack.
edit "$config" 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/'
# The kubelet's own pause image is of the release that kubeadm names; kind's file names another.
edit "$config" "s#sandbox_image = .*#sandbox_image = \"$(kubeadm config images list --kubernetes-version "$(cat /kind/version)" | grep /pause:)\"#"

# On cgroup v1 kind mounts the kubelet's cgroup onto itself, and the kubelet then looks for "cpu/kubelet/kubelet". The
# cgroup is made just before the kubelet starts instead (20-cgroup-v1.conf).
edit /usr/local/bin/entrypoint '/^ *mount --bind "\$\{subsystem\}\/\$\{cgroup_root\}" "\$\{subsystem\}\/\$\{cgroup_root\}"$/d'

# Nothing answers for this name here; asking for it costs every start of a node five seconds.
edit /usr/local/bin/entrypoint "s/timeout 5 getent ahostsv4 'host\.docker\.internal'/true/"
