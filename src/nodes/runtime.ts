import type { NodeAccess } from "./spec.js";

/**
 * Prints "POD CONTAINER-ID" for each running container of the pods with the given labels, as containerd reports it: a
 * container can still run after its pod has disappeared from the API.
 *
 * containerd's CRI plugin labels sandboxes with the pod's labels and containers with the pod's uid
 * (io.cri-containerd.kind, io.kubernetes.pod.*). `ctr` comes with every containerd, unlike crictl.
 */
const SCRIPT = `
set -eu
filter=$1
running=$(ctr -n k8s.io tasks list | awk '$3 == "RUNNING" { print $1 }')
for sandbox in $(ctr -n k8s.io containers list -q "$filter"); do
  # A sandbox that was removed since the list has no running container.
  info=$(ctr -n k8s.io containers info "$sandbox" 2>/dev/null) || continue
  uid=$(printf '%s' "$info" | sed -n 's/.*"io.kubernetes.pod.uid": "\\([^"]*\\)".*/\\1/p' | head -n 1)
  name=$(printf '%s' "$info" | sed -n 's/.*"io.kubernetes.pod.name": "\\([^"]*\\)".*/\\1/p' | head -n 1)
  for container in $(ctr -n k8s.io containers list -q "labels.\\"io.cri-containerd.kind\\"==container,labels.\\"io.kubernetes.pod.uid\\"==$uid"); do
    case " $(echo $running) " in *" $container "*) echo "$name $container" ;; esac
  done
done
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
  const filter = [
    `labels."io.cri-containerd.kind"==sandbox`,
    `labels."io.kubernetes.pod.namespace"==${target.namespace}`,
    ...Object.entries(target.labels).map(([key, value]) => `labels."${key}"==${value}`),
  ].join(",");
  const output = await access.exec(node, ["sh", "-c", SCRIPT, "running-containers", filter], timeoutMs);
  // A pod whose sandbox was recreated has two for a while, with the same uid.
  return [...new Set(output.split("\n").filter((line) => line !== ""))];
}
