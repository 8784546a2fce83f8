import { createAttack } from "../../attacks/all-attacks.js";
import type { AttackContext } from "../../attacks/attack.js";
import { messageOf } from "../../common/errors.js";
import { anySignal } from "../../common/signals.js";
import { isControl } from "../../experiment/attacks.js";
import { HEAL_AFTER_MS } from "../../safety/restore/healed.js";
import { undoAll } from "../../safety/restore/undo-entries.js";
import { isNodeTarget } from "../../targets/target.js";
import type { RunContext } from "../context.js";
import type { FunctionChecks } from "../measuring/function-checks.js";
import { askRuntimes, showLive } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";
import { replaceDatabasePod } from "./churn.js";
import { noteActed } from "./record-undo.js";
import { WindowEnd } from "./window-end.js";

/** Number of connections opened before the first kill. */
const WARM_SOCKETS = 4;

/** API servers close idle connections; a request at this interval keeps them open, ms. */
const KEEP_WARM_EVERY_MS = 20_000;

/** How often the live line is redrawn, ms. */
const LIVE_EVERY_MS = 250;

/**
 * Delay of the function checks after the target was down, or after the first kill of a flapping target, ms: a container
 * that the API has forgotten may work for a moment.
 */
const CHECKS_AFTER_MS = 2_000;

/**
 * Right before the attack: checks that the dead-man's switch is ready. From here on everything is undone.
 *
 * @returns false when the attack must not start: also when the lock was lost or the target had a foreign change since
 * the baseline, or an abort condition is already met.
 */
export async function readyToHarm(state: RunState): Promise<boolean> {
  const unguarded = await state.deadMan?.problem();
  if (unguarded !== undefined) {
    state.stopped(
      "deploy-failed",
      `the dead-man's switch is not ready right before the attack: ${unguarded}`,
    );
    return false;
  }
  noteActed(state);
  const { functionChecks, abortWhen } = state.measuring;
  const met = abortWhen?.arm();
  const stopped = anySignal(state.stop, met);
  state.whole = false;
  state.harm = {
    series: state.collector.health.everGood(),
    functionWorked: functionChecks?.lastPresent ?? false,
    stopped,
    attackRuns: false,
    windowOver: new AbortController(),
  };
  await state.context.transport.warm(WARM_SOCKETS);
  return !stopped.aborted;
}

/**
 * The outage window: starts the attack, keeps the target down for the window's time from the moment it is down (see
 * `windowEndMs`) and asks the container runtimes meanwhile. The attack is always stopped at the end, except for a function check that may disturb the application: it
 * runs after the window, while the attack continues.
 */
export async function attackInWindow(state: RunState): Promise<boolean> {
  const { context, harm, measuring } = state;
  if (harm === undefined) throw new Error("the state has no record of what to undo");
  const { clock, recorder, resolved, target } = context;
  const { functionChecks, companions } = measuring;
  const attack = createAttack(resolved.attack, { companions: companions.map((each) => each.target) });
  state.collector.health.startCounting();
  const end = new WindowEnd(state, clock.now());
  const running = attack.start(attackContext(state));
  harm.attack = running;
  harm.attackRuns = true;
  const over = harm.windowOver.signal;
  harm.sideWork = Promise.all([
    isNodeTarget(target) ? undefined : askRuntimes(context, target, over),
    keepWarm(context, over),
    functionChecks?.disturbs === false
      ? checkOnceDown(state, functionChecks, () => end.isDown || (end.fixed && running.kills > 0), over)
      : undefined,
    churnLater(context, over),
  ]);
  // Awaited at the end of the outage. Until then its error must not end the process during the outage.
  harm.sideWork.catch(() => undefined);
  let keepsDown = false;
  try {
    for (let leftMs = end.leftMs(); leftMs > 0 && !harm.stopped.aborted; leftMs = end.leftMs()) {
      showLive(state, running.kills, end.fixed || end.isDown ? undefined : "not down yet");
      await clock.sleep(Math.min(LIVE_EVERY_MS, leftMs), harm.stopped);
    }
    const { lastError } = running;
    if (lastError !== undefined)
      recorder.emit({ type: "warning", text: `an attack request failed: ${messageOf(lastError)}` });
    keepsDown = functionChecks?.disturbs === true && !harm.stopped.aborted;
  } finally {
    // First: after this line nothing changes the target any more.
    if (!keepsDown) await stopAttack(state);
  }
  return true;
}

