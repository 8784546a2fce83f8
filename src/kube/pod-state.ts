import type { KubeObject, Node, Pod } from "./objects.js";

/** Whether a pod's Ready condition is True. */
export function isReady(pod: Pod): boolean {
  return (pod.status?.conditions ?? []).some(
    (condition) => condition.type === "Ready" && condition.status === "True",
  );
}

/** Whether a node's Ready condition is True. */
export function isNodeReady({ status }: Node): boolean {
  return (status?.conditions ?? []).some(({ type, status: is }) => type === "Ready" && is === "True");
}

/** Whether an object's deletion has begun. */
export function isTerminating(object: Pick<KubeObject, "metadata">): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/** The owner that makes an object, and would make it again; undefined: nobody does. */
export function controllerOf({
  metadata,
}: Pick<KubeObject, "metadata">): NonNullable<KubeObject["metadata"]["ownerReferences"]>[number] | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/**
 * Whether no container of a deleted pod runs, according to its kubelet. Then only its object is left for a while. A
 * container that was removed before the kubelet read its state appears as waiting, not as terminated.
 */
export function hasEnded(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  return (
    isTerminating(pod) &&
    statuses.length > 0 &&
    statuses.every((status) => status.state?.running === undefined)
  );
}

export function isWindows({ metadata, status }: Node): boolean {
  return (
    metadata.labels?.["kubernetes.io/os"] === "windows" || status?.nodeInfo?.operatingSystem === "windows"
  );
}

/** Linux nodes that accept pods without a toleration: Ready, not cordoned, without a NoSchedule or NoExecute taint. */
export function schedulableNodes(nodes: readonly Node[]): Node[] {
  return nodes.filter((node) => {
    const tainted = (node.spec?.taints ?? []).some(
      (taint) => taint.effect === "NoSchedule" || taint.effect === "NoExecute",
    );
    return isNodeReady(node) && !tainted && !isWindows(node) && node.spec?.unschedulable !== true;
  });
}

export type ContainerStatus = NonNullable<NonNullable<Pod["status"]>["containerStatuses"]>[number];

/** How a container ended. */
export type Ended = NonNullable<NonNullable<ContainerStatus["state"]>["terminated"]>;

/** What the kubelet says about each container, init containers first. */
export function containersOf({ status }: Pod): ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

/** How often the containers of a pod have restarted; init containers do not count, as in kubectl's table. */
export function restartsOf({ status }: Pod): number {
  return (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** The waiting containers for which the kubelet states a reason, init containers first. Pure. */
export function waitingContainers(
  pod: Pod,
): { readonly image: string; readonly reason: string; readonly message: string }[] {
  return containersOf(pod).flatMap(({ image, state }) => {
    const { reason = "", message = "" } = state?.waiting ?? {};
    return reason === "" ? [] : [{ image, reason, message }];
  });
}

/** Why a pod is not ready, from its status. Pure. */
export function reasonOf(pod: Pod): string {
  const [waiting] = waitingContainers(pod);
  if (waiting !== undefined) return `${waiting.reason} ${waiting.message}`.trim();
  const blocked = (pod.status?.conditions ?? []).find(
    (condition) => condition.status === "False" && condition.message !== undefined,
  );
  return blocked?.message ?? pod.status?.phase ?? "no status yet";
}
