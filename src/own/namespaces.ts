/** The namespaces of runs: created and removed by the run, or prepared by an administrator and emptied after it. */
import { type Clock, pollUntil } from "../common/clock.js";
import { ChaosError, messageOf } from "../common/errors.js";
import {
  AUTOSCALERS,
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
import { NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE } from "./own-names.js";

/**
 * Label ("true") of an own namespace that an administrator has created beforehand, with Roles in it. It is used as it
 * is and stays. A Role cannot exist in a namespace that the run creates later.
 */
export const PREPARED_LABEL = "kube-system-chaos/prepared";

/** The canaries' namespace if it is prepared; otherwise each run creates its own. */
export const CANARY_NAMESPACE = `${PROBER_NAMESPACE}-canaries`;

/** What a namespace is to this tool. `foreign`: someone else created it. */
export type NamespaceState = "absent" | "own" | "prepared" | "foreign";

/** Whether a namespace is used as it is. A terminating one is not. Pure. */
export function isPrepared(namespace: Pick<Namespace, "metadata">): boolean {
  const { labels, deletionTimestamp } = namespace.metadata;
  return isOwn(namespace) && labels?.[PREPARED_LABEL] === "true" && deletionTimestamp === undefined;
}

/** Reads the state of a namespace. Rejects with ApiError (also 403) or ApiUnreachableError. */
export async function namespaceState(transport: Transport, name: string): Promise<NamespaceState> {
  const namespace = await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, name));
  if (namespace === undefined) return "absent";
  if (isPrepared(namespace)) return "prepared";
  return isOwn(namespace) ? "own" : "foreign";
}

/** The kinds created in the namespaces, owners first: an owner would recreate its dependents. */
/** Also of the pods that reach the nodes. */
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

/** The kinds that runs create in a namespace: emptying it lists and deletes these, and needs rights to them. Pure. */
export function kindsMadeIn(namespace: string): readonly Gvr[] {
  if (namespace === PROBER_NAMESPACE || namespace === NODE_ACCESS_NAMESPACE) return OF_PROBERS;
  return namespace === CANARY_NAMESPACE ? OF_CANARIES : OF_APPLICATION;
}

/**
 * Waits until a terminating namespace is gone. Returns at once when it does not terminate: then it is a new one.
 *
 * @param signal ends the wait; its reason is a sentence.
 */
export async function gone(
  transport: Transport,
  clock: Clock,
  name: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const path = resourcePath(NAMESPACES, undefined, name);
  let lastError = "";
  const left = await pollUntil(clock, { everyMs: 300, limitMs: REMOVE_LIMIT_MS, signal }, async () => {
    let namespace: Namespace | undefined;
    try {
      namespace = await getOrUndefined<Namespace>(transport, path);
      lastError = "";
    } catch (error) {
      // Ask again: the API server may be unavailable for a moment.
      lastError = ` (last error: ${messageOf(error)})`;
      return undefined;
    }
    return namespace?.metadata.deletionTimestamp === undefined ? true : undefined;
  });
  if (left !== true && signal.aborted)
    throw new ChaosError(`namespace ${name} may still exist: ${String(signal.reason)}`);
  if (left !== true) {
    throw new ChaosError(
      `namespace ${name} still exists ${REMOVE_LIMIT_MS / 1000} s after its deletion${lastError}. kubectl get namespace ${name} -o yaml shows what blocks it`,
    );
  }
}

/** Waits until deleted namespaces are gone. */
export async function removedNamespaces(
  transport: Transport,
  clock: Clock,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  await Promise.all(names.map(async (name) => await gone(transport, clock, name, signal)));
}

/** How long a namespace may take to terminate, ms. */
const REMOVE_LIMIT_MS = 3 * 60000;
