/** What a run, or several that share something, does before anything else is touched: the lock, and the journal's copy. */
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

/** The lock outlives window and recovery by this, ms. */
const LOCK_SLACK_MS = 5 * 60_000;

export interface Holding {
  readonly runId: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly journal: Journal;
  /** What was made, as its journal has it. */
  readonly made: PendingUndo[];
}

/** The cluster is this runner's. */
export interface HeldCluster {
  readonly lock: HeldLock;
  /** The lock and the journal's copy: taken away last, when everything else is as before. */
  readonly last: readonly PendingUndo[];
}

/**
 * Takes the lock, then puts the journal's copy into the probers' namespace, which is made for it. Nothing is kept when
 * it fails: the journal is closed, unless something could not be taken away again.
 *
 * @param options `durationMs`: how long the holder may be silent.
 * @throws RefusedError when somebody else holds the lock; ApiError, ApiUnreachableError, ChaosError otherwise.
 */
export async function lockCluster(
  holding: Holding,
  options: { readonly durationMs: number; readonly warn: (text: string) => void },
): Promise<HeldCluster> {
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
    // A refusal before the lock was had: it is somebody else's, and so may be whatever is there.
    const ours = lock === undefined && error instanceof RefusedError ? [] : [...last, ...made];
    await letGo(holding, ours);
    throw error;
  }
}

/** The run's own lock, or that of those which it is one of; and the journal's copy. @throws as {@link lockCluster}. */
export async function lockForRun(state: RunState): Promise<boolean> {
  const { context } = state;
  const { shared, recorder, journal } = context;
  if (shared === undefined) {
    const { baseline, window, recovery } = context.resolved.experiment.phases;
    const { lock, last } = await lockCluster(context, {
      durationMs: baseline + window + recovery + LOCK_SLACK_MS,
      warn: (text) => recorder.emit({ type: "warning", text }),
    });
    state.lock = lock;
    state.last = last;
  } else {
    const last: PendingUndo[] = [];
    try {
      await keepCopy(context, last);
    } catch (error) {
      // Nothing else was done yet; what may have been made is the session's to take away.
      await journal.finish();
      throw error;
    }
    state.lock = shared.lock;
    state.last = last;
  }
  state.stopWhenLockIsLost();
  return true;
}

/** Puts a copy of the journal into the probers' namespace, and keeps it up to date. */
async function keepCopy(
  { transport, journal, runId }: Omit<Holding, "made" | "clock">,
  last: PendingUndo[],
): Promise<void> {
  await record(journal, last, copyUndo(runId));
  await journal.keepCopy(new ClusterCopy(transport, runId));
}

async function letGo({ transport, journal }: Holding, entries: readonly PendingUndo[]): Promise<void> {
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
