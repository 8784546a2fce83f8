/**
 * The write-ahead journal: what a run is about to change and how that is undone, on disk before the change.
 * Data, never code. One folder per run, readable by the user only, with one file that is appended to and synced.
 */
import { constants } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ChaosError, ExitCode } from "../../common/errors.js";
import { makeFolder } from "../../common/make-folder.js";
import { systemReason } from "../../common/system-reason.js";
import {
  type JournalOpen,
  journalLine,
  type JournalRecord,
  type JournalState,
  parseJournal,
  UnreadableJournalError,
} from "./records.js";
import { JOURNAL_FILE as FILE } from "./folder.js";
import { implausibleIn } from "./plausible.js";
import type { Undo } from "./undo.js";

export * from "./records.js";
export * from "./folder.js";
export * from "./undo.js";

/** A second place for the journal. */
export interface JournalCopy {
  /** Replaces the copy with the whole text. @throws when that fails: then nothing may be changed. */
  write(text: string): Promise<void>;
}

/** An open journal. Every method resolves when the record is on disk; `intent` when it is in the copy, too. */
export class Journal {
  readonly folder: string;
  #handle: FileHandle;
  #seq = 0;
  #text: string;
  /** The last line may be incomplete. */
  #torn = false;
  #tail: Promise<void> = Promise.resolve();
  #copy: JournalCopy | undefined;
  #copying: Promise<void> = Promise.resolve();

  private constructor(folder: string, handle: FileHandle, { seq = 0, text = "" } = {}) {
    this.folder = folder;
    this.#handle = handle;
    this.#seq = seq;
    this.#text = text;
  }

  /**
   * Creates the run's folder (mode 0700) and journal (0600) and writes the opening record.
   *
   * @throws ChaosError (exit 6) when that fails: then nothing may be changed.
   */
  static async create(root: string, record: JournalOpen): Promise<Journal> {
    const folder = join(root, record.clusterUid, record.runId);
    try {
      await makeFolder(folder, { mode: 0o700 });
      const handle = await open(join(folder, FILE), "ax", 0o600);
      const journal = new Journal(folder, handle);
      await journal.#append(record);
      await syncNames(root, folder);
      return journal;
    } catch (error) {
      throw new ChaosError(
        `cannot write the journal in ${folder}: ${systemReason(error)}. Nothing was changed. ` +
          "Make the folder writable, or set XDG_STATE_HOME to a writable folder",
        { cause: error },
      );
    }
  }

  /** Opens an existing journal and continues it: `chaos restore`. */
  static async reopen(state: JournalState): Promise<Journal> {
    const path = join(state.folder, FILE);
    const content = await readFile(path);
    const handle = await open(path, constants.O_WRONLY | constants.O_APPEND);
    // An incomplete last line is cut off, so that the next record starts on its own line.
    const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1);
    await handle.truncate(whole.length);
    const seqs = state.intents.map((entry) => entry.seq);
    return new Journal(state.folder, handle, { seq: Math.max(0, ...seqs), text: whole.toString("utf8") });
  }

  /**
   * Saves another machine's journal on this machine; the restore continues it here.
   *
   * @param place where it comes from, for messages.
   * @throws ChaosError (exit 5) when it cannot be written, UnreadableJournalError when the text is not a valid journal.
   */
  static async adopt(root: string, text: string, place: string): Promise<JournalState> {
    const found = readForeign(place, text);
    const folder = join(root, found.open.clusterUid, found.open.runId);
    try {
      await makeFolder(folder, { mode: 0o700 });
      const handle = await open(join(folder, FILE), "wx", 0o600);
      try {
        await handle.writeFile(`${text}${journalLine({ type: "adopted" })}\n`);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await syncNames(root, folder);
    } catch (error) {
      throw new ChaosError(
        `cannot save the journal of ${found.open.runId} in ${folder}: ${systemReason(error)}. Nothing was changed. ` +
          "If the folder is not writable, set XDG_STATE_HOME to one that is",
        {
          exitCode: ExitCode.notRestored,
          cause: error,
        },
      );
    }
    return { ...found, folder, adopted: true };
  }

  /**
   * Writes a copy of the journal now, and updates it with every intent before `intent` resolves.
   *
   * @throws the errors of the copy's `write`: then nothing may be changed.
   */
  async keepCopy(copy: JournalCopy): Promise<void> {
    await this.#append({ type: "copied" });
    this.#copy = copy;
    await this.#writeCopy();
  }

  /**
   * Writes how a change is undone, before the change is made.
   *
   * @returns the entry's number, for `acted` and `restored`.
   */
  async intent(undo: Undo): Promise<number> {
    const seq = ++this.#seq;
    await this.#append({ type: "intent", seq, undo });
    await this.#writeCopy();
    return seq;
  }

  /** The change that `intent` announced was made. */
  async acted(seq: number): Promise<void> {
    await this.#append({ type: "acted", seq });
  }

  /** The change is undone. */
  async restored(seq: number, how: string, by: string): Promise<void> {
    await this.#append({ type: "restored", seq, how, by });
  }

  /** Everything is undone, and the run is finished. */
  async finish(): Promise<void> {
    try {
      await this.#append({ type: "closed" });
    } finally {
      await this.close();
    }
  }

  /** Closes the file without finishing the run: some of its changes are not undone yet. */
  async close(): Promise<void> {
    await this.#tail.catch(() => undefined);
    await this.#handle.close();
  }

  #append(record: JournalRecord): Promise<void> {
    const line = `${journalLine(record)}\n`;
    const write = this.#tail.then(async () => {
      // A full disk may have cut the last line. The next record starts on its own line, so only the cut one is lost.
      const text = this.#torn ? `\n${line}` : line;
      this.#torn = true;
      await this.#handle.appendFile(text);
      await this.#handle.datasync();
      this.#torn = false;
      this.#text += line;
    });
    // A failed write must not block the next one: the disk may have space again.
    this.#tail = write.catch(() => undefined);
    return write;
  }

  /** Writes copies one after another, each with the whole text, so that a slow write never replaces a newer one. */
  async #writeCopy(): Promise<void> {
    const copy = this.#copy;
    if (copy === undefined) return;
    const write = this.#copying.catch(() => undefined).then(async () => await copy.write(this.#text));
    this.#copying = write;
    await write;
  }
}

/** The content of another machine's journal. @throws UnreadableJournalError when the text is not a valid one. */
export function readForeign(place: string, text: string): JournalState {
  const found = parseJournal(place, text);
  if (found === undefined) throw new UnreadableJournalError(place, "it has no complete opening record");
  refuseImplausible(found);
  return found;
}

/** @throws UnreadableJournalError when it contains something that no run of this tool writes. */
export function refuseImplausible(state: JournalState): void {
  const problem = implausibleIn(state);
  if (problem !== undefined) throw new UnreadableJournalError(state.folder, problem);
}

/** The names of the file and its folders must be on disk, not only the content. */
async function syncNames(root: string, folder: string): Promise<void> {
  for (const path of [folder, dirname(folder), root]) await syncFolder(path);
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
