/**
 * The lines of a journal. One is `CHECKSUM JSON`: the first 16 hex digits of the JSON's SHA-256, so that a line torn by a
 * power cut is told from a whole one, and everything else still counts.
 */
import { shortHash } from "../../common/hash.js";
import { ChaosError, ExitCode } from "../../common/errors.js";
import type { ProcessIdentity } from "../../common/process-identity.js";
import type { Undo } from "./undo.js";

/** An entry that is still to be undone. */
export interface PendingUndo {
  readonly seq: number;
  readonly undo: Undo;
  /** The change is known to have been made; without it, it may have been. */
  readonly acted?: true;
}

/** Who began the run, on which cluster. */
export interface JournalOpen extends ProcessIdentity {
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
  /** Where its process has its number; journals of older versions, and of machines without /proc, do not say. */
  readonly pidNamespace?: string;
}

export type JournalRecord =
  | JournalOpen
  | { readonly type: "intent"; readonly seq: number; readonly undo: Undo }
  /** The change that an intent announced was made, as far as the run was told. */
  | { readonly type: "acted"; readonly seq: number }
  | { readonly type: "restored"; readonly seq: number; readonly how: string; readonly by: string }
  /** From here on the cluster has a copy of every intent. */
  | { readonly type: "copied" }
  /** It was read from the cluster: what comes before was written by whoever could write there. */
  | { readonly type: "adopted" }
  | { readonly type: "closed" };

/** What a journal says, read back. */
export interface JournalState {
  readonly folder: string;
  readonly open: JournalOpen;
  /** Every intent, in the order in which they were written. */
  readonly intents: readonly PendingUndo[];
  /** Those that were not undone. */
  readonly pending: readonly PendingUndo[];
  /** The cluster was given a copy: one that is not there any more was removed by whoever had restored the run. */
  readonly copied: boolean;
  /** It came from the cluster: no command that it names is run on this machine without being allowed. */
  readonly adopted: boolean;
  readonly closed: boolean;
  /** Set when there are lines that are not whole: which. All the others count. */
  readonly damage?: string;
}

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
  return `${shortHash(json)} ${json}`;
}

/** Records that say something of the whole journal. */
const MARKS: readonly JournalRecord["type"][] = ["copied", "adopted", "closed"];

/**
 * Reads the text of a journal: every line that is whole. A damaged one hides nothing but itself: to undo what
 * was undone already does no harm, not to undo what comes after it would. Pure.
 *
 * @returns undefined when there is no more than a torn opening record: nothing had been done by then.
 * @throws UnreadableJournalError when there is more, and no opening record.
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
    // The last line counts only with its line feed: without it the record may have been cut.
    if (line !== `${shortHash(json)} ${json}` || index === lines.length - 1) {
      damaged.push(index + 1);
      continue;
    }
    const record = JSON.parse(json) as JournalRecord;
    if (record.type === "open") opened = record;
    else if (record.type === "intent") {
      intents.set(record.seq, record.undo);
      restored.delete(record.seq);
      acted.delete(record.seq);
    } else if (record.type === "acted") acted.add(record.seq);
    else if (record.type === "restored") restored.add(record.seq);
    else if (MARKS.includes(record.type)) marks.add(record.type);
    // A newer version's: it may not be taken for an end.
    else damaged.push(index + 1);
  }
  if (opened === undefined) {
    // A line that was ended was wholly on disk once, and the run went on.
    if (lines.length === 1) return undefined;
    throw new UnreadableJournalError(folder, "its opening record is damaged");
  }
  const all = [...intents].map(([seq, undo]) => ({
    seq,
    undo,
    ...(acted.has(seq) ? { acted: true as const } : {}),
  }));
  return {
    folder,
    open: opened,
    intents: all,
    pending: all.filter(({ seq }) => !restored.has(seq)),
    copied: marks.has("copied"),
    adopted: marks.has("adopted"),
    closed: marks.has("closed"),
    ...(damaged.length === 0 ? {} : { damage: `not whole: line ${damaged.join(", ")}` }),
  };
}
