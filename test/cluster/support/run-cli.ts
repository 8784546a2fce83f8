/** Runs the built command line as a user does, in its own folder. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import type { RunResult } from "../../../src/analysis/result.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { journalRoot, type JournalState, readJournal } from "../../../src/safety/journal/journal.js";
import type { ExecutionContext } from "ava";
import { testCluster, type TestCluster } from "./cluster.js";
import { assertAsBeforeAtEnd, snapshot, type State } from "./snapshot.js";

export interface Workspace {
  readonly folder: string;
  /** Journals and reports go below the folder, never into the user's state folder. */
  readonly env: Readonly<Record<string, string>>;
  readonly remove: () => Promise<void>;
}

/** A folder of its own for what a test's runs write. */
export async function workspace(): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-test-"));
  return {
    folder,
    env: { XDG_STATE_HOME: join(folder, "state") },
    remove: async () => await rm(folder, { recursive: true, force: true }),
  };
}

/**
 * The cluster, a workspace, and the cluster's state now. The teardown, the last one of the test, asserts that the state
 * is the same again (see assertAsBeforeAtEnd for `recreated`); it closes and removes the rest.
 */
export async function setUp(
  t: ExecutionContext,
  recreated: readonly string[] = [],
): Promise<{
  readonly cluster: TestCluster;
  readonly space: Workspace;
  readonly before: State;
}> {
  const cluster = await testCluster();
  t.teardown(() => cluster.connection.transport.close());
  const space = await workspace();
  t.teardown(space.remove);
  t.teardown(async () => {
    if (!t.passed) for (const text of await measuredBy(space)) t.log(text);
  });
  const before = await snapshot(cluster);
  assertAsBeforeAtEnd(t, cluster, before, recreated);
  return { cluster, space, before };
}

/** A line for each run of a workspace, with what its verdict rests on: a failed test leaves no report. */
async function measuredBy(space: Workspace): Promise<string[]> {
  const reports = join(space.folder, "reports");
  const names = await readdir(reports).catch(() => []);
  const texts = names.map(async (name) => {
    const json = await readFile(join(reports, name, "result.json"), "utf8").catch(() => undefined);
    if (json === undefined) return `${name}: no result`;
    const { verdictBecause, suppression, recovery, disturbed = [] } = JSON.parse(json) as RunResult;
    const late = disturbed.map(({ source, lateMs, pressure }) => ({ source, lateMs, pressure }));
    const { downAfterMs, share, kills } = suppression ?? {};
    return `${name}: ${verdictBecause} ${JSON.stringify({ downAfterMs, share, kills, recovery, late })}`;
  });
  return await Promise.all(texts);
}

export interface ExperimentText {
  readonly name: string;
  readonly target?: string;
  readonly attack: string;
  readonly window: string;
  readonly baseline?: string;
  readonly impact?: string;
  /** Default: 0.75. */
  readonly suppression?: number;
}

/** Writes an experiment file with short phases. */
export async function writeExperiment(space: Workspace, text: ExperimentText): Promise<string> {
  const path = join(space.folder, `${text.name}.yaml`);
  await writeFile(
    path,
    `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: { name: ${text.name} }
target: ${text.target ?? "{ component: kube-dns }"}
attack: ${text.attack}
phases: { baseline: ${text.baseline ?? "6s"}, window: ${text.window}, recovery: 4m }
# In such a short baseline one failed sample is more than the default of 1 %; in such a short window the seconds that
# a busy node takes to stop a container are more than the default of 10 %.
thresholds: { baselineAvailability: 0.9, suppression: ${text.suppression ?? 0.75} }
${text.impact === undefined ? "" : `expectation: { impact: ${text.impact} }\n`}`,
  );
  return path;
}

/** A running `chaos`. Awaited, it gives how the process ended; it never rejects. */
export type ChaosProcess = ReturnType<typeof chaos>;

const CHAOS = [process.execPath, join(packageRoot(), "dist/cli.js"), "--json"] as const;

/** Starts `chaos` with JSON lines on stdout. */
// eslint-disable-next-line @typescript-eslint/explicit-function-return-type -- execa infers it from the options
export function chaos(
  cluster: { readonly handle: Pick<TestCluster["handle"], "env"> },
  space: Workspace,
  args: readonly string[],
) {
  return start(cluster, space, [...CHAOS, ...args]);
}

