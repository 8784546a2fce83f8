import type { Clock } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import type { Transport } from "../../kube/transport.js";
import { removedNamespaces } from "../../own/namespaces.js";
import { writeRestored } from "../../safety/journal/entries.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import type { Undone } from "../../safety/journal/undo.js";
import { namespacesOf, stagesOf } from "../../safety/restore/order.js";
import { type Retry, undoAll, undoTogether } from "../../safety/restore/undo-entries.js";
import type { RunState } from "../run-state.js";

/** An API server that is away for a moment must not leave what a run has made, ms. */
const REMOVE_LIMIT_MS = 60_000;

/**
 * Removes the application and the probers, then the journal's copy and the lock. Where the target is not as before,
 * the copy and the lock stay: nobody else is to work on this cluster until `chaos restore` has put it right.
 *
 * @returns whether all of it is gone.
 */
export async function cleanUp(state: RunState): Promise<boolean> {
  const { transport, clock, recorder, view, made, changed } = state.context;
  const problems: string[] = [];
  const report = async (seq: number, undone: Undone): Promise<void> =>
    await writeRestored(state.context, seq, undone);
  await view.step("remove what the run had made", async () => {
    // What a probe of a function had changed and nobody has put right.
    const left = await undoAll(transport, changed, report);
    problems.push(...left.map(({ error }) => `not put back: ${error}`));
    await removeOwn([...made, ...state.last], problems, {
      transport,
      clock,
      report,
      retry: { clock, limitMs: REMOVE_LIMIT_MS },
      whole: state.whole,
      stopRenewing: async () => {
        if (state.context.shared === undefined) await state.lock?.stopRenewing();
      },
    });
    for (const text of problems) recorder.emit({ type: "warning", text });
  });
  return problems.length === 0;
}

/**
 * Removes what a run, or several that share something, had made: all of it at once, and, when that is gone, the
 * journal's copy and the lock, unless there are problems by then.
 *
 * @param problems so far; what cannot be removed is added.
 */
export async function removeOwn(
  entries: readonly PendingUndo[],
  problems: string[],
  options: {
    readonly transport: Transport;
    readonly clock: Clock;
    readonly report: (seq: number, undone: Undone) => Promise<void>;
    /** Default: each is tried once. */
    readonly retry?: Retry;
    /** Whether the target is as before. Otherwise what keeps others away stays, and the dead-man's switch. */
    readonly whole: boolean;
    readonly stopRenewing: () => Promise<void>;
  },
): Promise<void> {
  const { transport, clock, report, retry, whole, stopRenewing } = options;
  const { own, deadMan, copy, home, lock } = stagesOf(entries);
  const first = whole ? [...own, ...deadMan, ...home] : own;
  const left = await undoTogether(transport, first, report, retry);
  problems.push(...left.map(({ error }) => `not removed: ${error}`));
  try {
    await removedNamespaces(transport, clock, namespacesOf(first));
  } catch (error) {
    problems.push(messageOf(error));
  }
  await stopRenewing();
  if (!whole || problems.length > 0) return;
  // The last is undone first.
  const last = await undoAll(transport, [...lock, ...copy], report, retry);
  problems.push(...last.map(({ error }) => `not removed: ${error}`));
}
