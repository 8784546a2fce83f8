/** One restorer at a time on a machine: the watchdog and a person's `chaos restore` must not do the same work twice. */
import { join } from "node:path";
import type { Clock } from "../../common/clock.js";
import { ChaosError, ExitCode } from "../../common/errors.js";
import { claimFile, type FileClaim } from "../../common/file-claim.js";
import type { ProcessIdentity } from "../../common/process-identity.js";

const FILE = "restoring";

/** Longer than a restore takes when the API server has to come back first, ms. */
const WAIT_LIMIT_MS = 16 * 60_000;
const WAIT_EVERY_MS = 250;

/**
 * Waits for the right to restore a run on this machine. One whose process is gone is taken over.
 *
 * @param folder of the run's journal.
 * @throws ChaosError (exit 5) when another process still holds it after 16 minutes.
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
    /** Whose claim it is; for tests. Default: this process's. */
    readonly self?: ProcessIdentity;
  },
): Promise<FileClaim> {
  const end = clock.now() + WAIT_LIMIT_MS;
  return await claimFile(join(folder, FILE), {
    ...(self === undefined ? {} : { self }),
    onHeld: async ({ pid }) => {
      if (clock.now() >= end) {
        throw new ChaosError(
          `another process is still restoring the run in ${folder}: see what holds it up`,
          {
            exitCode: ExitCode.notRestored,
          },
        );
      }
      note(`process ${pid} is restoring it already: wait for it`);
      await clock.sleep(WAIT_EVERY_MS);
    },
  });
}
