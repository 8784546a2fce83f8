import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ClusterHandle } from "../cluster/provider.js";
import { ApiError, ApiUnreachableError } from "../cluster/transport.js";
import { ChaosError, ExitCode, messageOf, UsageError } from "../errors.js";
import { loadExperiment, resolveReference } from "../experiment/load.js";
import { type ResolvedExperiment, resolveExperiment } from "../experiment/resolve.js";
import { packageRoot } from "../package-root.js";
import { summaryLines } from "../report/summary.js";
import { runExperiment, type RunOutcome } from "../run/run.js";
import type { RunView } from "../ui/view.js";
import { selectCluster, type SelectOptions } from "./select-cluster.js";

export interface RunCommandOptions {
  /** Files, folders, or names of experiments. */
  readonly references: readonly string[];
  readonly select: Omit<SelectOptions, "progress" | "signal" | "ask">;
  readonly reportsFolder: string;
  readonly keepApp: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly view: RunView;
  readonly interrupted: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly ask?: (question: string) => Promise<boolean>;
  readonly onJournal?: (runId: string) => void;
}

/** Most serious first: what several runs end with is the first of these that one of them ended with. */
const BY_WEIGHT: readonly ExitCode[] = [
  ExitCode.notRestored,
  ExitCode.interrupted,
  ExitCode.usage,
  ExitCode.preflightRefused,
  ExitCode.inconclusive,
  ExitCode.differs,
  ExitCode.asExpected,
];

/**
 * `chaos run`: validates every file first (a bad one ends the command before any cluster is touched), chooses
 * or makes the cluster, then runs one experiment after the other. One that fails does not stop the rest; one
 * that leaves the cluster harmed does.
 */
export async function run(options: RunCommandOptions): Promise<ExitCode> {
  const { interrupted } = options;
  const resolved = await loadAll(options.references);
  const handle = await chooseCluster(options);
  const toolVersion = await ownVersion();
  const codes: ExitCode[] = [];
  for (const each of resolved) {
    if (interrupted.aborted) break;
    const outcome = await runOne(options, handle, { ...each, toolVersion });
    codes.push(outcome.exitCode);
    if (outcome.exitCode === ExitCode.notRestored) break;
  }
  return BY_WEIGHT.find((code) => codes.includes(code)) ?? ExitCode.asExpected;
}

/** Every experiment that is meant, each once. @throws UsageError with the mistakes of all files. */
async function loadAll(
  references: readonly string[],
): Promise<{ file: string; resolved: ResolvedExperiment }[]> {
  const paths = new Set(
    (await Promise.all(references.map(async (each) => await resolveReference(each)))).flat(),
  );
  const loaded = await Promise.allSettled([...paths].map(async (path) => await loadExperiment(path)));
  const failures = loaded.flatMap((each) => (each.status === "rejected" ? [each.reason as Error] : []));
  const problems = failures.map((error) => {
    if (!(error instanceof UsageError)) throw error;
    return error.message;
  });
  if (problems.length > 0) throw new UsageError(problems.join("\n"));
  return loaded.flatMap((each) =>
    each.status === "fulfilled"
      ? [{ file: each.value.file, resolved: resolveExperiment(each.value.experiment) }]
      : [],
  );
}

async function chooseCluster(options: RunCommandOptions): Promise<ClusterHandle> {
  const { select, view, interrupted, ask } = options;
  if (options.dryRun && (select.provider === "kind" || select.provider === "lab")) {
    throw new UsageError(
      `--dry-run touches nothing, so it makes no cluster either: leave out --cluster ${select.provider}`,
    );
  }
  return await selectCluster({
    ...select,
    progress: view,
    signal: interrupted,
    ...(ask === undefined ? {} : { ask }),
  });
}

async function runOne(
  options: RunCommandOptions,
  handle: ClusterHandle,
  experiment: {
    readonly file: string;
    readonly resolved: ResolvedExperiment;
    readonly toolVersion: string;
  },
): Promise<RunOutcome> {
  const { view, select, env, onJournal } = options;
  try {
    const outcome = await runExperiment({
      ...experiment,
      handle,
      view,
      reportsFolder: options.reportsFolder,
      keepApp: options.keepApp,
      dryRun: options.dryRun,
      confirm: async () => {
        if (select.context === undefined) return false;
        return (
          options.yes ||
          (await options.ask?.(`Take a kube-system component of context ${select.context} down?`)) === true
        );
      },
      interrupted: options.interrupted,
      env,
      ...(onJournal === undefined ? {} : { onJournal }),
    });
    const { result, folder } = outcome;
    if (result !== undefined && folder !== undefined)
      view.result(summaryLines(result, join(folder, "report.md")), result);
    return outcome;
  } catch (error) {
    // The API server's own words; they reach this place only before anything was touched.
    const api = error instanceof ApiError || error instanceof ApiUnreachableError;
    // Only what says itself what to do is told in a line; anything else is a bug, and keeps its stack.
    if (!(error instanceof ChaosError) && !api) throw error;
    const text = api ? `${error.message}; nothing was touched` : messageOf(error);
    for (const line of `${experiment.file}: ${text}`.split("\n")) view.warn(line);
    return { exitCode: api ? ExitCode.preflightRefused : error.exitCode };
  }
}

/** This package's version. */
export async function ownVersion(): Promise<string> {
  const text = await readFile(join(packageRoot(), "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