async function stopAttack({ harm, measuring }: RunState): Promise<void> {
  if (harm?.attackRuns === true) await harm.attack?.stop();
  if (harm !== undefined) harm.attackRuns = false;
  measuring.abortWhen?.disarm();
}

/** Side work of the attack ends with the window. */
export async function endWindow({ harm, measuring }: RunState): Promise<boolean> {
  harm?.windowOver.abort();
  await measuring.functionChecks?.end();
  return true;
}

/** Ends the attack and its side work. An error of the side work must not prevent the release. */
export async function endOutage(state: RunState): Promise<boolean> {
  state.context.givingUp?.end();
  try {
    await stopAttack(state);
    await endWindow(state);
    await state.harm?.sideWork;
  } catch (error) {
    state.stopped("attack-failed", error);
  }
  return true;
}

function attackContext(state: RunState): AttackContext {
  const { clock, recorder, transport, nodeAccess, runId, target } = state.context;
  const { watch, companions } = state.measuring;
  return {
    runId,
    transport,
    target,
    watch,
    companions,
    emit: recorder.emit,
    now: clock.now,
    after: clock.after,
    // The journal entry stays open: the target will be taken down again.
    undoKill: async () => {
      const failures = await undoAll(
        transport,
        state.pending,
        async () => await Promise.resolve(),
        undefined,
        {
          ...(nodeAccess === undefined ? {} : { access: nodeAccess }),
        },
      );
      for (const { error } of failures)
        recorder.emit({ type: "warning", text: `could not end the attack: ${error}` });
    },
    ...(nodeAccess === undefined ? {} : { node: { access: nodeAccess, healAfterMs: HEAL_AFTER_MS } }),
  };
}

/** Checks the function from the moment that the attack has had its effect until the window is over. */
async function checkOnceDown(
  { context: { clock, resolved } }: RunState,
  functionChecks: FunctionChecks,
  isDown: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const control = isControl(resolved.attack);
  while (!control && !isDown() && !signal.aborted) await clock.sleep(100, signal);
  if (!control) await clock.sleep(CHECKS_AFTER_MS, signal);
  if (!signal.aborted) functionChecks.begin();
}

/** A function check that may disturb the application: it runs after the window, while the component is still down. */
export async function checkOutsideTheWindow({ harm, measuring }: RunState): Promise<boolean> {
  const { functionChecks } = measuring;
  if (functionChecks === undefined || harm === undefined) return false;
  await functionChecks.another(functionChecks.deadlineMs + CHECKS_AFTER_MS, harm.stopped);
  await functionChecks.end();
  return true;
}

/** Replaces the database pod in the window, if the experiment asks for it. */
async function churnLater(context: RunContext, signal: AbortSignal): Promise<void> {
  const { churn } = context.resolved.experiment;
  if (churn === undefined) return;
  await context.clock.sleep(churn.after, signal);
  if (!signal.aborted) await replaceDatabasePod(context, { rehearsal: false, signal });
}

async function keepWarm(context: RunContext, signal: AbortSignal): Promise<void> {
  for (;;) {
    await context.clock.sleep(KEEP_WARM_EVERY_MS, signal);
    if (signal.aborted) return;
    // This only speeds up the next deletion, so a failure is not an event of the run.
    await context.transport.warm(WARM_SOCKETS).catch(() => undefined);
  }
}
