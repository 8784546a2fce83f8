import type { NodeAccess } from "./spec.js";

/**
 * Prints "POD CONTAINER-ID" for each running container of the pods with the given labels, as the node's container
 * runtimes report it: a container can still run after its pod has disappeared from the API. Every runtime whose socket
 * exists is asked: a node may have a containerd for Docker beside the kubelet's.
 *
 * containerd's CRI plugin labels sandboxes with the pod's labels and containers with the pod's uid
 * (io.cri-containerd.kind, io.kubernetes.pod.*). `ctr` comes with every containerd, unlike crictl. CRI-O has only
 * crictl (kubernetes-sigs/cri-tools docs/crictl.md). Sockets: containerd's and CRI-O's defaults, k3s and RKE2
 * (k3s-io/k3s pkg/agent/config), MicroK8s (canonical/microk8s microk8s-resources/wrappers).
 */
const SCRIPT = `
set -eu
filter=$1
shift
PATH=$PATH:/var/lib/rancher/rke2/bin:/var/lib/rancher/k3s/data/current/bin:/snap/microk8s/current/bin
with_ctr() {
  running=$(ctr -a "$1" -n k8s.io tasks list | awk '$3 == "RUNNING" { print $1 }')
  for sandbox in $(ctr -a "$1" -n k8s.io containers list -q "$filter"); do
    # A sandbox that was removed since the list has no running container.
    info=$(ctr -a "$1" -n k8s.io containers info "$sandbox" 2>/dev/null) || continue
    uid=$(printf '%s' "$info" | sed -n 's/.*"io.kubernetes.pod.uid": "\\([^"]*\\)".*/\\1/p' | head -n 1)
    name=$(printf '%s' "$info" | sed -n 's/.*"io.kubernetes.pod.name": "\\([^"]*\\)".*/\\1/p' | head -n 1)
    for container in $(ctr -a "$1" -n k8s.io containers list -q "labels.\\"io.cri-containerd.kind\\"==container,labels.\\"io.kubernetes.pod.uid\\"==$uid"); do
      case " $(echo $running) " in *" $container "*) echo "$name $container" ;; esac
    done
  done
}
with_crictl() {
  socket=unix://$1
  shift
  sandboxes=$(crictl -r "$socket" pods -q "$@")
  for sandbox in $sandboxes; do
    name=$(crictl -r "$socket" inspectp -o go-template --template '{{.status.metadata.name}}' "$sandbox" 2>/dev/null) || continue
    containers=$(crictl -r "$socket" ps -q --state Running --pod "$sandbox")
    for container in $containers; do echo "$name $container"; done
  done
}
asked=no
for socket in /run/containerd/containerd.sock /run/k3s/containerd/containerd.sock /var/snap/microk8s/common/run/containerd.sock; do
  [ -e "$socket" ] || continue
  asked=yes
  if command -v ctr > /dev/null; then with_ctr "$socket"; else with_crictl "$socket" "$@"; fi
done
if [ -e /run/crio/crio.sock ]; then asked=yes; with_crictl /run/crio/crio.sock "$@"; fi
[ $asked = yes ] || { echo "no socket of containerd or CRI-O exists" >&2; exit 1; }
`;

/**
 * The running containers of a workload's pods on one node, as "pod container-id".
 *
 * @param timeoutMs for the whole script.
 * @throws Error when the node or its runtime does not answer.
 */
export async function runningContainers(
  access: NodeAccess,
  node: string,
  target: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  timeoutMs: number,
): Promise<string[]> {
  const labels = Object.entries({ "io.kubernetes.pod.namespace": target.namespace, ...target.labels });
  const filter = [
    `labels."io.cri-containerd.kind"==sandbox`,
    ...labels.map(([key, value]) => `labels."${key}"==${value}`),
  ].join(",");
  const args = [filter, ...labels.flatMap(([key, value]) => ["--label", `${key}=${value}`])];
  const output = await access.exec(node, ["sh", "-c", SCRIPT, "running-containers", ...args], timeoutMs);
  // A pod whose sandbox was recreated has two for a while, with the same uid.
  return [...new Set(output.split("\n").filter((line) => line !== ""))];
}
