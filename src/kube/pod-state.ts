import type { KubeObject, Node, Pod } from "./objects.js";

/** The Ready condition of a pod. */
export function isReady(pod: Pod): boolean {
  return (pod.status?.conditions ?? []).some(
    (condition) => condition.type === "Ready" && condition.status === "True",
  );
}

/** Whether its deletion has begun. */
export function isTerminating(object: Pick<KubeObject, "metadata">): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/**
 * Whether no container of a deleted pod runs any more, as its kubelet says: then no more than its object is left of
 * it, which may stay for up to half a minute longer (Kubernetes 1.20). A container that was removed before it was
 * looked at reads as waiting, not as terminated.
 */
export function hasEnded(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  return (
    isTerminating(pod) &&
    statuses.length > 0 &&
    statuses.every((status) => status.state?.running === undefined)
  );
}

/** Nodes that take pods without a toleration: those that are Ready, not cordoned, without a NoSchedule taint. */
export function schedulableNodes(nodes: readonly Node[]): Node[] {
  return nodes.filter((node) => {
    const tainted = (node.spec?.taints ?? []).some(
      (taint) => taint.effect === "NoSchedule" || taint.effect === "NoExecute",
    );
    const ready = (node.status?.conditions ?? []).some((c) => c.type === "Ready" && c.status === "True");
    return ready && !tainted && node.spec?.unschedulable !== true;
  });
}

/** The containers that wait for a reason that the kubelet names, init containers first. Pure. */
export function waitingContainers(
  pod: Pod,
): { readonly image: string; readonly reason: string; readonly message: string }[] {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  return [...initContainerStatuses, ...containerStatuses].flatMap(({ image, state }) => {
    const { reason = "", message = "" } = state?.waiting ?? {};
    return reason === "" ? [] : [{ image, reason, message }];
  });
}

/** Why a pod is not ready, as the cluster says. Pure. */
export function reasonOf(pod: Pod): string {
  const [waiting] = waitingContainers(pod);
  if (waiting !== undefined) return `${waiting.reason} ${waiting.message}`.trim();
  const blocked = (pod.status?.conditions ?? []).find(
    (condition) => condition.status === "False" && condition.message !== undefined,
  );
  return blocked?.message ?? pod.status?.phase ?? "no status yet";
}
