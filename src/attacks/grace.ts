import type { KubeObject, Pod } from "../cluster/objects.js";

/**
 * The grace period of a pod's deletion, whole seconds. Pure. A pod none of whose containers has started has
 * nothing that could be given time, and nothing that could run on unseen: 0, so that its object is gone at once
 * and its kubelet starts none. (With a grace period the kubelet may start the container first, to end it then.)
 *
 * @param gracePeriodMs of a pod that has started.
 */
export function graceSecondsOf(object: KubeObject, gracePeriodMs: number): number {
  const { status } = object as unknown as Pod;
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const started =
    status?.phase !== "Pending" ||
    containers.some(({ state }) => state?.running !== undefined || state?.terminated !== undefined);
  return started ? Math.round(gracePeriodMs / 1000) : 0;
}
