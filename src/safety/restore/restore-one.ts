/** Restoring one run: only when its runner is gone, and by one restorer at a time. */
import type { Clock } from "../../common/clock.js";
import { systemClock } from "../../common/clock.js";
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import { isAlive } from "../../common/process-identity.js";
import type { Transport } from "../../kube/transport.js";
import { copiesInCluster, copyPlace } from "../journal/cluster-copy.js";
import { describeUndo } from "../journal/describe.js";
import { Journal, journalRoot, type JournalState, readJournal } from "../journal/journal.js";
import { IN_CLUSTER } from "../journal/unfinished.js";
import { isLocalRunner, renewsTheLock } from "../lock/liveness.js";
import { claimRestore } from "./claim.js";
import { connectionOf, connectedFor } from "./connection.js";
import type { RestoreOptions } from "./options.js";
import { checkCluster, type Restored, restoreRun } from "./restore-run.js";

/** @returns whether everything is as before, and works. @throws ChaosError when it may not be restored, or was not. */
export async function restoreOne(
  found: JournalState,
  options: RestoreOptions & {
    /** Clusters (by uid) whose lock nobody renews: it is watched once, not for each of several runs. */
    readonly silent: Set<string>;
  },
): Promise<boolean> {
  const { open } = found;
  const local = await isLocalRunner(open);
  if (local) await refuseLiveProcess(found);
  return await connectedFor(connectionOf(found, options), `restore ${open.runId}`, async ({ transport }) => {
    const apiAnswers = await checkCluster(found, transport);
    const { view } = options;
    return await view.step(`restore run ${open.runId} (${open.experiment})`, async (note) => {
      const clock = clockOf(options);
      // A journal that is only in the cluster is another machine's, even one of the same name.
      const elsewhere = found.folder === IN_CLUSTER || !local;
      if (apiAnswers && elsewhere && !options.silent.has(open.clusterUid)) {
        await refuseLiveLock(transport, { clock, note });
        options.silent.add(open.clusterUid);
      }
      const { folder } = found.folder === IN_CLUSTER ? await adopted(transport, found, options) : found;
      const claim = await claimRestore(folder, { clock, note });
      try {
        // Read anew: whoever held the claim before may have done all of it.
        const run = await readOpen(folder);
        if (run === undefined) return true;
        return await finish(run, { transport, clock, apiAnswers, note }, options);
      } finally {
        await claim.release();
      }
    });
  });
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
  { view, allowCommands = false }: RestoreOptions,
): Promise<boolean> {
  const { open } = run;
  const journal = await Journal.reopen(run);
  if (run.damage !== undefined) view.warn(`the journal of ${open.runId} is damaged: ${run.damage}`);
  try {
    const tools = { transport, journal, clock, allowCommands, note };
    const restored = await restoreRun(run, tools, apiAnswers);
    const whole = restored.failed.length === 0 && restored.notReady.length === 0;
    view.result([`run ${open.runId}:`, ...linesOf(restored, open.runId)], { runId: open.runId, ...restored });
    if (whole) await journal.finish();
    else await journal.close();
    return whole;
  } catch (error) {
    await journal.close();
    throw new ChaosError(
      `run ${open.runId} is not restored: ${messageOf(error)}; run \`chaos restore ${open.runId}\` again`,
      { exitCode: ExitCode.notRestored, cause: error },
    );
  }
}

function linesOf({ undone, failed, notReady }: Restored, runId: string): string[] {
  return [
    ...undone.map(
      ({ object, how, by }) =>
        `  ${object.kind} ${object.name}: ${how}${how === "found" ? ` (brought back by ${by})` : ""}`,
    ),
    ...failed.map(({ undo, error }) => `  ${describeUndo(undo)} not restored: ${error}`),
    ...notReady.map((each) => `  put back, and not ready: ${each}; \`chaos restore ${runId}\` looks again`),
  ];
}

async function readOpen(folder: string): Promise<JournalState | undefined> {
  const state = await readJournal(folder);
  return state === undefined || state.closed ? undefined : state;
}

/** The run's journal becomes one of this machine, so that a restore that is killed can go on. */
async function adopted(
  transport: Transport,
  { open }: JournalState,
  { env }: RestoreOptions,
): Promise<JournalState> {
  const copy = (await copiesInCluster(transport)).find(({ runId }) => runId === open.runId);
  if (copy === undefined) {
    throw new ChaosError(
      `the journal of ${open.runId} is not in the cluster any more: somebody else has restored it`,
      { exitCode: ExitCode.preflightRefused },
    );
  }
  if (copy.error !== undefined) throw copy.error;
  return await Journal.adopt(journalRoot(env), copy.text, copyPlace(open.runId));
}

async function refuseLiveProcess({ open }: JournalState): Promise<void> {
  if (open.pid === process.pid || !(await isAlive(open))) return;
  throw new ChaosError(
    `run ${open.runId} still goes on (process ${open.pid}): end it with Ctrl-C or SIGTERM; it restores by itself`,
    { exitCode: ExitCode.preflightRefused },
  );
}

/** A runner of another machine: only its lock shows whether it is still there. */
async function refuseLiveLock(
  transport: Transport,
  { clock, note }: { readonly clock: Clock; readonly note: (text: string) => void },
): Promise<void> {
  const holder = await renewsTheLock(transport, clock, { note });
  if (holder === undefined) return;
  if (holder.startsWith("dead-man@")) {
    throw new ChaosError(
      `the dead-man's switch of the run is putting it right at this moment (${holder}): wait until the namespace ` +
        "kube-system-chaos is gone; `kubectl -n kube-system-chaos logs -l app=chaos-dead-man` shows what it does",
      { exitCode: ExitCode.preflightRefused },
    );
  }
  throw new ChaosError(
    `${holder} still renews the lock of this cluster: end that run where it goes on, with Ctrl-C or SIGTERM; it restores by itself`,
    { exitCode: ExitCode.preflightRefused },
  );
}
