import type { ExecutionContext } from "ava";
import test from "ava";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import { watchdog, WATCHDOG_LOG } from "../../../src/commands/watchdog-command.js";
import { ChaosError, ExitCode } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { sanitised } from "../../../src/kube/declared.js";
import { journalRoot, readJournal } from "../../../src/safety/journal/journal.js";
import { Watchdog } from "../../../src/safety/watchdog.js";
import { SleepingClock, TARGET } from "../../helpers/dead-man-world.js";
import {
  cluster,
  type Cluster,
  crashed,
  holdOf,
  type Machine,
  machine,
  putBack,
} from "../../helpers/restore-bench.js";
import { until } from "../../helpers/target-fixtures.js";

/** Larger than any process ID. */
const NO_PID = 4_194_304;

interface Told {
  readonly code: ExitCode;
  /** Folders in the order of the restore attempts. */
  readonly tried: readonly string[];
  readonly said: string;
  readonly tookMs: number;
}

/** Runs the command with these lines from a runner that then exits. */
async function told(
  lines: readonly string[],
  restoreRun: (folder: string, nth: number) => boolean = () => true,
): Promise<Told> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const clock = new SleepingClock();
  const tried: string[] = [];
  const running = watchdog({
    input,
    output,
    env: {},
    allowCommands: false,
    clock,
    restoreRun: async (folder) => {
      tried.push(folder);
      return await Promise.resolve(restoreRun(folder, tried.length));
    },
  });
  input.end(lines.map((line) => `${line}\n`).join(""));
  const code = await running;
  return { code, tried, said: String(output.read() ?? ""), tookMs: clock.now() };
}

test("watch: confirms each journal; when its runner exits, restores what was not released, newest first", async (t) => {
  const { code, tried, said, tookMs } = await told(["watch /a", "watch /b b", "release /a", "watch /c"]);
  t.is(said, "watching /a\nwatching /b b\nwatching /c\n");
  t.deepEqual(tried, ["/c", "/b b"]);
  t.is(code, ExitCode.asExpected);
  t.is(tookMs, 0);
});

test("everything released, or nothing ever watched: nothing is done", async (t) => {
  t.deepEqual((await told(["watch /a", "release /a"])).tried, []);
  t.deepEqual((await told([])).tried, []);
  t.deepEqual((await told(["hello", "", "release /a", "watching /a"])).tried, []);
});

test("nothing is restored while its runner is alive", async (t) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const restoreRun = async (): Promise<boolean> => await Promise.resolve(t.fail());
  const running = watchdog({ input, output, env: {}, allowCommands: false, restoreRun });
  input.write("watch /a\n");
  t.is(String((await once(output, "data"))[0]), "watching /a\n");
  input.write("release /a\n");
  input.end();
  t.is(await running, ExitCode.asExpected);
});

test("failed restores are retried after a while, in the same order, and nothing is restored twice", async (t) => {
  const { code, tried, tookMs } = await told(
    ["watch /session", "watch /run"],
    (folder, nth) => nth >= 3 && (folder === "/run" || nth >= 4),
  );
  t.deepEqual(tried, ["/run", "/session", "/run", "/session"]);
  t.is(code, ExitCode.asExpected);
  t.is(tookMs, 10_000);
  const alone = await told(["watch /a", "watch /b"], (folder, nth) => folder === "/a" || nth > 2);
  t.deepEqual(alone.tried, ["/b", "/a", "/b"]);
});

test("gives up after half an hour: exit 5", async (t) => {
  const { code, tried, tookMs } = await told(["watch /a"], () => false);
  t.is(code, ExitCode.notRestored);
  t.true(tookMs > 30 * 60_000 && tookMs <= 30 * 60_000 + 10_000, `${tookMs} ms`);
  t.is(tried.length, tookMs / 10_000 + 1);
});

test("a runner that no longer reads does not end the watchdog", async (t) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const tried: string[] = [];
  const restoreRun = async (folder: string): Promise<boolean> =>
    await Promise.resolve(tried.push(folder) > 0);
  const running = watchdog({ input, output, env: {}, allowCommands: false, restoreRun });
  output.destroy(new Error("EPIPE"));
  input.end("watch /a\n");
  t.is(await running, ExitCode.asExpected);
  t.deepEqual(tried, ["/a"]);
});

/** A run of this machine that deleted kube-dns and was killed: its process (`pid`) does not exist. */
async function killed(
  t: ExecutionContext,
  pidOf: (m: Machine, folder: string) => number | Promise<number> = () => NO_PID,
): Promise<{ c: Cluster; m: Machine; folder: string }> {
  const c = await cluster(t);
  const m = await machine(t, c.server);
  const pid = await pidOf(m, join(journalRoot(m.env), c.clusterUid, "run-1"));
  const folder = await crashed(c, m, { runId: "run-1", undos: [putBack(c)], host: hostname(), pid });
  c.server.remove(TARGET);
  becomesReady(c);
  c.server.requests.length = 0;
  return { c, m, folder };
}

