/** The identity of a process. A pid alone is not enough: pids are reused, especially in containers. */
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";
import { shortHash } from "./hash.js";

/**
 * A recorded process. Without /proc (macOS), and in records of older versions, only its pid is known.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the machine's boot to the start of the process. */
  readonly startTicks?: string;
  /** Id of that boot of the machine. All containers of a machine have the same one. */
  readonly bootId?: string;
  /** The PID namespace ("pid:[4026531836]"): a process does not see those of other containers. */
  readonly pidNamespace?: string;
  /** Hash of /etc/machine-id, which should not be shown (machine-id(5)): stays over a reboot. */
  readonly machine?: string;
  readonly host?: string;
}

/** Whether a process runs. "unknown": this process cannot see whether it does. */
export type Liveness = "alive" | "ended" | "unknown";

/** The place of a process, and what it sees from there. */
export interface Viewpoint extends Omit<ProcessIdentity, "pid" | "startTicks"> {
  /** The process with this pid; undefined: none. */
  readonly identify: (pid: number) => Promise<ProcessIdentity | undefined>;
  /** Of all processes of the machine; undefined: not all are visible. */
  readonly namespaces: () => Promise<ReadonlySet<string> | undefined>;
}

/** PROC_PID_INIT_INO in include/linux/proc_ns.h: every process of the machine is visible from this namespace. */
const FIRST_NAMESPACE = `pid:[${0xeffffffc}]`;

/** The 22nd field of /proc/PID/stat; the second field may contain blanks and parentheses. Pure. */
export function startTicksOf(stat: string): string | undefined {
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .at(19);
}

/** Identity of a running process; undefined if there is none (a zombie counts as none), or no /proc. */
export async function identify(
  pid: number,
): Promise<(ProcessIdentity & Required<Pick<ProcessIdentity, "startTicks" | "bootId">>) | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return undefined;
  const startTicks = startTicksOf(stat);
  const bootId = (await readIfThere("/proc/sys/kernel/random/boot_id"))?.trim();
  return startTicks === undefined || bootId === undefined ? undefined : { pid, startTicks, bootId };
}

/** Identity of this process. */
export async function ownIdentity(): Promise<ProcessIdentity> {
  const { bootId, pidNamespace, machine, host } = await viewpoint();
  const own = (await identify(process.pid)) ?? { pid: process.pid };
  return withoutUndefined({ ...own, bootId, pidNamespace, machine, host });
}

/** The place of this process. */
async function viewpoint(): Promise<Viewpoint> {
  const bootId = (await readIfThere("/proc/sys/kernel/random/boot_id"))?.trim();
  // Without /proc (macOS) there are no namespaces.
  const pidNamespace = await readlink("/proc/self/ns/pid").catch(() => undefined);
  const machineId = (await readFile("/etc/machine-id", "utf8").catch(() => "")).trim();
  return {
    ...withoutUndefined({ bootId, pidNamespace }),
    ...(/^[0-9a-f]{32}$/.test(machineId) ? { machine: shortHash(`kube-system-chaos ${machineId}`) } : {}),
    host: hostname(),
    identify,
    namespaces: async () => (pidNamespace === FIRST_NAMESPACE ? await allNamespaces() : undefined),
  };
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never;
}

async function allNamespaces(): Promise<ReadonlySet<string> | undefined> {
  const found = new Set<string>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    try {
      found.add(await readlink(`/proc/${pid}/ns/pid`));
    } catch (error) {
      // EACCES: another user's process, which may be in any namespace.
      if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    }
  }
  return found;
}

/**
 * Whether exactly the recorded process still runs, as far as it can be proved from here. If only its pid was recorded, a
 * process with that pid counts, unless its command line is not of this tool, or it is this process: this process has not
 * written such a record.
 */
export async function livenessOf(recorded: ProcessIdentity, here?: Viewpoint): Promise<Liveness> {
  const from = here ?? (await viewpoint());
  const { pid, startTicks, bootId } = recorded;
  if (startTicks === undefined || bootId === undefined) return livenessByPid(recorded, from);
  if (bootId !== from.bootId) return sameMachine(recorded, from) ? "ended" : "unknown";
  if (!sameNamespace(recorded, from)) {
    // Another container of this machine. From the first namespace it is visible whether it exists.
    const all = await from.namespaces();
    return all === undefined || all.has(recorded.pidNamespace ?? "") ? "unknown" : "ended";
  }
  const now = await from.identify(pid);
  return now?.startTicks === startTicks && now.bootId === bootId ? "alive" : "ended";
}

function livenessByPid(recorded: ProcessIdentity, from: Viewpoint): Liveness {
  if (!sameHost(recorded, from) || !sameNamespace(recorded, from)) return "unknown";
  return recorded.pid !== process.pid && mayBeChaos(recorded.pid) ? "alive" : "ended";
}

/** Another boot of this machine, not another machine: a folder can be copied or shared. */
function sameMachine(recorded: ProcessIdentity, from: Viewpoint): boolean {
  const known = recorded.machine !== undefined && from.machine !== undefined;
  return sameHost(recorded, from) && (!known || recorded.machine === from.machine);
}

function sameHost({ host }: ProcessIdentity, from: Viewpoint): boolean {
  return host === undefined || host === from.host;
}

function sameNamespace({ pidNamespace }: ProcessIdentity, from: Viewpoint): boolean {
  return pidNamespace === undefined || pidNamespace === from.pidNamespace;
}

/** Whether exactly the recorded process is known to run. */
export async function isAlive(recorded: ProcessIdentity | undefined): Promise<boolean> {
  return recorded !== undefined && (await livenessOf(recorded)) === "alive";
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
