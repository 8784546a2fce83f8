import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";
import { get, NAMESPACES, resourcePath } from "../cluster/api.js";
import { ApiUnreachableError } from "../cluster/transport.js";
import { connect } from "../cluster/connect.js";
import type { Namespace } from "../cluster/objects.js";
import { ChaosError, ExitCode, messageOf, UsageError } from "../errors.js";
import {
  Journal,
  journalRoot,
  unfinishedRuns,
  type JournalState,
  type UnfinishedRuns,
} from "../run/journal.js";
import { removedNamespaces } from "../run/deploy.js";
import { systemClock } from "../run/clock.js";
import { namespacesOf, undoAll } from "../run/restore.js";
import type { RunView } from "../ui/view.js";

export interface RestoreOptions {
  /** The run's id; undefined: only with `all`. */
  readonly runId?: string;
  readonly all: boolean;
  readonly dryRun: boolean;
  /** Instead of what the journal says: the file may have moved, or be another machine's. */
  readonly kubeconfigPath?: string;
  readonly context?: string;
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How long one entry is tried again: a workload that is still terminating holds its name until then, ms. */
const RETRY_LIMIT_MS = 60_000;

/** `chaos restore`: finishes unfinished runs from their journals. Idempotent; goes on past single failures. */
export async function restore(options: RestoreOptions): Promise<ExitCode> {
  const { runId, all, dryRun, view } = options;
  const unfinished = await unfinishedRuns(journalRoot(options.env));
  if (runId !== undefined && !all) return await restoreEach([find(unfinished, runId)], options);
  const { runs, unreadable } = unfinished;
  for (const { message } of unreadable) view.warn(message);
  if (!all || runs.length === 0) {
    const summary = { unfinished: runs.map((run) => run.open), unreadable: foldersOf(unfinished) };
    view.result(listing(unfinished), summary);
  }
  if (!all) return ExitCode.asExpected;
  const code = await restoreEach(runs, options);
  return unreadable.length > 0 && !dryRun ? ExitCode.notRestored : code;
}

/** @throws UsageError when there is no such run, UnreadableJournalError when its journal is damaged. */
function find(unfinished: UnfinishedRuns, runId: string): JournalState {
  const run = unfinished.runs.find(({ open }) => open.runId === runId);
  if (run !== undefined) return run;
  const damaged = unfinished.unreadable.find(({ folder }) => basename(folder) === runId);
  throw damaged ?? new UsageError(`no unfinished run ${runId}. ${listing(unfinished).join("\n")}`);
}

async function restoreEach(runs: readonly JournalState[], options: RestoreOptions): Promise<ExitCode> {
  let code: ExitCode = ExitCode.asExpected;
  for (const run of runs) {
    if (options.dryRun) {
      options.view.result(pendingLines(run), { runId: run.open.runId, pending: run.pending });
    } else if (!(await restoreOneOf(runs, run, options))) {
      code = ExitCode.notRestored;
    }
  }
  return code;
}

/** One run alone fails with its own words; among several the others are still restored. */
async function restoreOneOf(
  runs: readonly JournalState[],
  run: JournalState,
  options: RestoreOptions,
): Promise<boolean> {
  try {
    return await restoreRun(run, options);
  } catch (error) {
    if (runs.length === 1 || !(error instanceof ChaosError || error instanceof ApiUnreachableError))
      throw error;
    options.view.warn(messageOf(error));
    return false;
  }
}

async function restoreRun(run: JournalState, options: RestoreOptions): Promise<boolean> {
  const { open } = run;
  const { view } = options;
  const kubeconfigPath = options.kubeconfigPath ?? open.kubeconfigPath;
  if (isAlive(open.pid, open.host)) {
    throw new ChaosError(
      `run ${open.runId} still goes on (process ${open.pid}): end it with Ctrl-C or SIGTERM; it restores by itself`,
      {
        exitCode: ExitCode.preflightRefused,
      },
    );
  }
  const { transport } = await connect({
    ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
    context: options.context ?? open.context,
    userAgent: `kube-system-chaos/${open.toolVersion} (restore ${open.runId})`,
  });
  const { uid } = (await get<Namespace>(transport, resourcePath(NAMESPACES, undefined, "kube-system")))
    .metadata;
  if (uid !== open.clusterUid) {
    transport.close();
    throw new ChaosError(
      `run ${open.runId} was on another cluster (kube-system has uid ${uid} here, ${open.clusterUid} there). ` +
        `Name the right one with --context; if that cluster is gone, remove ${run.folder}`,
      { exitCode: ExitCode.preflightRefused },
    );
  }
  const journal = await Journal.reopen(run);
  const clock = systemClock();
  try {
    if (run.damage !== undefined) view.warn(`the journal of ${open.runId} is damaged: ${run.damage}`);
    const lines: string[] = [];
    const failures = await view.step(`restore run ${open.runId} (${open.experiment})`, async (note) => {
      const failed = await undoAll(
        transport,
        run.pending,
        async (seq, undone) => {
          const { kind, name } = undone.object;
          lines.push(
            `  ${kind} ${name}: ${undone.how}${undone.how === "found" ? ` (brought back by ${undone.by})` : ""}`,
          );
          note(`${kind} ${name}`);
          await journal.undone(seq, undone.how, undone.by);
        },
        { clock, limitMs: RETRY_LIMIT_MS },
      );
      await removedNamespaces(transport, clock, namespacesOf(run.pending));
      return failed;
    });
    for (const { undo, error } of failures) lines.push(`  ${undo.object.kind ?? ""} not restored: ${error}`);
    view.result([`run ${open.runId}:`, ...lines], { runId: open.runId, failures });
    if (failures.length > 0) {
      await journal.close();
      return false;
    }
    await journal.finish();
    return true;
  } catch (error) {
    await journal.close();
    throw new ChaosError(
      `run ${open.runId} is not restored: ${messageOf(error)}; run \`chaos restore ${open.runId}\` again`,
      {
        exitCode: ExitCode.notRestored,
        cause: error,
      },
    );
  } finally {
    transport.close();
  }
}

/**
 * Whether the process of a run is still there: only on its own machine can that be known. Process ids are used
 * again, so where the system shows a process's command line it must be one of ours.
 */
function isAlive(pid: number, host: string): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    const commandLine = `/proc/${pid}/cmdline`;
    return !existsSync(commandLine) || /chaos|cli\.(js|ts)/.test(readFileSync(commandLine, "utf8"));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const foldersOf = ({ unreadable }: UnfinishedRuns): string[] => unreadable.map(({ folder }) => folder);

function listing(unfinished: UnfinishedRuns): string[] {
  const { runs, unreadable } = unfinished;
  const byHand =
    unreadable.length > 0 ? [`to be put right by hand: ${foldersOf(unfinished).join(", ")}`] : [];
  if (runs.length === 0) {
    return unreadable.length === 0 ? ["no unfinished run: nothing to restore"] : byHand;
  }
  return [
    "unfinished runs:",
    ...runs.map(
      (run) =>
        `  ${run.open.runId} (${run.open.experiment}, context ${run.open.context}, since ${run.open.startedAt})`,
    ),
    "restore one with `chaos restore RUN`, or all with `chaos restore --all`",
    ...byHand,
  ];
}

function pendingLines(run: JournalState): string[] {
  return [
    `run ${run.open.runId} would have undone:`,
    ...[...run.pending]
      .reverse()
      .map(({ undo }) =>
        undo.action === "remove"
          ? `  remove ${undo.object.kind} ${undo.object.name}`
          : `  put back ${undo.object.kind ?? "workload"} ${undo.object.metadata.name}`,
      ),
  ];
}
