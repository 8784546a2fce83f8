/** What the switch does when the runner is gone: the same as `chaos restore`, except for faults on nodes. */
import type { Clock } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { CLUSTER_ROLES, getOrUndefined, NAMESPACES, remove, resourcePath } from "../../kube/api.js";
import type { KubeObject, Namespace } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { carries, isOwn, MANAGED_BY, MANAGED_BY_LABEL } from "../../own/manifest.js";
import { isPrepared } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { copiesInCluster, copyPath } from "../journal/cluster-copy.js";
import { describeUndo } from "../journal/describe.js";
import type { PendingUndo, Removal, Undo } from "../journal/journal.js";
import { implausibleIn } from "../journal/plausible.js";
import type { WorkloadUndo } from "../journal/undo.js";
import { runsOfCopies } from "../journal/unfinished.js";
import { emptyNamespace } from "../restore/empty-namespace.js";
import { DEAD_MAN_LABELS, stagesOf } from "../restore/order.js";
import { undoInApi } from "../restore/undo-in-api.js";
import { waitUntilReady } from "../restore/verify.js";
import type { DeadManLock } from "./dead-man-lock.js";
import { deadManName } from "./settings.js";

/** How long restored components may take to work before the next attempt checks that they still exist, ms. */
const READY_LIMIT_MS = 60_000;

/** How long a namespace may take to go before the next attempt deletes it again, ms. */
const GONE_LIMIT_MS = 5 * 60_000;
const POLL_EVERY_MS = 1_000;

/** How long emptying a prepared namespace may take, ms. Shorter than the lock's limit: nothing renews it meanwhile. */
const EMPTY_LIMIT_MS = 15_000;

export interface RestorationTools {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly lock: DeadManLock;
  readonly log: (text: string) => void;
  readonly signal: AbortSignal;
}

/** How an attempt ended; `lost`: someone else has the lock and continues. */
export type Outcome = "finished" | "lost" | { readonly problems: readonly string[] };

/** Ends an attempt from any of its steps. */
class Lost extends Error {}

/**
 * One attempt to undo everything, from the journals' copies. The restored components must work before the switch deletes
 * what a person or the next attempt would need: first the lock, then the namespace with the copies and the switch itself.
 * Safe to repeat from the start, whatever an earlier attempt has done.
 *
 * @throws ApiError, ApiUnreachableError when the attempt could not start or could not finish.
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
  const { transport, lock, log } = tools;
  const { entries, unreadable } = await entriesInCluster(tools);
  const { onNodes, workloads, own, home } = stagesOf(entries);
  for (const { undo: entry } of onNodes)
    log(`${describeUndo(entry)}: left to the timer on its node, which undoes it`);
  // A damaged copy does not hide the others. While it exists, its run counts as not restored.
  const problems = [...unreadable];
  for (const { undo: entry } of workloads)
    problems.push(...(await tried(tools, entry, async () => await restoreOne(tools, entry))));
  // After a failed undo there is no point in waiting: the next attempt comes first.
  if (problems.length === 0) problems.push(...(await notReady(tools, [...workloads, ...onNodes])));
  // Unfinished changes must stay on record.
  if (problems.length > 0) return { problems };
  // Its own namespace goes last, below.
  const others = home.filter(({ undo: { object } }) => object.name !== PROBER_NAMESPACE);
  for (const { undo: entry } of [...own, ...others])
    problems.push(...(await tried(tools, entry, async () => await clear(tools, entry))));
  const prepared = await hasPreparedNamespace(transport);
  if (prepared && problems.length === 0)
    problems.push(...(await tried(tools, HOME, async () => await emptyHome(tools))));
  if (problems.length > 0) return { problems };
  await keep(tools);
  await lock.release();
  log("removed the lock");
  if (prepared) {
    for (const { runId } of await copiesInCluster(transport)) await remove(transport, copyPath(runId));
    log(`emptied namespace ${PROBER_NAMESPACE}, which stays: all changes of the run are undone`);
    return "finished";
  }
  // This also deletes the copies, the Roles (which the namespace owns) and this pod, in one request.
  await removeOwnNamespace(transport);
  log(`removed namespace ${PROBER_NAMESPACE} and with it this pod: all changes of the run are undone`);
  return "finished";
}

const HOME = {
  action: "empty",
  path: resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE),
  object: { kind: "Namespace", name: PROBER_NAMESPACE },
  labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
} as const satisfies Removal;

async function hasPreparedNamespace(transport: Transport): Promise<boolean> {
  const live = await getOrUndefined<Namespace>(transport, HOME.path);
  return live !== undefined && isPrepared(live);
}

/** Empties its own namespace of everything but the switch and the copies. */
async function emptyHome({ transport, clock, log }: RestorationTools): Promise<void> {
  await emptyNamespace(transport, HOME, { clock, limitMs: EMPTY_LIMIT_MS, except: DEAD_MAN_LABELS });
  log(`${describeUndo(HOME)}: emptied`);
}

