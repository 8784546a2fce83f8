import { join } from "node:path";
import type { ClusterHandle } from "../clusters/provider.js";
import { ExitCode, RefusedError } from "../common/errors.js";
import { packageVersion } from "../common/package-root.js";
import { loadLocalConfig } from "../config/local-config.js";
import { podSettingsOf, withSets } from "../config/pod-settings.js";
import { isControl } from "../experiment/attacks.js";
import { ApiError, ApiUnreachableError, isUnauthorized, UNAUTHORIZED_WORDS } from "../kube/transport.js";
import { choose, type Loaded } from "../load/choose.js";
import { loadAll } from "../load/load-all.js";
import { NODE_ACCESS_NAMESPACE } from "../own/own-names.js";
import { summaryLines } from "../report/summary.js";
import { SETTLE_LIMIT_MS } from "../run/phases/settle.js";
import { failedRow, type PlanRow, tableLines } from "../run/phases/dry-run-table.js";
import { durationOf } from "../run/phases/run-duration.js";
import { expectedRestMs } from "../run/expected-time.js";
import { runExperiment, type RunOptions, type RunOutcome } from "../run/run.js";
import { Session } from "../run/session.js";
import type { Watchdog } from "../safety/watchdog.js";
import type { RunView, SessionPosition } from "../ui/base.js";
import { confirmation } from "./confirmation.js";
import { failureOf, isDebug } from "./failure.js";
import { writeMatrix } from "./matrix-command.js";
import { nodeAccessOptions } from "./node-access-options.js";
import { RunReports, type RunReportsOptions } from "./run-reports.js";
import { selectCluster, type SelectOptions } from "./select-cluster.js";

export interface RunCommandOptions extends Pick<RunReportsOptions, "reporters" | "print"> {
  /** Files, folders, or names of experiments. */
  readonly references: readonly string[];
  readonly select: Omit<SelectOptions, "progress" | "signal" | "ask">;
  readonly reportsFolder: string;
  /** Only these experiments, by name; empty: all. */
  readonly only: readonly string[];
  readonly skip: readonly string[];
  /** Measure everything without an attack: every experiment with the attack none. */
  readonly control: boolean;
  readonly nodeAccess: "engine" | "pod" | "command" | undefined;
  readonly allowCommands: boolean;
  /** The local configuration file; undefined: the default one, if it exists. */
  readonly configFile: string | undefined;
  /** "KEY=VALUE": settings that win over those of the local configuration. */
  readonly set: readonly string[];
  readonly keepApp: boolean;
  /** Attack also when it is known before that nothing can be concluded. */
  readonly anyway: boolean;
  /** Deploy a dead-man's switch in the cluster that restores if this machine is lost. */
  readonly deadMan: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly view: RunView;
  readonly interrupted: AbortSignal;
  /** Aborted when the user ends the restore, too. */
  readonly abandoned?: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly ask?: (question: string) => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  readonly onJournal?: (runId: string) => void;
  /** Restores when this process is killed; undefined: the user runs `chaos restore`. */
  readonly watchdog?: Watchdog;
}

/** Most serious first: several runs end with the first of these codes that any of them ended with. */
const BY_WEIGHT: readonly ExitCode[] = [
  ExitCode.notRestored,
  ExitCode.interrupted,
  ExitCode.failed,
  ExitCode.usage,
  ExitCode.preflightRefused,
  ExitCode.inconclusive,
  ExitCode.differs,
  ExitCode.asExpected,
];

/**
 * `chaos run`: validates every file first (a bad one ends the command before any cluster is changed), chooses or
 * creates the cluster, then runs one experiment after the other. Several experiments share the guestbook, and the
 * cluster settles between them. A failed run does not stop the rest; a run that is not restored does.
 */
export async function run(options: RunCommandOptions): Promise<ExitCode> {
  const reports = await RunReports.open(options);
  let code: ExitCode;
  try {
    code = await runAll(options, reports);
  } catch (error) {
    await reports.failed(error, failureOf(error).exitCode);
    throw error;
  }
  return await reports.end(code);
}

async function runAll(options: RunCommandOptions, reports: RunReports): Promise<ExitCode> {
  const config = await loadLocalConfig(options.configFile, options.env);
  const nodeAccess = nodeAccessOptions(options, config);
  const podSettings = withSets(podSettingsOf(config), options.set);
  const loaded = choose(await loadAll(options.references), options);
  reports.plan(loaded);
  const handle = await chooseCluster(options);
  const common = { handle, nodeAccess, podSettings, toolVersion: packageVersion() };
  const [only, ...others] = loaded;
  if (only !== undefined && others.length === 0) {
    if (!options.dryRun) options.view.session(positionOf(loaded, 0, 0));
    return (await reports.run(only, async () => await runOne(options, { ...only, ...common }))).exitCode;
  }
  return await runSeveral(options, loaded, common, reports);
}

