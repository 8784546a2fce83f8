/** The journals of this machine. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../common/errors.js";
import { userFolder } from "../../common/places.js";
import { type JournalState, parseJournal, UnreadableJournalError } from "./records.js";

/** The file in a run's folder. */
export const JOURNAL_FILE = "journal";

/** Runs that were not finished. */
export interface UnfinishedRuns {
  readonly runs: readonly JournalState[];
  /** What these runs changed is not known, and may still be so. */
  readonly unreadable: readonly UnreadableJournalError[];
}

/** Where journals are. @throws UsageError when the environment names no such place. */
export function journalRoot(env: Readonly<Record<string, string | undefined>>): string {
  return join(userFolder("state", env), "runs");
}

/**
 * The journals of runs that were not finished, oldest first.
 *
 * @param clusterUid only those of this cluster; undefined: of every cluster.
 */
export async function unfinishedRuns(root: string, clusterUid?: string): Promise<UnfinishedRuns> {
  const found: (JournalState | UnreadableJournalError | undefined)[] = [];
  for (const cluster of clusterUid === undefined ? await folderNames(root) : [clusterUid]) {
    for (const run of await folderNames(join(root, cluster))) {
      // One that is unreadable is handed on: the others can be restored all the same.
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
 * Reads one run's journal; undefined when the folder holds none, or none that was opened.
 *
 * @throws UnreadableJournalError when it is there and does not say what the run has changed.
 */
export async function readJournal(folder: string): Promise<JournalState | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, JOURNAL_FILE), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new UnreadableJournalError(folder, messageOf(error), { cause: error });
  }
  return parseJournal(folder, text);
}

async function folderNames(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
