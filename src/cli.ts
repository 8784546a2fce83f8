#!/usr/bin/env node
/**
 * The handler of each command. The only file that reads argv, prints and sets the exit code. A command's modules are
 * loaded when it is called, so that --help and --version start fast.
 */
import { CommanderError } from "commander";
import type { ProviderName } from "./clusters/provider.js";
import {
  type ClusterCommandFlags,
  type ClusterFlags,
  type GlobalFlags,
  type Handlers,
  createProgram,
} from "./commands/program.js";
import { ChaosError, ExitCode, UsageError } from "./common/errors.js";
import { INTERRUPTED_WORDS } from "./common/interrupted.js";
import type { Guarded } from "./api/guarded.js";
import type { RunView } from "./ui/base.js";

const handlers: Handlers = {
  run: async (references, flags) => {
    const { consoleOf, withDefaults } = await import("./reporters/requested.js");
    const onConsole = consoleOf(flags.reporter);
    await withView(async (view, interrupted) => {
      const { conduct } = await import("./api/conduct.js");
      process.exitCode = await conduct({
        chaos: flags.watchdog ? ownCommand() : undefined,
        references,
        select: selectOptions(flags),
        reportsFolder: flags.reports,
        only: flags.only,
        skip: flags.skip,
        control: flags.control,
        nodeAccess: flags.nodeAccess,
        allowCommands: flags.allowCommands,
        configFile: flags.config,
        set: flags.set,
        keepApp: flags.keepApp,
        anyway: flags.anyway,
        deadMan: flags.deadMan,
        dryRun: flags.dryRun,
        yes: flags.yes,
        view,
        interrupted: interrupted.signal,
        abandoned: interrupted.abandoned,
        env: process.env,
        reporters: withDefaults(flags.reporter, process.env),
        print: printToCi,
        allowing: await allowing(flags),
        onJournal: (runId) => (unfinished = interrupted.runId = runId),
        ...asking(view, interrupted),
      });
      unfinished = undefined;
    }, onConsole);
  },
  watchdog: async ({ allowCommands }) => {
    const { watchdog } = await import("./commands/watchdog-command.js");
    const { stdin: input, stdout: output, env } = process;
    process.exitCode = await watchdog({ input, output, env, allowCommands });
  },
  validate: async (references) => {
    const { validate } = await import("./api/validate.js");
    const { ok, lines } = await validate(references);
    (ok ? process.stdout : process.stderr).write(lines.map((line) => `${line}\n`).join(""));
    process.exitCode = ok ? ExitCode.asExpected : ExitCode.usage;
  },
  schema: async () => {
    const { schemaText } = await import("./commands/schema-command.js");
    process.stdout.write(schemaText());
  },
  rbac: async (references, flags) => {
    const { rbac } = await import("./commands/rbac-command.js");
    process.stdout.write(await rbac({ references, ...flags }));
  },
  restore: async (runId, flags) => {
    await withView(async (view, interrupted) => {
      const { all, dryRun, allowCommands, acceptNode: acceptNodes, yes, forget: forgotten } = flags;
      const common = {
        ...selectOptions(flags),
        allowCommands,
        acceptNodes,
        yes,
        view,
        env: process.env,
        ...asking(view, interrupted),
      };
      const changesNothing = forgotten === undefined && (dryRun || (runId === undefined && !all));
      const again = forgotten === undefined ? (runId ?? "--all") : `--forget ${forgotten}`;
      endable(view, interrupted, changesNothing ? undefined : again);
      if (forgotten !== undefined) {
        if (runId !== undefined || all || dryRun)
          throw new UsageError("--forget names one run itself: leave out RUN, --all and --dry-run");
        const { forget } = await import("./commands/forget-command.js");
        process.exitCode = await forget({ ...common, runId: forgotten });
        return;
      }
      const { restore } = await import("./commands/restore-command.js");
      process.exitCode = await restore({
        ...common,
        all,
        dryRun,
        ...(runId === undefined ? {} : { runId }),
      });
    });
  },
  report: async (folder) => {
    await withView(async (view) => {
      const { rebuildReport } = await import("./commands/report-command.js");
      await rebuildReport(folder, view);
    });
  },
  matrix: async (folders, flags) => {
    const { matrix } = await import("./commands/matrix-command.js");
    const { consoleOf, withDefaults } = await import("./reporters/requested.js");
    const { json } = program.opts<GlobalFlags>();
    const { reporter, tolerance, toleranceTime, toleranceAvailability, ...rest } = flags;
    const { text, warnings, exitCode } = await matrix({
      folders,
      ...rest,
      tolerances: { tolerance, toleranceTime, toleranceAvailability },
      json: json === true || consoleOf(reporter) === "json",
      reporters: rest.baseline === undefined ? reporter : withDefaults(reporter, process.env),
      outlets: { env: process.env, print: printToCi },
    });
    process.stderr.write(warnings.map((line) => `warning: ${line}\n`).join(""));
    process.stdout.write(text);
    process.exitCode = exitCode;
  },
  heal: async (component, flags) => {
    await withView(async (view, interrupted) => {
      const { heal } = await import("./commands/heal-command.js");
      const { watchdog, ...rest } = flags;
      const options = {
        ...probingOptions(view, interrupted),
        ...rest,
        component,
        select: selectOptions(flags),
        allowing: await allowing(flags),
      };
      const isWatched = watchdog && !flags.dryRun;
      await withWatchdog(view, async (watched) => await heal({ ...options, ...watched }), isWatched);
    });
  },
  doctor: async (flags) => {
    await withView(async (view, interrupted) => {
      const { doctor } = await import("./commands/doctor-command.js");
      const { env } = process;
      const common = { view, interrupted: interrupted.signal, env };
      const options = { ...common, select: selectOptions(flags), reportsFolder: flags.reports };
      if (!flags.probe) {
        process.exitCode = await doctor(options);
        return;
      }
      const { doctorProbe } = await import("./commands/doctor-probe.js");
      const probing = {
        ...probingOptions(view, interrupted),
        ...flags,
        ...common,
        allowing: await allowing(flags),
      };
      await withWatchdog(
        view,
        async (watched) => await doctor({ ...options, probe: doctorProbe({ ...probing, ...watched }) }),
      );
    });
  },
  manifest: async (references, flags) => {
    const { manifest } = await import("./commands/manifest-command.js");
    process.stdout.write(await manifest({ references, ...flags }));
  },
  init: async (folder, flags) => {
    await withView(async (view, interruption) => {
      const common = {
        folder,
        select: selectOptions(flags),
        force: flags.force,
        configFile: flags.config,
        view,
        interrupted: interruption.signal,
        env: process.env,
      };
      if (flags.app !== undefined) {
        const { initApp } = await import("./commands/init-app.js");
        const options = {
          ...probingOptions(view, interruption),
          ...common,
          app: flags.app,
          yes: flags.yes,
          allowing: await allowing(flags),
        };
        await withWatchdog(view, async (watched) => await initApp({ ...options, ...watched }));
        return;
      }
      const { init } = await import("./commands/init-command.js");
      const { nodeAccess, allowCommands } = flags;
      process.exitCode = await init({ ...common, nodeAccess, allowCommands, now: () => new Date() });
    });
  },
  completion: async (shell) => {
    const { completionScript } = await import("./commands/completion-scripts.js");
    process.stdout.write(completionScript(shell));
  },
  complete: async (words) => {
    const { complete } = await import("./commands/complete-command.js");
    const lines = await complete(program, words, { cwd: process.cwd(), env: process.env });
    process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  },
  cluster: async (name, flags: ClusterCommandFlags) => {
    await withView(async (view, interrupted) => {
      const commands = await import("./commands/cluster-command.js");
      const { context, kubeconfigPath, image } = selectOptions(flags);
      const options = {
        provider: flags.cluster,
        ...(context === undefined ? {} : { context }),
        ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
        view,
        signal: interrupted.signal,
      };
      if (name === "up")
        await commands.clusterUp({
          ...options,
          addons: flags.addons,
          ...(image === undefined ? {} : { image }),
          yes: flags.yes ?? false,
          allowing: await allowing(flags),
          env: process.env,
        });
      else if (name === "down") await commands.clusterDown({ ...options, purge: flags.purge ?? false });
      else await commands.clusterStatus(options);
    });
  },
};