type Common = Pick<RunOneOptions, "handle" | "nodeAccess" | "podSettings" | "toolVersion">;

async function runSeveral(
  options: RunCommandOptions,
  loaded: readonly Loaded[],
  common: Common,
  reports: RunReports,
): Promise<ExitCode> {
  if (options.dryRun) return await planSeveral(options, loaded, common);
  const { interrupted, view } = options;
  const codes: ExitCode[] = [];
  const session = await openSession(options, loaded, common);
  const lines: string[] = [];
  let written = 0;
  let whole = true;
  const startedMs = performance.now();
  try {
    for (const [index, each] of loaded.entries()) {
      if (interrupted.aborted) break;
      const before = loaded[index - 1]?.resolved;
      if (before !== undefined) await session.settle(interrupted, replacesPods(before));
      view.session(positionOf(loaded, index, performance.now() - startedMs));
      const sharedBy = { id: session.id, lock: session.lock };
      const outcome = await reports.run(
        each,
        async () => await runOne(options, { ...each, ...common, sharedBy }),
      );
      codes.push(outcome.exitCode);
      lines.push(outcomeLine(each, outcome));
      if (outcome.folder !== undefined) written++;
      // A component that is still down would distort every following run.
      whole = outcome.exitCode !== ExitCode.notRestored;
      if (!whole || session.lock.lost.aborted) break;
    }
  } finally {
    if (!(await session.close({ whole }))) codes.push(ExitCode.notRestored);
  }
  await summarise(options, lines, written);
  return mostSerious(codes);
}

/** Where the session is when the experiment of this index begins. @param tookMs the time since the first one began. */
function positionOf(loaded: readonly Loaded[], index: number, tookMs: number): SessionPosition {
  const planned = loaded.map(({ resolved }) => durationOf(resolved).aboutMs);
  return {
    index: index + 1,
    of: loaded.length,
    experiment: loaded[index]?.resolved.experiment.metadata.name ?? "",
    leftMs: expectedRestMs(planned.slice(index), { planned: planned.slice(0, index), tookMs }),
  };
}

/** A dry run of several experiments: one table. One that cannot be attacked here does not stop the others. */
async function planSeveral(
  options: RunCommandOptions,
  loaded: readonly Loaded[],
  common: Common,
): Promise<ExitCode> {
  const codes: ExitCode[] = [];
  const rows: PlanRow[] = [];
  const quiet = { ...options, view: withoutPhases(options.view) };
  for (const each of loaded) {
    if (options.interrupted.aborted) break;
    let row: PlanRow | undefined;
    const outcome = await runOne(quiet, { ...each, ...common, onPlan: (made) => (row = made) });
    codes.push(outcome.exitCode);
    rows.push(row ?? failedRow(each.file, each.resolved, outcome.problem ?? "interrupted"));
  }
  options.view.result(tableLines(rows), { dryRun: true, experiments: rows });
  return options.interrupted.aborted ? ExitCode.interrupted : mostSerious(codes);
}

/** The table has what the phases and checks of each experiment would show. */
function withoutPhases(view: RunView): RunView {
  const nothing = (): void => undefined;
  return {
    ...{
      session: nothing,
      phase: nothing,
      phaseEnd: nothing,
      live: nothing,
      event: nothing,
      result: nothing,
      close: nothing,
    },
    step: async (title, work) => await view.step(title, work),
    info: (text) => view.info(text),
    warn: (text) => view.warn(text),
    suspended: async (work) => await view.suspended(work),
  };
}

function mostSerious(codes: readonly ExitCode[]): ExitCode {
  return BY_WEIGHT.find((code) => codes.includes(code)) ?? ExitCode.asExpected;
}

/** Whether stale connections to a replaced pod may remain in the nodes' connection tracking. */
function replacesPods({ experiment, attack }: Loaded["resolved"]): boolean {
  return experiment.churn !== undefined && !isControl(attack);
}

function outcomeLine({ resolved }: Loaded, { result, exitCode }: RunOutcome): string {
  const { name } = resolved.experiment.metadata;
  if (result === undefined) return `  ${name}: not run (exit ${exitCode})`;
  const why = result.reasons.length === 0 ? "" : ` (${result.reasons.map(({ code }) => code).join(", ")})`;
  return `  ${name}: ${result.severity}, ${result.verdict}${why}; function ${result.ownFunction.state}`;
}

