#!/usr/bin/env node
/**
 * Arguments → commands. The only file that reads argv, prints, and sets the exit code. What a command needs is
 * loaded when it is called, so that --help and --version start fast.
 */
import { Command, CommanderError, Option } from "commander";
import { createRequire } from "node:module";
import type { ProviderName } from "./clusters/provider.js";
import { ExitCode } from "./common/errors.js";
import type { Watchdog } from "./safety/watchdog.js";
import type { RunView } from "./ui/base.js";

interface GlobalOptions {
  readonly json?: boolean;
  readonly plain?: boolean;
}

interface ClusterFlags {
  readonly cluster?: ProviderName;
  readonly context?: string;
  readonly kubeconfig?: string;
}

const program = new Command("chaos")
  .description("If this kube-system component dies, what happens to my application?")
  .version((createRequire(import.meta.url)("../package.json") as { version: string }).version)
  .option("--json", "one JSON object a line on stdout, for programs")
  .option("--plain", "plain lines, no live view")
  .exitOverride()
  .showHelpAfterError("(--help shows what there is)");

const clusterOption = (): Option =>
  new Option("--cluster <provider>", "which cluster to use or make").choices(["current", "kind", "lab"]);

program
  .command("run")
  .description("take a component down, keep it down, measure, restore, report")
  .argument("<experiments...>", "files, folders, or names such as kube-dns")
  .addOption(clusterOption())
  .option("--context <name>", "kubeconfig context; naming it allows a cluster that is not local")
  .option("--kubeconfig <file>", "kubeconfig file")
  .option("--yes", "harm a cluster that is not local without asking", false)
  .option("--dry-run", "all checks, and what would be done; nothing is touched", false)
  .option("--only <names>", "of several experiments only these (comma-separated names)", names, [])
  .option("--skip <names>", "of several experiments not these", names, [])
  .option("--control", "harm nothing: every experiment with the attack none", false)
  .addOption(
    new Option(
      "--node-access <how>",
      "how nodes are reached; a privileged pod only when it is asked for",
    ).choices(["engine", "pod", "command"]),
  )
  .option("--allow-commands", "allow the commands of the local configuration", false)
  .option("--config <file>", "local configuration, instead of the user's own")
  .option("--keep-app", "leave the guestbook there afterwards", false)
  .option("--no-watchdog", "start no second process that restores if this one is killed")
  .option(
    "--dead-man",
    "a pod in the cluster that restores if this machine is lost; as good as cluster-admin while it is there",
    false,
  )
  .option("--reports <folder>", "where reports are written", "reports")
  .action(async (references: string[], flags: ClusterFlags & RunFlags) => {
    await withView(async (view, interrupted) => {
      const { run } = await import("./commands/run-command.js");
      const watchdog = flags.watchdog && !flags.dryRun ? await startableWatchdog(view, flags) : undefined;
      process.exitCode = await run({
        ...(watchdog === undefined ? {} : { watchdog }),
        references,
        select: selectOptions(flags),
        reportsFolder: flags.reports,
        only: flags.only,
        skip: flags.skip,
        control: flags.control,
        nodeAccess: flags.nodeAccess,
        allowCommands: flags.allowCommands,
        configFile: flags.config,
        keepApp: flags.keepApp,
        deadMan: flags.deadMan,
        dryRun: flags.dryRun,
        yes: flags.yes,
        view,
        interrupted: interrupted.signal,
        env: process.env,
        onJournal: (runId) => (interrupted.runId = runId),
        ...(canAsk()
          ? { ask: async (question) => await view.suspended(async () => await askYesNo(question)) }
          : {}),
      });
      watchdog?.end();
    });
  });

/** The watchdog of this process's runs; it is started with the first of them. */
async function startableWatchdog(
  view: RunView,
  { allowCommands }: Pick<RunFlags, "allowCommands">,
): Promise<Watchdog> {
  const { Watchdog } = await import("./safety/watchdog.js");
  const [, script = ""] = process.argv;
  return new Watchdog({
    command: [
      process.execPath,
      ...process.execArgv,
      script,
      "watchdog",
      ...(allowCommands ? ["--allow-commands"] : []),
    ],
    env: process.env,
    warn: (text) => view.warn(text),
  });
}

