/** What the switch does when the runner is gone: all that `chaos restore` would do, but for faults on nodes. */
import type { Clock } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { getOrUndefined, NAMESPACES, remove, resourcePath } from "../../kube/api.js";
import type { KubeObject, Namespace } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { carries, isOwn } from "../../own/manifest.js";
import { isPrepared } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { copiesInCluster } from "../journal/cluster-copy.js";
import { describeUndo } from "../journal/describe.js";
import type { PendingUndo, Removal, Undo } from "../journal/journal.js";
import type { WorkloadUndo } from "../journal/undo.js";
import { runsOfCopies } from "../journal/unfinished.js";
import { emptyNamespace } from "../restore/empty-namespace.js";
import { stagesOf } from "../restore/order.js";
import { undoInApi } from "../restore/undo-in-api.js";
import { waitUntilReady } from "../restore/verify.js";
import type { DeadManLock } from "./dead-man-lock.js";

/** How long what was put back may take to work, before it is looked at whether it is still there, ms. */
const READY_LIMIT_MS = 60_000;

/** How long a namespace may take to go before it is asked for anew, ms. */
const GONE_LIMIT_MS = 5 * 60_000;
const LOOK_EVERY_MS = 1_000;

/** Emptying a prepared namespace goes on by itself for so long: less than the lock may be silent, ms. */
const EMPTY_LIMIT_MS = 15_000;

export interface RestorationTools {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly hold: DeadManLock;
  readonly log: (text: string) => void;
  readonly signal: AbortSignal;
}

/** How a try ended; `lost`: somebody else has the lock, and goes on. */
export type Outcome = "finished" | "lost" | { readonly problems: readonly string[] };

/** Ends a try from anywhere in it. */
class Lost extends Error {}

/**
 * One try to put everything back, from the journals' copies. What is put back must work before anything is taken away
 * that a person, or the next try, would need: the lock, then, with the namespace, the copies and the switch itself.
 * Safe to repeat from the start, whatever a try before had done.
 *
 * @throws ApiError, ApiUnreachableError when it could not even be begun, or not be ended.
 */
export async function restoreEverything(tools: RestorationTools): Promise<Outcome> {
  try {
    return await attempt(tools);
  } catch (error) {
    if (error instanceof Lost) return "lost";
    throw error;
  }
}

async function attempt(tools: RestorationTools): Promise<Outcome> {
  const { transport, hold, log } = tools;
  const { entries, unreadable } = await entriesInCluster(tools);
  const { onNodes, workloads, own } = stagesOf(entries);
  for (const { undo: entry } of onNodes)
    log(`${describeUndo(entry)}: left to the timer on its node, which undoes it by itself`);
  // A damaged copy hides no other; while it is there, what it stood for is not as before.
  const problems = [...unreadable];
  for (const { undo: entry } of workloads)
    problems.push(...(await tried(tools, entry, async () => await restoreOne(tools, entry))));
  // What could not even be put back is tried again before long.
  if (problems.length === 0) problems.push(...(await notReady(tools, [...workloads, ...onNodes])));
  // What is not as before must stay known.
  if (problems.length > 0) return { problems };
  for (const { undo: entry } of own)
    problems.push(...(await tried(tools, entry, async () => await clear(tools, entry))));
  if (problems.length > 0) return { problems };
  await keep(tools);
  await hold.release();
  log("the lock is removed");
  // The copies, the Roles (whose owner it is) and this very pod go with it: one request, so nothing comes in between.
  await removeOwnNamespace(transport);
  log(
    `namespace ${PROBER_NAMESPACE} is removed, and this pod with it: all that the run had left is put right`,
  );
  return "finished";
}

