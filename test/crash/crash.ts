/**
 * The crash test: it ends the runner at seeded points of all phases and attacks. After each point the cluster must be
 * as before. `npm run test:crash`, on the cluster of the cluster tests.
 */
import { execa } from "execa";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ExitCode } from "../../src/common/errors.js";
import { packageRoot } from "../../src/common/package-root.js";
import { removeGuestbook, testCluster, type TestCluster } from "../cluster/support/cluster.js";
import { chaos, chaosRun, onlyReport, said, type Workspace } from "../cluster/support/run-cli.js";
import { snapshot } from "../cluster/support/snapshot.js";
import { ATTACKS, experimentText } from "./attacks.js";
import { removePolicy } from "./kind-point.js";
import { kindPoints } from "./kinds.js";
import { readOptions, USAGE, type CrashOptions } from "./options.js";
import { inOrder, missingPhases, neededHits, planPoints, pointAt, type Point } from "./plan.js";
import { newSpace, runPoint, type Outcome, type Place } from "./point.js";
import { processesOf } from "./processes.js";
import { sleep } from "./runner.js";
import { failureLines, LEGEND, pointLine, table } from "./words.js";

/** How often a missed phase is drawn again, each time nearer to its start. */
const DRAWN_AGAIN = 4;
const DEPLOY_TRIES = 3;
const SHORT = { SIGKILL: 10, SIGINT: 1, SIGINT2: 1 } as const;

/** How long a run may take to restore by itself when the crash test is interrupted, ms. */
const STOP_LIMIT_MS = 3 * 60_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The crash test: its points so far, and the workspace of the current one. */
class CrashTest {
  readonly outcomes: Outcome[] = [];
  readonly #cluster: TestCluster;
  readonly #flags: Place["flags"];
  #space: Workspace | undefined;
  #givenUp = false;
  #place: { readonly mode: Point["mode"]; readonly place: Place } | undefined;

  constructor(cluster: TestCluster, flags: Place["flags"]) {
    this.#cluster = cluster;
    this.#flags = flags;
  }

