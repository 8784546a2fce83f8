/**
 * Putting things back from the journal. Used by every run at its end and by `chaos restore`; idempotent, goes
 * on past single failures and reports each.
 */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import type { RunEventBody } from "../../evidence/events.js";
import type { Transport } from "../../kube/transport.js";
import { isNodeUndo, type PendingUndo, type Undo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";
import { undoOnNode, type UndoOptions } from "./on-node.js";
import { undoInApi } from "./undo-in-api.js";

export { nodeUndos, type UndoOptions } from "./on-node.js";

/**
 * Undoes one entry of the journal.
 *
 * @throws ApiError or ApiUnreachableError when the API server would not have it, Error when the node would not; the
 * entry stays pending.
 */
export async function undo(transport: Transport, entry: Undo, options: UndoOptions = {}): Promise<Undone> {
  return isNodeUndo(entry)
    ? await undoOnNode(entry, { transport, ...options })
    : await undoInApi(transport, entry, options.onlyIfGone);
}

/** How often an undo that could not be done is tried again, and for how long, ms. */
export interface Retry {
  readonly clock: Clock;
  readonly limitMs: number;
}

const RETRY_EVERY_MS = 1_000;

/** An entry that could not be undone, and why. */
export interface NotUndone {
  readonly undo: Undo;
  readonly error: string;
}

/** Undoes entries from the last to the first; reports each success, collects each failure. */
export async function undoAll(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
  options: UndoOptions = {},
): Promise<NotUndone[]> {
  const failures: NotUndone[] = [];
  for (const { seq, undo: entry } of [...pending].reverse()) {
    try {
      await report(seq, await undoWithRetry(transport, entry, retry, options));
    } catch (error) {
      failures.push({ undo: entry, error: messageOf(error) });
    }
  }
  return failures;
}

async function undoWithRetry(
  transport: Transport,
  entry: Undo,
  retry: Retry | undefined,
  options: UndoOptions,
): Promise<Undone> {
  if (retry === undefined) return await undo(transport, entry, options);
  let last: unknown;
  const done = await pollUntil(retry.clock, { everyMs: RETRY_EVERY_MS, limitMs: retry.limitMs }, async () => {
    try {
      return await undo(transport, entry, options);
    } catch (error) {
      // It says what is wrong and what to do about it: another second does not change that.
      if (error instanceof ChaosError) throw error;
      last = error;
      return undefined;
    }
  });
  if (done === undefined) throw last;
  return done;
}

/** The event that says what was put back. */
export function restoredEvent(undone: Undone): RunEventBody | undefined {
  const { object, how, by } = undone;
  return how === "removed" || how === "emptied" || how === "untouched"
    ? undefined
    : { type: "restored", object, how, by };
}

/** Undoes entries that do not depend on each other, all at once. */
export async function undoTogether(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
): Promise<NotUndone[]> {
  const each = pending.map(async (entry) => await undoAll(transport, [entry], report, retry));
  return (await Promise.all(each)).flat();
}
