/**
 * The command line: commands, arguments and flags, with their help. Importing it runs nothing and loads only commander.
 * src/cli.ts has the handlers, and docs/reference.md is generated from this file.
 */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import type { ProviderName } from "../clusters/provider.js";
import { ENVIRONMENT } from "../common/environment.js";
import { EXIT_CODE_WORDS, messageOf } from "../common/errors.js";
import { packageVersion } from "../common/package-root.js";
import { exampleSection } from "./examples.js";
import { REPORTER_NAMES } from "../reporters/all-reporters.js";
import { type Requested, requestedReporters } from "../reporters/requested.js";

/** Flags of every command; read them with `program.opts()`. */
export interface GlobalFlags {
  readonly json?: boolean;
  readonly plain?: boolean;
}

/** Flags that select the cluster. */
export interface ClusterFlags {
  readonly cluster?: ProviderName;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly image?: string;
}

interface RunFlags extends ClusterFlags {
  readonly only: string[];
  readonly skip: string[];
  readonly control: boolean;
  readonly nodeAccess?: "engine" | "pod" | "command";
  readonly allowCommands: boolean;
  readonly config?: string;
  readonly set: string[];
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly keepApp: boolean;
  readonly anyway: boolean;
  readonly watchdog: boolean;
  readonly deadMan: boolean;
  readonly reports: string;
  readonly reporter: Requested[];
}

interface WatchdogFlags {
  readonly allowCommands: boolean;
}

interface RbacFlags {
  readonly serviceAccount?: string;
  readonly nodeAccess?: "pod";
  readonly several?: boolean;
  readonly openshift?: boolean;
  readonly deadMan?: boolean;
}

interface RestoreFlags extends Omit<ClusterFlags, "cluster" | "image"> {
  readonly all: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly acceptNode: string[];
  readonly forget?: string;
  readonly allowCommands: boolean;
}

interface MatrixFlags {
  readonly lang?: "en" | "ja";
  readonly out?: string;
  readonly baseline?: string;
  readonly only: string[];
  readonly tolerance?: string;
  readonly toleranceTime?: string;
  readonly toleranceAvailability?: string;
  readonly reporter: Requested[];
}

export interface HealFlags extends Omit<ClusterFlags, "cluster" | "image">, ProbingFlags {
  readonly dryRun: boolean;
  readonly allowLast: boolean;
  readonly disableEviction: boolean;
  readonly timeout: string;
  readonly watchdog: boolean;
}

/** Flags of the commands that deploy probers without a run. */
interface ProbingFlags {
  readonly yes: boolean;
  readonly external: string;
  readonly config?: string;
  readonly set: string[];
}

interface DoctorFlags extends Omit<ClusterFlags, "cluster" | "image">, ProbingFlags {
  readonly reports: string;
  readonly probe: boolean;
}

interface ManifestFlags {
  readonly image?: string;
  readonly schedule?: string;
  readonly timeZone?: string;
  readonly name?: string;
  readonly serviceAccount?: string;
  readonly nodeAccess?: "pod";
  readonly openshift?: boolean;
  readonly set: readonly string[];
  readonly reportsClaim?: string;
  readonly deadMan: boolean;
}

interface InitFlags extends ClusterFlags {
  readonly app?: string;
  readonly force: boolean;
  readonly nodeAccess?: "engine" | "pod" | "command";
  readonly allowCommands: boolean;
  readonly config?: string;
  readonly yes: boolean;
}

export interface ClusterCommandFlags extends Omit<ClusterFlags, "cluster"> {
  readonly cluster?: "kind" | "lab";
  readonly addons?: boolean;
  readonly yes?: boolean;
  readonly purge?: boolean;
}

/** The handlers of the commands. */
export interface Handlers {
  readonly run: (references: string[], flags: RunFlags) => Promise<void>;
  readonly watchdog: (flags: WatchdogFlags) => Promise<void>;
  readonly validate: (references: string[]) => Promise<void>;
  readonly schema: () => Promise<void>;
  readonly rbac: (references: string[], flags: RbacFlags) => Promise<void>;
  readonly restore: (runId: string | undefined, flags: RestoreFlags) => Promise<void>;
  readonly report: (folder: string) => Promise<void>;
  readonly matrix: (folders: string[], flags: MatrixFlags) => Promise<void>;
  readonly heal: (component: string, flags: HealFlags) => Promise<void>;
  readonly doctor: (flags: DoctorFlags) => Promise<void>;
  readonly manifest: (references: string[], flags: ManifestFlags) => Promise<void>;
  readonly init: (folder: string, flags: InitFlags) => Promise<void>;
  readonly completion: (shell: "bash" | "zsh" | "fish") => Promise<void>;
  readonly complete: (words: string[]) => Promise<void>;
  readonly cluster: (name: "up" | "down" | "status", flags: ClusterCommandFlags) => Promise<void>;
}

