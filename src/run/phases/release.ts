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

/** How long an undo that the API server will not take is tried again, ms. */
const UNDO_LIMIT_MS = 120_000;

export const POLL_MS = 100;

/**
 * Release: lets the cluster's own restorer act where there is one, then puts back what it has not, or not
 * wholly. Never interrupted: a signal must not leave the component down.
 *
 * @returns whether everything was put back.
 */
export async function release(
  context: RunContext,
  { target, attack }: { readonly target: AnyTarget; readonly attack: Attack },
  pending: readonly PendingUndo[],
): Promise<boolean> {
  const { recorder, clock } = context;
  // Replicas, a moved manifest and a stopped unit are nobody's to restore.
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
  for (const { error } of failures) recorder.emit({ type: "warning", text: `not put back: ${error}` });
  return failures.length === 0;
}

/**
 * How long another restorer is given to bring the workload back, ms. Pure. Somebody who re-created it in the
 * window will do so again: twice the longest gap is waited, and addon-manager's interval where its label is on
 * the object. 0: nobody is known to; the runner acts at once.
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

/** Waits until somebody else has brought the workload back, and says who. */
async function waitForRestorer(context: RunContext, target: Target, limitMs: number): Promise<void> {
  const { transport, clock, recorder, view } = context;
  await view.step(
    `wait for the cluster's own restorer (up to ${Math.round(limitMs / 1000)} s)`,
    async (note) => {
      const back = await pollUntil(clock, { everyMs: POLL_MS * 2, limitMs }, async () => {
        const live = await getOrUndefined<KubeObject>(transport, target.path).catch(() => undefined);
        return live !== undefined && !isTerminating(live) ? live : undefined;
      });
      note(back === undefined ? "nobody brought it back" : `brought back by ${creatorOf(back) ?? "unknown"}`);
      if (back === undefined)
        recorder.emit({
          type: "warning",
          text: "the restorer did not bring the workload back in time: the runner does",
        });
    },
  );
}