/** Plays the controllers: a Deployment is ready when it is read. */
function becomesReady({ server }: Cluster): void {
  server.handle("GET", /deployments\/kube-dns$/, () => {
    const live = server.object(TARGET);
    const status = { readyReplicas: 2, updatedReplicas: 2, observedGeneration: 9 };
    if (live !== undefined) server.update(TARGET, { status });
    return undefined;
  });
}

/** A watchdog whose runner sent these lines and died. */
async function afterTheEnd({ env }: Machine, said: string): Promise<ExitCode> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  input.end(said);
  return await watchdog({ input, output, env, allowCommands: false, clock: new SleepingClock() });
}

test("it restores like `chaos restore`, and writes a log next to the journal that only the user can read", async (t) => {
  const { c, m, folder } = await killed(t);
  const code = await afterTheEnd(m, `watch ${folder}\n`);
  t.is(code, ExitCode.asExpected);
  t.not(c.server.object(TARGET), undefined);
  t.true((await readJournal(folder))?.closed);
  const log = await readFile(join(folder, WATCHDOG_LOG), "utf8");
  t.regex(log, /^.*\d{4}-\d\d-\d\dT.*Z: the runner of run-1 \(process 4194304\) is gone/);
  t.regex(log, /Deployment kube-dns: created/);
  t.is((await stat(join(folder, WATCHDOG_LOG))).mode & 0o777, 0o600);
});

test("a run that was finished before it was released: no request to the cluster", async (t) => {
  const { c, m, folder } = await killed(t);
  t.is((await m.restore({ all: true })).code, ExitCode.asExpected);
  c.server.requests.length = 0;
  const code = await afterTheEnd(m, `watch ${folder}\nwatch ${m.folder}/nothing-there\n`);
  t.is(code, ExitCode.asExpected);
  t.deepEqual(c.server.requests, []);
});

test("a log that cannot be written does not stop the restore", async (t) => {
  const { m, folder } = await killed(t);
  await mkdir(join(folder, WATCHDOG_LOG));
  const code = await afterTheEnd(m, `watch ${folder}\n`);
  t.is(code, ExitCode.asExpected);
  t.true((await readJournal(folder))?.closed);
});

/** A watchdog of this process that runs this script. */
function guard(t: ExecutionContext, script: string): { watchdog: Watchdog; warnings: string[] } {
  const warnings: string[] = [];
  const command = [process.execPath, "-e", script];
  const guarding = new Watchdog({ command, env: process.env, warn: (text) => warnings.push(text) });
  t.teardown(() => guarding.end());
  return { watchdog: guarding, warnings };
}

/** Answers like the command, and prints what it received when its runner exits. */
const ECHO = `require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  if (line.startsWith("watch ")) console.log("watching " + line.slice(6));
  if (line === "release /die") process.exit(7);
});`;

test("started with the first journal, once for all; no warning on a normal exit", async (t) => {
  const { watchdog: guarding, warnings } = guard(t, ECHO);
  const noticed: Error[] = [];
  const notice = (warning: Error): void => void noticed.push(warning);
  process.on("warning", notice);
  t.teardown(() => process.off("warning", notice));
  for (let count = 0; count < 20; count += 1) {
    await guarding.watch(`/run-${count}`);
    guarding.release(`/run-${count}`);
  }
  guarding.end();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(warnings, []);
  t.deepEqual(
    noticed.map(({ message }) => message),
    [],
    "no leak of listeners",
  );
});