/** Prints one line per run, and writes the matrix of all reports in the folder if any run has a report. */
async function summarise(
  { reportsFolder, view }: RunCommandOptions,
  lines: readonly string[],
  reports: number,
): Promise<void> {
  let files: readonly string[] = [];
  try {
    if (reports > 0) ({ files } = await writeMatrix(reportsFolder));
  } catch (error) {
    // The runs are over and have their own exit codes.
    view.warn(
      `the matrix could not be written: ${failureOf(error).text}. \`chaos matrix ${reportsFolder}\` writes it`,
    );
  }
  const matrix = files.length === 0 ? [] : [`matrix: ${files.join(", ")}`];
  view.result([`${lines.length} experiments:`, ...lines, ...matrix], { runs: lines.length, matrix: files });
}

async function openSession(
  options: RunCommandOptions,
  loaded: readonly Loaded[],
  { handle, nodeAccess, toolVersion }: Common,
): Promise<Session> {
  const { view, env, keepApp } = options;
  const namespaces = loaded.flatMap(
    ({ resolved }) => resolved.experiment.application.guestbook?.namespace ?? [],
  );
  // With keepApp the guestbook stays, so no journal has it.
  const applications = keepApp ? [] : [...new Set(namespaces)];
  const nodes = nodeAccess?.only === "pod" ? [NODE_ACCESS_NAMESPACE] : [];
  try {
    const session = await Session.open({
      handle,
      namespaces: [...applications, ...nodes],
      view,
      env,
      toolVersion,
      confirm: confirmation(options, attackQuestion),
      allowing: options.allowing,
      interrupted: options.interrupted,
      ...(options.abandoned === undefined ? {} : { abandoned: options.abandoned }),
      durationMs: loaded.reduce((sum, { resolved }) => sum + longestMs(resolved.experiment.phases), 0),
      ...(options.watchdog === undefined ? {} : { watchdog: options.watchdog }),
    });
    options.onJournal?.(session.id);
    return session;
  } catch (error) {
    throw refusedByApi(error);
  }
}

/** Before the first change, an error of the API server is a refusal. */
function refusedByApi(error: unknown): unknown {
  if (isUnauthorized(error))
    return new RefusedError(`${UNAUTHORIZED_WORDS}. Nothing was changed`, { cause: error });
  return error instanceof ApiError || error instanceof ApiUnreachableError
    ? new RefusedError(
        `${error.message}. Nothing was changed. Run it again when ${error instanceof ApiError ? "the API server accepts this" : "the API server answers"}`,
        { cause: error },
      )
    : error;
}

/** The longest time for a run and the wait before the next one, ms. */
function longestMs({ baseline, window, recovery }: Loaded["resolved"]["experiment"]["phases"]): number {
  return baseline + window + recovery + 2 * SETTLE_LIMIT_MS;
}

async function chooseCluster(options: RunCommandOptions): Promise<ClusterHandle> {
  const { select, view, interrupted, ask, dryRun } = options;
  return await selectCluster({
    ...select,
    dryRun,
    progress: view,
    signal: interrupted,
    ...(ask === undefined ? {} : { ask }),
  });
}

type RunOneOptions = Pick<
  RunOptions,
  "file" | "resolved" | "toolVersion" | "handle" | "nodeAccess" | "podSettings" | "sharedBy" | "onPlan"
>;

async function runOne(options: RunCommandOptions, experiment: RunOneOptions): Promise<RunOutcome> {
  const { view, env, onJournal } = options;
  try {
    const outcome = await runExperiment({
      ...experiment,
      view,
      reportsFolder: options.reportsFolder,
      keepApp: options.keepApp,
      anyway: options.anyway,
      deadMan: options.deadMan,
      dryRun: options.dryRun,
      confirm: confirmation(options, attackQuestion),
      allowing: options.allowing,
      interrupted: options.interrupted,
      ...(options.abandoned === undefined ? {} : { abandoned: options.abandoned }),
      env,
      ...(onJournal === undefined ? {} : { onJournal }),
      ...(options.watchdog === undefined ? {} : { watchdog: options.watchdog }),
    });
    const { result, folder } = outcome;
    if (result !== undefined && folder !== undefined)
      view.result(summaryLines(result, join(folder, "report.md")), result);
    return outcome;
  } catch (error) {
    // Errors of the API server get here only before anything was changed.
    const { text, exitCode } = failureOf(refusedByApi(error), isDebug(env));
    // The table of a dry run has it as a row.
    if (experiment.onPlan === undefined)
      for (const line of `${experiment.file}: ${text}`.split("\n")) view.warn(line);
    return { exitCode, problem: text };
  }
}

const attackQuestion = (context: string): string =>
  `Take down a kube-system component of context ${context}?`;
