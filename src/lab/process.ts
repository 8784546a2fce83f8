import { spawn } from "node:child_process";
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { sleep } from "../common/clock.js";
import { identify, isAlive, type ProcessIdentity } from "../common/process-identity.js";

/**
 * Starts a program that outlives this process, logs its output to a file, and writes its process identity to `file`.
 */
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
    if (identity === undefined) throw new Error(`${program} exited immediately. See ${options.log}`);
    await writeFile(options.file, JSON.stringify(identity));
    child.unref();
    return identity;
  } finally {
    await log.close();
  }
}

/** Ends a process: SIGTERM, and after `graceMs` SIGKILL. Does nothing when its pid belongs to another process now. */
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

interface ArgumentOptions {
  /** Only processes of a program with this file name. */
  readonly program?: string;
  /** Also when an argument only begins with the text. */
  readonly prefix?: boolean;
}

/**
 * Ends every process that has `text`, a file or a folder of the lab, as an argument of its command line: only the lab's
 * own processes have it. An interrupted attempt or a killed daemon leaves them.
 */
export async function endAll(text: string, options: ArgumentOptions = {}, graceMs = 3_000): Promise<void> {
  for (const left of await processesWithArgument(text, options)) await end(left, graceMs);
}

async function processesWithArgument(
  text: string,
  { program, prefix = false }: ArgumentOptions,
): Promise<readonly ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    const args = line.split("\0");
    if (!args.some((each) => each === text || (prefix && each.startsWith(text)))) continue;
    if (program !== undefined && basename(args[0] ?? "") !== program) continue;
    const identity = await identify(Number(name));
    if (identity !== undefined) found.push(identity);
  }
  return found;
}
