import { pollUntil } from "../../common/clock.js";
import type { RunEvent } from "../../evidence/events.js";
import { ATTACKS } from "../../experiment/attacks.js";
import type { Attack } from "../../experiment/schema.js";
import { getOrUndefined } from "../../kube/api.js";
import type { KubeObject } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import { creatorOf } from "../../kube/written-by.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { writeRestored } from "../../safety/journal/entries.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import { type Undone } from "../../safety/journal/undo.js";
import { restoredEvent, undoAll } from "../../safety/restore/undo-entries.js";
import { type AnyTarget, isNodeTarget, type Target } from "../../targets/target.js";
import type { RunContext } from "../context.js";

/** addon-manager reconciles every 60 s (kube-addons.sh, ADDON_CHECK_INTERVAL_SEC); a pass takes some seconds. */
const ADDON_MANAGER_LIMIT_MS = 75_000;

/** How long an undo that the API server rejects is retried, ms. */
const UNDO_LIMIT_MS = 120_000;

export const POLL_MS = 100;

/**
 * Release: waits for the cluster's own restorer if there is one, then undoes everything that it did not fully restore.
 * Never interrupted: a signal must not leave the component down.
 *
 * @returns whether everything was undone.
 */
export async function release(
  context: RunContext,
  { target, attack }: { readonly target: AnyTarget; readonly attack: Attack },
  pending: readonly PendingUndo[],
): Promise<boolean> {
  const { recorder, clock } = context;
  // No controller restores replicas, a moved manifest or a stopped unit.
  const flaps = "every" in attack && attack.every !== undefined;
  if (!isNodeTarget(target) && ATTACKS[attack.type].changes === "workload" && !flaps) {
    const waitMs = restorerWaitMs(target, recorder.events);
    if (waitMs > 0 && pending.length > 0) await waitForRestorer(context, target, waitMs);
  }
  const report = async (seq: number, undone: Undone): Promise<void> => {
    const event = restoredEvent(undone);
    if (event !== undefined) recorder.emit(event);
    await writeRestored(context, seq, undone);
  };
  const { nodeAccess } = context;
  const failures = await undoAll(
    context.transport,
    pending,
    report,
    { clock, limitMs: UNDO_LIMIT_MS },
    nodeAccess === undefined ? {} : { access: nodeAccess },
  );
  for (const { error } of failures) recorder.emit({ type: "warning", text: `not restored: ${error}` });
  return failures.length === 0;
}

/**
 * How long to wait for another restorer to recreate the workload, ms. Pure. A restorer that recreated it in the window
 * will do so again: wait twice the longest gap, or addon-manager's interval if the object has its label. 0: no restorer
 * is known, so the runner acts immediately.
 */
export function restorerWaitMs(target: Pick<Target, "kind" | "object">, events: readonly RunEvent[]): number {
  if (target.object.metadata.labels?.[ADDON_MODE_LABEL] !== undefined) return ADDON_MANAGER_LIMIT_MS;
  const start = events.find(
    (event) => event.type === "phase" && event.phase === "window" && event.state === "start",
  )?.tMs;
  const times = events
    .filter((event) => event.type === "recreated" && event.object.kind === target.kind)
    .map((event) => event.tMs);
  if (start === undefined || times.length === 0) return 0;
  const gaps = times.map((time, index) => time - (times[index - 1] ?? start));
  return Math.min(ADDON_MANAGER_LIMIT_MS, Math.max(5_000, 2 * Math.max(...gaps)));
}

/** Waits until the restorer has recreated the workload, and shows who it was. */
async function waitForRestorer(context: RunContext, target: Target, limitMs: number): Promise<void> {
  const { transport, clock, recorder, view } = context;
  await view.step(
    `wait for the cluster's own restorer (up to ${Math.round(limitMs / 1000)} s)`,
    async (note) => {
      const recreated = await pollUntil(clock, { everyMs: POLL_MS * 2, limitMs }, async () => {
        const live = await getOrUndefined<KubeObject>(transport, target.path).catch(() => undefined);
        return live !== undefined && !isTerminating(live) ? live : undefined;
      });
      note(recreated === undefined ? "not recreated" : `recreated by ${creatorOf(recreated) ?? "unknown"}`);
      if (recreated === undefined)
        recorder.emit({
          type: "warning",
          text: "the cluster's own restorer did not recreate the workload in time, so the runner restores it",
        });
    },
  );
}
