/** A lock among the processes of this machine: a file that names the process that has it. */
import { randomUUID } from "node:crypto";
import { link, rename, rm, writeFile } from "node:fs/promises";
import { isAlive, ownIdentity, type ProcessIdentity, readIdentity } from "./process-identity.js";

/** A claim that this process has. */
export interface FileClaim {
  release(): Promise<void>;
}

/**
 * Takes a claim. Takes it over if its process has ended.
 *
 * @param options `onHeld`: called each time that a running process has the claim. After it resolves, there is another try;
 * its error ends the tries.
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
      if (holder !== undefined && (await isAlive(holder))) await options.onHeld(holder);
      else await removeStale(path);
    }
  } finally {
    await rm(own, { force: true });
  }
  return { release: async () => await rm(path, { force: true }) };
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
  if (holder !== undefined && (await isAlive(holder))) await linked(aside, path);
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
