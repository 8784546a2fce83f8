/**
 * Putting things back from the journal. Used by every run at its end and by `chaos restore`; idempotent, goes
 * on past single failures and reports each.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import type { RunEventBody } from "../../evidence/events.js";
import {
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  list,
  PODS,
  remove,
  REPLICASETS,
  resourcePath,
} from "../../kube/api.js";
import type { KubeObject, Pod } from "../../kube/objects.js";
import { hasEnded } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { carries } from "../../own/manifest.js";
import { isPrepared } from "../../own/namespaces.js";
import { isNodeUndo, type PendingUndo, type Undo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";
import { emptyNamespace } from "./empty-namespace.js";
import { undoOnNode, type UndoOptions } from "./on-node.js";
import { restoreWorkload } from "./workload.js";

export { nodeUndos, type UndoOptions } from "./on-node.js";

/** How long the pods of a namespace of ours may take to go before the namespace is deleted around them, ms. */
const PODS_GONE_LIMIT_MS = 20_000;
const PODS_GONE_EVERY_MS = 200;

/**
 * Undoes one entry of the journal.
 *
 * @throws ApiError or ApiUnreachableError when the API server would not have it, Error when the node would not; the
 * entry stays pending.
 */
export async function undo(transport: Transport, entry: Undo, options: UndoOptions = {}): Promise<Undone> {
  if (isNodeUndo(entry)) return await undoOnNode(entry, { transport, ...options });
  if (entry.action === "remove") return await removeOurs(transport, entry);
  if (entry.action === "empty") return await emptyNamespace(transport, entry);
  return await restoreWorkload(transport, entry, entry.onlyIfGone ?? options.onlyIfGone ?? false);
}

/** Removes what a run made, if it is still there and still that run's. */
async function removeOurs(transport: Transport, entry: Extract<Undo, { action: "remove" }>): Promise<Undone> {
  const live = await getOrUndefined<KubeObject>(transport, entry.path);
  if (live !== undefined && carries(live, entry.labels)) {
    // Prepared after the intent was written: it stays.
    if (entry.object.kind === "Namespace" && isPrepared(live))
      return await emptyNamespace(transport, { ...entry, action: "empty" });
    // Only for speed: what keeps it from being swept does not keep it from being removed.
    if (entry.object.kind === "Namespace")
      await sweepNamespace(transport, entry.object.name).catch(() => undefined);
    // By its uid: one that another run makes under the same name in this moment stays. Background: a namespace
    // takes its content with it.
    await remove(transport, entry.path, { uid: live.metadata.uid, propagationPolicy: "Background" });
  }
  return { object: entry.object, how: "removed", by: "runner" };
}

/**
 * Takes the workloads and pods of a namespace away before the namespace itself. The namespace controller comes
 * back to one that still has terminating pods only after its own waits, and kubelets keep a pod's object for up
 * to half a minute after its containers have ended (they look every 10 s whether its resources are reclaimed).
 */
async function sweepNamespace(transport: Transport, namespace: string): Promise<void> {
  // From the top down, or the pods come back.
  for (const gvr of [DEPLOYMENTS, DAEMONSETS, REPLICASETS, PODS]) {
    const { items } = await list<KubeObject>(transport, resourcePath(gvr, namespace));
    await Promise.all(
      items.map(async ({ metadata }) => {
        const path = resourcePath(gvr, namespace, metadata.name);
        await remove(transport, path, { uid: metadata.uid, propagationPolicy: "Background" });
      }),
    );
  }
  // By the clock, and not by counting: a slow API server's answers take their time, too.
  const end = performance.now() + PODS_GONE_LIMIT_MS;
  while (performance.now() < end) {
    const { items } = await list<Pod>(transport, resourcePath(PODS, namespace));
    if (items.length === 0) return;
    await Promise.all(
      items.filter(hasEnded).map(async ({ metadata }) => {
        const path = resourcePath(PODS, namespace, metadata.name);
        await remove(transport, path, { uid: metadata.uid, gracePeriodSeconds: 0 });
      }),
    );
    await sleep(PODS_GONE_EVERY_MS);
  }
}

/** How often an undo that could not be done is tried again, and for how long, ms. */
export interface Retry {
  readonly clock: Clock;
  readonly limitMs: number;
}

const RETRY_EVERY_MS = 1_000;

/** An entry that could not be undone, and why. */
export interface NotUndone {
  readonly undo: Undo;
  readonly error: string;
}

/** Undoes entries from the last to the first; reports each success, collects each failure. */
export async function undoAll(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
  options: UndoOptions = {},
): Promise<NotUndone[]> {
  const failures: NotUndone[] = [];
  for (const { seq, undo: entry } of [...pending].reverse()) {
    try {
      await report(seq, await undoWithRetry(transport, entry, retry, options));
    } catch (error) {
      failures.push({ undo: entry, error: messageOf(error) });
    }
  }
  return failures;
}

async function undoWithRetry(
  transport: Transport,
  entry: Undo,
  retry: Retry | undefined,
  options: UndoOptions,
): Promise<Undone> {
  if (retry === undefined) return await undo(transport, entry, options);
  let last: unknown;
  const done = await pollUntil(retry.clock, { everyMs: RETRY_EVERY_MS, limitMs: retry.limitMs }, async () => {
    try {
      return await undo(transport, entry, options);
    } catch (error) {
      // It says what is wrong and what to do about it: another second does not change that.
      if (error instanceof ChaosError) throw error;
      last = error;
      return undefined;
    }
  });
  if (done === undefined) throw last;
  return done;
}

/** The event that says what was put back. */
export function restoredEvent(undone: Undone): RunEventBody | undefined {
  const { object, how, by } = undone;
  return how === "removed" || how === "emptied" || how === "untouched"
    ? undefined
    : { type: "restored", object, how, by };
}

/** Undoes entries that do not depend on each other, all at once. */
export async function undoTogether(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
): Promise<NotUndone[]> {
  const each = pending.map(async (entry) => await undoAll(transport, [entry], report, retry));
  return (await Promise.all(each)).flat();
}
