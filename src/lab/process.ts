import { spawn } from "node:child_process";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A process so described that another one with the same number is not mistaken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between the machine's start and the process's. */
  readonly startTicks: string;
  readonly bootId: string;
}

/** The 22nd field of /proc/PID/stat; the second one may contain blanks and parentheses. */
export function startTicksOf(stat: string): string | undefined {
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .at(19);
}

/** Describes a running process; undefined when there is none (a zombie counts as none). */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return undefined;
  const startTicks = startTicksOf(stat);
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  return startTicks === undefined ? undefined : { pid, startTicks, bootId };
}

/** Whether exactly that process still runs. */
export async function isAlive(process: ProcessIdentity | undefined): Promise<boolean> {
  if (process === undefined) return false;
  const now = await identify(process.pid);
  return now?.startTicks === process.startTicks && now.bootId === process.bootId;
}

/** The process that a file written by `startDaemon` describes; undefined when there is no such file. */
export async function readIdentity(file: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/** Starts a program that outlives this one, with its output in a log file, and writes who it is to `file`. */
export async function startDaemon(
  command: readonly [string, ...string[]],
  options: { readonly file: string; readonly log: string; readonly env: Readonly<Record<string, string>> },
): Promise<ProcessIdentity> {
  await mkdir(dirname(options.log), { recursive: true });
  const log = await open(options.log, "w");
  try {
    const [program, ...args] = command;
    const child = spawn(program, args, {
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      env: { ...process.env, ...options.env },
      cwd: "/",
    });
    await new Promise((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    const identity = child.pid === undefined ? undefined : await identify(child.pid);
    if (identity === undefined) throw new Error(`${program} ended at once; see ${options.log}`);
    await writeFile(options.file, JSON.stringify(identity));
    child.unref();
    return identity;
  } finally {
    await log.close();
  }
}

/** Ends one process: SIGTERM, and after `graceMs` SIGKILL. Does nothing when it is not that process any more. */
export async function end(process: ProcessIdentity | undefined, graceMs: number): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (process === undefined || !(await isAlive(process))) return;
    send(process.pid, signal);
    const until = Date.now() + (signal === "SIGTERM" ? graceMs : 5_000);
    while (Date.now() < until && (await isAlive(process))) await sleep(50);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The processes whose command line has `text` as one whole argument; only those of one program, if given. */
export async function processesWithArgument(
  text: string,
  program?: string,
): Promise<readonly ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    const args = line.split("\0");
    if (!args.includes(text) || (program !== undefined && args[0] !== program)) continue;
    const identity = await identify(Number(name));
    if (identity !== undefined) found.push(identity);
  }
  return found;
}

/** Removes a file that described a process. */
export async function forget(file: string): Promise<void> {
  await rm(file, { force: true });
}
