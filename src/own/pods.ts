import { list, PODS, resourcePath, selectorString } from "../kube/api.js";
import type { Pod } from "../kube/objects.js";
import type { Transport } from "../kube/transport-types.js";

/** Pods of ours by label, with the address that they have. */

export async function podsOf(
  transport: Transport,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Promise<Pod[]> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, namespace), {
    labelSelector: selectorString(labels),
  });
  return items.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.podIP !== undefined,
  );
}