const IMAGE = [
  "--image <name>",
  "node image of a new kind cluster, with --cluster kind; default: kind's own",
] as const;

const CONFIG: [string, string, (value: string) => string] = [
  "--config <file>",
  "local configuration file, instead of the default one",
  path,
];

const EXTERNAL = [
  "--external <name>",
  "a name outside the cluster to look up, too; none: none, as in an air-gapped cluster",
  "example.com",
] as const;

const SET: [string, string, (value: string, before: readonly string[]) => string[], string[]] = [
  "--set <key=value>",
  "image, mirror or pull secret of the pods that it deploys, as in the local configuration; repeatable",
  (value, before) => [...before, value],
  [],
];

const COMPLETION_HELP = `
Install:
  bash  echo 'source <(chaos completion bash)' >> ~/.bashrc
  zsh   echo 'source <(chaos completion zsh)' >> ~/.zshrc   (after compinit)
  fish  chaos completion fish > ~/.config/fish/completions/chaos.fish
`;
const REPORTER = [
  "--reporter <names>",
  `how results are told, several at once: ${REPORTER_NAMES.join(", ")}; NAME=FILE: into that file (comma-separated; default: plain, and github in GitHub Actions)`,
] as const;

/** The default folders of `matrix`. */
const REPORTS: readonly string[] = ["reports"];

