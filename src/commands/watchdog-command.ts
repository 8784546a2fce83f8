import { createWriteStream } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import type { Clock } from "../common/clock.js";
import { systemClock } from "../common/clock.js";
import { ExitCode, messageOf, UsageError } from "../common/errors.js";
import { readJournal } from "../safety/journal/journal.js";
import { type RestoreOptions } from "../safety/restore/options.js";
import { RELEASE, WATCH, WATCHING } from "../safety/watchdog.js";
import { createView } from "../ui/view.js";
import { restore } from "./restore-command.js";

/** A failed restore is retried after this, ms. */
const AGAIN_AFTER_MS = 10_000;

/** The watchdog gives up after this, ms. The journal then remains for `chaos restore`. */
const GIVE_UP_MS = 30 * 60_000;

/** Log of what the watchdog did, next to the journal of the run that it restored. */
export const WATCHDOG_LOG = "watchdog.log";

export interface WatchdogCommandOptions {
  /** The runner's end of the pipe. */
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly allowCommands: boolean;
  /** Restores one run; for tests. Default: as `chaos restore RUN`. */
  readonly restoreRun?: (folder: string) => Promise<boolean>;
  readonly clock?: Clock;
}

/**
 * `chaos watchdog`, which a run starts: waits until its runner is gone, then restores what the runner has not released,
 * newest first.
 */
export async function watchdog(options: WatchdogCommandOptions): Promise<ExitCode> {
  const { input, output, clock = systemClock() } = options;
  const restoreRun = options.restoreRun ?? (async (folder: string) => await restoreFrom(folder, options));
  const folders = new Set<string>();
  // When the runner is gone, no one reads the output any more.
  output.on("error", () => undefined);
  for await (const line of createInterface({ input })) {
    if (line.startsWith(RELEASE)) folders.delete(line.slice(RELEASE.length));
    if (!line.startsWith(WATCH)) continue;
    const folder = line.slice(WATCH.length);
    folders.add(folder);
    output.write(`${WATCHING}${folder}\n`);
  }
  let left = [...folders].reverse();
  const startedAt = clock.now();
  for (;;) {
    const still: string[] = [];
    for (const folder of left) if (!(await restoreRun(folder))) still.push(folder);
    left = still;
    if (left.length === 0) return ExitCode.asExpected;
    if (clock.now() - startedAt > GIVE_UP_MS) return ExitCode.notRestored;
    await clock.sleep(AGAIN_AFTER_MS);
  }
}

/** @returns whether nothing is left to restore. */
async function restoreFrom(
  folder: string,
  { env, allowCommands }: Pick<RestoreOptions, "env"> & { readonly allowCommands: boolean },
): Promise<boolean> {
  const log = createWriteStream(join(folder, WATCHDOG_LOG), { flags: "a", mode: 0o600 });
  const view = createView({ stream: log, out: log, mode: "plain" });
  try {
    // The runner may have been killed between finishing a run and releasing it: is anything left?
    const state = await readJournal(folder);
    if (state === undefined || state.closed) return true;
    view.info(
      `${new Date().toISOString()}: the runner of ${state.open.runId} (process ${state.open.pid}) is gone`,
    );
    const code = await restore({
      runId: basename(folder),
      all: false,
      dryRun: false,
      allowCommands,
      view,
      env,
    });
    return code === ExitCode.asExpected;
  } catch (error) {
    view.warn(messageOf(error));
    // Another `chaos restore` was faster.
    return error instanceof UsageError && (await readJournal(folder))?.closed === true;
  } finally {
    view.close();
    log.end();
  }
}
