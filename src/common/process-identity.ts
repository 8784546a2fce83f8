/** The identity of a process. A pid alone is not enough: pids are reused, especially in containers. */
import { existsSync, readFileSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";

/**
 * A recorded process. Without /proc (macOS), and in records of older versions, only its pid is known.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the machine's boot to the start of the process. */
  readonly startTicks?: string;
  /** Id of that boot of the machine. */
  readonly bootId?: string;
}

/** The 22nd field of /proc/PID/stat; the second field may contain blanks and parentheses. Pure. */
export function startTicksOf(stat: string): string | undefined {
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .at(19);
}

/** Identity of a running process; undefined if there is none (a zombie counts as none), or no /proc. */
export async function identify(pid: number): Promise<Required<ProcessIdentity> | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return undefined;
  const startTicks = startTicksOf(stat);
  const bootId = (await readIfThere("/proc/sys/kernel/random/boot_id"))?.trim();
  return startTicks === undefined || bootId === undefined ? undefined : { pid, startTicks, bootId };
}

/** Identity of this process. */
export async function ownIdentity(): Promise<ProcessIdentity> {
  return (await identify(process.pid)) ?? { pid: process.pid };
}

/**
 * The pid namespace of this process ("pid:[4026531836]"): processes of other namespaces are not visible. Undefined without
 * /proc.
 */
export async function pidNamespace(): Promise<string | undefined> {
  return await readlink("/proc/self/ns/pid").catch(() => undefined);
}

/**
 * Whether exactly the recorded process still runs. If only its pid was recorded, a process with that pid counts, unless
 * its command line is not of this tool, or it is this process: this process has not written such a record.
 */
export async function isAlive(recorded: ProcessIdentity | undefined): Promise<boolean> {
  if (recorded === undefined) return false;
  const { pid, startTicks, bootId } = recorded;
  if (startTicks === undefined || bootId === undefined) return pid !== process.pid && mayBeChaos(pid);
  const now = await identify(pid);
  return now?.startTicks === startTicks && now.bootId === bootId;
}

/** False if no process has the pid, or one whose command line is not of this tool (a zombie has none). */
function mayBeChaos(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const commandLine = `/proc/${pid}/cmdline`;
    return !existsSync(commandLine) || /chaos|cli\.(js|ts)/.test(readFileSync(commandLine, "utf8"));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The process in a file (older versions wrote only its pid); undefined if the file does not describe one. */
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