export function createProgram(handlers: Handlers): Command {
  const program = new Command("chaos")
    .description("If this kube-system component dies, what happens to my application?")
    .version(packageVersion())
    .option("--json", "one JSON object per line on stdout, for programs")
    .option("--plain", "plain lines, no live view")
    .exitOverride()
    .showHelpAfterError("(--help lists commands and flags)")
    .addHelpText("after", () => afterHelp());

  program
    .command("run")
    .description("take a component down, keep it down, measure, restore, report")
    .argument("<experiments...>", "files, folders, or names such as kube-dns")
    .addOption(
      new Option("--cluster <provider>", "which cluster to use or create").choices([
        "current",
        "kind",
        "lab",
      ]),
    )
    .option(...IMAGE)
    .option("--context <name>", "kubeconfig context; naming it allows a cluster that is not local")
    .option("--kubeconfig <file>", "kubeconfig file")
    .option("--yes", "attack a cluster that is not local without asking", false)
    .option("--dry-run", "print all checks and the plan; change nothing", false)
    .option("--only <names>", "run only these experiments (comma-separated names)", names, [])
    .option("--skip <names>", "skip these experiments (comma-separated names)", names, [])
    .option("--control", "control run: every experiment with the attack none, nothing is taken down", false)
    .addOption(
      new Option(
        "--node-access <how>",
        "how to reach nodes; a privileged pod is used only with `pod`",
      ).choices(["engine", "pod", "command"]),
    )
    .option("--allow-commands", "allow the commands of the local configuration", false)
    .option(...CONFIG)
    .option(...SET)
    .option("--keep-app", "keep the guestbook in the cluster after the run", false)
    .option("--anyway", "attack also when it is known before that nothing can be concluded", false)
    .option("--no-watchdog", "do not start the second process that restores if this one is killed")
    .option(
      "--dead-man",
      "deploy a pod that restores if this machine is lost; it has cluster-admin power while it exists",
      false,
    )
    .option("--reports <folder>", "folder for the reports", path, "reports")
    .option(...REPORTER, reporters, [])
    .action(handlers.run);

  program
    // `run` starts it.
    .command("watchdog", { hidden: true })
    .description("restore the unfinished runs of the process at the other end of stdin when it dies")
    .option("--allow-commands", "reach nodes with the run's command of the local configuration", false)
    .action(handlers.watchdog);

  program
    .command("validate")
    .description("check experiment files; needs no cluster")
    .argument("<experiments...>", "files, folders, or names")
    .action(handlers.validate);

  program.command("schema").description("print the JSON Schema of experiment files").action(handlers.schema);

  program
    .command("rbac")
    .description(
      "print the minimal permissions for runs of these experiments, for kubectl apply; needs no cluster",
    )
    .argument("<experiments...>", "files, folders, or names")
    .option(
      "--service-account <namespace/name>",
      "ServiceAccount of the runs; default: kube-system-chaos/kube-system-chaos",
    )
    .addOption(
      new Option(
        "--node-access <how>",
        "reach nodes with privileged pods; other ways need no permissions",
      ).choices(["pod"]),
    )
    .option("--several", "several runs in one command; default: if several experiments are given")
    .option("--openshift", "also what runs on OpenShift, where components have namespaces of their own")
    .option("--dead-man", "also what `run --dead-man` needs")
    .action(handlers.rbac);

  program
    .command("restore")
    .description("restore unfinished runs; without arguments: list them")
    .argument("[run]", "id of the run")
    .option("--all", "every unfinished run; with --context: of that cluster, from any machine", false)
    .option("--dry-run", "show what would change, as a diff; change nothing", false)
    .option(
      "--context <name>",
      "kubeconfig context, instead of the run's own; includes runs of other machines on that cluster",
    )
    .option("--kubeconfig <file>", "kubeconfig file, instead of the run's own")
    .option("--yes", "restore from copies in the cluster, or forget, without asking", false)
    .option("--allow-commands", "reach nodes with the run's command of the local configuration", false)
    .option(
      "--accept-node <names>",
      "undo faults on these nodes though other machines have their names now, or give them up if the nodes are deleted (comma-separated)",
      names,
      [],
    )
    .option("--forget <run>", "close a run that cannot be restored; prints what stays behind", path)
    .action(handlers.restore);

  program
    .command("report")
    .description("recompute result.json and the report's files from a run's raw files")
    .argument("<folder>", "folder of a run", path)
    .action(handlers.report);

  program
    .command("matrix")
    .description(
      "write all reports as one table: impact-matrix.md, impact-matrix.ja.md, impact-matrix.json and index.html",
    )
    .argument("[folders...]", "folders of reports, or of single runs", paths, REPORTS)
    .addOption(
      new Option("--lang <language>", "print the table instead of writing files").choices(["en", "ja"]),
    )
    .option("--out <folder>", "folder for the files; default: the first folder", path)
    .option(
      "--baseline <folder>",
      "compare with the accepted matrix (a folder of reports, or an impact-matrix.json): exit code 1 if a row is worse, 2 if one cannot be compared",
      path,
    )
    .option("--only <names>", "compare only these experiments (comma-separated names)", names, [])
    .option("--tolerance <percent>", "how much longer an outage or a recovery may be; default: 20%", path)
    .option("--tolerance-time <duration>", "a time may be longer by at least this; default: 30s", path)
    .option("--tolerance-availability <points>", "how much lower an availability may be; default: 10", path)
    .option(...REPORTER, reporters, [])
    .action(handlers.matrix);

  program
    .command("heal")
    .description("replace a component's pods one at a time, and measure before and after whether it helped")
    .argument("<component>", "a component, such as kube-dns")
    .option("--context <name>", "kubeconfig context; naming it allows a cluster that is not local")
    .option("--kubeconfig <file>", "kubeconfig file")
    .option("--yes", "change a cluster that is not local without asking", false)
    .option("--dry-run", "print the pods, their order, and what budgets allow; change nothing", false)
    .option(
      "--allow-last",
      "replace also the last pod that is ready: nothing serves until its successor is",
      false,
    )
    .option("--disable-eviction", "delete pods without asking PodDisruptionBudgets", false)
    .option("--timeout <duration>", "for one pod: for its eviction, and then for its successor", "5m")
    .option(...EXTERNAL)
    .option(...CONFIG)
    .option(...SET)
    .option("--no-watchdog", "do not start the second process that removes the probers if this one is killed")
    .action(handlers.heal);

  program
    .command("doctor")
    .description("show kube-system and what is wrong there: evidence, cure, and what a failure would cost")
    .option("--context <name>", "kubeconfig context")
    .option("--kubeconfig <file>", "kubeconfig file")
    .option("--reports <folder>", "folder of reports: its last matrix tells the cost", path, "reports")
    .option(
      "--probe",
      "also deploy probers for some seconds: names, Services and sockets from every node",
      false,
    )
    .option(...EXTERNAL)
    .option("--yes", "with --probe: deploy to a cluster that is not local without asking", false)
    .option(...CONFIG)
    .option(...SET)
    .action(handlers.doctor);

  program
    .command("manifest")
    .description(
      "print a Job or CronJob that runs these experiments inside the cluster, with the least rights, for kubectl apply; needs no cluster",
    )
    .argument("<experiments...>", "files, folders, or names")
    .option("--image <name>", "image with this tool; docs/in-cluster.md has its Dockerfile")
    .option("--schedule <cron>", 'a CronJob with this schedule, such as "0 3 * * 1"; default: a Job')
    .option("--time-zone <name>", "time zone of the schedule; default: Etc/UTC")
    .option("--name <name>", "name of the Job or CronJob; default: from the experiment")
    .option(
      "--service-account <namespace/name>",
      "ServiceAccount of the runs, in the namespace of the Job; default: kube-system-chaos/kube-system-chaos",
    )
    .addOption(new Option("--node-access <how>", "reach nodes with privileged pods").choices(["pod"]))
    .option("--openshift", "also the rights for what runs on OpenShift")
    .option(...SET)
    .option("--reports-claim <name>", "PersistentVolumeClaim for the reports; default: only the log has them")
    .option("--no-dead-man", "without the pod that restores if the Job's pod or its node is lost")
    .action(handlers.manifest);

  program
    .command("init")
    .description(
      "look at the cluster and write an experiment file for each component that can be attacked there",
    )
    .argument("[folder]", "gets the files", path, ".")
    .option("--app <namespace/service>", "write one for your own application instead, and prove its probes")
    .option("--force", "replace files that exist", false)
    .addOption(
      new Option("--cluster <provider>", "which cluster to look at").choices(["current", "kind", "lab"]),
    )
    .option("--context <name>", "kubeconfig context")
    .option("--kubeconfig <file>", "kubeconfig file")
    .addOption(
      new Option(
        "--node-access <how>",
        "how runs will reach nodes; with `pod`, units and static pods are assumed",
      ).choices(["engine", "pod", "command"]),
    )
    .option("--allow-commands", "allow the commands of the local configuration", false)
    .option(...CONFIG)
    .option("--yes", "with --app: prove the probes on a cluster that is not local without asking", false)
    .action(handlers.init);

  program
    .command("completion")
    .description("print the completion script of a shell; `chaos completion bash --help` says where it goes")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", COMPLETION_HELP)
    .action(handlers.completion);

  program
    // The completion scripts call it.
    .command("complete", { hidden: true })
    .description("print what can come next on a command line, one candidate per line")
    .argument("[words...]", "the words so far, the last one unfinished")
    .action(handlers.complete);

  const cluster = program
    .command("cluster")
    .description("create, remove or show the cluster that runs can use");
  for (const [name, description] of [
    ["up", "create the cluster or find it running; install or remove the study's add-ons"],
    ["down", "remove everything that `up` created"],
    ["status", "what runs, which images are substitutes, whether the study's add-ons are installed"],
  ] as const) {
    const command = cluster
      .command(name)
      .description(description)
      .addOption(new Option("--cluster <provider>", "kind or lab").choices(["kind", "lab"]));
    if (name === "down") command.option("--purge", "also remove the cache", false);
    else {
      command
        .option("--context <name>", "kubeconfig context of an existing cluster, instead of creating one")
        .option("--kubeconfig <file>", "kubeconfig file of an existing cluster");
    }
    if (name === "up") {
      command
        .option(...IMAGE)
        .option("--addons", "install the study's add-ons and prove that addon-manager works")
        .option("--no-addons", "remove the study's add-ons and restore kube-system")
        .option("--yes", "change a cluster that is not local (with --context)", false);
    }
    command.action(async (flags: ClusterCommandFlags) => {
      await handlers.cluster(name, flags);
    });
  }
  addExamples(program);
  return program;
}

