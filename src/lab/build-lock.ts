import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { RefusedError } from "../common/errors.js";
import { claimFile } from "../common/file-claim.js";
import type { LabPaths } from "./paths.js";

/**
 * Does `work` while no other process changes the lab. A lock whose holder is gone counts as free.
 *
 * @throws RefusedError when another process holds it.
 */
export async function withLock<T>(paths: LabPaths, work: () => Promise<T>): Promise<T> {
  // Beside the cache folder, so that a purge does not take it away under its holder.
  const file = `${paths.cache}.lock`;
  await mkdir(dirname(file), { recursive: true });
  const claim = await claimFile(file, {
    onHeld: ({ pid }) => {
      throw new RefusedError(
        `another process (${pid}) is working on the lab; wait for it to end. The lock is ${file}.`,
      );
    },
  });
  try {
    return await work();
  } finally {
    await claim.release();
  }
}