const program = createProgram(handlers);

/** On stderr, which CI systems read, too: stdout has the data. */
function printToCi(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The run that a crash of this process would leave unfinished. */
let unfinished: string | undefined;

/** What started this process, without the command. */
function ownCommand(): readonly string[] {
  const [node = process.execPath, script = ""] = process.argv;
  return [node, ...process.execArgv, script];
}

function selectOptions(flags: ClusterFlags): {
  provider?: ProviderName;
  context?: string;
  kubeconfigPath?: string;
  image?: string;
} {
  return {
    ...(flags.cluster === undefined ? {} : { provider: flags.cluster }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
    ...(flags.kubeconfig === undefined ? {} : { kubeconfigPath: flags.kubeconfig }),
    ...(flags.image === undefined ? {} : { image: flags.image }),
  };
}

/**
 * A restore may end at any moment, because its journal says what is left. A first signal ends a list or a dry run, a later
 * Ctrl-C also a restore, which may otherwise wait minutes for the API server.
 *
 * @param again the arguments that finish it; undefined: it changes nothing.
 */
function endable(view: RunView, interruption: Interruption, again: string | undefined): void {
  const [signal, message, exitCode] =
    again === undefined
      ? [interruption.signal, INTERRUPTED_WORDS, ExitCode.interrupted]
      : [
          interruption.abandoned,
          `the restore was ended before it was done: a later Ctrl-C ended it. Finish it with \`chaos restore ${again}\``,
          ExitCode.notRestored,
        ];
  if (again !== undefined) interruption.finishedBy = again;
  const end = (): void => {
    view.close();
    void crash(new ChaosError(message, { exitCode }));
  };
  signal.addEventListener("abort", end, { once: true });
}

/** The user's command line with the flags that name and confirm a context. */
async function allowing({ context: named }: ClusterFlags): Promise<(context: string) => string> {
  const { commandLineWith } = await import("./commands/command-line.js");
  return (context) =>
    commandLineWith(process, [...(named === undefined ? ["--context", context] : []), "--yes"]);
}

/** What the commands that deploy probers without a run have in common. */
// eslint-disable-next-line @typescript-eslint/explicit-function-return-type -- two commands check it against their options
function probingOptions(view: RunView, interruption: Interruption) {
  return {
    view,
    interrupted: interruption.signal,
    abandoned: interruption.abandoned,
    env: process.env,
    toolVersion: program.version() ?? "",
    onJournal: (id: string) => (unfinished = interruption.runId = id),
    ...asking(view, interruption),
  };
}

/** Does work that deploys probers. The watchdog removes them if this process is killed. */
async function withWatchdog(
  view: RunView,
  work: (watched: Guarded) => Promise<ExitCode>,
  isWatched = true,
): Promise<void> {
  const { guarded } = await import("./api/guarded.js");
  const chaos = isWatched ? ownCommand() : undefined;
  process.exitCode = await guarded({ chaos, allowCommands: false, env: process.env, view }, work);
  unfinished = undefined;
}

/** How a command asks the user; empty: there is no terminal. */
function asking(
  view: RunView,
  { signal }: Interruption,
): { readonly ask?: (question: string) => Promise<boolean> } {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return {};
  return { ask: async (question) => await view.suspended(async () => await askYesNo(question, signal)) };
}

async function askYesNo(question: string, signal: AbortSignal): Promise<boolean> {
  const { createInterface } = await import("node:readline/promises");
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  // The terminal is in raw mode: without this, Ctrl-C would only close the prompt, like a "no".
  prompt.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const close = (): void => prompt.close();
  signal.addEventListener("abort", close, { once: true });
  // Ctrl-D, a signal or a closed terminal: the question itself would never be answered.
  const closed = new Promise<string>((resolve) => prompt.once("close", () => resolve("")));
  try {
    const asked = prompt.question(`${question} [y/N] `).catch(() => "");
    const answer = await Promise.race([asked, closed]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    signal.removeEventListener("abort", close);
    prompt.close();
  }
}

/**
 * A Ctrl-C this long after the first signal ends the restore, ms. One that comes earlier was pressed in a hurry, or npm or
 * a shell has sent the first one twice.
 */
const ABANDON_AFTER_MS = 2_000;

/** The command's signals; `runId`: the run that a restore would finish. */
interface Interruption {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Aborted by a later Ctrl-C; its reason is a sentence. */
  readonly abandoned: AbortSignal;
  runId?: string;
  /** Of a restore, which the first signal does not stop: the arguments that finish it. */
  finishedBy?: string;
}

/**
 * Runs a command with a view. The first signal stops and restores. A later Ctrl-C ends the restore; other signals, and one
 * right after the first, only say how to finish.
 */
async function withView(
  work: (view: RunView, interruption: Interruption) => Promise<void>,
  asked: "plain" | "json" | "auto" = "auto",
): Promise<void> {
  const { createView } = await import("./ui/view.js");
  const { json, plain } = program.opts<GlobalFlags>();
  const mode = json === true ? "json" : plain === true ? "plain" : asked;
  const view = createView({ stream: process.stderr, out: process.stdout, mode });
  const controller = new AbortController();
  const abandon = new AbortController();
  const interruption: Interruption = { signal: controller.signal, abandoned: abandon.signal };
  let firstAt = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      firstAt = performance.now();
      view.warn(
        interruption.finishedBy === undefined
          ? `${signal}: stopping`
          : `${signal}: a later Ctrl-C ends this before it is done; \`chaos restore ${interruption.finishedBy}\` then finishes it`,
      );
      controller.abort(signal);
      return;
    }
    const { finishedBy, runId = finishedBy } = interruption;
    if (runId === undefined) view.warn(`${signal}: still stopping`);
    else if (signal !== "SIGINT" || performance.now() - firstAt < ABANDON_AFTER_MS)
      view.warn(
        `${signal}: the restore continues. Ctrl-C ends it before it is done; \`chaos restore ${runId}\` then finishes it`,
      );
    else {
      view.warn(`${signal}: ending the restore before it is done. \`chaos restore ${runId}\` finishes it`);
      abandon.abort("a later Ctrl-C ended the restore");
    }
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    await work(view, interruption);
    if (!controller.signal.aborted) return;
    const { codeOfInterrupted } = await import("./commands/failure.js");
    process.exitCode = codeOfInterrupted(process.exitCode as ExitCode | undefined);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    const { errorOfInterrupted } = await import("./commands/failure.js");
    throw errorOfInterrupted(error);
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    view.close();
  }
}

/** Prints an error and sets its exit code. */
async function fail(error: unknown): Promise<void> {
  const { failureOf, isDebug } = await import("./commands/failure.js");
  const { oneLineIndented } = await import("./ui/width.js");
  const { wrapLine } = await import("./ui/wrap.js");
  const { text, exitCode } = failureOf(error, isDebug(process.env));
  const { isTTY, columns } = process.stderr;
  const lines = `chaos: ${text}`.split("\n").map(oneLineIndented);
  process.stderr.write(`${lines.map((line) => (isTTY ? wrapLine(line, columns) : line)).join("\n")}\n`);
  process.exitCode = exitCode;
}

/** An error that nothing waits for. The watchdog, or `chaos restore`, finishes the run. */
async function crash(error: unknown): Promise<void> {
  await fail(error);
  if (unfinished !== undefined) {
    process.stderr.write(`chaos: run ${unfinished} may not be restored: \`chaos restore ${unfinished}\`\n`);
    process.exitCode = ExitCode.notRestored;
  }
  process.exit();
}

async function main(): Promise<void> {
  // A reader that has gone (`| head`), a full device, a closed terminal: what is printed is lost, and the command continues
  // and ends with its own code. A run must restore the cluster whether or not anyone reads.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  process.once("uncaughtException", (error) => void crash(error));
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version succeed; any other parser error is bad usage.
      process.exitCode = error.exitCode === 0 ? 0 : ExitCode.usage;
      return;
    }
    await fail(error);
  }
}

await main();
