/** One restore at a time per machine: the watchdog and a user's `chaos restore` must not do the same work twice. */
import { basename, join } from "node:path";
import type { Clock } from "../../common/clock.js";
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import { claimFile, type FileClaim } from "../../common/file-claim.js";
import type { ProcessIdentity } from "../../common/process-identity.js";

const FILE = "restoring";

/** Longer than a restore takes when it must first wait for the API server, ms. */
const WAIT_LIMIT_MS = 16 * 60_000;
const WAIT_EVERY_MS = 250;

/**
 * Waits for the claim to restore a run on this machine. A claim whose process is gone is taken over.
 *
 * @param folder the folder of the run's journal.
 * @throws ChaosError (exit 5) when another process still has the claim after 16 minutes, or the folder cannot be
 * written.
 */
export async function claimRestore(
  folder: string,
  {
    clock,
    note,
    self,
  }: {
    readonly clock: Clock;
    readonly note: (text: string) => void;
    /** The process that claims; for tests. Default: this process. */
    readonly self?: ProcessIdentity;
  },
): Promise<FileClaim> {
  const end = clock.now() + WAIT_LIMIT_MS;
  const claim = claimFile(join(folder, FILE), {
    ...(self === undefined ? {} : { self }),
    onHeld: async ({ pid }) => {
      if (clock.now() >= end) {
        throw new ChaosError(
          `timed out after ${WAIT_LIMIT_MS / 60_000} min waiting for process ${pid}, which is still restoring the run in ${folder}. If it is stuck, end it and run \`chaos restore ${basename(folder)}\` again`,
          {
            exitCode: ExitCode.notRestored,
          },
        );
      }
      note(`process ${pid} is already restoring this run: wait for it`);
      await clock.sleep(WAIT_EVERY_MS);
    },
  });
  try {
    return await claim;
  } catch (error) {
    if (error instanceof ChaosError) throw error;
    throw new ChaosError(
      `cannot claim the restore of the run in ${folder}: ${messageOf(error)}. Make the folder writable, and run \`chaos restore\` again`,
      { exitCode: ExitCode.notRestored, cause: error },
    );
  }
}
