/** Nodes on which nothing can be run or looked at. They are left out of a run, never waited for. Pure. */
import type { Node } from "../kube/objects.js";
import { isWindows } from "../kube/pod-state.js";

/** Why a node is left out; undefined: it is not. A cordoned node works: it only gets no new pods. */
export function whyLeftOut(node: Node): string | undefined {
  const kind = kindOf(node);
  if (kind !== undefined) return kind;
  const ready = (node.status?.conditions ?? []).find(({ type }) => type === "Ready");
  return ready !== undefined && ready.status !== "True" ? "not ready" : undefined;
}

/** A node that is not a Linux machine; undefined: it is one. */
function kindOf(node: Node): string | undefined {
  const { labels = {} } = node.metadata;
  // virtual-kubelet/virtual-kubelet, cmd/virtual-kubelet/internal/commands/root: the node's label and default taint.
  const isVirtual = (node.spec?.taints ?? []).some(({ key }) => key === "virtual-kubelet.io/provider");
  if (isVirtual || labels["type"] === "virtual-kubelet") return "a virtual node";
  // docs.aws.amazon.com/eks/latest/userguide/fargate.html: one pod per node, no DaemonSets, no privileged containers.
  if (labels["eks.amazonaws.com/compute-type"] === "fargate") return "a Fargate node";
  return isWindows(node) ? "a Windows node" : undefined;
}

/** The nodes that are not left out. */
export function usableNodes(nodes: readonly Node[]): Node[] {
  return nodes.filter((node) => whyLeftOut(node) === undefined);
}

/** "a (not ready), b (a Windows node)"; undefined: no node is left out. */
export function leftOutWords(nodes: readonly Node[]): string | undefined {
  const words = nodes.flatMap((node) => {
    const why = whyLeftOut(node);
    return why === undefined ? [] : [`${node.metadata.name} (${why})`];
  });
  return words.length === 0 ? undefined : words.join(", ");
}
