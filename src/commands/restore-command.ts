import { ChaosError, ExitCode, messageOf, UsageError } from "../common/errors.js";
import { ApiError, ApiUnreachableError, type Transport } from "../kube/transport.js";
import { planOf } from "../safety/journal/describe.js";
import type { JournalState } from "../safety/journal/journal.js";
import { IN_CLUSTER } from "../safety/journal/unfinished.js";
import { removeOrphanedLock } from "../safety/lock/orphan.js";
import { type Annotated, annotatedWorkloads, restoreAnnotated } from "../safety/restore/annotated.js";
import { connectionOf, connectedFor } from "../safety/restore/connection.js";
import { restoreDiff } from "../safety/restore/diff.js";
import {
  find,
  findUnfinished,
  foldersOf,
  type Found,
  isNamed,
  listing,
  refuseBeforeItsRuns,
  SESSION,
} from "../safety/restore/find.js";
import type { RestoreOptions } from "../safety/restore/options.js";
import { clockOf, restoreOne } from "../safety/restore/restore-one.js";
import { checkCluster } from "../safety/restore/restore-run.js";

/**
 * `chaos restore`: restores unfinished runs from the journals on this machine and, if a cluster was named or RUN is
 * unknown here, from their copies in the cluster. Idempotent. Continues after single failures.
 */
export async function restore(options: RestoreOptions): Promise<ExitCode> {
  const { runId, all, dryRun } = options;
  if (runId !== undefined && all) throw new UsageError("name a run, or --all: both were given");
  if (runId === "")
    throw new UsageError("the run has no name: name one, or --all; without both, they are listed");
  try {
    return await restoreFound(options);
  } catch (error) {
    const api = error instanceof ApiError || error instanceof ApiUnreachableError;
    if (!api || dryRun || (runId === undefined && !all)) throw error;
    throw new ChaosError(
      `not restored: ${error.message}. Run \`chaos restore ${all ? "--all" : runId}\` again when the API server answers. ` +
        `If its cluster no longer exists, close the run with \`chaos restore --forget ${runId ?? "RUN"}\``,
      { exitCode: ExitCode.notRestored, cause: error },
    );
  }
}

async function restoreFound(options: RestoreOptions): Promise<ExitCode> {
  const { runId, all } = options;
  const found = await findUnfinished(options);
  if (runId !== undefined) {
    const run = find(found, runId);
    refuseBeforeItsRuns(run, found);
    return await restoreEach([run], options);
  }
  for (const { message } of found.unreadable) options.view.warn(message);
  if (!all || found.runs.length === 0) {
    const summary = { unfinished: found.runs.map((run) => run.open), unreadable: foldersOf(found) };
    options.view.result(listing(found, isNamed(options)), summary);
  }
  const code = all ? await restoreAll(found, options) : ExitCode.asExpected;
  if (code !== ExitCode.asExpected || found.isForbidden !== true) return code;
  return all && !options.dryRun ? ExitCode.notRestored : ExitCode.preflightRefused;
}

async function restoreAll(found: Found, options: RestoreOptions): Promise<ExitCode> {
  // Newest first: what several runs share is older than the runs and contains their journals' copies.
  const code = await restoreEach([...found.runs].reverse(), options);
  if (code !== ExitCode.asExpected) return code;
  if (found.unreadable.length > 0 && !options.dryRun) return ExitCode.notRestored;
  // In a dry run the lock of a run that is not restored yet still exists and is not orphaned.
  const orphans = found.inCluster && !(options.dryRun && found.runs.length > 0);
  return orphans ? await withoutJournal(options) : code;
}

async function restoreEach(runs: readonly JournalState[], options: RestoreOptions): Promise<ExitCode> {
  let code: ExitCode = ExitCode.asExpected;
  const left = new Set<string>();
  const silent = new Set<string>();
  for (const run of runs) {
    const { clusterUid, experiment, runId } = run.open;
    if (options.dryRun) {
      await showPending(run, options);
    } else if (experiment === SESSION && left.has(clusterUid)) {
      options.view.warn(`${runId} is the session that several runs share: it stays until they are restored`);
    } else if (!(await restoreOneOf(runs, run, { ...options, silent }))) {
      left.add(clusterUid);
      code = ExitCode.notRestored;
    }
  }
  return code;
}

/** A single run fails with its own error. Among several runs, the others are still restored. */
async function restoreOneOf(
  runs: readonly JournalState[],
  run: JournalState,
  options: RestoreOptions & { readonly silent: Set<string> },
): Promise<boolean> {
  try {
    return await restoreOne(run, options);
  } catch (error) {
    if (runs.length === 1 || !(error instanceof ChaosError || error instanceof ApiUnreachableError))
      throw error;
    options.view.warn(messageOf(error));
    return false;
  }
}

/**
 * What no journal records any more: a lock whose runner died before its attack, and workloads whose annotations name
 * the run that scaled them down.
 */
async function withoutJournal(options: RestoreOptions): Promise<ExitCode> {
  const { view, dryRun } = options;
  return await connectedFor(options, "restore", async ({ transport }) => {
    const clock = clockOf(options);
    const lock = await removeOrphanedLock(transport, { clock, note: () => undefined, dryRun });
    if (lock !== undefined) view.info(lock.text);
    // A live runner restores its run itself.
    if (lock?.alive === true) return ExitCode.preflightRefused;
    let code: ExitCode = ExitCode.asExpected;
    for (const workload of await annotatedWorkloads(transport)) {
      const problem = dryRun ? undefined : await annotatedProblem(transport, workload);
      if (problem !== undefined) code = ExitCode.notRestored;
      const { name, replicas, runId } = workload;
      view.info(
        problem ??
          `Deployment ${name}: ${dryRun ? "would be scaled" : "scaled"} back to ${replicas} replicas (run ${runId}, as recorded on it)`,
      );
    }
    return code;
  });
}

/** @returns why the workload was not scaled back; undefined: it was. */
async function annotatedProblem(transport: Transport, workload: Annotated): Promise<string | undefined> {
  try {
    await restoreAnnotated(transport, workload);
    return undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return `could not scale Deployment ${workload.name} back to ${workload.replicas} replicas (run ${workload.runId}, as recorded on it): ${messageOf(error)}. Run \`chaos restore --all --context NAME\` again`;
  }
}

/** A dry run: the diff if the cluster answers; otherwise the list of pending undos. */
async function showPending(run: JournalState, options: RestoreOptions): Promise<void> {
  const { open, pending } = run;
  const { view, allowCommands = false, acceptNodes = [] } = options;
  let lines: readonly string[];
  try {
    lines = await connectedFor(connectionOf(run, options), "restore", async ({ transport }) => {
      if (!(await checkCluster(run, transport))) throw new Error("the API server does not answer");
      const foreign = run.adopted || run.folder === IN_CLUSTER;
      return await restoreDiff(pending, { transport, allowCommands, foreign, acceptNodes });
    });
  } catch (error) {
    lines = [
      ...[...pending].reverse().map(({ undo }) => planOf(undo)),
      `the diff is unknown: ${messageOf(error)}`,
    ];
  }
  view.result([`a restore of run ${open.runId} would undo:`, ...lines.map((line) => `  ${line}`)], {
    runId: open.runId,
    pending,
    lines,
  });
}
