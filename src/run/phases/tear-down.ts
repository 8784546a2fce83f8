import type { Clock } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { anySignal } from "../../common/signals.js";
import type { Transport } from "../../kube/transport.js";
import { removedNamespaces } from "../../own/namespaces.js";
import { writeRestored } from "../../safety/journal/entries.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import type { Undone } from "../../safety/journal/undo.js";
import { namespacesOf, stagesOf } from "../../safety/restore/order.js";
import { type Retry, undoAll, undoTogether } from "../../safety/restore/undo-entries.js";
import type { RunState } from "../run-state.js";

/** How long removals are retried, ms: a short API server outage must not leave objects of the run behind. */
export const REMOVE_LIMIT_MS = 60_000;

/**
 * Removes the application and the probers, then the journal's copy and the lock. If the target is not restored, the
 * copy and the lock stay: no other run may use this cluster until `chaos restore` has restored it.
 *
 * @returns whether everything was removed.
 */
export async function cleanUp(state: RunState): Promise<boolean> {
  const { transport, clock, recorder, view, made, changed, givingUp } = state.context;
  const problems: string[] = [];
  if (givingUp?.why !== undefined) {
    recorder.emit({ type: "warning", text: `what the run created was not removed: ${givingUp.why}` });
    return false;
  }
  const report = async (seq: number, undone: Undone): Promise<void> =>
    await writeRestored(state.context, seq, undone);
  await view.step("remove what the run created", async () => {
    const retry = { clock, limitMs: REMOVE_LIMIT_MS, signal: givingUp?.byUser, apiLost: givingUp?.apiLost };
    // Changes of function checks that no one has undone yet.
    const left = await undoAll(transport, changed, report, retry);
    problems.push(...left.map(({ error }) => `not restored: ${error}`));
    await removeOwn([...made, ...state.last], problems, {
      transport,
      clock,
      report,
      retry,
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
 * Removes what a run or session created: everything in parallel, then, if there are no problems, the journal's copy and
 * the lock.
 *
 * @param problems problems so far; objects that cannot be removed are added.
 */
export async function removeOwn(
  entries: readonly PendingUndo[],
  problems: string[],
  options: {
    readonly transport: Transport;
    readonly clock: Clock;
    readonly report: (seq: number, undone: Undone) => Promise<void>;
    /** Default: one attempt each. */
    readonly retry?: Retry;
    /** Whether the target is restored. Otherwise the lock, the copy and the dead-man's switch stay. */
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
    await removedNamespaces(transport, clock, namespacesOf(first), stopOf(retry));
  } catch (error) {
    problems.push(messageOf(error));
  }
  await stopRenewing();
  if (!whole || problems.length > 0) return;
  // undoAll works from the last entry to the first.
  const last = await undoAll(transport, [...lock, ...copy], report, retry);
  problems.push(...last.map(({ error }) => `not removed: ${error}`));
}

/** What ends the waits of a removal. */
function stopOf({ signal, apiLost }: Partial<Retry> = {}): AbortSignal {
  return anySignal(signal, apiLost);
}
