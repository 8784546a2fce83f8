/** Which process it was: a number alone says little, since numbers are given out again, in containers above all. */
import { existsSync, readFileSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";

/**
 * A process as it is recorded. Without /proc (macOS), and in records of older versions, only its number is known.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between the machine's start and the process's. */
  readonly startTicks?: string;
  /** Which start of the machine that was. */
  readonly bootId?: string;
}

/** The 22nd field of /proc/PID/stat; the second one may contain blanks and parentheses. Pure. */
export function startTicksOf(stat: string): string | undefined {
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .at(19);
}

/** Describes a running process; undefined when there is none (a zombie counts as none), or no /proc. */
export async function identify(pid: number): Promise<Required<ProcessIdentity> | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return undefined;
  const startTicks = startTicksOf(stat);
  const bootId = (await readIfThere("/proc/sys/kernel/random/boot_id"))?.trim();
  return startTicks === undefined || bootId === undefined ? undefined : { pid, startTicks, bootId };
}

/** This process, as it is recorded. */
export async function ownIdentity(): Promise<ProcessIdentity> {
  return (await identify(process.pid)) ?? { pid: process.pid };
}

/**
 * The namespace in which this process has its number ("pid:[4026531836]"): the processes of another one cannot be
 * looked at. Undefined without /proc.
 */
export async function pidNamespace(): Promise<string | undefined> {
  return await readlink("/proc/self/ns/pid").catch(() => undefined);
}

/**
 * Whether exactly the recorded process still runs. Where only its number was recorded, a process with that number is
 * taken to be it, unless its command line is not ours, or it is this very process: that record is another one's.
 */
export async function isAlive(recorded: ProcessIdentity | undefined): Promise<boolean> {
  if (recorded === undefined) return false;
  const { pid, startTicks, bootId } = recorded;
  if (startTicks === undefined || bootId === undefined) return pid !== process.pid && mayBeChaos(pid);
  const now = await identify(pid);
  return now?.startTicks === startTicks && now.bootId === bootId;
}

/** Proof that it is gone: no process has the number, or one with a command line that is not ours (a zombie has none). */
function mayBeChaos(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const commandLine = `/proc/${pid}/cmdline`;
    return !existsSync(commandLine) || /chaos|cli\.(js|ts)/.test(readFileSync(commandLine, "utf8"));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The process that a file describes (older versions wrote its number alone); undefined when it describes none. */
export async function readIdentity(file: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  try {
    const content = JSON.parse(text) as number | ProcessIdentity;
    const identity = typeof content === "number" ? { pid: content } : content;
    return Number.isInteger(identity.pid) && identity.pid > 0 ? identity : undefined;
  } catch {
    return undefined;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    // ESRCH: the process ended while its file was read. Any other error proves nothing.
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
