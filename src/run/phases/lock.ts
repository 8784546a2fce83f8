/** The first changes of a run or session: it acquires the lock and stores the copy of the journal. */
import type { Clock } from "../../common/clock.js";
import { RefusedError } from "../../common/errors.js";
import type { Transport } from "../../kube/transport.js";
import { makeNamespace } from "../../own/ensure.js";
import { MANAGED_BY, MANAGED_BY_LABEL, namespaceManifest, RUN_LABEL } from "../../own/manifest.js";
import { LOCK_NAME, LOCK_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";
import { ClusterCopy, copyName, copyPath } from "../../safety/journal/cluster-copy.js";
import { record, recordNamespace } from "../../safety/journal/entries.js";
import type { Journal, PendingUndo, Undo } from "../../safety/journal/journal.js";
import { acquireLock, type HeldLock, LOCK_PATH } from "../../safety/lock/lease.js";
import { undoAll } from "../../safety/restore/undo-entries.js";
import type { RunState } from "../run-state.js";
import { relyOnAddonManager } from "./addon-manager.js";

/** How much longer than baseline, window and recovery the lock lasts, ms. */
const LOCK_SLACK_MS = 5 * 60_000;

export interface Holding {
  readonly runId: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly journal: Journal;
  /** What was created, as recorded in the journal. */
  readonly made: PendingUndo[];
}

/** This runner holds the cluster's lock. */
export interface LockedCluster {
  readonly lock: HeldLock;
  /** The lock and the journal's copy: removed last, when everything else is restored. */
  readonly last: readonly PendingUndo[];
}

/**
 * Acquires the lock, creates the probers' namespace and stores the journal's copy in it. On failure it removes all of
 * this again and closes the journal; if something cannot be removed, the journal stays open.
 *
 * @param options `durationMs`: how long the lock lasts without being renewed.
 * @throws RefusedError when someone else holds the lock; ApiError, ApiUnreachableError, ChaosError otherwise.
 */
export async function lockCluster(
  holding: Holding,
  options: Omit<Parameters<typeof acquireLock>[1], "runId" | "clock">,
): Promise<LockedCluster> {
  const { transport, clock, journal, runId, made } = holding;
  const last: PendingUndo[] = [];
  let lock: HeldLock | undefined;
  try {
    const seq = await record(journal, last, lockUndo(runId));
    lock = await acquireLock(transport, { runId, clock, ...options });
    await journal.acted(seq);
    await recordNamespace({ transport, journal, made }, PROBER_NAMESPACE);
    await makeNamespace(transport, clock, namespaceManifest(PROBER_NAMESPACE));
    await keepCopy(holding, last);
    return { lock, last };
  } catch (error) {
    await lock?.stopRenewing();
    // Refused before the lock was acquired: someone else holds it, and existing objects may belong to their run.
    const own = lock === undefined && error instanceof RefusedError ? [] : [...last, ...made];
    await undoAndClose(holding, own);
    throw error;
  }
}

/** Acquires the run's lock, or uses its session's, and stores the journal's copy. @throws as {@link lockCluster}. */
export async function lockForRun(state: RunState): Promise<boolean> {
  const { context } = state;
  const { shared, recorder, journal } = context;
  if (shared === undefined) {
    const { baseline, window, recovery } = context.resolved.experiment.phases;
    const { lock, last } = await lockCluster(context, {
      durationMs: baseline + window + recovery + LOCK_SLACK_MS,
      warn: (text) => recorder.emit({ type: "warning", text }),
      restoreWith: context.restoreWith,
    });
    state.lock = lock;
    state.last = last;
  } else {
    const last: PendingUndo[] = [];
    try {
      await keepCopy(context, last);
    } catch (error) {
      // Nothing else was changed yet. The session removes what may have been created.
      await journal.finish();
      throw error;
    }
    state.lock = shared.lock;
    state.last = last;
  }
  state.stopWhenLockIsLost();
  state.stopWhenCredentialsAreRefused();
  try {
    await relyOnAddonManager(context);
  } catch (error) {
    // A refusal: nothing was attacked, and there is nothing to report.
    if (shared === undefined) await state.lock.stopRenewing();
    state.lock = undefined;
    await undoAndClose(context, [...state.last, ...context.made, ...context.changed]);
    throw error;
  }
  return true;
}

/** Stores a copy of the journal in the probers' namespace and keeps it up to date. */
async function keepCopy(
  { transport, journal, runId }: Omit<Holding, "made" | "clock">,
  last: PendingUndo[],
): Promise<void> {
  await record(journal, last, copyUndo(runId));
  await journal.keepCopy(new ClusterCopy(transport, runId));
}

async function undoAndClose({ transport, journal }: Holding, entries: readonly PendingUndo[]): Promise<void> {
  const left = await undoAll(
    transport,
    entries,
    async (seq, undone) => await journal.restored(seq, undone.how, undone.by),
  );
  if (left.length === 0) await journal.finish();
  else await journal.close();
}

function lockUndo(runId: string): Undo {
  return {
    action: "remove",
    path: LOCK_PATH,
    object: { kind: "Lease", namespace: LOCK_NAMESPACE, name: LOCK_NAME },
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [RUN_LABEL]: runId },
  };
}

function copyUndo(runId: string): Undo {
  return {
    action: "remove",
    path: copyPath(runId),
    object: { kind: "Secret", namespace: PROBER_NAMESPACE, name: copyName(runId) },
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [RUN_LABEL]: runId },
  };
}
