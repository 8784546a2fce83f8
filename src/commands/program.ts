/**
 * What the command line takes: commands, arguments and flags, with their help. Importing it runs nothing and loads only
 * commander; src/cli.ts says what each command does, and docs/reference.md is made from it.
 */
import { Command, Option } from "commander";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProviderName } from "../clusters/provider.js";
import { ENVIRONMENT } from "../common/environment.js";
import { EXIT_CODE_WORDS } from "../common/errors.js";
import { packageRoot } from "../common/package-root.js";

/** Flags of every command; commander finds them by `program.opts()`. */
export interface GlobalFlags {
  readonly json?: boolean;
  readonly plain?: boolean;
}

/** How a command selects its cluster. */
export interface ClusterFlags {
  readonly cluster?: ProviderName;
  readonly context?: string;
  readonly kubeconfig?: string;
}

export interface RunFlags extends ClusterFlags {
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

interface WatchdogFlags {
  readonly allowCommands: boolean;
}

interface RbacFlags {
  readonly serviceAccount?: string;
  readonly nodeAccess?: "pod";
  readonly several?: boolean;
}

interface RestoreFlags extends Omit<ClusterFlags, "cluster"> {
  readonly all: boolean;
  readonly dryRun: boolean;
  readonly allowCommands: boolean;
}

interface MatrixFlags {
  readonly lang?: "en" | "ja";
  readonly out?: string;
}

export interface ClusterCommandFlags extends Omit<ClusterFlags, "cluster"> {
  readonly cluster?: "kind" | "lab";
  readonly addons?: boolean;
  readonly yes?: boolean;
  readonly purge?: boolean;
}

/** What each command does with what it is given. */
export interface Handlers {
  readonly run: (references: string[], flags: RunFlags) => Promise<void>;
  readonly watchdog: (flags: WatchdogFlags) => Promise<void>;
  readonly validate: (references: string[]) => Promise<void>;
  readonly schema: () => Promise<void>;
  readonly rbac: (references: string[], flags: RbacFlags) => Promise<void>;
  readonly restore: (runId: string | undefined, flags: RestoreFlags) => Promise<void>;
  readonly report: (folder: string) => Promise<void>;
  readonly matrix: (folders: string[], flags: MatrixFlags) => Promise<void>;
  readonly cluster: (name: "up" | "down" | "status", flags: ClusterCommandFlags) => Promise<void>;
}

export function createProgram(handlers: Handlers): Command {
  const program = new Command("chaos")
    .description("If this kube-system component dies, what happens to my application?")
    .version(version())
    .option("--json", "one JSON object a line on stdout, for programs")
    .option("--plain", "plain lines, no live view")
    .exitOverride()
    .showHelpAfterError("(--help lists commands and flags)")
    .addHelpText("after", () => afterHelp());

  program
    .command("run")
    .description("take a component down, keep it down, measure, restore, report")
    .argument("<experiments...>", "files, folders, or names such as kube-dns")
    .addOption(
      new Option("--cluster <provider>", "which cluster to use or make").choices(["current", "kind", "lab"]),
    )
    .option("--context <name>", "kubeconfig context; naming it allows a cluster that is not local")
    .option("--kubeconfig <file>", "kubeconfig file")
    .option("--yes", "attack a cluster that is not local without asking", false)
    .option("--dry-run", "print all checks and the plan; change nothing", false)
    .option("--only <names>", "of several experiments only these (comma-separated names)", names, [])
    .option("--skip <names>", "of several experiments not these (comma-separated names)", names, [])
    .option("--control", "take nothing down: every experiment with the attack none", false)
    .addOption(
      new Option(
        "--node-access <how>",
        "how nodes are reached; a privileged pod only when you ask for it",
      ).choices(["engine", "pod", "command"]),
    )
    .option("--allow-commands", "allow the commands of the local configuration", false)
    .option("--config <file>", "local configuration, instead of the user's own")
    .option("--keep-app", "leave the guestbook in the cluster afterwards", false)
    .option("--no-watchdog", "start no second process that restores if this one is killed")
    .option(
      "--dead-man",
      "a pod in the cluster that restores if this machine is lost; as good as cluster-admin while it exists",
      false,
    )
    .option("--reports <folder>", "where reports are written", "reports")
    .action(handlers.run);

  program
    // `run` starts it for itself.
    .command("watchdog", { hidden: true })
    .description("restore what the process at the other end of standard input leaves when it dies")
    .option("--allow-commands", "reach nodes by the run's command of the local configuration", false)
    .action(handlers.watchdog);

  program
    .command("validate")
    .description("check experiment files; needs no cluster")
    .argument("<experiments...>", "files, folders, or names")
    .action(handlers.validate);

  program.command("schema").description("print the JSON Schema of experiment files").action(handlers.schema);

  program
    .command("rbac")
    .description("print the least rights for runs of these experiments, for kubectl apply; needs no cluster")
    .argument("<experiments...>", "files, folders, or names")
    .option(
      "--service-account <namespace/name>",
      "the account that runs; default: kube-system-chaos/kube-system-chaos",
    )
    .addOption(
      new Option("--node-access <how>", "nodes reached by privileged pods; other ways need no right").choices(
        ["pod"],
      ),
    )
    .option("--several", "runs that follow each other in one command; default: when there are several")
    .action(handlers.rbac);

  program
    .command("restore")
    .description("restore what an interrupted run left behind; without arguments: list such runs")
    .argument("[run]", "id of the run")
    .option("--all", "every unfinished run; with --context, those of that cluster, from any machine", false)
    .option("--dry-run", "show what would change, as a diff; change nothing", false)
    .option(
      "--context <name>",
      "kubeconfig context, instead of the run's own: also runs of other machines on it",
    )
    .option("--kubeconfig <file>", "kubeconfig file, instead of the run's own")
    .option("--allow-commands", "reach nodes by the run's command of the local configuration", false)
    .action(handlers.restore);

  program
    .command("report")
    .description("compute result.json and report.md again from a run's raw files")
    .argument("<folder>", "folder of a run")
    .action(handlers.report);

  program
    .command("matrix")
    .description("all reports as one table: impact-matrix.md, impact-matrix.ja.md and impact-matrix.json")
    .argument("[folders...]", "folders of reports, or of single runs", ["reports"])
    .addOption(
      new Option("--lang <language>", "print the table instead of writing files").choices(["en", "ja"]),
    )
    .option("--out <folder>", "where the files are written; default: the first folder")
    .action(handlers.matrix);

  const cluster = program
    .command("cluster")
    .description("make, remove or show the cluster that runs can use");
  for (const [name, description] of [
    ["up", "make the cluster, or find it running; install or remove the study's add-ons"],
    ["down", "remove everything that `up` made"],
    ["status", "what runs, which images are substitutes, whether the study's add-ons are installed"],
  ] as const) {
    const command = cluster
      .command(name)
      .description(description)
      .addOption(new Option("--cluster <provider>", "kind or lab").choices(["kind", "lab"]));
    if (name === "down") command.option("--purge", "remove the cache, too", false);
    else {
      command
        .option("--context <name>", "kubeconfig context of an existing cluster, instead of making one")
        .option("--kubeconfig <file>", "kubeconfig file of an existing cluster");
    }
    if (name === "up") {
      command
        .option("--addons", "install the study's add-ons and prove that addon-manager works")
        .option("--no-addons", "remove the study's add-ons and restore kube-system")
        .option("--yes", "change a cluster that is not local (with --context)", false);
    }
    command.action(async (flags: ClusterCommandFlags) => {
      await handlers.cluster(name, flags);
    });
  }
  return program;
}

/** Exit codes and environment variables, under the program's own help. */
function afterHelp(): string {
  const exitCodes = Object.entries(EXIT_CODE_WORDS).map(([code, words]): [string, string] => [code, words]);
  return [section("Exit codes", exitCodes), section("Environment", Object.entries(ENVIRONMENT))].join("");
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return `\n${title}:\n${rows.map(([name, words]) => `  ${name.padEnd(width)}  ${words}`).join("\n")}\n`;
}

function version(): string {
  const manifest = readFileSync(join(packageRoot(), "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** "a,b" → a and b, after those given before. */
function names(value: string, before: readonly string[]): string[] {
  return [...before, ...value.split(",").map((name) => name.trim())].filter((name) => name !== "");
}
