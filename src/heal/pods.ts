/** The pods that `chaos heal` replaces: which, in which order, and when not. Pure but for `podsOfTarget`. */
import { RefusedError } from "../common/errors.js";
import { names, plural } from "../common/figures.js";
import { list, REPLICASETS, resourcePath } from "../kube/api.js";
import type { Pod, ReplicaSet } from "../kube/objects.js";
import { controllerOf, isReady, isTerminating, restartsOf } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { podsLabelled } from "../own/pods.js";
import { type AnyTarget, isNodeTarget, type Target } from "../targets/target.js";

/** The pods that the target's controller makes, terminating ones too: a pod of anyone else would not come back. */
export async function podsOfTarget(transport: Transport, target: Target): Promise<Pod[]> {
  const { namespace, labels, kind, uid } = target;
  const [pods, replicaSets] = await Promise.all([
    podsLabelled(transport, namespace, labels),
    kind === "Deployment" ? list<ReplicaSet>(transport, resourcePath(REPLICASETS, namespace)) : { items: [] },
  ]);
  const makers =
    kind === "Deployment"
      ? replicaSets.items
          .filter((each) => controllerOf(each)?.uid === uid)
          .map(({ metadata }) => metadata.uid)
      : [uid];
  return pods.filter((pod) => makers.includes(controllerOf(pod)?.uid ?? ""));
}

/** Those to replace: first the ones that are not ready, which serve nobody, then the oldest. */
export function inOrder(pods: readonly Pod[]): Pod[] {
  return pods
    .filter((pod) => !isTerminating(pod))
    .sort(
      (a, b) =>
        Number(isReady(a)) - Number(isReady(b)) ||
        (a.metadata.creationTimestamp ?? "").localeCompare(b.metadata.creationTimestamp ?? "") ||
        a.metadata.name.localeCompare(b.metadata.name),
    );
}

/** Why this pod must not be taken: it is the last one that is ready. undefined: another one is. */
export function lastReady(pod: Pod, pods: readonly Pod[]): string | undefined {
  if (!isReady(pod)) return undefined;
  const others = pods.filter(
    (each) => each.metadata.uid !== pod.metadata.uid && !isTerminating(each) && isReady(each),
  );
  return others.length > 0
    ? undefined
    : `pod ${pod.metadata.name} is the last one that is ready: nothing would serve until its successor is. Add --allow-last to replace it all the same`;
}

/** "coredns-7d4f-x2x (node kind-worker, ready, 3 restarts)". */
export function podWords(pod: Pod): string {
  const restarts = restartsOf(pod);
  const parts = [
    pod.spec?.nodeName === undefined ? "on no node" : `node ${pod.spec.nodeName}`,
    isReady(pod) ? "ready" : "not ready",
    ...(restarts === 0 ? [] : [plural(restarts, "restart")]),
  ];
  return `${pod.metadata.name} (${parts.join(", ")})`;
}

/**
 * The refusal of a component that is no workload. A mirror pod that is deleted comes back at once, and its containers never
 * stopped (kubernetes.io/docs/tasks/configure-pod-container/static-pod).
 */
export function workloadOnly(target: AnyTarget): Target {
  if (!isNodeTarget(target)) return target;
  const { name, nodes, kind, unit = `${name}.service` } = target;
  const where = names(nodes);
  if (kind === "SystemdUnit")
    throw new RefusedError(
      `${name} is no pod: it runs as a systemd unit on ${where}. Restart it there, one node at a time: systemctl restart ${unit}, then wait until the node is Ready. Nothing was changed`,
    );
  const { manifest = `/etc/kubernetes/manifests/${name}.yaml` } = target;
  throw new RefusedError(
    `${name} runs as static pods on ${where}: deleting one in the API deletes only its mirror, and its containers continue. On each of these nodes, one at a time, move ${manifest} out of its folder, wait until the pod is gone, and move it back. Nothing was changed`,
  );
}
