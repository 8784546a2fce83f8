/**
 * The write-ahead journal: what a run is about to change and how that is undone, on disk before it is done.
 * Data, never code. One folder a run, private to the user; one file in it, appended to and synced.
 *
 * A line is `CHECKSUM JSON`: the first 16 hex digits of the JSON's SHA-256, so that a line torn by a power cut
 * is told from a whole one, and everything else still counts.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ObjectRef } from "../analysis/events.js";
import type { NodeAccessSpec } from "../cluster/node-access.js";
import type { KubeObject } from "../cluster/objects.js";
import { ChaosError, ExitCode, messageOf } from "../errors.js";

/** How one change is undone. */
export type Undo =
  /** The workload is put back as it was: created when it is gone, repaired when another restorer's differs. */
  | {
      readonly action: "restore-workload";
      readonly path: string;
      readonly collection: string;
      readonly object: KubeObject;
    }
  /**
   * Something of ours is removed again: a namespace, the lock. `path` is its URL path in the API; `labels` are
   * what it must carry, or it is somebody else's under the same name and is left alone.
   */
  | {
      readonly action: "remove";
      readonly path: string;
      readonly object: ObjectRef;
      readonly labels: Readonly<Record<string, string>>;
    }
  /** A namespace that was prepared for runs and stays: what runs have made in it (`labels`) is removed. */
  | {
      readonly action: "empty";
      readonly path: string;
      readonly object: ObjectRef;
      readonly labels: Readonly<Record<string, string>>;
    }
  | NodeUndo;

/** How a fault on a node is undone: on that very machine, without the API (but for the access "pod"). */
export type NodeUndo =
  /** A systemd unit is started again, and what systemd stops with it. */
  | (OnNode & {
      readonly action: "start-unit";
      readonly unit: string;
      readonly also: readonly string[];
      /** systemd's id of the start that was there before the run. */
      readonly invocation: string;
    })
  /** A static pod's manifest is moved back. */
  | (OnNode & { readonly action: "return-manifest"; readonly manifest: string; readonly heldAt: string });

interface OnNode {
  /** The component on the node: "kubelet on worker-1". */
  readonly object: ObjectRef;
  readonly node: string;
  /** The timer on the node that would undo it by itself, without ".timer". */
  readonly timer: string;
  readonly access: NodeAccessSpec;
  /** /etc/machine-id: another machine may have the node's name by the time of a restore. */
  readonly machineId: string;
}

/** Whether an entry is undone on a node, and not in the API. */
export function isNodeUndo(entry: Undo): entry is NodeUndo {
  return entry.action === "start-unit" || entry.action === "return-manifest";
}

/** An entry that is still to be undone. */
export interface PendingUndo {
  readonly seq: number;
  readonly undo: Undo;
  /** The change is known to have been made; without it, it may have been. */
  readonly acted?: true;
}

export interface JournalOpen {
  readonly type: "open";
  readonly runId: string;
  readonly experiment: string;
  /** uid of the namespace kube-system. */
  readonly clusterUid: string;
  readonly server: string;
  readonly context: string;
  readonly kubeconfigPath?: string;
  readonly toolVersion: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly host: string;
  readonly pid: number;
}

export type JournalRecord =
  | JournalOpen
  | { readonly type: "intent"; readonly seq: number; readonly undo: Undo }
  /** The change that an intent announced was made, as far as the run was told. */
  | { readonly type: "acted"; readonly seq: number }
  | { readonly type: "restored"; readonly seq: number; readonly how: string; readonly by: string }
  | { readonly type: "closed" };

/** What a journal says, read back. */
export interface JournalState {
  readonly folder: string;
  readonly open: JournalOpen;
  /** Intents that were not undone, in the order in which they were written. */
  readonly pending: readonly PendingUndo[];
  readonly closed: boolean;
  /** Set when there are lines that are not whole: which. All the others count. */
  readonly damage?: string;
}

/** Runs that were not finished. */
export interface UnfinishedRuns {
  readonly runs: readonly JournalState[];
  /** What these runs changed is not known, and may still be so. */
  readonly unreadable: readonly UnreadableJournalError[];
}

const FILE = "journal";

