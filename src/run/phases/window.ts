import { createAttack } from "../../attacks/all-attacks.js";
import type { AttackContext, RunningAttack } from "../../attacks/attack.js";
import { messageOf } from "../../common/errors.js";
import { isControl } from "../../experiment/attacks.js";
import { undoAll } from "../../safety/restore/undo-entries.js";
import { isNodeTarget } from "../../targets/target.js";
import type { RunContext } from "../context.js";
import type { FunctionChecks } from "../measuring/function-checks.js";
import { askRuntimes, showLive } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";
import { replaceDatabasePod } from "./churn.js";
import { noteActed } from "./record-undo.js";

/** Sockets that are opened before the first kill. */
const WARM_SOCKETS = 4;

/** API servers close a socket that nothing was sent on; a request each so often keeps them open, ms. */
const KEEP_WARM_EVERY_MS = 20_000;

/** How often the live line is drawn anew, ms. */
const LIVE_EVERY_MS = 250;

/** How long after the first blow the looks at the function begin, ms: by then it has had its effect. */
const LOOKS_AFTER_MS = 2_000;

/** The timer on a node acts when the runner has not been heard of for so long, ms: six of its re-arms missed. */
const HEAL_AFTER_MS = 90_000;

/**
 * Right before the first harm: the dead-man's switch is there, and from here on everything is put back.
 *
 * @returns false when nothing may be struck: also when the lock was lost, or the target changed by somebody else, since
 * the baseline, or an abort condition is met already.
 */
export async function readyToHarm(state: RunState): Promise<boolean> {
  const unguarded = await state.deadMan?.problem();
  if (unguarded !== undefined) {
    state.stopped(
      "deploy-failed",
      `the dead-man's switch is not there right before the first harm: ${unguarded}`,
    );
    return false;
  }
  noteActed(state);
  const { looks, abortWhen } = state.measuring;
  const met = abortWhen?.arm();
  const stopped = AbortSignal.any([state.stop, ...(met === undefined ? [] : [met])]);
  state.whole = false;
  state.harm = {
    series: state.collector.health.everGood(),
    functionWorked: looks?.lastPresent ?? false,
    stopped,
    attackRuns: false,
    windowOver: new AbortController(),
  };
  await state.context.transport.warm(WARM_SOCKETS);
  return !stopped.aborted;
}

/**
 * The outage window: starts the attack, keeps it up for the window's time, asks the runtimes meanwhile. It is stopped
 * whatever happens, but for a look that may disturb the application: that comes after the window, under attack.
 */
export async function attackInWindow(state: RunState): Promise<boolean> {
  const { context, harm, measuring } = state;
  if (harm === undefined) throw new Error("nothing says what has to be put back");
  const { clock, recorder, resolved, target } = context;
  const { looks, companions } = measuring;
  const attack = createAttack(resolved.attack, { companions: companions.map((each) => each.target) });
  state.collector.health.startCounting();
  const end = clock.now() + resolved.experiment.phases.window;
  const running = attack.start(attackContext(state));
  harm.attack = running;
  harm.attackRuns = true;
  const over = harm.windowOver.signal;
  harm.sideWork = Promise.all([
    isNodeTarget(target) ? undefined : askRuntimes(context, target, over),
    keepWarm(context, over),
    looks?.disturbs === false ? lookFromFirstBlow(context, looks, running, over) : undefined,
    churnLater(context, over),
  ]);
  // It is waited for at the end of the outage; until then an error of it must not end the process in the middle of it.
  harm.sideWork.catch(() => undefined);
  let goesOn = false;
  try {
    while (clock.now() < end && !harm.stopped.aborted) {
      showLive(state, running.kills);
      await clock.sleep(Math.min(LIVE_EVERY_MS, end - clock.now()), harm.stopped);
    }
    const { lastError } = running;
    if (lastError !== undefined)
      recorder.emit({ type: "warning", text: `a blow did not go through: ${messageOf(lastError)}` });
    goesOn = looks?.disturbs === true && !harm.stopped.aborted;
  } finally {
    // First of all: nothing is done to the target after this line.
    if (!goesOn) await stopAttack(state);
  }
  return true;
}

async function stopAttack({ harm, measuring }: RunState): Promise<void> {
  if (harm?.attackRuns === true) await harm.attack?.stop();
  if (harm !== undefined) harm.attackRuns = false;
  measuring.abortWhen?.disarm();
}

/** What was done beside the attack ends with the window. */
export async function endWindow({ harm, measuring }: RunState): Promise<boolean> {
  harm?.windowOver.abort();
  await measuring.looks?.end();
  return true;
}

/** The attack is over, and all that was done beside it. An error of that must not keep the release from its work. */
export async function endOutage(state: RunState): Promise<boolean> {
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
    // Its journal entry stays open: it will be taken down again.
    letUp: async () => {
      const failures = await undoAll(
        transport,
        state.pending,
        async () => await Promise.resolve(),
        undefined,
        {
          ...(nodeAccess === undefined ? {} : { access: nodeAccess }),
        },
      );
      for (const { error } of failures) recorder.emit({ type: "warning", text: `not let up: ${error}` });
    },
    ...(nodeAccess === undefined ? {} : { node: { access: nodeAccess, healAfterMs: HEAL_AFTER_MS } }),
  };
}

/** Looks at the function as soon as the first blow has had its effect, until the window is over. */
async function lookFromFirstBlow(
  context: RunContext,
  looks: FunctionChecks,
  running: RunningAttack,
  signal: AbortSignal,
): Promise<void> {
  const control = isControl(context.resolved.attack);
  while (!control && running.kills === 0 && !signal.aborted) await context.clock.sleep(100, signal);
  if (!control) await context.clock.sleep(LOOKS_AFTER_MS, signal);
  if (!signal.aborted) looks.begin();
}

/** A look that may disturb the application: its window is over, the component is still kept down. */
export async function checkOutsideTheWindow({ harm, measuring }: RunState): Promise<boolean> {
  const { looks } = measuring;
  if (looks === undefined || harm === undefined) return false;
  await looks.another(looks.deadlineMs + LOOKS_AFTER_MS, harm.stopped);
  await looks.end();
  return true;
}

/** Replaces the database's pod in the window, where the experiment says so. */
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
    // Only a convenience for the next deletion: one that fails is no event of the run.
    await context.transport.warm(WARM_SOCKETS).catch(() => undefined);
  }
}
