/** Restores one run: only when its runner is gone, and one restore at a time. */
import type { Clock } from "../../common/clock.js";
import { systemClock } from "../../common/clock.js";
import { ChaosError, ExitCode, messageOf, UsageError } from "../../common/errors.js";
import { livenessOf } from "../../common/process-identity.js";
import type { Connection } from "../../kube/connect.js";
import type { Transport } from "../../kube/transport.js";
import { copiesInCluster, copyPlace } from "../journal/cluster-copy.js";
import { describeUndo } from "../journal/describe.js";
import {
  Journal,
  journalRoot,
  type JournalState,
  readForeign,
  readJournal,
  refuseImplausible,
  UnreadableJournalError,
} from "../journal/journal.js";
import { IN_CLUSTER } from "../journal/unfinished.js";
import { renewsTheLock } from "../lock/liveness.js";
import { claimRestore } from "./claim.js";
import { LOCK_NAME, LOCK_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";
import { consentTo } from "./consent.js";
import { connectionOf, connectedFor, kubectlLine, type Where } from "./connection.js";
import type { RestoreOptions } from "./options.js";
import { checkCluster, type Restored, restoreRun } from "./restore-run.js";

/** @returns whether everything is restored and works. @throws ChaosError when the run must not be restored, or was not. */
export async function restoreOne(
  found: JournalState,
  options: RestoreOptions & {
    /** uids of clusters whose lock nobody renews: the lock is watched once, not for each of several runs. */
    readonly silent: Set<string>;
  },
): Promise<boolean> {
  const { open } = found;
  const liveness = await livenessOf(open);
  if (liveness === "alive" && open.pid !== process.pid) throw stillRunning(open);
  const where = connectionOf(found, options);
  const work = async ({ transport }: Connection): Promise<boolean> => {
    const apiAnswers = await checkCluster(found, transport);
    const { view } = options;
    return await view.step(`restore run ${open.runId} (${open.experiment})`, async (note) => {
      const clock = clockOf(options);
      // A journal that is only in the cluster is from another machine, even if the host name is the same.
      const elsewhere = found.folder === IN_CLUSTER || liveness === "unknown";
      if (apiAnswers && elsewhere && !options.silent.has(open.clusterUid)) {
        await refuseLiveLock(transport, { clock, note, where });
        options.silent.add(open.clusterUid);
      }
      const { folder } = found.folder === IN_CLUSTER ? await adopted(transport, found, options) : found;
      const claim = await claimRestore(folder, { clock, note });
      try {
        // Read again: the claim's last owner may have restored everything.
        const run = await readOpen(folder);
        if (run === undefined) return true;
        return await finish(run, { transport, clock, apiAnswers, note }, options);
      } finally {
        await claim.release();
      }
    });
  };
  try {
    return await connectedFor(where, `restore ${open.runId}`, work);
  } catch (error) {
    // The kubeconfig is gone, or has no such context any more.
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(
      `${messageOf(error)}. If the run's cluster no longer exists, close the run with \`chaos restore --forget ${open.runId}\``,
      { cause: error },
    );
  }
}

/** The clock of a restore. */
export function clockOf({ clock = systemClock() }: Pick<RestoreOptions, "clock">): Clock {
  return clock;
}

interface Means {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly apiAnswers: boolean;
  readonly note: (text: string) => void;
}

async function finish(
  run: JournalState,
  { transport, clock, apiAnswers, note }: Means,
  { view, allowCommands = false, acceptNodes = [] }: RestoreOptions,
): Promise<boolean> {
  const { open } = run;
  if (run.adopted) refuseImplausible(run);
  const journal = await Journal.reopen(run);
  if (run.damage !== undefined) view.warn(`the journal of ${open.runId} is damaged: ${run.damage}`);
  try {
    const tools = { transport, journal, clock, allowCommands, acceptNodes, note };
    const restored = await restoreRun(run, tools, apiAnswers);
    const complete = restored.failed.length === 0 && restored.notReady.length === 0;
    view.result([`run ${open.runId}:`, ...linesOf(restored, open.runId)], { runId: open.runId, ...restored });
    if (complete) await journal.finish();
    else await journal.close();
    return complete;
  } catch (error) {
    await journal.close();
    throw new ChaosError(
      `run ${open.runId} is not restored: ${messageOf(error)}. Run \`chaos restore ${open.runId}\` again. If this cannot succeed, close the run with \`chaos restore --forget ${open.runId}\``,
      { exitCode: ExitCode.notRestored, cause: error },
    );
  }
}

function linesOf({ undone, failed, notReady }: Restored, runId: string): string[] {
  return [
    ...undone.map(
      ({ object, how, by }) =>
        `  ${object.kind} ${object.name}: ${how}${how === "found" ? ` (restored by ${by})` : ""}`,
    ),
    ...failed.map(({ undo, error }) => `  ${describeUndo(undo)} not restored: ${error}`),
    ...notReady.map(
      (each) => `  restored but not ready: ${each}. Run \`chaos restore ${runId}\` to check again`,
    ),
    ...(failed.length + notReady.length === 0
      ? []
      : [
          `  if this cannot succeed, close the run with \`chaos restore --forget ${runId}\`: it lists what stays behind`,
        ]),
  ];
}

async function readOpen(folder: string): Promise<JournalState | undefined> {
  const state = await readJournal(folder);
  return state === undefined || state.closed ? undefined : state;
}

/** Saves the run's journal on this machine, so that a killed restore can continue. */
async function adopted(
  transport: Transport,
  { open }: JournalState,
  options: RestoreOptions,
): Promise<JournalState> {
  const copy = (await copiesInCluster(transport)).find(({ runId }) => runId === open.runId);
  if (copy === undefined) {
    throw new ChaosError(
      `cannot restore run ${open.runId}: its journal is no longer in the cluster, so someone else has restored it. Nothing was changed. List what is left with \`chaos restore --context NAME\``,
      { exitCode: ExitCode.preflightRefused },
    );
  }
  if (copy.error !== undefined) throw copy.error;
  const state = readForeign(copyPlace(open.runId), copy.text);
  // Someone may have replaced the copy since its cluster was compared.
  if (state.open.clusterUid !== open.clusterUid || state.open.runId !== open.runId)
    throw new UnreadableJournalError(copyPlace(open.runId), "it has changed while it was read");
  await consentTo(state, transport, options);
  return await Journal.adopt(journalRoot(options.env), copy.text, copyPlace(open.runId));
}

/** The run's own process restores it. */
export function stillRunning({ runId, pid }: JournalState["open"]): ChaosError {
  return new ChaosError(
    `cannot restore run ${runId}: it is still running (process ${pid}). End it with Ctrl-C or SIGTERM; it then restores the cluster itself`,
    { exitCode: ExitCode.preflightRefused },
  );
}

/** The words after "kubectl". */
export const DELETE_LOCK = ["-n", LOCK_NAMESPACE, "delete", "lease", LOCK_NAME] as const;

/** For a runner on another machine: only its lock shows whether it is alive. */
export async function refuseLiveLock(
  transport: Transport,
  {
    clock,
    note,
    where,
  }: { readonly clock: Clock; readonly note: (text: string) => void; readonly where: Where },
): Promise<void> {
  const holder = await renewsTheLock(transport, clock, { note });
  if (holder === undefined) return;
  if (holder.startsWith("dead-man@")) {
    throw new ChaosError(
      `cannot restore: the run's dead-man's switch is already restoring the cluster (${holder}). Wait until the namespace ` +
        `kube-system-chaos no longer exists. \`${kubectlLine(where, ["-n", PROBER_NAMESPACE, "logs", "-l", "app=chaos-dead-man"])}\` shows the progress`,
      { exitCode: ExitCode.preflightRefused },
    );
  }
  throw new ChaosError(
    `cannot restore: ${holder} still renews the lock of this cluster. End that run on its machine with Ctrl-C or SIGTERM; it then restores the cluster itself. ` +
      `If you cannot reach that machine, delete the lock with \`${kubectlLine(where, DELETE_LOCK)}\`: the run then stops and restores`,
    { exitCode: ExitCode.preflightRefused },
  );
}
