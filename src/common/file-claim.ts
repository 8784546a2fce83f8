/** A lock among the processes of this machine: a file that names the process that has it. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { link, rename, rm, writeFile } from "node:fs/promises";
import { RefusedError } from "./errors.js";
import { livenessOf, ownIdentity, type ProcessIdentity, readIdentity } from "./process-identity.js";

/** A claim that this process has. */
export interface FileClaim {
  release(): Promise<void>;
}

/**
 * Takes a claim. Takes it over if its process has ended.
 *
 * @param options `onHeld`: called each time that a running process has the claim. After it resolves, there is another try;
 * its error ends the tries.
 * @throws RefusedError when it cannot be seen from here whether the process that has the claim runs.
 */
export async function claimFile(
  path: string,
  options: {
    readonly onHeld: (holder: ProcessIdentity) => Promise<void>;
    /** Owner of the claim, for tests. Default: this process. */
    readonly self?: ProcessIdentity;
  },
): Promise<FileClaim> {
  // A random name: in containers that share the folder, two processes can have the same pid.
  const own = `${path}.${randomUUID()}`;
  try {
    await writeFile(own, JSON.stringify(options.self ?? (await ownIdentity())), { mode: 0o600 });
    while (!(await linked(own, path))) {
      const holder = await readIdentity(path);
      const liveness = holder === undefined ? "ended" : await livenessOf(holder);
      if (holder === undefined || liveness === "ended") await removeStale(path);
      else if (liveness === "alive") await options.onHeld(holder);
      else throw notSeen(path, holder);
    }
  } finally {
    await rm(own, { force: true });
  }
  return { release: async () => await rm(path, { force: true }) };
}

function notSeen(path: string, { pid, host }: ProcessIdentity): RefusedError {
  const where = host === hostname() ? "in another container" : `on ${host ?? "another machine"}`;
  return new RefusedError(
    `cannot take over ${path}: process ${pid} ${where} has it, and it cannot be seen from here whether that process has ended. ` +
      `If it has (this folder is a copy, say), remove it with \`rm '${path}'\` and try again`,
  );
}

/**
 * Removes the claim of a process that has ended. It is moved aside and read again, because another process may have
 * taken it over since it was read: such a claim is linked back.
 */
async function removeStale(path: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const holder = await readIdentity(aside);
  if (holder !== undefined && (await livenessOf(holder)) !== "ended") await linked(aside, path);
  await rm(aside, { force: true });
}

/** A hard link is atomic: it appears with its full content, and it fails if the name exists. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
