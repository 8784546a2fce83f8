import { pollUntil } from "../../common/clock.js";
import { plural } from "../../common/figures.js";
import type { RunEvent } from "../../evidence/events.js";
import { ATTACKS } from "../../experiment/attacks.js";
import type { Attack } from "../../experiment/schema.js";
import { getOrUndefined } from "../../kube/api.js";
import type { KubeObject } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import { creatorOf } from "../../kube/written-by.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { writeRestored } from "../../safety/journal/entries.js";
import { isNodeUndo, type PendingUndo } from "../../safety/journal/journal.js";
import { type Undone } from "../../safety/journal/undo.js";
import { HEAL_AFTER_MS, healedByTimer } from "../../safety/restore/healed.js";
import { type NotUndone, restoredEvent, undoAll } from "../../safety/restore/undo-entries.js";
import { type AnyTarget, isNodeTarget, type Target } from "../../targets/target.js";
import type { RunContext } from "../context.js";

/** addon-manager reconciles every 60 s (kube-addons.sh, ADDON_CHECK_INTERVAL_SEC); a pass takes some seconds. */
export const ADDON_MANAGER_LIMIT_MS = 75_000;

/** How long an undo that the API server or a node rejects is retried, ms. */
const UNDO_LIMIT_MS = 120_000;

/** How long after the first undo another try of any undo may begin, ms. */
export const RELEASE_LIMIT_MS = 4 * 60_000;

export const POLL_MS = 100;

/**
 * Release: waits for the cluster's own restorer if there is one, then undoes everything that it did not fully restore.
 * The first signal does not interrupt it: a signal must not leave the component down. A later Ctrl-C does, and so does an
 * API server that is lost: then the rest is left for `chaos restore`.
 *
 * @returns whether everything was undone.
 */
export async function release(
  context: RunContext,
  { target, attack }: { readonly target: AnyTarget; readonly attack: Attack },
  pending: readonly PendingUndo[],
): Promise<boolean> {
  const { recorder, clock, givingUp } = context;
  const startedAt = clock.now();
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
    {
      clock,
      limitMs: UNDO_LIMIT_MS,
      totalMs: RELEASE_LIMIT_MS,
      signal: givingUp?.byUser,
      apiLost: givingUp?.apiLost,
    },
    nodeAccess === undefined ? {} : { access: nodeAccess },
  );
  const left = await withoutHealed(context, failures, { sinceMs: startedAt, report });
  for (const { error } of left) recorder.emit({ type: "warning", text: `not restored: ${error}` });
  return left.length === 0;
}

/**
 * Nodes that cannot be reached heal by their timers, which nobody re-arms any more. What the API shows to be healed is
 * restored; the rest is returned.
 */
async function withoutHealed(
  { transport, clock, recorder, view, givingUp }: RunContext,
  failures: readonly NotUndone[],
  {
    sinceMs,
    report,
  }: { readonly sinceMs: number; readonly report: (seq: number, undone: Undone) => Promise<void> },
): Promise<readonly NotUndone[]> {
  const unreached = failures.flatMap((failure) =>
    isNodeUndo(failure.undo) && !failure.isFinal ? [{ ...failure, undo: failure.undo }] : [],
  );
  const [first] = unreached;
  if (first === undefined || givingUp?.any.aborted === true) return failures;
  recorder.emit({
    type: "warning",
    text:
      `cannot undo the attack on ${plural(unreached.length, "node")} (${shortList(unreached.map(({ undo }) => undo.node))}): ` +
      `${first.error}. The timer on each node undoes it, ${HEAL_AFTER_MS / 1000} s after the runner has re-armed it last`,
  });
  const healed = new Set<number>();
  const looks = await view.step(
    "wait until the timers on the nodes have undone the attack",
    async () =>
      await Promise.all(
        unreached.map(async ({ seq, undo }) => {
          const { undone, why } = await healedByTimer(transport, clock, undo, {
            sinceMs,
            signal: givingUp?.any,
          });
          if (undone === undefined) return [seq, why] as const;
          await report(seq, undone);
          healed.add(seq);
          return [seq, undefined] as const;
        }),
      ),
  );
  const whyNot = new Map(looks);
  return failures
    .filter(({ seq }) => !healed.has(seq))
    .map((each) => {
      const why = whyNot.get(each.seq);
      return why === undefined ? each : { ...each, error: `${each.error} (after its timer's time: ${why})` };
    });
}

/** "a, b, c and 16 more". Pure. */
function shortList(names: readonly string[]): string {
  const more = names.length - 3;
  return more <= 1 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${more} more`;
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
  const { transport, clock, recorder, view, givingUp } = context;
  await view.step(
    `wait for the cluster's own restorer (up to ${Math.round(limitMs / 1000)} s)`,
    async (note) => {
      const recreated = await pollUntil(
        clock,
        { everyMs: POLL_MS * 2, limitMs, signal: givingUp?.any },
        async () => {
          const live = await getOrUndefined<KubeObject>(transport, target.path).catch(() => undefined);
          return live !== undefined && !isTerminating(live) ? live : undefined;
        },
      );
      note(recreated === undefined ? "not recreated" : `recreated by ${creatorOf(recreated) ?? "unknown"}`);
      if (recreated === undefined)
        recorder.emit({
          type: "warning",
          text: "the cluster's own restorer did not recreate the workload in time, so the runner restores it",
        });
    },
  );
}
