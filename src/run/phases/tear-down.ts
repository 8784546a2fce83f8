import { messageOf } from "../../common/errors.js";
import { removedNamespaces } from "../../own/namespaces.js";
import { writeRestored } from "../../safety/journal/entries.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import { isHold, isOfDeadMan, namespacesOf } from "../../safety/restore/order.js";
import { undoAll, undoTogether } from "../../safety/restore/undo-entries.js";
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
  const { transport, clock, recorder, view, made } = state.context;
  let clean = true;
  const remove = async (entries: readonly PendingUndo[]): Promise<void> => {
    const failures = await undoTogether(
      transport,
      entries,
      async (seq, undone) => await writeRestored(state.context, seq, undone),
      { clock, limitMs: REMOVE_LIMIT_MS },
    );
    for (const { error } of failures) {
      clean = false;
      recorder.emit({ type: "warning", text: `not removed: ${error}` });
    }
  };
  await view.step("remove what the run had made", async () => {
    // What a probe of a function had changed and nobody has put right.
    const changed = await undoAll(transport, state.context.changed, async (seq, undone) => {
      await writeRestored(state.context, seq, undone);
    });
    for (const { error } of changed) {
      clean = false;
      recorder.emit({ type: "warning", text: `not put back: ${error}` });
    }
    // What is not as before is the dead-man's switch's to put right, once the lock is not renewed any more.
    const gone = made.filter(({ undo }) => state.whole || !(isHold(undo) || isOfDeadMan(undo)));
    await remove(gone);
    try {
      await removedNamespaces(transport, clock, namespacesOf(gone));
    } catch (error) {
      clean = false;
      recorder.emit({ type: "warning", text: messageOf(error) });
    }
    if (state.context.shared === undefined) await state.lock?.stopRenewing();
    if (state.whole && clean) await remove(state.last);
  });
  return clean;
}
