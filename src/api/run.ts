/** Experiments as a program runs them: messages while they run, and an outcome. */
import { join } from "node:path";
import type { RunResult } from "../analysis/result.js";
import type { ProviderName } from "../clusters/provider.js";
import { ChaosError, ExitCode } from "../common/errors.js";
import { packageRoot } from "../common/package-root.js";
import type { PlanRow } from "../run/phases/dry-run-table.js";
import type { Message } from "../ui/messages.js";
import { checkKeys, textsOf } from "./checked.js";
import type { ConductOptions } from "./conduct.js";
import { type Dropped, MessageQueue } from "./message-queue.js";

/** The options of `chaos run`: each has the name, the meaning and the default of its flag. */
export interface RunExperimentOptions {
  /** Files, folders, or names such as `kube-dns`. */
  readonly experiments: string | readonly string[];
  readonly cluster?: ProviderName;
  /** kubeconfig context. Naming it allows a cluster that is not local, together with `yes`. */
  readonly context?: string;
  /** kubeconfig file. Default: as kubectl finds it. */
  readonly kubeconfig?: string;
  /** Node image of a new kind cluster, with `cluster: "kind"`. */
  readonly image?: string;
  /** Attack a cluster that is not local. Default: false; nothing asks. */
  readonly yes?: boolean;
  /** Make all checks and the plan, and change nothing. */
  readonly dryRun?: boolean;
  readonly only?: readonly string[];
  readonly skip?: readonly string[];
  /** The same measurements without an attack. */
  readonly control?: boolean;
  readonly nodeAccess?: "engine" | "pod" | "command";
  /** Allow the commands of the local configuration. */
  readonly allowCommands?: boolean;
  /** Local configuration file. */
  readonly config?: string;
  /** "KEY=VALUE": images, mirrors and pull secrets of the run's pods. */
  readonly set?: readonly string[];
  readonly keepApp?: boolean;
  /** Attack also when it is known before that nothing can be concluded. */
  readonly anyway?: boolean;
  /** Restore when this process is killed, by a second process. Default: true. */
  readonly watchdog?: boolean;
  /** Restore when this machine is lost, by a pod with cluster-admin power. */
  readonly deadMan?: boolean;
  /** Folder that gets one subfolder for each run. Default: "reports". */
  readonly reports?: string;
  /** Its abort stops the attack and restores; the outcome then has the exit code 130. */
  readonly signal?: AbortSignal;
  /** Default: process.env. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** At the end of several experiments. */
export interface SessionResult {
  /** How many experiments were run. */
  readonly runs: number;
  /** The files of the matrix of all reports in the folder. */
  readonly matrix: readonly string[];
}

/** Of a dry run: `plan` of one experiment, `experiments` of several. */
export interface DryRunResult {
  readonly dryRun: true;
  readonly plan?: PlanRow;
  readonly experiments?: readonly PlanRow[];
}

type AnyResult = RunResult | SessionResult | DryRunResult;

/** Everything that a run tells. A `result` is of one run, of several, or of a dry run. */
export type RunMessage = Message<AnyResult> | Dropped;

export interface ExperimentOutcome {
  /** As that of `chaos run`: of several experiments, the most serious one. */
  readonly exitCode: ExitCode;
  /** Each run that has a report. `folder`: where the report is. */
  readonly runs: readonly { readonly result: RunResult; readonly folder: string }[];
  /** Of a dry run: a row for each experiment. */
  readonly plan: readonly PlanRow[];
  /** Texts of the warnings, among them why an experiment was refused. */
  readonly warnings: readonly string[];
}

/**
 * A run that has begun. Read its messages with `for await`: leaving the loop early stops the run, restores, and only then
 * continues. One loop reads the messages; there is no second copy. The run does not wait for it, and does not need it.
 */
export interface ExperimentRun extends AsyncIterableIterator<RunMessage, undefined> {
  /**
   * Resolves when everything is restored and reported, whatever the verdict. Rejects with a ChaosError if nothing was run:
   * a bad file, no cluster; or if the tool failed.
   */
  readonly outcome: Promise<ExperimentOutcome>;
  return(): Promise<IteratorReturnResult<undefined>>;
}

const OPTIONS: Readonly<Record<keyof RunExperimentOptions, true>> = {
  experiments: true,
  cluster: true,
  context: true,
  kubeconfig: true,
  image: true,
  yes: true,
  dryRun: true,
  only: true,
  skip: true,
  control: true,
  nodeAccess: true,
  allowCommands: true,
  config: true,
  set: true,
  ...{ keepApp: true, anyway: true, watchdog: true, deadMan: true, reports: true, signal: true, env: true },
};

/** Warnings that are kept for the outcome: many more than a run has. */
const MAX_WARNINGS = 1_000;

/**
 * Starts experiments as `chaos run` does. It installs no signal handlers and prints nothing.
 *
 * @returns at once; an error comes with the outcome, and after the last message.
 */
export function runExperiment(options: RunExperimentOptions): ExperimentRun {
  const queue = new MessageQueue<AnyResult>();
  const interrupt = new AbortController();
  const abort = (): void => interrupt.abort("the caller");
  if (options.signal?.aborted === true) abort();
  else options.signal?.addEventListener("abort", abort, { once: true });

  const outcome = outcomeOf(options, queue, interrupt.signal);
  const settled = (error?: Error): void => {
    options.signal?.removeEventListener("abort", abort);
    queue.end(error);
  };
  void outcome.then(
    () => settled(),
    (error: unknown) => settled(error as Error),
  );
  let left = false;
  const done = { value: undefined, done: true } as const;
  return {
    outcome,
    next: async () => (left ? done : await queue.next()),
    return: async () => {
      left = true;
      abort();
      await outcome.catch((error: unknown) => {
        if (!(error instanceof ChaosError && error.exitCode === ExitCode.interrupted)) throw error;
      });
      return done;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function outcomeOf(
  options: RunExperimentOptions,
  queue: MessageQueue<AnyResult>,
  interrupted: AbortSignal,
): Promise<ExperimentOutcome> {
  checkKeys(options, OPTIONS);
  textsOf(options.experiments, "experiments");
  const { conduct } = await import("./conduct.js");
  const { codeOfInterrupted, errorOfInterrupted, failureOf } = await import("../commands/failure.js");
  const { MessageView } = await import("../ui/json.js");
  const reports = options.reports ?? "reports";
  const collected = collector(reports);
  const view = new MessageView({ now: () => performance.now() }, (told) => {
    // The view takes any object; those of `chaos run` are these.
    const message = told as Message<AnyResult>;
    collected.take(message);
    queue.push(message);
  });
  try {
    const code = await conduct({ ...commandOptions(options, reports), view, interrupted });
    return { exitCode: interrupted.aborted ? codeOfInterrupted(code) : code, ...collected.outcome };
  } catch (thrown) {
    const error = interrupted.aborted ? errorOfInterrupted(thrown) : thrown;
    if (error instanceof ChaosError) throw error;
    const { text, exitCode } = failureOf(error);
    throw new ChaosError(text, { exitCode, cause: error });
  } finally {
    view.close();
  }
}

interface Collector {
  readonly outcome: Omit<ExperimentOutcome, "exitCode">;
  readonly take: (message: Message<AnyResult>) => void;
}

/** Keeps what the outcome has of the messages. */
function collector(reports: string): Collector {
  const runs: { result: RunResult; folder: string }[] = [];
  const plan: PlanRow[] = [];
  const warnings: string[] = [];
  const takeResult = (result: AnyResult): void => {
    if ("facts" in result) runs.push({ result, folder: join(reports, result.facts.runId) });
    else if ("dryRun" in result)
      plan.push(...(result.plan === undefined ? [] : [result.plan]), ...(result.experiments ?? []));
  };
  return {
    outcome: { runs, plan, warnings },
    take: (message) => {
      if (message.type === "result") takeResult(message.result);
      else if (message.type === "warning" && warnings.length < MAX_WARNINGS) warnings.push(message.text);
    },
  };
}

/** The options of the command with the defaults of its flags. */
function commandOptions(
  options: RunExperimentOptions,
  reports: string,
): Omit<ConductOptions, "view" | "interrupted"> {
  const { experiments, watchdog = true } = options;
  return {
    ...switches(options),
    references: typeof experiments === "string" ? [experiments] : experiments,
    select: selection(options),
    reportsFolder: reports,
    only: options.only ?? [],
    skip: options.skip ?? [],
    nodeAccess: options.nodeAccess,
    configFile: options.config,
    set: options.set ?? [],
    env: options.env ?? process.env,
    allowing: (name) => `runExperiment({ …, context: ${JSON.stringify(name)}, yes: true })`,
    chaos: watchdog ? [process.execPath, join(packageRoot(), "dist", "cli.js")] : undefined,
  };
}

const SWITCHES = ["control", "allowCommands", "keepApp", "anyway", "deadMan", "dryRun", "yes"] as const;

function switches(options: RunExperimentOptions): Record<(typeof SWITCHES)[number], boolean> {
  const pairs = SWITCHES.map((name) => [name, options[name] ?? false] as const);
  return Object.fromEntries(pairs) as Record<(typeof SWITCHES)[number], boolean>;
}

function selection({ cluster, context, kubeconfig, image }: RunExperimentOptions): ConductOptions["select"] {
  return {
    ...(cluster === undefined ? {} : { provider: cluster }),
    ...(context === undefined ? {} : { context }),
    ...(kubeconfig === undefined ? {} : { kubeconfigPath: kubeconfig }),
    ...(image === undefined ? {} : { image }),
  };
}
