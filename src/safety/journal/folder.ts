/** The journals of this machine. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../../common/errors.js";
import { userFolder } from "../../common/places.js";
import { systemReason } from "../../common/system-reason.js";
import { type JournalState, parseJournal, UnreadableJournalError } from "./records.js";

/** The file in a run's folder. */
export const JOURNAL_FILE = "journal";

/** Unfinished runs. */
export interface UnfinishedRuns {
  readonly runs: readonly JournalState[];
  /** The changes of these runs are unknown and may still be in place. */
  readonly unreadable: readonly UnreadableJournalError[];
}

/** The folder of all journals. @throws UsageError when the environment names no folder for it. */
export function journalRoot(env: Readonly<Record<string, string | undefined>>): string {
  return join(userFolder("state", env), "runs");
}

/**
 * The journals of unfinished runs, oldest first.
 *
 * @throws UsageError when their folder exists and cannot be read.
 * @param clusterUid only those of this cluster; undefined: of every cluster.
 */
export async function unfinishedRuns(root: string, clusterUid?: string): Promise<UnfinishedRuns> {
  const found: (JournalState | UnreadableJournalError | undefined)[] = [];
  for (const cluster of clusterUid === undefined ? await folderNames(root) : [clusterUid]) {
    for (const run of await folderNames(join(root, cluster))) {
      // An unreadable journal must not stop the others from being restored.
      found.push(await readJournal(join(root, cluster, run)).catch(unlessUnreadable));
    }
  }
  const runs = found.filter(
    (each): each is JournalState =>
      each !== undefined && !(each instanceof UnreadableJournalError) && !each.closed,
  );
  return {
    runs: runs.sort((a, b) => a.open.startedAt.localeCompare(b.open.startedAt)),
    unreadable: found.filter((each) => each instanceof UnreadableJournalError),
  };
}

function unlessUnreadable(error: unknown): UnreadableJournalError {
  if (error instanceof UnreadableJournalError) return error;
  throw error;
}

/**
 * Reads one run's journal; undefined when the folder has no journal, or one without a complete opening record.
 *
 * @throws UnreadableJournalError when the journal exists but does not show what the run changed.
 */
export async function readJournal(folder: string): Promise<JournalState | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, JOURNAL_FILE), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new UnreadableJournalError(folder, systemReason(error), { cause: error });
  }
  return parseJournal(folder, text);
}

async function folderNames(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new UsageError(
      `cannot read the journals of runs in ${path}: ${systemReason(error)}. Make the folder readable, or set XDG_STATE_HOME to a folder of your own`,
      { cause: error },
    );
  }
}
