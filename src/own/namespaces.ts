/** The namespaces that runs work in: made for them and removed again, or prepared by an administrator, and emptied. */
import { type Clock, pollUntil } from "../common/clock.js";
import { ChaosError, messageOf } from "../common/errors.js";
import {
  CONFIGMAPS,
  DAEMONSETS,
  DEPLOYMENTS,
  EVENTS,
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
import { isOwn } from "./manifest.js";
import { PROBER_NAMESPACE } from "./own-names.js";

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
  return isOwn(namespace) && labels?.[PREPARED_LABEL] === "true" && deletionTimestamp === undefined;
}

/** Looks what a namespace is. Rejects with ApiError (403 too) or ApiUnreachableError. */
export async function namespaceState(transport: Transport, name: string): Promise<NamespaceState> {
  const namespace = await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, name));
  if (namespace === undefined) return "absent";
  if (isPrepared(namespace)) return "prepared";
  return isOwn(namespace) ? "ours" : "foreign";
}

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

/** Waits until a namespace that is on its way out is gone; one that is not stays: it is somebody else's by now. */
export async function gone(transport: Transport, clock: Clock, name: string): Promise<void> {
  const path = resourcePath(NAMESPACES, undefined, name);
  let unanswered = "";
  const left = await pollUntil(clock, { everyMs: 300, limitMs: REMOVE_LIMIT_MS }, async () => {
    let namespace: Namespace | undefined;
    try {
      namespace = await getOrUndefined<Namespace>(transport, path);
      unanswered = "";
    } catch (error) {
      // An API server that is away for a moment is asked again: what was removed is not "not removed" for that.
      unanswered = ` (last asked: ${messageOf(error)})`;
      return undefined;
    }
    return namespace?.metadata.deletionTimestamp === undefined ? true : undefined;
  });
  if (left !== true) {
    throw new ChaosError(
      `namespace ${name} was not gone ${REMOVE_LIMIT_MS / 1000} s after its deletion${unanswered}: kubectl get namespace ${name} -o yaml shows what holds it`,
    );
  }
}

/** Waits until namespaces whose deletion was asked for are gone. */
export async function removedNamespaces(
  transport: Transport,
  clock: Clock,
  names: readonly string[],
): Promise<void> {
  await Promise.all(names.map(async (name) => await gone(transport, clock, name)));
}

/** How long a namespace may take to go, ms. */
const REMOVE_LIMIT_MS = 3 * 60000;