/** A journal that does not say what its run has changed. */
export class UnreadableJournalError extends ChaosError {
  readonly folder: string;
  constructor(folder: string, problem: string, options: { cause?: unknown } = {}) {
    super(
      `the journal in ${folder} cannot be read (${problem}): what that run changed may still be so. ` +
        "See which cluster it was on and what its lines name (the target, namespaces, the Lease of the lock), " +
        `put that right by hand, then remove ${folder}`,
      { ...options, exitCode: ExitCode.preflightRefused },
    );
    this.name = "UnreadableJournalError";
    this.folder = folder;
  }
}

/** The line of a record, without its line feed. */
export function journalLine(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}`;
}

function checksum(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/**
 * Reads the text of a journal: every line that is whole. A damaged one hides nothing but itself: to undo what
 * was undone already does no harm, not to undo what comes after it would. Pure.
 *
 * @returns undefined when there is no more than a torn opening record: nothing had been done by then.
 * @throws UnreadableJournalError when there is more, and no opening record.
 */
export function parseJournal(folder: string, text: string): JournalState | undefined {
  let opened: JournalOpen | undefined;
  let closed = false;
  const damaged: number[] = [];
  const pending = new Map<number, Undo>();
  const acted = new Set<number>();
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    if (line === "" && index === lines.length - 1) break;
    const json = line.slice(17);
    // The last line counts only with its line feed: without it the record may have been cut.
    if (line !== `${checksum(json)} ${json}` || index === lines.length - 1) {
      damaged.push(index + 1);
      continue;
    }
    const record = JSON.parse(json) as JournalRecord;
    if (record.type === "open") opened = record;
    else if (record.type === "intent") pending.set(record.seq, record.undo);
    else if (record.type === "acted") acted.add(record.seq);
    else if (record.type === "restored") pending.delete(record.seq);
    else closed = true;
  }
  if (opened === undefined) {
    // A line that was ended was wholly on disk once, and the run went on.
    if (lines.length === 1) return undefined;
    throw new UnreadableJournalError(folder, "its opening record is damaged");
  }
  return {
    folder,
    open: opened,
    pending: [...pending].map(([seq, undo]) => ({ seq, undo, ...(acted.has(seq) ? { acted: true } : {}) })),
    closed,
    ...(damaged.length === 0 ? {} : { damage: `not whole: line ${damaged.join(", ")}` }),
  };
}

/** An open journal. Every method resolves only when the record is on disk. */
export class Journal {
  readonly folder: string;
  #handle: FileHandle;
  #seq = 0;
  #tail: Promise<void> = Promise.resolve();

  private constructor(folder: string, handle: FileHandle, seq: number) {
    this.folder = folder;
    this.#handle = handle;
    this.#seq = seq;
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
      const journal = new Journal(folder, handle, 0);
      await journal.#append(record);
      // The file's name, and the folder's, must be on disk as well as its content.
      for (const path of [folder, dirname(folder), root]) await syncFolder(path);
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
    await handle.truncate(content.lastIndexOf(0x0a) + 1);
    const seqs = state.pending.map((entry) => entry.seq);
    return new Journal(state.folder, handle, Math.max(0, ...seqs));
  }

  /**
   * Writes down how something is undone, before it is done.
   *
   * @returns the entry's number, for `acted` and `restored`.
   */
  async intent(undo: Undo): Promise<number> {
    const seq = ++this.#seq;
    await this.#append({ type: "intent", seq, undo });
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
    await this.#append({ type: "closed" });
    await this.close();
  }

  /** Lets go of the file without finishing the run: its damage is still to be undone. */
  async close(): Promise<void> {
    await this.#tail.catch(() => undefined);
    await this.#handle.close();
  }

  #append(record: JournalRecord): Promise<void> {
    const line = `${journalLine(record)}\n`;
    const write = this.#tail.then(async () => {
      await this.#handle.appendFile(line);
      await this.#handle.datasync();
    });
    this.#tail = write;
    return write;
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Where journals are: $XDG_STATE_HOME or ~/.local/state, below it `kube-system-chaos/runs`. */
export function journalRoot(env: Readonly<Record<string, string | undefined>>): string {
  const state = env["XDG_STATE_HOME"] ?? join(env["HOME"] ?? ".", ".local", "state");
  return join(state, "kube-system-chaos", "runs");
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
    text = await readFile(join(folder, FILE), "utf8");
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
