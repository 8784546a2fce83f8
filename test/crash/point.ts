/** One point: a run, its signal, who restores, and whether everything is as before. */
import { access, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { messageOf } from "../../src/common/errors.js";
import { journalRoot, unfinishedRuns } from "../../src/safety/journal/journal.js";
import { look, settle } from "../../src/run/phases/settle.js";
import type { TestCluster } from "../cluster/support/cluster.js";
import { chaos, chaosRun, type Workspace } from "../cluster/support/run-cli.js";
import { changesSince, type State } from "../cluster/support/snapshot.js";
import { experimentText } from "./attacks.js";
import { runKind } from "./kind-point.js";
import type { KindPoint } from "./kinds.js";
import type { Hit } from "./phases.js";
import type { Point } from "./plan.js";
import { processesOf } from "./processes.js";
import { signalled, sleep, type Ending } from "./runner.js";

/** The result of a point. */
export interface Outcome {
  readonly point: Point | KindPoint;
  readonly hit: Hit;
  /** Who restored, in words. */
  readonly restoredBy: string;
  /** From the end of the run until everything was restored, ms. */
  readonly restoreMs: number;
  /** From then until the cluster was first seen at rest, ms. */
  readonly restMs: number;
  /** What was not at rest in this time. */
  readonly restless: readonly string[];
  readonly tookMs: number;
  /** What is not as before; empty: everything is. */
  readonly problems: readonly string[];
  /** Journal and reports; kept when the point failed. */
  readonly folder: string;
}

export interface Place {
  readonly cluster: TestCluster;
  /** The cluster's state before the first point of this mode. */
  readonly before: State;
  /** What this build of `chaos run` has. With --anyway a baseline that a busy machine disturbed does not end the run. */
  readonly flags: { readonly watchdog: boolean; readonly anyway: boolean };
}

const WATCHDOG_LIMIT_MS = 3 * 60_000;
const SLOW_WATCHDOG_LIMIT_MS = 9 * 60_000;
const REST_LIMIT_MS = 5 * 60_000;
/** How long a process of the point may run after its work is done, ms. */
const ENDING_LIMIT_MS = 10_000;
/** Phases after the measurement: the run may end as without the signal, or as interrupted. */
const LATE: readonly Hit[] = ["recovery", "teardown", "report", "over"];

/** Phases before the deployment: no report is written. */
const NOTHING_YET: readonly Hit[] = ["start", "preflight", "lock"];

/** A new folder for journal and reports. */
export async function newSpace(): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-crash-"));
  return {
    folder,
    env: { XDG_STATE_HOME: join(folder, "state") },
    remove: async () => await rm(folder, { recursive: true, force: true }),
  };
}

/** Runs a point. Problems are in the outcome; it throws only when the harness itself fails. */
export async function runPoint(point: Point | KindPoint, place: Place, space: Workspace): Promise<Outcome> {
  const startedAt = performance.now();
  const since = (): number => performance.now() - startedAt;
  const file = join(space.folder, `${point.attack.name}.yaml`);
  await writeFile(file, experimentText(point.attack));
  const ended =
    "kind" in point
      ? { hit: point.phase, endedAt: since(), ...(await runKind(point, { ...place, file, space })) }
      : await signalAndRestore(point, { place, space, file, since });
  const restoreMs = since() - ended.endedAt;
  const [rest, left] = await Promise.all([atRest(place), leftOver(place, space)]);
  const problems = [...ended.problems, ...rest.problems, ...left];
  if (problems.length === 0) await space.remove();
  return {
    point,
    hit: ended.hit,
    restoredBy: ended.restoredBy,
    restoreMs,
    restMs: rest.ms,
    restless: rest.restless,
    tookMs: since(),
    problems,
    folder: space.folder,
  };
}

/** A run that is signalled at the point, and restored. */
async function signalAndRestore(
  point: Point,
  { place, space, file, since }: { place: Place; space: Workspace; file: string; since: () => number },
): Promise<{ hit: Hit; endedAt: number; restoredBy: string; problems: string[] }> {
  const restoresAlone = point.signal !== "SIGKILL" || point.restorer.by === "watchdog";
  const ending = await signalled(
    chaosRun(place.cluster, space, file, [
      ...(point.mode === "keep" ? ["--keep-app"] : []),
      ...(place.flags.watchdog && !restoresAlone ? ["--no-watchdog"] : []),
      ...(place.flags.anyway ? ["--anyway"] : []),
    ]),
    point,
  );
  await writeFile(join(space.folder, "stdout.ndjson"), ending.stdout);
  const endedAt = since();
  const problems = await endingProblems(point, ending, space);
  const restored = await restoreAfter(point, ending, place, space);
  return { hit: ending.hit, endedAt, restoredBy: restored.by, problems: [...problems, ...restored.problems] };
}

/** What is wrong with how the run ended. */
async function endingProblems(point: Point, ending: Ending, space: Workspace): Promise<string[]> {
  const { hit, exitCode, stderr, hung } = ending;
  const said = stderr === "" ? "" : `: ${stderr.slice(-600)}`;
  if (hung) return [`the run did not end in time and was killed${said}`];
  const asWithout = exitCode !== undefined && [0, 1, 2].includes(exitCode);
  if (point.signal === "SIGKILL")
    return hit !== "over" || asWithout ? [] : [`the run ended with ${exitCode} before the signal${said}`];
  const fine = exitCode === 130 || (LATE.includes(hit) && asWithout);
  const problems = fine ? [] : [`the run ended with ${exitCode} after ${point.signal}${said}`];
  if (!NOTHING_YET.includes(hit) && !(await hasReport(space))) problems.push("no report was written");
  return problems;
}

