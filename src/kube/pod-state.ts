import type { KubeObject, Pod } from "./objects.js";

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
