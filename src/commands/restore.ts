import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";
import { type CallOptions, get, NAMESPACES, resourcePath } from "../cluster/api.js";
import { ApiError, ApiUnreachableError, type Transport } from "../cluster/transport.js";
import { openNodeAccess } from "../cluster/node-access.js";
import { connect } from "../cluster/connect.js";
import type { Namespace } from "../cluster/objects.js";
import { ChaosError, ExitCode, messageOf, UsageError } from "../errors.js";
import {
  isNodeUndo,
  Journal,
  journalRoot,
  unfinishedRuns,
  type JournalState,
  type PendingUndo,
  type Undo,
  type UnfinishedRuns,
} from "../run/journal.js";
import { removedNamespaces } from "../run/deploy.js";
import { pollUntil, systemClock } from "../run/clock.js";
import { namespacesOf, undoAll, type NotUndone } from "../run/restore.js";
import type { RunView } from "../ui/view.js";

export interface RestoreOptions {
  /** The run's id; undefined: only with `all`. */
  readonly runId?: string;
  readonly all: boolean;
  readonly dryRun: boolean;
  /** Instead of what the journal says: the file may have moved, or be another machine's. */
  readonly kubeconfigPath?: string;
  readonly context?: string;
  /** Whether a command that the journal names may be run to reach a node. Default: not. */
  readonly allowCommands?: boolean;
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How long one entry is tried again: a workload that is still terminating holds its name until then, ms. */
const RETRY_LIMIT_MS = 60_000;
/** How long one on a node is tried while the API server does not answer: there is more to do that may help, ms. */
const NODE_RETRY_LIMIT_MS = 10_000;
/** With etcd away an API server goes into restart back-off, and comes back minutes after etcd, ms. */
const API_LIMIT_MS = 7 * 60_000;
const API_EVERY_MS = 1_000;
/** An API server without its store does not refuse, it hangs. */
const ASK_ONCE: CallOptions = { retry: false, timeoutMs: 5_000 };

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
  try {
    const apiAnswers = await checkCluster(run, transport);
    const journal = await Journal.reopen(run);
    if (run.damage !== undefined) view.warn(`the journal of ${open.runId} is damaged: ${run.damage}`);
    const restoring = new Restoring(run, { transport, journal, options });
    try {
      if (await restoring.all(apiAnswers)) {
        await journal.finish();
        return true;
      }
      await journal.close();
      return false;
    } catch (error) {
      await journal.close();
      throw new ChaosError(
        `run ${open.runId} is not restored: ${messageOf(error)}; run \`chaos restore ${open.runId}\` again`,
        {
          exitCode: ExitCode.notRestored,
          cause: error,
        },
      );
    }
  } finally {
    transport.close();
  }
}

/**
 * Whether the API server answers; it must be the run's.
 *
 * @returns false: it does not, and the run has faults on nodes to undo, which may be why.
 * @throws ApiUnreachableError when it does not and nothing on a node could be the reason, ChaosError when it is
 * another cluster's.
 */
async function checkCluster(run: JournalState, transport: Transport): Promise<boolean> {
  const onNodes = run.pending.some(({ undo }) => isNodeUndo(undo));
  try {
    // Where a fault on a node may be the reason, that is put right first, and the API server asked again.
    await assertSameCluster(run, transport, onNodes ? ASK_ONCE : {});
    return true;
  } catch (error) {
    if (isAway(error) && onNodes) return false;
    throw error;
  }
}

/** No answer, or one of a server that can not answer yet: its store is away, it has only just begun. */
function isAway(error: unknown): boolean {
  return error instanceof ApiUnreachableError || (error instanceof ApiError && error.status >= 500);
}

async function assertSameCluster(
  { open, folder }: JournalState,
  transport: Transport,
  call: CallOptions,
): Promise<void> {
  const system = resourcePath(NAMESPACES, undefined, "kube-system");
  const { uid } = (await get<Namespace>(transport, system, call)).metadata;
  if (uid === open.clusterUid) return;
  throw new ChaosError(
    `run ${open.runId} was on another cluster (kube-system has uid ${uid} here, ${open.clusterUid} there). ` +
      `Name the right one with --context; if that cluster is gone, remove ${folder}`,
    { exitCode: ExitCode.preflightRefused },
  );
}

interface Tools {
  readonly transport: Transport;
  readonly journal: Journal;
  readonly options: RestoreOptions;
}

