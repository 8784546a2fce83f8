/** Processes that a point has started, directly or not: all that have its state folder in their environment. */
import { readdir, readFile } from "node:fs/promises";

export interface OwnProcess {
  readonly pid: number;
  readonly command: string;
}

/** The processes that run now; empty on a system without /proc. */
export async function processesOf(stateHome: string): Promise<OwnProcess[]> {
  const entries = await readdir("/proc").catch(unlessMissing);
  const pids = entries.filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => await ownProcess(pid, stateHome)));
  return found.filter((each) => each !== undefined);
}

async function ownProcess(pid: number, stateHome: string): Promise<OwnProcess | undefined> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8");
    if (!environment.split("\0").includes(`XDG_STATE_HOME=${stateHome}`)) return undefined;
    const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ").trim();
    return command === "" ? undefined : { pid, command };
  } catch {
    // It has ended meanwhile, or belongs to another user: then this point did not start it.
    return undefined;
  }
}

function unlessMissing(error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
  throw error;
}