  async points(points: readonly Point[]): Promise<void> {
    for (const point of inOrder(points)) {
      if (this.#givenUp) return;
      const place = await this.#placeFor(point.mode);
      const space = await newSpace();
      this.#space = space;
      const outcome = await runPoint(point, place, space);
      // The crash test was interrupted during this point: its outcome does not count.
      if (this.#givenUp) return;
      this.#space = undefined;
      this.outcomes.push(outcome);
      say(pointLine(outcome));
      if (outcome.problems.length === 0) continue;
      for (const line of failureLines(outcome)) say(line);
      // What this point left must not count against the next one.
      this.#place = undefined;
      await this.#restore(space);
    }
  }

  /** Draws points again for phases that were hit too rarely. @returns the phases that are still missing. */
  async missing(options: CrashOptions, count: number): Promise<string[]> {
    const needed = neededHits(count);
    const left = (): ReturnType<typeof missingPhases> =>
      missingPhases(
        this.outcomes
          .filter(({ point }) => point.signal === options.signal && !("kind" in point))
          .map(({ hit }) => hit),
        needed,
      );
    let number = count;
    for (let round = 1; round <= DRAWN_AGAIN && left().length > 0 && !this.#givenUp; round++) {
      const nearer = 0.6 ** round;
      const again = left().map((phase) =>
        pointAt(options.seed, ++number, { signal: options.signal, phase, nearer }),
      );
      say(`drawn again: ${again.map(({ phase }) => phase).join(", ")}`);
      await this.points(again);
    }
    return left();
  }

  /** Deploys or removes the guestbook, and reads the cluster's state then. */
  async #placeFor(mode: Point["mode"]): Promise<Place> {
    if (this.#place?.mode === mode) return this.#place.place;
    if (mode === "keep") await this.#deployGuestbook();
    else await removeGuestbook(this.#cluster);
    const before = await snapshot(this.#cluster);
    const place = { cluster: this.#cluster, before, flags: this.#flags };
    this.#place = { mode, place };
    return place;
  }

  /** By a control run that keeps the application. */
  async #deployGuestbook(): Promise<void> {
    const space = await newSpace();
    const [first] = ATTACKS;
    if (first === undefined) throw new Error("the list of attacks is empty");
    const file = join(space.folder, "deploy.yaml");
    await writeFile(file, experimentText(first));
    for (let tries = 1; ; tries++) {
      const run = await chaosRun(this.#cluster, space, file, ["--control", "--keep-app"]);
      const failed = (cause?: unknown): Error =>
        new Error(`cannot deploy the guestbook (exit code ${run.exitCode}): ${said(run)}`, { cause });
      // On a busy machine even a control run may find something, or be disturbed: what counts here is the guestbook.
      const inconclusive = [ExitCode.inconclusive, ExitCode.preflightRefused].some(
        (code) => code === run.exitCode,
      );
      const report = inconclusive
        ? await onlyReport(space).catch((error: unknown) => {
            throw failed(error);
          })
        : undefined;
      const deployed = report?.result.reasons.some(({ code }) => code === "deploy-failed") !== true;
      const ended =
        inconclusive || [ExitCode.asExpected, ExitCode.differs].some((code) => code === run.exitCode);
      if (ended && deployed) break;
      // After a point on the control plane its controllers may not be ready yet.
      if (!ended || tries === DEPLOY_TRIES) throw failed();
      await rm(join(space.folder, "reports"), { recursive: true, force: true });
      say(`cannot deploy the guestbook, trying again: ${said(run)}`);
    }
    await space.remove();
  }

  async #restore(space: Workspace): Promise<void> {
    const { exitCode, stderr } = await chaos(this.#cluster, space, ["restore", "--all"]);
    if (exitCode !== 0) say(`        chaos restore --all ended with ${exitCode}: ${stderr}`);
  }

  /** Interrupted: the current run restores by itself, `chaos restore` does the rest, and the guestbook is removed. */
  async giveUp(): Promise<void> {
    this.#givenUp = true;
    await removePolicy(this.#cluster);
    const space = this.#space;
    if (space !== undefined) {
      const stateHome = space.env["XDG_STATE_HOME"] ?? "";
      for (const { pid, command } of await processesOf(stateHome))
        if (/cli\.js .*\brun\b/.test(command)) process.kill(pid, "SIGTERM");
      const end = performance.now() + STOP_LIMIT_MS;
      while ((await processesOf(stateHome)).length > 0 && performance.now() < end) await sleep(200);
      await this.#restore(space);
    }
    await removeGuestbook(this.#cluster);
  }
}

async function runPoints(crashTest: CrashTest, options: CrashOptions): Promise<string[]> {
  const { seed, signal, only, phase } = options;
  if (options.kinds) {
    const points = kindPoints(false).filter(({ number }) => only.length === 0 || only.includes(number));
    await crashTest.points(points);
    return [];
  }
  if (only.length > 0) {
    const wanted = { signal, ...(phase === undefined ? {} : { phase }) };
    await crashTest.points(only.map((number) => pointAt(seed, number, wanted)));
    return [];
  }
  if (!options.short) {
    await crashTest.points(planPoints(seed, options.points, signal));
    return await crashTest.missing(options, options.points);
  }
  await crashTest.points([
    ...planPoints(seed, SHORT.SIGKILL, "SIGKILL"),
    ...planPoints(seed, SHORT.SIGINT, "SIGINT"),
    ...planPoints(seed, SHORT.SIGINT2, "SIGINT2"),
    ...kindPoints(true),
  ]);
  return await crashTest.missing({ ...options, signal: "SIGKILL" }, SHORT.SIGKILL);
}

/** Which flags this build has. */
async function flagsOf(): Promise<{ readonly watchdog: boolean; readonly anyway: boolean }> {
  const { stdout } = await execa(process.execPath, [join(packageRoot(), "dist/cli.js"), "run", "--help"]);
  return { watchdog: stdout.includes("--no-watchdog"), anyway: stdout.includes("--anyway") };
}

/** @returns the exit code. */
async function main(): Promise<number> {
  let options: CrashOptions;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    return 3;
  }
  const flags = await flagsOf();
  if (!flags.watchdog) say("this build has no watchdog: `chaos restore` restores its share of the points");
  const cluster = await testCluster();
  const crashTest = new CrashTest(cluster, flags);
  const ended = new Promise<"ended">((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve("ended"));
  });
  say(LEGEND);
  try {
    const missing = await Promise.race([runPoints(crashTest, options), ended]);
    for (const line of table(crashTest.outcomes)) say(line);
    if (missing === "ended") {
      say("interrupted: restoring");
      await crashTest.giveUp();
      return 130;
    }
    await removeGuestbook(cluster);
    if (missing.length > 0) say(`phases that were hit too rarely: ${missing.join(", ")}`);
    const failed = crashTest.outcomes.filter(({ problems }) => problems.length > 0);
    return failed.length > 0 || missing.length > 0 || crashTest.outcomes.length === 0 ? 1 : 0;
  } finally {
    cluster.connection.transport.close();
  }
}

// Open handles of an interrupted point must not keep the process alive.
process.exit(await main());
