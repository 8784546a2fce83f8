import { ChaosError, ExitCode, messageOf } from "../common/errors.js";
import type { Journal } from "../safety/journal/journal.js";
import { readJournal } from "../safety/journal/journal.js";

/**
 * The error of a run or session that ended without a report. If its journal is still open, something is left to restore:
 * then the error says so, with exit code 5.
 */
export async function unlessRestored(
  error: unknown,
  journal: Pick<Journal, "folder">,
  runId: string,
): Promise<unknown> {
  const state = await readJournal(journal.folder).catch(() => undefined);
  if (state?.closed === true) return error;
  return new ChaosError(
    `the run ended early and is not fully restored: ${messageOf(error)}. Finish it with \`chaos restore ${runId}\``,
    { exitCode: ExitCode.notRestored, cause: error },
  );
}
