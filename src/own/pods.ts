import { type CallOptions, list, PODS, resourcePath, selectorString } from "../kube/api.js";
import type { Pod } from "../kube/objects.js";
import { isTerminating } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport-types.js";

/** Pods with these labels. Rejects with ApiError or ApiUnreachableError. */
export async function podsLabelled(
  transport: Transport,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  options: CallOptions = {},
): Promise<readonly Pod[]> {
  const labelSelector = selectorString(labels);
  const { items } = await list<Pod>(transport, resourcePath(PODS, namespace), { ...options, labelSelector });
  return items;
}

/** The pods with these labels that have an address and are not terminating. */
export async function podsOf(
  transport: Transport,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Promise<Pod[]> {
  const pods = await podsLabelled(transport, namespace, labels);
  return pods.filter((pod) => !isTerminating(pod) && pod.status?.podIP !== undefined);
}