test("a command that does not exist: exit 6 before the first change, and the error says how to run without it", async (t) => {
  const warnings: string[] = [];
  const command = ["/nonexistent/chaos", "watchdog"];
  const guarding = new Watchdog({ command, env: {}, warn: (text) => warnings.push(text) });
  const error = await t.throwsAsync(guarding.watch("/a"), { instanceOf: ChaosError });
  t.is(error?.exitCode, ExitCode.failed);
  t.regex(
    error?.message ?? "",
    /has exited\. Nothing was changed\. To run without a watchdog, use --no-watchdog$/,
  );
  t.regex(warnings.join(), /did not start \(.*ENOENT/);
  await t.throwsAsync(guarding.watch("/b"), { instanceOf: ChaosError, message: /has exited/ });
});

test("a watchdog that starts but does not answer: exit 6 when its time is up", async (t) => {
  const command = [process.execPath, "-e", "process.stdin.resume()"];
  const silent = new Watchdog({ command, env: process.env, warn: () => t.fail(), readyLimitMs: 50 });
  const error = await t.throwsAsync(silent.watch("/a"), { instanceOf: ChaosError });
  t.is(error?.exitCode, ExitCode.failed);
  t.regex(error?.message ?? "", /was not ready within 0\.05 s\. Nothing was changed/);
  silent.end();
});

test("a watchdog that exits before it watches: exit 6", async (t) => {
  const { watchdog: guarding, warnings } = guard(t, "process.exit(3)");
  const error = await t.throwsAsync(guarding.watch("/a"), { instanceOf: ChaosError });
  t.is(error?.exitCode, ExitCode.failed);
  t.regex(warnings.join(), /the watchdog has exited \(3\)/);
});

test("a watchdog that dies while its runner continues: one warning, and the next journal is refused", async (t) => {
  const { watchdog: guarding, warnings } = guard(t, ECHO);
  await guarding.watch("/a");
  guarding.release("/die");
  await until("it is said", () => warnings.length > 0);
  t.deepEqual(warnings, [
    "the watchdog has exited (7). If this process is killed now, restore the cluster with `chaos restore --all`",
  ]);
  const error = await t.throwsAsync(guarding.watch("/b"), { instanceOf: ChaosError });
  t.is(error?.exitCode, ExitCode.failed);
  guarding.release("/a");
  guarding.end();
  t.is(warnings.length, 1);
});

const SOURCE = (path: string): string => pathToFileURL(join(packageRoot(), path)).href;
const TSX = import.meta.resolve("tsx");

interface Runner {
  readonly pid: number;
  readonly ended: Promise<unknown>;
  /** Resolves with the exit code of its watchdog. */
  watchdogsCode(): Promise<string>;
  kill(): void;
  release(): void;
}

/** A process with a real watchdog for this journal, which then waits for commands. */
async function runner(t: ExecutionContext, { env, folder }: Machine, journal: string): Promise<Runner> {
  const script = join(folder, "runner.mjs");
  const code = join(folder, "watchdogs-code");
  const cli = [process.execPath, "--import", TSX, join(packageRoot(), "src/cli.ts"), "watchdog"];
  // Runs in a shell that prints its exit code, because no other process can wait for it.
  const command = ["sh", "-c", `"$@"; echo $? > '${code}.new'; mv '${code}.new' '${code}'`, "sh", ...cli];
  await writeFile(
    script,
    `import { Watchdog } from ${JSON.stringify(SOURCE("src/safety/watchdog.ts"))};
const watchdog = new Watchdog({
  command: ${JSON.stringify(command)},
  env: process.env,
  warn: (text) => console.log("warned: " + text),
});
await watchdog.watch(${JSON.stringify(journal)});
console.log("watched");
process.stdin.once("data", () => {
  watchdog.release(${JSON.stringify(journal)});
  watchdog.end();
  process.stdin.destroy();
});
`,
  );
  const { HOME, PATH } = process.env;
  const child = spawn(process.execPath, ["--import", TSX, script], {
    env: { HOME, PATH, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let heard = "";
  child.stdout.on("data", (chunk) => (heard += String(chunk)));
  while (!heard.includes("watched\n")) {
    const answer = await Promise.race([once(child.stdout, "data"), ended.then(() => "ended" as const)]);
    if (answer === "ended") throw new Error(`the runner has ended: ${heard}`);
  }
  return {
    pid: child.pid ?? 0,
    ended,
    watchdogsCode: async () => {
      await until("its watchdog has ended", () => existsSync(code));
      return (await readFile(code, "utf8")).trim();
    },
    kill: () => void child.kill("SIGKILL"),
    release: () => void child.stdin.write("x"),
  };
}

test.serial(
  "a runner that is killed: its watchdog restores the Deployment, closes the journal, and exits",
  async (t) => {
    let running: Runner | undefined;
    const { c, folder } = await killed(t, async (m, journal) => {
      running = await runner(t, m, journal);
      return running.pid;
    });
    if (running === undefined) return t.fail();
    t.deepEqual(c.server.requests, [], "nothing is done while the runner is alive");
    running.kill();
    t.deepEqual(await running.ended, [null, "SIGKILL"]);
    t.is(await running.watchdogsCode(), "0");
    const live = c.server.object(TARGET);
    t.deepEqual(live && sanitised(live), sanitised(c.before));
    t.deepEqual(holdOf(c.server, "run-1"), []);
    t.like(await readJournal(folder), { closed: true, pending: [] });
    const log = join(folder, WATCHDOG_LOG);
    t.is((await stat(log)).mode & 0o777, 0o600);
    t.regex(
      await readFile(log, "utf8"),
      new RegExp(`the runner of run-1 \\(process ${running.pid}\\) is gone`),
    );
  },
);

test.serial(
  "a runner that releases and exits: nothing is changed, and its watchdog exits, too",
  async (t) => {
    let running: Runner | undefined;
    const { c, folder } = await killed(t, async (m, journal) => {
      running = await runner(t, m, journal);
      return running.pid;
    });
    if (running === undefined) return t.fail();
    running.release();
    t.deepEqual(await running.ended, [0, null]);
    t.is(await running.watchdogsCode(), "0");
    t.deepEqual(c.server.requests, []);
    t.is(c.server.object(TARGET), undefined);
    t.false(existsSync(join(folder, WATCHDOG_LOG)));
    t.false((await readJournal(folder))?.closed);
  },
);