/** The same under a command that runs another one, such as `unshare`. */
export function chaosUnder(
  under: readonly string[],
  cluster: Parameters<typeof chaos>[0],
  space: Workspace,
  args: readonly string[],
): ChaosProcess {
  return start(cluster, space, [...under, ...CHAOS, ...args]);
}

// eslint-disable-next-line @typescript-eslint/explicit-function-return-type -- execa infers it from the options
function start(
  cluster: Parameters<typeof chaos>[0],
  space: Workspace,
  [file = "", ...args]: readonly string[],
) {
  const env = { ...cluster.handle.env, ...space.env };
  return execa(file, args, { cwd: space.folder, env, reject: false });
}

/** Lines in `said`, and characters in each. */
const SAID = { lines: 8, length: 300 };

/** What `chaos` said at the end, for the message of an assertion: its last warnings and errors, not its JSON lines. */
export function said({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string {
  const texts = stdout.split("\n").flatMap((line) => {
    // A killed run cuts its last line.
    const { type, text } = /^\{"type":"(warning|info)".*\}$/.test(line)
      ? (JSON.parse(line) as { type: string; text?: string })
      : {};
    return text === undefined ? [] : [`${type}: ${text}`];
  });
  const lines = [...texts, ...stderr.split("\n").filter((line) => line !== "")];
  return lines
    .slice(-SAID.lines)
    .map((line) => (line.length > SAID.length ? `${line.slice(0, SAID.length)}…` : line))
    .join("\n");
}

/** The arguments of `chaos run FILE` on the test cluster. */
function runArguments(
  { handle }: TestCluster,
  space: Workspace,
  file: string,
  extra: readonly string[],
): readonly string[] {
  return [
    "run",
    file,
    ...(handle.kubeconfigPath === undefined ? [] : ["--kubeconfig", handle.kubeconfigPath]),
    "--context",
    handle.context,
    "--reports",
    join(space.folder, "reports"),
    ...extra,
  ];
}

/** `chaos run FILE` on the test cluster. */
export function chaosRun(
  cluster: TestCluster,
  space: Workspace,
  file: string,
  extra: readonly string[] = [],
): ChaosProcess {
  return chaos(cluster, space, runArguments(cluster, space, file, extra));
}

/** The same in its own terminal (util-linux's script), which closes when the returned process is killed. */
export function chaosRunInTerminal(cluster: TestCluster, space: Workspace, file: string): ChaosProcess {
  const command = [...CHAOS, ...runArguments(cluster, space, file, [])].map((each) => `'${each}'`).join(" ");
  return start(cluster, space, ["script", "-qfec", command, "/dev/null"]);
}

/** The journals of a workspace's runs, closed or not. */
export async function journalsOf(space: Workspace): Promise<JournalState[]> {
  const root = journalRoot(space.env);
  const found: JournalState[] = [];
  for (const cluster of await readdir(root)) {
    for (const run of await readdir(join(root, cluster))) {
      const journal = await readJournal(join(root, cluster, run));
      if (journal !== undefined) found.push(journal);
    }
  }
  return found;
}

/** The only report of a workspace. */
export async function onlyReport(space: Workspace): Promise<{ folder: string; result: RunResult }> {
  const [name, ...others] = await readdir(join(space.folder, "reports"));
  if (name === undefined || others.length > 0)
    throw new Error(`expected one report, found ${[name, ...others].filter(Boolean).length}`);
  const folder = join(space.folder, "reports", name);
  return { folder, result: JSON.parse(await readFile(join(folder, "result.json"), "utf8")) as RunResult };
}

/** Resolves when the run's window starts; rejects when the run ends before. */
export async function windowStarted(child: ChaosProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let text = "";
    // No `for await` over the child: leaving that loop would close its output.
    child.stdout.on("data", (chunk: Buffer | string) => {
      text += chunk.toString();
      if (/"type":"phase".*"phase":"window","state":"start"/.test(text)) resolve();
    });
    void child.then((ended) =>
      reject(new Error(`the run ended before its window (${ended.exitCode}): ${said(ended)}`)),
    );
  });
}