/** One run's restore: the faults on nodes first, because one of them may be why the API server does not answer. */
class Restoring {
  readonly #run: JournalState;
  readonly #tools: Tools;
  readonly #clock = systemClock();
  readonly #lines: string[] = [];
  readonly #done = new Set<number>();

  constructor(run: JournalState, tools: Tools) {
    this.#run = run;
    this.#tools = tools;
  }

  /** @returns whether everything is as before. */
  async all(apiAnswers: boolean): Promise<boolean> {
    const { view } = this.#tools.options;
    const { open, pending } = this.#run;
    const failures = await view.step(`restore run ${open.runId} (${open.experiment})`, async (note) => {
      const { refused, onNodes } = this.#nodeEntries();
      if (!apiAnswers && refused[0] !== undefined) throw new Error(refused[0].error);
      let failed = await this.#undo(onNodes, note, apiAnswers ? RETRY_LIMIT_MS : NODE_RETRY_LIMIT_MS);
      if (!apiAnswers) {
        await this.#waitForApi(note);
        // What had to lead through the API server: it is there now.
        failed = await this.#undo(
          onNodes.filter(({ seq }) => !this.#done.has(seq)),
          note,
          RETRY_LIMIT_MS,
        );
      }
      const others = pending.filter(({ undo }) => !isNodeUndo(undo));
      failed = [...refused, ...failed, ...(await this.#undo(others, note, RETRY_LIMIT_MS))];
      await removedNamespaces(this.#tools.transport, this.#clock, namespacesOf(pending));
      return failed;
    });
    for (const { undo, error } of failures) this.#lines.push(`  ${nameOf(undo)} not restored: ${error}`);
    view.result([`run ${open.runId}:`, ...this.#lines], { runId: open.runId, failures });
    return failures.length === 0;
  }

  /** What is to be undone on nodes, and what of it may not be: that does not change by trying again. */
  #nodeEntries(): { refused: readonly NotUndone[]; onNodes: readonly PendingUndo[] } {
    const { transport, options } = this.#tools;
    const allowCommands = options.allowCommands ?? false;
    const refused: NotUndone[] = [];
    const onNodes = this.#run.pending.filter(({ undo }) => {
      if (!isNodeUndo(undo)) return false;
      try {
        openNodeAccess(undo.access, { transport, allowCommands });
        return true;
      } catch (error) {
        refused.push({ undo, error: messageOf(error) });
        return false;
      }
    });
    return { refused, onNodes };
  }

  async #undo(
    entries: readonly PendingUndo[],
    note: (text: string) => void,
    limitMs: number,
  ): Promise<readonly NotUndone[]> {
    const { transport, journal, options } = this.#tools;
    return await undoAll(
      transport,
      entries,
      async (seq, undone) => {
        const { kind, name } = undone.object;
        this.#lines.push(
          `  ${kind} ${name}: ${undone.how}${undone.how === "found" ? ` (brought back by ${undone.by})` : ""}`,
        );
        note(`${kind} ${name}`);
        this.#done.add(seq);
        await journal.restored(seq, undone.how, undone.by);
      },
      { clock: this.#clock, limitMs },
      { allowCommands: options.allowCommands ?? false },
    );
  }

  /** @throws Error when the API server does not come back, ChaosError when another cluster's does. */
  async #waitForApi(note: (text: string) => void): Promise<void> {
    const startedAt = this.#clock.now();
    let last: unknown;
    const back = await pollUntil(this.#clock, { everyMs: API_EVERY_MS, limitMs: API_LIMIT_MS }, async () => {
      note(`wait for the API server (${Math.round((this.#clock.now() - startedAt) / 1000)} s)`);
      try {
        await assertSameCluster(this.#run, this.#tools.transport, ASK_ONCE);
        return true;
      } catch (error) {
        if (!isAway(error)) throw error;
        last = error;
        return undefined;
      }
    });
    if (back !== true) throw last;
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
    ...[...run.pending].reverse().map(({ undo }) => `  ${VERBS[undo.action]} ${nameOf(undo)}`),
  ];
}

const VERBS: Readonly<Record<Undo["action"], string>> = {
  remove: "remove",
  empty: "empty",
  "restore-workload": "put back",
  "start-unit": "start",
  "return-manifest": "move back the manifest of",
};

/** "Deployment kube-dns", "SystemdUnit kubelet on worker-1". */
function nameOf(entry: Undo): string {
  const { object } = entry;
  return "metadata" in object
    ? `${object.kind ?? "workload"} ${object.metadata.name}`
    : `${object.kind} ${object.name}`;
}