program
  // Started by `run`, for itself.
  .command("watchdog", { hidden: true })
  .description("restore what the process at the other end of standard input leaves when it dies")
  .option("--allow-commands", "reach nodes by the run's command of the local configuration", false)
  .action(async ({ allowCommands }: { readonly allowCommands: boolean }) => {
    const { watchdog } = await import("./commands/watchdog-command.js");
    const { stdin: input, stdout: output, env } = process;
    process.exitCode = await watchdog({ input, output, env, allowCommands });
  });

type RestoreFlags = Omit<ClusterFlags, "cluster"> & {
  readonly all: boolean;
  readonly dryRun: boolean;
  readonly allowCommands: boolean;
};

interface RunFlags {
  readonly only: string[];
  readonly skip: string[];
  readonly control: boolean;
  readonly nodeAccess?: "engine" | "pod" | "command";
  readonly allowCommands: boolean;
  readonly config?: string;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly keepApp: boolean;
  readonly watchdog: boolean;
  readonly deadMan: boolean;
  readonly reports: string;
}

program
  .command("validate")
  .description("check experiment files; needs no cluster")
  .argument("<experiments...>", "files, folders, or names")
  .action(async (references: string[]) => {
    const { quickValidate } = await import("./commands/quick-validate.js");
    const good = await quickValidate(references);
    const { ok, lines } =
      good === undefined
        ? await (await import("./commands/validate-command.js")).validate(references)
        : { ok: true, lines: good };
    (ok ? process.stdout : process.stderr).write(lines.map((line) => `${line}\n`).join(""));
    process.exitCode = ok ? ExitCode.asExpected : ExitCode.usage;
  });

program
  .command("schema")
  .description("print the JSON Schema of experiment files")
  .action(async () => {
    const { schemaText } = await import("./commands/schema-command.js");
    process.stdout.write(schemaText());
  });

program
  .command("rbac")
  .description("print the least rights for runs of these experiments, for kubectl apply; needs no cluster")
  .argument("<experiments...>", "files, folders, or names")
  .option("--service-account <namespace/name>", "who runs; default: kube-system-chaos/kube-system-chaos")
  .addOption(
    new Option("--node-access <how>", "nodes reached by privileged pods; other ways need no right").choices([
      "pod",
    ]),
  )
  .option("--several", "runs that follow each other in one command; default: when there are several")
  .action(async (references: string[], flags: RbacFlags) => {
    const { rbac } = await import("./commands/rbac-command.js");
    process.stdout.write(await rbac({ references, ...flags }));
  });

interface RbacFlags {
  readonly serviceAccount?: string;
  readonly nodeAccess?: "pod";
  readonly several?: boolean;
}

program
  .command("restore")
  .description("finish what an interrupted run left undone; without arguments: list such runs")
  .argument("[run]", "id of the run")
  .option("--all", "every unfinished run; with --context, those of that cluster, whoever began them", false)
  .option("--dry-run", "show what would change, as a diff; nothing is touched", false)
  .option(
    "--context <name>",
    "kubeconfig context, instead of the run's own: also runs of other machines on it",
  )
  .option("--kubeconfig <file>", "kubeconfig file, instead of the run's own")
  .option("--allow-commands", "reach nodes by the run's command of the local configuration", false)
  .action(async (runId: string | undefined, flags: RestoreFlags) => {
    await withView(async (view) => {
      const { restore } = await import("./commands/restore-command.js");
      const { all, dryRun, allowCommands } = flags;
      process.exitCode = await restore({
        ...selectOptions(flags),
        all,
        dryRun,
        allowCommands,
        ...(runId === undefined ? {} : { runId }),
        view,
        env: process.env,
      });
    });
  });

program
  .command("report")
  .description("compute result.json and report.md again from a run's raw files")
  .argument("<folder>", "folder of a run")
  .action(async (folder: string) => {
    await withView(async (view) => {
      const { rebuildReport } = await import("./commands/report-command.js");
      await rebuildReport(folder, view);
    });
  });

program
  .command("matrix")
  .description("all reports as one table: impact-matrix.md, impact-matrix.ja.md and impact-matrix.json")
  .argument("[folders...]", "folders of reports, or of single runs", ["reports"])
  .addOption(
    new Option("--lang <language>", "print the table instead of writing files").choices(["en", "ja"]),
  )
  .option("--out <folder>", "where the files are written; default: the first folder")
  .action(async (folders: string[], flags: { readonly lang?: "en" | "ja"; readonly out?: string }) => {
    const { matrix } = await import("./commands/matrix-command.js");
    const { json } = program.opts<GlobalOptions>();
    const { text, warnings } = await matrix({ folders, ...flags, json: json === true });
    process.stderr.write(warnings.map((line) => `warning: ${line}\n`).join(""));
    process.stdout.write(text);
  });

