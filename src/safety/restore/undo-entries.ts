/**
 * Undoes journal entries. Used by every run at its end and by `chaos restore`. Idempotent; continues after a failed entry
 * and reports each failure.
 */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import { anySignal, unlessAborted } from "../../common/signals.js";
import type { RunEventBody } from "../../evidence/events.js";
import { isUnauthorized, type Transport, UNAUTHORIZED_WORDS } from "../../kube/transport.js";
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

/** How failed undos are retried. */
export interface Retry {
  readonly clock: Clock;
  /** How long one entry is retried, ms. */
  readonly limitMs: number;
  /** How long after the first try of the first entry a retry may begin, ms. Default: no limit in sum. */
  readonly totalMs?: number;
  /** Ends all tries: the user does not want to wait. The reason is a sentence. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the tries that need the API server: it is lost. The reason is a sentence. Default: refused credentials do. */
  readonly apiLost?: AbortSignal | undefined;
}

const RETRY_EVERY_MS = 1_000;

/** How many nodes are restored at once: each may take a process of its own (ssh, docker). */
const NODES_AT_ONCE = 32;

/** An entry that was not undone, and why. */
export interface NotUndone extends PendingUndo {
  readonly error: string;
  /** A retry does not help: it was refused. */
  readonly isFinal: boolean;
}

/**
 * Undoes the faults on nodes, many at once, because nodes are independent and one that cannot be reached must not hold up
 * the others; then everything else, one after the other, from the last to the first. Reports each success and collects each
 * failure.
 */
export async function undoAll(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
  options: UndoOptions = {},
): Promise<NotUndone[]> {
  const newestFirst = [...pending].reverse();
  const [onNodes, inApi] = [true, false].map((wanted) =>
    newestFirst.filter(({ undo: entry }) => isNodeUndo(entry) === wanted),
  ) as [PendingUndo[], PendingUndo[]];
  const endMs = retry?.totalMs === undefined ? Infinity : retry.clock.now() + retry.totalMs;
  const failures: NotUndone[] = [];
  const workOff = async (entries: PendingUndo[]): Promise<void> => {
    for (let next = entries.shift(); next !== undefined; next = entries.shift()) {
      try {
        await report(
          next.seq,
          await undoWithRetry(transport, next.undo, retry && { ...retry, endMs }, options),
        );
      } catch (error) {
        failures.push({ ...next, error: messageOf(error), isFinal: error instanceof ChaosError });
      }
    }
  };
  await Promise.all(Array.from({ length: NODES_AT_ONCE }, async () => await workOff(onNodes)));
  await workOff(inApi);
  return failures;
}

async function undoWithRetry(
  transport: Transport,
  entry: Undo,
  retry: (Retry & { readonly endMs: number }) | undefined,
  options: UndoOptions,
): Promise<Undone> {
  if (retry === undefined) return await undo(transport, entry, options);
  const { clock, endMs } = retry;
  const signal = stopOf(entry, retry);
  const limitMs = Math.min(retry.limitMs, Math.max(0, endMs - clock.now()));
  let last: unknown;
  const done = await pollUntil(clock, { everyMs: RETRY_EVERY_MS, limitMs, signal }, async () => {
    try {
      return await unlessAborted(
        signal,
        () => new Error(String(signal.reason)),
        async () => await undo(transport, entry, options),
      );
    } catch (error) {
      // The message tells the user what to do; a retry does not help.
      if (error instanceof ChaosError) throw error;
      if (isUnauthorized(error) && retry.apiLost === undefined) throw refused(error);
      last = error;
      return undefined;
    }
  });
  if (done === undefined) throw last;
  return done;
}

function refused(cause: unknown): ChaosError {
  return new ChaosError(UNAUTHORIZED_WORDS, { exitCode: ExitCode.notRestored, cause });
}

/** What ends the tries of this entry. A node that is not reached through the API server does not need it. */
function stopOf(entry: Undo, { signal, apiLost }: Retry): AbortSignal {
  const needsApi = !isNodeUndo(entry) || entry.access.type === "pod";
  return anySignal(signal, needsApi ? apiLost : undefined);
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
