import { link, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RefusedError } from "../common/errors.js";
import type { LabPaths } from "./paths.js";
import { identify, isAlive, readIdentity } from "./process.js";

/**
 * Does `work` while no other process changes the lab. A lock whose holder is gone counts as free.
 *
 * @throws RefusedError when another process holds it.
 */
export async function withLock<T>(paths: LabPaths, work: () => Promise<T>): Promise<T> {
  // Beside the cache folder, so that a purge does not take it away under its holder.
  const file = `${paths.cache}.lock`;
  await mkdir(join(paths.cache, ".."), { recursive: true });
  const mine = `${file}.${process.pid}`;
  await writeFile(mine, JSON.stringify(await identify(process.pid)));
  try {
    await take(file, mine);
  } finally {
    await rm(mine, { force: true });
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function take(file: string, mine: string): Promise<void> {
  for (const last of [false, true]) {
    try {
      // A link appears with its content or not at all, and fails when the name is taken.
      await link(mine, file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const holder = await readIdentity(file);
      if (last || (await isAlive(holder))) {
        throw new RefusedError(
          `another process (${holder?.pid ?? "unknown"}) is working on the lab; wait for it to end. The lock is ${file}.`,
        );
      }
      await rm(file, { force: true });
    }
  }
}
