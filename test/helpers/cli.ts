/** Starts the command line as its own process, as `node scripts/build-tests.mjs` has bundled it. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { packageRoot } from "../../src/common/package-root.js";

export const CLI = join(packageRoot(), "build/test/cli.js");

/** Where the output of the process goes: read by the test, a closed pipe, or a full device. */
export type Sink = "read" | "closed" | "full";

export interface CliOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdout?: Sink;
  readonly stderr?: Sink;
  /** Called with the running process. */
  readonly started?: (child: ChildProcess) => void;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A user's empty machine: a home and a working directory without files, and only Node on the PATH. */
export async function emptyMachine(
  t: ExecutionContext,
): Promise<{ readonly cwd: string; readonly env: Record<string, string> }> {
  const root = await mkdtemp(join(tmpdir(), "chaos-cli-"));
  t.teardown(async () => await rm(root, { recursive: true, force: true }));
  return { cwd: root, env: { HOME: root, PATH: join(root, "bin") } };
}

/** At most two at once: a test file's tests all start together. */
const running: (Promise<Ended> | undefined)[] = [undefined, undefined];
let next = 0;

export async function chaos(args: readonly string[], options: CliOptions): Promise<Ended> {
  const slot = next++ % running.length;
  const before = running[slot];
  const own = (async () => {
    await before?.catch(() => undefined);
    return await start(args, options);
  })();
  running[slot] = own;
  return await own;
}

async function start(args: readonly string[], options: CliOptions): Promise<Ended> {
  const { cwd, env, stdout = "read", stderr = "read" } = options;
  const full = stdout === "full" || stderr === "full" ? openSync("/dev/full", "w") : undefined;
  const of = (sink: Sink): "pipe" | number => (sink === "full" && full !== undefined ? full : "pipe");
  const stdio: StdioOptions = ["ignore", of(stdout), of(stderr)];
  const child = spawn(process.execPath, [CLI, ...args], { cwd, env, stdio });
  if (full !== undefined) closeSync(full);
  if (stdout === "closed") child.stdout?.destroy();
  if (stderr === "closed") child.stderr?.destroy();
  options.started?.(child);
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.on("data", (chunk: Buffer) => (said[name] += chunk.toString("utf8")));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, ...said };
}
