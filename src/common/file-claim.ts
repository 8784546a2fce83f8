/** The right of one process of this machine to do something, as a file that says which process has it. */
import { randomUUID } from "node:crypto";
import { link, rm, writeFile } from "node:fs/promises";
import { isAlive, ownIdentity, type ProcessIdentity, readIdentity } from "./process-identity.js";

/** The right, had. */
export interface FileClaim {
  release(): Promise<void>;
}

/**
 * Takes a claim. One whose process is gone is taken over.
 *
 * @param options `onHeld`: told each time that a living process has it. The claim is tried again when it resolves; what
 * it throws ends the tries.
 */
export async function claimFile(
  path: string,
  options: {
    readonly onHeld: (holder: ProcessIdentity) => Promise<void>;
    /** Whose claim it is; for tests. Default: this process's. */
    readonly self?: ProcessIdentity;
  },
): Promise<FileClaim> {
  // In containers that share the folder, two processes can have the same number.
  const own = `${path}.${randomUUID()}`;
  try {
    await writeFile(own, JSON.stringify(options.self ?? (await ownIdentity())), { mode: 0o600 });
    while (!(await linked(own, path))) {
      const holder = await readIdentity(path);
      if (holder !== undefined && (await isAlive(holder))) await options.onHeld(holder);
      else await rm(path, { force: true });
    }
  } finally {
    await rm(own, { force: true });
  }
  return { release: async () => await rm(path, { force: true }) };
}

/** A link appears with its content or not at all (nobody reads half a name), and fails when the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
