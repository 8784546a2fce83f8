/** The namespaces that runs work in: made for them and removed again, or prepared by an administrator, and emptied. */
import { isOurs, MANAGED_BY, MANAGED_BY_LABEL } from "./manifest.js";
import {
  CONFIGMAPS,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  type Gvr,
  NAMESPACES,
  PODS,
  REPLICASETS,
  resourcePath,
  SECRETS,
  SERVICES,
} from "../kube/api.js";
import type { Namespace } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { PROBER_NAMESPACE } from "../probes/prober-manifests.js";
import { record } from "../safety/journal/entries.js";
import type { Journal, PendingUndo } from "../safety/journal/journal.js";

/**
 * On a namespace of ours that an administrator has made beforehand, with Roles in it ("true"): it is used as it is
 * and stays. A Role cannot be in a namespace that the run makes itself.
 */
export const PREPARED_LABEL = "kube-system-chaos/prepared";

/** The canaries' namespace where it is prepared; elsewhere each run makes its own. */
export const CANARY_NAMESPACE = `${PROBER_NAMESPACE}-canaries`;

/** What a namespace is to us. `foreign`: somebody else's under that name. */
export type NamespaceState = "absent" | "ours" | "prepared" | "foreign";

/** Whether a namespace is used as it is. One that is on its way out is not. Pure. */
export function isPrepared(namespace: Pick<Namespace, "metadata">): boolean {
  const { labels, deletionTimestamp } = namespace.metadata;
  return isOurs(namespace) && labels?.[PREPARED_LABEL] === "true" && deletionTimestamp === undefined;
}

/** Looks what a namespace is. Rejects with ApiError (403 too) or ApiUnreachableError. */
export async function namespaceState(transport: Transport, name: string): Promise<NamespaceState> {
  const namespace = await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, name));
  if (namespace === undefined) return "absent";
  if (isPrepared(namespace)) return "prepared";
  return isOurs(namespace) ? "ours" : "foreign";
}

/**
 * Writes into the journal how a namespace of ours is cleared away again, before anything is made in it: a prepared one
 * is emptied, any other is removed.
 */
export async function recordNamespace(
  {
    transport,
    journal,
    made,
  }: {
    readonly transport: Transport;
    readonly journal: Pick<Journal, "intent">;
    readonly made: PendingUndo[];
  },
  name: string,
): Promise<void> {
  await record(journal, made, {
    action: (await namespaceState(transport, name)) === "prepared" ? "empty" : "remove",
    path: resourcePath(NAMESPACES, undefined, name),
    object: { kind: "Namespace", name },
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
  });
}

export const EVENTS: Gvr = { group: "", version: "v1", resource: "events" };
/** v1 is served by every release from 1.20 on, and enough to list and to delete. */
export const AUTOSCALERS: Gvr = {
  group: "autoscaling",
  version: "v1",
  resource: "horizontalpodautoscalers",
};

/** What is made in the namespaces, from the top down: an owner before what it would make again. */
const OF_PROBERS: readonly Gvr[] = [DAEMONSETS, PODS, CONFIGMAPS, SECRETS];
const OF_CANARIES: readonly Gvr[] = [
  AUTOSCALERS,
  DEPLOYMENTS,
  REPLICASETS,
  PODS,
  SERVICES,
  CONFIGMAPS,
  EVENTS,
];
const OF_APPLICATION: readonly Gvr[] = [DEPLOYMENTS, REPLICASETS, PODS, SERVICES];

/** The kinds of objects that runs make in a namespace: what emptying it looks for, and has to be allowed to. Pure. */
export function kindsMadeIn(namespace: string): readonly Gvr[] {
  if (namespace === PROBER_NAMESPACE) return OF_PROBERS;
  return namespace === CANARY_NAMESPACE ? OF_CANARIES : OF_APPLICATION;
}
