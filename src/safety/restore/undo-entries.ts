/**
 * Undoes journal entries. Used by every run at its end and by `chaos restore`. Idempotent; continues after a failed entry
 * and reports each failure.
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
 * @throws ApiError or ApiUnreachableError when the API server refuses or does not answer, Error when the node does; the
 * entry stays pending.
 */
export async function undo(transport: Transport, entry: Undo, options: UndoOptions = {}): Promise<Undone> {
  return isNodeUndo(entry)
    ? await undoOnNode(entry, { transport, ...options })
    : await undoInApi(transport, entry, options.onlyIfGone);
}

/** How long a failed undo is retried, ms. */
export interface Retry {
  readonly clock: Clock;
  readonly limitMs: number;
}

const RETRY_EVERY_MS = 1_000;

/** An entry that was not undone, and why. */
export interface NotUndone {
  readonly undo: Undo;
  readonly error: string;
}

/** Undoes entries from the last to the first. Reports each success and collects each failure. */
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
      // The message tells the user what to do; a retry does not help.
      if (error instanceof ChaosError) throw error;
      last = error;
      return undefined;
    }
  });
  if (done === undefined) throw last;
  return done;
}

/** The event for an undone change; undefined: the event log does not show it. */
export function restoredEvent(undone: Undone): RunEventBody | undefined {
  const { object, how, by } = undone;
  return how === "removed" || how === "emptied" || how === "untouched" || how === "gone"
    ? undefined
    : { type: "restored", object, how, by };
}

/** Undoes independent entries in parallel. */
export async function undoTogether(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
): Promise<NotUndone[]> {
  const each = pending.map(async (entry) => await undoAll(transport, [entry], report, retry));
  return (await Promise.all(each)).flat();
}