/**
 * Removes the switch itself when its run is over and its namespace stays: by its ClusterRole, which owns the rest. Where
 * the namespace does not stay, everything has gone with it.
 */
export async function removeSwitch(transport: Transport, runId: string): Promise<void> {
  if (!(await hasPreparedNamespace(transport))) return;
  await remove(transport, resourcePath(CLUSTER_ROLES, undefined, deadManName(runId)), {
    propagationPolicy: "Background",
  });
}

/** All entries of the journals, the newest first: what the runs of a session share is removed after those runs. */
async function entriesInCluster({ transport, log }: RestorationTools): Promise<{
  readonly entries: readonly PendingUndo[];
  readonly unreadable: readonly string[];
}> {
  const found = runsOfCopies(await copiesInCluster(transport));
  // As for `chaos restore`, but nobody reads a plan here: an entry that no run writes spoils its whole copy.
  const problems = new Map(found.runs.map((run) => [run, implausibleIn(run)]));
  const runs = found.runs.filter((run) => problems.get(run) === undefined);
  const unreadable = [
    ...found.unreadable.map((error) => messageOf(error)),
    ...found.runs.flatMap((run) => {
      const problem = problems.get(run);
      return problem === undefined
        ? []
        : [`the copy of the journal of ${run.open.runId} is not believed: ${problem}`];
    }),
  ];
  for (const { open, damage } of runs)
    if (damage !== undefined) log(`the copy of the journal of ${open.runId} is damaged: ${damage}`);
  const entries = [...runs]
    .sort((a, b) => b.open.startedAt.localeCompare(a.open.startedAt))
    .flatMap(({ pending }) => [...pending].reverse());
  return { entries, unreadable };
}

/** @returns why it failed; empty: it succeeded. */
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

/** What does not work when the time is up, including faults on nodes, which their timers undo. */
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
  if (entries.length > 0) log("all restored components work");
  return [];
}

/** Removes or empties a namespace or another object that the run created, and waits until it is gone. */
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
    ? `timed out after ${GONE_LIMIT_MS / 1000} s waiting for its deletion`
    : undefined;
}

async function removeOwnNamespace(transport: Transport): Promise<void> {
  const live = await getOrUndefined<Namespace>(transport, HOME.path);
  if (live === undefined || !isOwn(live) || isPrepared(live)) return;
  await remove(transport, HOME.path, { uid: live.metadata.uid, propagationPolicy: "Background" });
}

/** Polls, and keeps renewing the lock. @returns what is still missing when the time is up. */
async function wait(
  tools: RestorationTools,
  limitMs: number,
  poll: () => Promise<string | undefined>,
): Promise<string | undefined> {
  const { clock, log, signal } = tools;
  const end = clock.now() + limitMs;
  let said: string | undefined;
  for (;;) {
    await keep(tools);
    const left = await poll();
    if (left === undefined || clock.now() >= end) return left;
    if (left !== said) log(`waiting: ${left}`);
    said = left;
    await clock.sleep(POLL_EVERY_MS, signal);
  }
}

/** Called between any two steps: stops when someone else has the lock or the pod must end. */
async function keep({ lock, signal }: RestorationTools): Promise<void> {
  if (signal.aborted || !(await lock.keep())) throw new Lost();
}