/** Examples after the help of each command. */
function addExamples(program: Command): void {
  const add = (command: Command, path: string): void => {
    command.addHelpText("after", exampleSection(path));
    for (const child of command.commands) add(child, `${path} ${child.name()}`);
  };
  for (const command of program.commands) add(command, command.name());
}

/** Exit codes and environment variables, after the program's own help. */
function afterHelp(): string {
  const exitCodes = Object.entries(EXIT_CODE_WORDS).map(([code, words]): [string, string] => [code, words]);
  return [section("Exit codes", exitCodes), section("Environment", Object.entries(ENVIRONMENT))].join("");
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return `\n${title}:\n${rows.map(([name, words]) => `  ${name.padEnd(width)}  ${words}`).join("\n")}\n`;
}

/** An empty path (of a variable that is not set) would be the working directory. */
function path(value: string): string {
  if (value === "") throw new InvalidArgumentError("It is empty: name one.");
  return value;
}

/** The paths given; the default is replaced by the first. */
function paths(value: string, before: readonly string[]): string[] {
  return [...(before === REPORTS ? [] : before), path(value)];
}

/** "junit=a.xml,github", appended to the reporters of earlier flags. */
function reporters(value: string, before: readonly Requested[]): Requested[] {
  try {
    return [...before, ...requestedReporters(value)];
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

/** "a,b" → a and b, appended to the names of earlier flags. */
function names(value: string, before: readonly string[]): string[] {
  return [...before, ...value.split(",").map((name) => name.trim())].filter((name) => name !== "");
}