async function hasReport(space: Workspace): Promise<boolean> {
  const reports = join(space.folder, "reports");
  const runs = await readdir(reports).catch(() => []);
  const [run] = runs;
  if (run === undefined) return false;
  const wanted = ["result.json", "report.md"].map(async (name) => await access(join(reports, run, name)));
  return (await Promise.allSettled(wanted)).every(({ status }) => status === "fulfilled");
}

interface Restored {
  readonly by: string;
  readonly problems: readonly string[];
}

/** After a SIGINT the run itself must have restored. */
async function restoreAfter(point: Point, ending: Ending, place: Place, space: Workspace): Promise<Restored> {
  if (ending.hung) return await byRestore(place, space);
  if (point.signal !== "SIGKILL" || ending.hit === "over") return { by: "the run itself", problems: [] };
  const { restorer } = point;
  if (restorer.by === "watchdog" && place.flags.watchdog) return await byWatchdog(point, space);
  if (restorer.by === "restore twice") {
    const first = chaos(place.cluster, space, ["restore", "--all"]);
    const endedFirst = await Promise.race([
      sleep(restorer.killAfterMs).then(() => false),
      first.then(() => true),
    ]);
    first.kill("SIGKILL");
    await first;
    const again = await byRestore(place, space);
    const how = endedFirst ? "ended before its kill" : `killed after ${restorer.killAfterMs} ms`;
    return { ...again, by: `restore twice (${how})` };
  }
  return await byRestore(place, space);
}

async function byRestore(place: Place, space: Workspace): Promise<Restored> {
  const { exitCode, stdout, stderr } = await chaos(place.cluster, space, ["restore", "--all"]);
  await writeFile(join(space.folder, "restore.ndjson"), stdout);
  if (exitCode === 0) return { by: "restore", problems: [] };
  const said = stdout.split("\n").filter((line) => /"type":"(warning|result)"/.test(line));
  return {
    by: "restore",
    problems: [`chaos restore --all ended with ${exitCode}: ${stderr} ${said.join(" ").slice(-600)}`],
  };
}

async function byWatchdog(point: Point, space: Workspace): Promise<Restored> {
  const limitMs = point.attack.slow ? SLOW_WATCHDOG_LIMIT_MS : WATCHDOG_LIMIT_MS;
  const end = performance.now() + limitMs;
  let open = await unfinished(space);
  if (open.length === 0) return { by: "nobody (nothing to restore)", problems: [] };
  while (open.length > 0 && performance.now() < end) {
    await sleep(200);
    open = await unfinished(space);
  }
  const problems = open.map(
    (each) => `timed out after ${limitMs / 1000} s waiting for the watchdog to restore ${each}`,
  );
  return { by: "watchdog", problems };
}

async function unfinished(space: Workspace): Promise<string[]> {
  const { runs, unreadable } = await unfinishedRuns(journalRoot(space.env));
  return [
    ...runs.map(
      ({ open, pending }) =>
        `run ${open.runId} (pending: ${pending.map(({ undo }) => undo.action).join(", ") || "nothing"})`,
    ),
    ...unreadable.map(({ message }) => message),
  ];
}

/** Waits until the cluster is at rest. A restore should have waited for that: `ms` shows how long it did not. */
async function atRest({ cluster }: Place): Promise<{
  readonly ms: number;
  readonly restless: readonly string[];
  readonly problems: readonly string[];
}> {
  const { transport } = cluster.connection;
  const clock = systemClock();
  const startedAt = clock.now();
  const restless = new Set<string>();
  await pollUntil(clock, { everyMs: 200, limitMs: REST_LIMIT_MS }, async () => {
    const seen = await look(transport);
    for (const each of seen) restless.add(each);
    return seen.length === 0 ? true : undefined;
  });
  const ms = clock.now() - startedAt;
  const left = await settle(transport, clock, {
    limitMs: REST_LIMIT_MS,
    signal: new AbortController().signal,
    note: () => undefined,
  });
  return {
    ms,
    restless: [...restless],
    problems: left.map(
      (each) =>
        `timed out after ${REST_LIMIT_MS / 60_000} minutes waiting for the cluster to be at rest: ${each}`,
    ),
  };
}

/** What is not as before, checked right after the restore. */
async function leftOver({ cluster, before }: Place, space: Workspace): Promise<string[]> {
  const journals = (await unfinished(space)).map((each) => `unfinished: ${each}`);
  const differs = await changesSince(cluster, before).catch((error: unknown) => [
    `cannot read the cluster's state: ${messageOf(error)}`,
  ]);
  return [...journals, ...differs, ...(await running(space))];
}

/** Processes of the point that are still running. */
async function running(space: Workspace): Promise<string[]> {
  const stateHome = space.env["XDG_STATE_HOME"] ?? "";
  const end = performance.now() + ENDING_LIMIT_MS;
  let found = await processesOf(stateHome);
  while (found.length > 0 && performance.now() < end) {
    await sleep(200);
    found = await processesOf(stateHome);
  }
  return found.map(({ pid, command }) => `process ${pid} is still running: ${command.slice(0, 160)}`);
}
