/** Deletes one pod as kubectl drain does: by eviction, which respects PodDisruptionBudgets. */
import { type Clock, pollUntil } from "../common/clock.js";
import { seconds } from "../common/figures.js";
import { create, PODS, remove, resourcePath } from "../kube/api.js";
import type { Pod } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";

/** As kubectl drain waits after a 429 (kubernetes/kubectl, pkg/cmd/drain and pkg/drain/drain.go: EvictErrorRetryDelay). */
const AGAIN_AFTER_MS = 5_000;

export interface EvictOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Delete the pod instead: budgets are then not asked. */
  readonly disableEviction: boolean;
  /** How long a budget is waited for, ms. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** undefined: the deletion has begun, or the pod was already gone. Otherwise why it has not: nothing was changed. */
export async function evict(pod: Pod, options: EvictOptions): Promise<string | undefined> {
  const { transport, clock, signal, limitMs, note } = options;
  if (options.disableEviction) {
    const { namespace, name, uid } = pod.metadata;
    await remove(transport, resourcePath(PODS, namespace, name), { uid, retry: false });
    return undefined;
  }
  let why = "";
  const accepted = await pollUntil(clock, { everyMs: AGAIN_AFTER_MS, limitMs, signal }, async () => {
    const refused = await refusedEviction(transport, pod);
    if (refused === undefined) return true;
    why = refused;
    note(`waits for a PodDisruptionBudget: ${refused}`);
    return undefined;
  });
  if (accepted === true) return undefined;
  if (signal.aborted) return "interrupted before it was deleted";
  return `no PodDisruptionBudget allowed it within ${seconds(limitMs)}: ${why}. Make room in the budget (more ready pods), or add --disable-eviction to delete it without asking budgets`;
}

/** Asks for one eviction. @returns why a budget refuses it. Rejects with ApiError for any other refusal. */
export async function refusedEviction(
  transport: Transport,
  { metadata: { namespace, name, uid } }: Pod,
  dryRun?: "All",
): Promise<string | undefined> {
  const path = resourcePath(PODS, namespace, name, "eviction");
  const eviction = {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { name, namespace },
    // A pod that was recreated under the same name has another uid.
    deleteOptions: { preconditions: { uid }, ...(dryRun === undefined ? {} : { dryRun: [dryRun] }) },
  };
  try {
    await create(transport, path, eviction, { retry: false });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 404 || error.status === 409) return undefined;
    // 429: a budget has no room. 500: more than one budget selects the pod (registry/core/pod/storage/eviction.go).
    const several = error.status === 500 && /more than one PodDisruptionBudget/.test(error.message);
    if (error.status !== 429 && !several) throw error;
    return error.message.replace(`POST ${path}: `, "");
  }
  return undefined;
}
