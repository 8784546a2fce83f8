import type { Pod } from "./objects.js";

/**
 * Whether no container of a deleted pod runs any more, as its kubelet says: then no more than its object is left of
 * it, which may stay for up to half a minute longer (Kubernetes 1.20). A container that was removed before it was
 * looked at reads as waiting, not as terminated.
 */
export function hasEnded(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  return (
    pod.metadata.deletionTimestamp !== undefined &&
    statuses.length > 0 &&
    statuses.every((status) => status.state?.running === undefined)
  );
}
