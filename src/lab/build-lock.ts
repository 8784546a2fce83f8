import { dirname } from "node:path";
import { RefusedError } from "../common/errors.js";
import { claimFile } from "../common/file-claim.js";
import { makeFolder } from "../common/make-folder.js";
import type { LabPaths } from "./paths.js";

/**
 * Runs `work` while no other process changes the lab. A lock counts as free when its process is gone.
 *
 * @throws RefusedError when another process has the lock.
 */
export async function withLock<T>(paths: LabPaths, work: () => Promise<T>): Promise<T> {
  // Next to the cache folder, so that a purge does not remove the lock while it is in use.
  const file = `${paths.cache}.lock`;
  await makeFolder(dirname(file));
  const claim = await claimFile(file, {
    onHeld: ({ pid }) => {
      throw new RefusedError(
        `another process (${pid}) is changing the lab. Wait until it has ended. The lock is ${file}.`,
      );
    },
  });
  try {
    return await work();
  } finally {
    await claim.release();
  }
}
