/** One restorer at a time on a machine: the watchdog and a person's `chaos restore` must not do the same work twice. */
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, ExitCode } from "../../common/errors.js";
import { isOurProcess } from "../lock/liveness.js";

const FILE = "restoring";

/** Longer than a restore takes when the API server has to come back first, ms. */
const WAIT_LIMIT_MS = 16 * 60_000;
const WAIT_EVERY_MS = 250;

/** The right to restore a run, had. */
export interface Claim {
  release(): Promise<void>;
}

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
    pid = process.pid,
  }: { readonly clock: Clock; readonly note: (text: string) => void; readonly pid?: number },
): Promise<Claim> {
  const path = join(folder, FILE);
  const own = `${path}.${pid}`;
  await writeFile(own, `${pid}\n`, { mode: 0o600 });
  try {
    const had = await pollUntil(clock, { everyMs: WAIT_EVERY_MS, limitMs: WAIT_LIMIT_MS }, async () => {
      // A link is made whole or not at all: nobody reads half a name of its holder.
      if (await linked(own, path)) return true;
      const holder = Number(await readFile(path, "utf8").catch(() => ""));
      if (holder > 0 && isOurProcess(holder)) note(`process ${holder} is restoring it already: wait for it`);
      else await rm(path, { force: true });
      return undefined;
    });
    if (had !== true) {
      throw new ChaosError(`another process is still restoring the run in ${folder}: see what holds it up`, {
        exitCode: ExitCode.notRestored,
      });
    }
  } finally {
    await rm(own, { force: true });
  }
  return { release: async () => await rm(path, { force: true }) };
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
