/**
 * The lines of a journal. Each is `CHECKSUM JSON`, where the checksum is the first 16 hex digits of the JSON's SHA-256. It
 * detects a line that a power cut has damaged; all other lines stay valid.
 */
import { shortHash } from "../../common/hash.js";
import { ChaosError, ExitCode } from "../../common/errors.js";
import type { ProcessIdentity } from "../../common/process-identity.js";
import type { Undo } from "./undo.js";

/** An entry that is not undone yet. */
export interface PendingUndo {
  readonly seq: number;
  readonly undo: Undo;
  /** The change was made. Without this mark, it may have been made. */
  readonly acted?: true;
}

/** Who started the run, and on which cluster. */
export interface JournalOpen extends ProcessIdentity {
  readonly type: "open";
  readonly runId: string;
  readonly experiment: string;
  /** uid of the namespace kube-system. */
  readonly clusterUid: string;
  readonly server: string;
  readonly context: string;
  readonly kubeconfigPath?: string;
  /** Several files, as KUBECONFIG lists them; missing in journals of older versions. */
  readonly kubeconfigList?: string;
  readonly toolVersion: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly host: string;
}

export type JournalRecord =
  | JournalOpen
  | { readonly type: "intent"; readonly seq: number; readonly undo: Undo }
  /** The run made the change of an intent and got the answer. */
  | { readonly type: "acted"; readonly seq: number }
  | { readonly type: "restored"; readonly seq: number; readonly how: string; readonly by: string }
  /** From here on the cluster has a copy of every intent. */
  | { readonly type: "copied" }
  /** Read from the cluster: anyone who can write Secrets there may have written the records before this one. */
  | { readonly type: "adopted" }
  | { readonly type: "closed" };

/** The content of a journal. */
export interface JournalState {
  readonly folder: string;
  readonly open: JournalOpen;
  /** Every intent, in the order of writing. */
  readonly intents: readonly PendingUndo[];
  /** The intents that are not undone yet. */
  readonly pending: readonly PendingUndo[];
  /** The cluster had a copy. If the copy no longer exists, a restore on another machine has removed it. */
  readonly copied: boolean;
  /** It came from the cluster: the commands that it names run on this machine only if the user allows it. */
  readonly adopted: boolean;
  readonly closed: boolean;
  /** Which lines are damaged; undefined: none. All other lines are valid. */
  readonly damage?: string;
}

/** A journal that does not show what its run changed. */
export class UnreadableJournalError extends ChaosError {
  readonly folder: string;
  /** The entries in the lines that can be read. */
  readonly pending: readonly PendingUndo[];
  constructor(
    folder: string,
    problem: string,
    options: { readonly cause?: unknown; readonly pending?: readonly PendingUndo[] } = {},
  ) {
    super(
      `the journal in ${folder} cannot be read: ${problem}. The changes of its run may still be in place. ` +
        "Find the cluster and the objects that its lines name (the target, namespaces, the lock's Lease), " +
        `undo the changes by hand, then close it with \`chaos restore --forget ${runOf(folder)}\``,
      { ...options, exitCode: ExitCode.preflightRefused },
    );
    this.name = "UnreadableJournalError";
    this.folder = folder;
    this.pending = options.pending ?? [];
  }
}

/** The run of a journal's folder, or of its copy's place, and how to find it there. */
function runOf(folder: string): string {
  const copy = /^Secret .*\/journal-(.*)$/.exec(folder)?.[1];
  return copy === undefined ? (folder.split("/").at(-1) ?? folder) : `${copy} --context NAME`;
}

/** The line of a record, without its line feed. */
export function journalLine(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${shortHash(json)} ${json}`;
}

/** A record; undefined where the text, though its checksum is right, is none. */
function recordIn(json: string): JournalRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const record = value as JournalRecord;
  const isUsable =
    record.type !== "intent" || typeof (record.undo as Partial<Undo> | undefined)?.action === "string";
  return isUsable ? record : undefined;
}

/** Records about the whole journal. */
const MARKS: readonly JournalRecord["type"][] = ["copied", "adopted", "closed"];

/**
 * Reads every valid line of a journal. A damaged line is skipped, and the lines after it still count: undoing a change
 * twice does no harm, but not undoing one does. Pure.
 *
 * @returns undefined when there is only an incomplete opening record: the run had changed nothing by then.
 * @throws UnreadableJournalError when there are more lines, but no opening record.
 */
export function parseJournal(folder: string, text: string): JournalState | undefined {
  let opened: JournalOpen | undefined;
  const marks = new Set<JournalRecord["type"]>();
  const damaged: number[] = [];
  const intents = new Map<number, Undo>();
  const acted = new Set<number>();
  const restored = new Set<number>();
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    if (line === "" && index === lines.length - 1) break;
    const json = line.slice(17);
    // The last line counts only with its line feed: without one, the record may be cut.
    if (line !== `${shortHash(json)} ${json}` || index === lines.length - 1) {
      damaged.push(index + 1);
      continue;
    }
    const record = recordIn(json);
    if (record === undefined) damaged.push(index + 1);
    else if (record.type === "open") opened = record;
    else if (record.type === "intent") {
      noteIntent(intents, restored, record);
      acted.delete(record.seq);
    } else if (record.type === "acted") acted.add(record.seq);
    else if (record.type === "restored") restored.add(record.seq);
    else if (MARKS.includes(record.type)) marks.add(record.type);
    // From a newer version: treating it as an end would lose undos.
    else damaged.push(index + 1);
  }
  const all = [...intents].map(([seq, undo]) => ({
    seq,
    undo,
    ...(acted.has(seq) ? { acted: true as const } : {}),
  }));
  const pending = all.filter(({ seq }) => !restored.has(seq));
  if (opened === undefined) {
    // A line with a line feed was fully on disk, and the run continued after it.
    if (lines.length === 1) return undefined;
    throw new UnreadableJournalError(folder, "its opening record is damaged", { pending });
  }
  return {
    folder,
    open: opened,
    intents: all,
    pending,
    copied: marks.has("copied"),
    adopted: marks.has("adopted"),
    closed: marks.has("closed"),
    ...(damaged.length === 0 ? {} : { damage: `cannot read line ${damaged.join(", ")}` }),
  };
}

/** An intent that follows its undo is a new one, and the last. */
function noteIntent(
  intents: Map<number, Undo>,
  restored: Set<number>,
  { seq, undo }: { readonly seq: number; readonly undo: Undo },
): void {
  if (restored.delete(seq)) intents.delete(seq);
  intents.set(seq, undo);
}
