/**
 * The write-ahead journal: what a run is about to change and how that is undone, on disk before it is done.
 * Data, never code. One folder a run, private to the user; one file in it, appended to and synced.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import {
  type JournalOpen,
  journalLine,
  type JournalRecord,
  type JournalState,
  parseJournal,
  UnreadableJournalError,
} from "./records.js";
import { JOURNAL_FILE as FILE } from "./folder.js";
import { implausible, isRunId } from "./plausible.js";
import type { Undo } from "./undo.js";

export * from "./records.js";
export * from "./folder.js";
export * from "./undo.js";

/** Where a journal is kept a second time. */
export interface JournalCopy {
  /** Keeps the whole text in place of the one before. @throws when it is not kept: then nothing may be done. */
  write(text: string): Promise<void>;
}

/** An open journal. Every method resolves only when the record is on disk, and an intent also in the copy. */
export class Journal {
  readonly folder: string;
  #handle: FileHandle;
  #seq = 0;
  #text: string;
  /** The last line may not be whole. */
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
   * Makes the run's folder (mode 0700) and journal (0600) and writes its opening record.
   *
   * @throws ChaosError (exit 4) when it cannot: then nothing may be injected.
   */
  static async create(root: string, record: JournalOpen): Promise<Journal> {
    const folder = join(root, record.clusterUid, record.runId);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const handle = await open(join(folder, FILE), "ax", 0o600);
      const journal = new Journal(folder, handle);
      await journal.#append(record);
      await syncNames(root, folder);
      return journal;
    } catch (error) {
      throw new ChaosError(
        `cannot write the journal in ${folder}: ${messageOf(error)}; nothing was touched. ` +
          `Make the folder writable, or set XDG_STATE_HOME to one that is.`,
        { exitCode: ExitCode.preflightRefused, cause: error },
      );
    }
  }

  /** Opens an existing journal to go on writing it: `chaos restore`. */
  static async reopen(state: JournalState): Promise<Journal> {
    const path = join(state.folder, FILE);
    const content = await readFile(path);
    const handle = await open(path, constants.O_WRONLY | constants.O_APPEND);
    // A torn last line is cut away, so that what is appended begins on a line of its own.
    const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1);
    await handle.truncate(whole.length);
    const seqs = state.intents.map((entry) => entry.seq);
    return new Journal(state.folder, handle, { seq: Math.max(0, ...seqs), text: whole.toString("utf8") });
  }

  /**
   * Puts another machine's journal among those of this one: what follows is written into it.
   *
   * @param place where it comes from, for messages.
   * @throws ChaosError (exit 4) when it cannot be written, UnreadableJournalError when the text says nothing.
   */
  static async adopt(root: string, text: string, place: string): Promise<JournalState> {
    const found = parseJournal(place, text);
    if (found === undefined) throw new UnreadableJournalError(place, "it was not opened");
    refuseImplausible(found);
    const folder = join(root, found.open.clusterUid, found.open.runId);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
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
        `cannot write the journal of ${found.open.runId} to ${folder}: ${messageOf(error)}`,
        {
          exitCode: ExitCode.preflightRefused,
          cause: error,
        },
      );
    }
    return { ...found, folder, adopted: true };
  }

  /**
   * Keeps a copy from here on: what is there now, and every intent before `intent` resolves.
   *
   * @throws what the copy's `write` throws: then nothing may be injected.
   */
  async keepCopy(copy: JournalCopy): Promise<void> {
    await this.#append({ type: "copied" });
    this.#copy = copy;
    await this.#writeCopy();
  }

  /**
   * Writes down how something is undone, before it is done.
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

  /** It is as it was again. */
  async restored(seq: number, how: string, by: string): Promise<void> {
    await this.#append({ type: "restored", seq, how, by });
  }

  /** Everything is undone: the run is finished. */
  async finish(): Promise<void> {
    try {
      await this.#append({ type: "closed" });
    } finally {
      await this.close();
    }
  }

  /** Lets go of the file without finishing the run: its damage is still to be undone. */
  async close(): Promise<void> {
    await this.#tail.catch(() => undefined);
    await this.#handle.close();
  }

  #append(record: JournalRecord): Promise<void> {
    const line = `${journalLine(record)}\n`;
    const write = this.#tail.then(async () => {
      // After a line that a full disk has cut, the next begins on one of its own; a torn line hides only itself.
      const text = this.#torn ? `\n${line}` : line;
      this.#torn = true;
      await this.#handle.appendFile(text);
      await this.#handle.datasync();
      this.#torn = false;
      this.#text += line;
    });
    // One record that could not be written does not keep the next one out: the disk may have room again.
    this.#tail = write.catch(() => undefined);
    return write;
  }

  /** One after the other, each with everything so far: a slow one never replaces a newer. */
  async #writeCopy(): Promise<void> {
    const copy = this.#copy;
    if (copy === undefined) return;
    const write = this.#copying.catch(() => undefined).then(async () => await copy.write(this.#text));
    this.#copying = write;
    await write;
  }
}

/** @throws UnreadableJournalError when somebody has put into it what no run of ours writes. */
function refuseImplausible({ folder, open: { runId }, intents }: JournalState): void {
  const problem = isRunId(runId)
    ? intents.map(({ undo }) => implausible(undo)).find((each) => each !== undefined)
    : `its run is called ${JSON.stringify(runId.slice(0, 80))}`;
  if (problem !== undefined) throw new UnreadableJournalError(folder, problem);
}

/** The file's name, and the folders', must be on disk as well as the content. */
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