/** Everything that the journals say, the newest first: what a session shares is cleared away after its runs. */
async function entriesInCluster({ transport, log }: RestorationTools): Promise<{
  readonly entries: readonly PendingUndo[];
  readonly unreadable: readonly string[];
}> {
  const { runs, unreadable } = runsOfCopies(await copiesInCluster(transport));
  for (const { open, damage } of runs)
    if (damage !== undefined) log(`the copy of ${open.runId} is damaged: ${damage}`);
  const entries = [...runs]
    .sort((a, b) => b.open.startedAt.localeCompare(a.open.startedAt))
    .flatMap(({ pending }) => [...pending].reverse());
  return { entries, unreadable: unreadable.map((error) => messageOf(error)) };
}

/** @returns why it could not be done; empty: it was. */
async function tried(tools: RestorationTools, entry: Undo, work: () => Promise<void>): Promise<string[]> {
  await keep(tools);
  try {
    await work();
    return [];
  } catch (error) {
    if (error instanceof Lost) throw error;
    return [`${describeUndo(entry)}: ${messageOf(error)}`];
  }
}

async function restoreOne({ transport, log }: RestorationTools, entry: WorkloadUndo): Promise<void> {
  const { how, by } = await undoInApi(transport, entry);
  log(`${describeUndo(entry)}: ${how}${how === "found" ? ` (restored by ${by})` : ""}`);
}

/** What does not work when the time is up; faults on nodes too, which their timers end. */
async function notReady(
  tools: RestorationTools,
  pending: readonly PendingUndo[],
): Promise<readonly string[]> {
  const entries = pending.map(({ undo: entry }) => entry);
  const { transport, clock, log } = tools;
  const last = await wait(tools, READY_LIMIT_MS, async () => {
    const problems = await waitUntilReady(transport, clock, { entries, limitMs: 0, note: () => undefined });
    return problems.length === 0 ? undefined : problems.join(", ");
  });
  if (last !== undefined) return [last];
  if (entries.length > 0) log("all that was put back works");
  return [];
}

/** Removes or empties a namespace of the run, or whatever else it had made, and waits until it is gone. */
async function clear(tools: RestorationTools, entry: Removal): Promise<void> {
  const { transport, clock, log } = tools;
  if (entry.action === "empty") await emptyNamespace(transport, entry, { clock, limitMs: EMPTY_LIMIT_MS });
  else {
    await undoInApi(transport, entry);
    const left = await wait(tools, GONE_LIMIT_MS, async () => await stillThere(transport, entry));
    if (left !== undefined) throw new Error(left);
  }
  log(`${describeUndo(entry)}: ${entry.action === "empty" ? "emptied" : "removed"}`);
}

async function stillThere(transport: Transport, { path, labels }: Removal): Promise<string | undefined> {
  const live = await getOrUndefined<KubeObject>(transport, path);
  return live !== undefined && carries(live, labels)
    ? `it is still there ${GONE_LIMIT_MS / 1000} s after it was deleted`
    : undefined;
}

async function removeOwnNamespace(transport: Transport): Promise<void> {
  const path = resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE);
  const live = await getOrUndefined<Namespace>(transport, path);
  if (live === undefined || !isOwn(live) || isPrepared(live)) return;
  await remove(transport, path, { uid: live.metadata.uid, propagationPolicy: "Background" });
}

/** Looks again and again, with the lock kept. @returns what is still in the way when the time is up. */
async function wait(
  tools: RestorationTools,
  limitMs: number,
  look: () => Promise<string | undefined>,
): Promise<string | undefined> {
  const { clock, log, signal } = tools;
  const end = clock.now() + limitMs;
  let said: string | undefined;
  for (;;) {
    await keep(tools);
    const left = await look();
    if (left === undefined || clock.now() >= end) return left;
    if (left !== said) log(`waiting: ${left}`);
    said = left;
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
}

/** Between any two steps: nothing is done once somebody else has the lock, or the pod has to end. */
async function keep({ hold, signal }: RestorationTools): Promise<void> {
  if (signal.aborted || !(await hold.keep())) throw new Lost();
}