type ClusterCommandFlags = Omit<ClusterFlags, "cluster"> & {
  readonly cluster?: "kind" | "lab";
  readonly addons?: boolean;
  readonly yes?: boolean;
  readonly purge?: boolean;
};

const cluster = program.command("cluster").description("make, remove or show the cluster that runs can use");
for (const [name, description] of [
  ["up", "make the cluster, or find it running; install or remove the study add-ons"],
  ["down", "remove everything that `up` made"],
  ["status", "what runs, which images are stand-ins, whether the study add-ons are installed"],
] as const) {
  const command = cluster
    .command(name)
    .description(description)
    .addOption(new Option("--cluster <provider>", "kind or lab").choices(["kind", "lab"]));
  if (name === "down") command.option("--purge", "remove what is cached, too", false);
  else {
    command
      .option("--context <name>", "kubeconfig context of a cluster that is there, instead of making one")
      .option("--kubeconfig <file>", "kubeconfig file of a cluster that is there");
  }
  if (name === "up") {
    command
      .option("--addons", "install the study's add-ons, with addon-manager proven at work")
      .option("--no-addons", "remove the study's add-ons and put kube-system back as it was")
      .option("--yes", "change a cluster that is not local (with --context)", false);
  }
  command.action(async (flags: ClusterCommandFlags) => {
    await withView(async (view, interrupted) => {
      const commands = await import("./commands/cluster-command.js");
      const { context, kubeconfigPath } = selectOptions(flags);
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
          yes: flags.yes ?? false,
          env: process.env,
        });
      else if (name === "down") await commands.clusterDown({ ...options, purge: flags.purge ?? false });
      else await commands.clusterStatus(options);
    });
  });
}

function selectOptions(flags: ClusterFlags): {
  provider?: ProviderName;
  context?: string;
  kubeconfigPath?: string;
} {
  return {
    ...(flags.cluster === undefined ? {} : { provider: flags.cluster }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
    ...(flags.kubeconfig === undefined ? {} : { kubeconfigPath: flags.kubeconfig }),
  };
}

/** "a,b" → a and b, after those given before. */
function names(value: string, before: readonly string[]): string[] {
  return [...before, ...value.split(",").map((name) => name.trim())].filter((name) => name !== "");
}

function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

async function askYesNo(question: string): Promise<boolean> {
  const { createInterface } = await import("node:readline/promises");
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${question} [y/N] `)).trim());
  } finally {
    prompt.close();
  }
}

/** The first signal's abort, and which run would have to be restored. */
interface Interruption {
  readonly signal: AbortSignal;
  runId?: string;
}

/** Runs a command with a view; the first signal stops and restores, a second one only says how to finish. */
async function withView(work: (view: RunView, interruption: Interruption) => Promise<void>): Promise<void> {
  const { createView } = await import("./ui/view.js");
  const { json, plain } = program.opts<GlobalOptions>();
  const mode = json === true ? "json" : plain === true ? "plain" : "auto";
  const view = createView({ stream: process.stderr, out: process.stdout, mode });
  const controller = new AbortController();
  const interruption: Interruption = { signal: controller.signal };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      view.warn(`${signal}: stopping the attack and restoring; this takes a moment`);
      controller.abort(signal);
      return;
    }
    view.warn(
      interruption.runId === undefined
        ? `${signal}: still stopping`
        : `${signal}: the restore goes on. If this process is killed, \`chaos restore ${interruption.runId}\` finishes it`,
    );
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    await work(view, interruption);
    if (controller.signal.aborted && process.exitCode === undefined) process.exitCode = ExitCode.interrupted;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    view.close();
  }
}

async function main(): Promise<void> {
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version end well; everything else that the parser refuses is bad usage.
      process.exitCode = error.exitCode === 0 ? 0 : ExitCode.usage;
      return;
    }
    const { ChaosError, messageOf } = await import("./common/errors.js");
    const known = error instanceof ChaosError;
    const text = known
      ? messageOf(error)
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
    process.stderr.write(`chaos: ${text}\n`);
    process.exitCode = known ? error.exitCode : ExitCode.inconclusive;
  }
}

await main();
