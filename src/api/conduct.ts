/** The one way to run experiments: the command line and the API both go through it. */
import type { RunCommandOptions } from "../commands/run-command.js";
import type { ExitCode } from "../common/errors.js";
import { guarded } from "./guarded.js";

export interface ConductOptions extends Omit<RunCommandOptions, "watchdog"> {
  /** The program and arguments that start `chaos`, for the watchdog; undefined: without a watchdog. */
  readonly chaos: readonly string[] | undefined;
}

/**
 * Runs experiments with a watchdog, which restores what this process leaves behind.
 *
 * @returns the exit code of `chaos run`.
 * @throws as {@link RunCommandOptions}' command: before anything was changed, or for a bug.
 */
export async function conduct({ chaos, ...options }: ConductOptions): Promise<ExitCode> {
  const { run } = await import("../commands/run-command.js");
  return await guarded(
    { ...options, chaos: options.dryRun ? undefined : chaos },
    async (watched) => await run({ ...options, ...watched }),
  );
}
