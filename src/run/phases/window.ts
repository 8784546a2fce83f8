import { createAttack } from "../../attacks/all-attacks.js";
import type { AttackContext, RunningAttack } from "../../attacks/attack.js";
import { messageOf } from "../../common/errors.js";
import { isControl } from "../../experiment/attacks.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import { undoAll } from "../../safety/restore/undo-entries.js";
import { isNodeTarget } from "../../targets/target.js";
import type { RunContext } from "../context.js";
import type { FunctionLooks } from "../measuring/function-checks.js";
import { askRuntimes, showLive, type Measuring } from "../measuring/measuring.js";
import { replaceDatabasePod } from "./churn.js";

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
 * The outage window: starts the attack, keeps it up for the window's time, asks the runtimes meanwhile, stops
 * it. The attack is stopped whatever happens; it is not even begun when an abort condition is met already.
 *
 * @param pending how the target is put back: a flapping target is, between two blows.
 */
export async function suppress(
  context: RunContext,
  measuring: Measuring,
  pending: readonly PendingUndo[],
): Promise<Pick<RunningAttack, "kills">> {
  const { clock, recorder, resolved, transport, view, interrupted } = context;
  const windowMs = resolved.experiment.phases.window;
  const { looks } = measuring;
  const attack = createAttack(resolved.attack, {
    companions: measuring.companions.map(({ target }) => target),
  });
  const met = measuring.abortWhen?.arm();
  const stopped = AbortSignal.any([interrupted, measuring.abort, ...(met === undefined ? [] : [met])]);
  await transport.warm(WARM_SOCKETS);
  // Also when the lock was lost, or the target changed by somebody else, since the baseline: nothing is struck.
  if (stopped.aborted) return { kills: 0 };
  recorder.emit({ type: "phase", phase: "window", state: "start" });
  view.phase("window", windowMs);
  measuring.collector.health.startCounting();
  const startedAt = clock.now();
  const running = attack.start(attackContext(context, measuring, pending));
  const end = startedAt + windowMs;
  const ended = new AbortController();
  const sideWork = Promise.all([
    isNodeTarget(measuring.target) ? undefined : askRuntimes(context, measuring.target, ended.signal),
    keepWarm(context, ended.signal),
    looks?.disturbs === false ? lookFromFirstBlow(context, looks, running, ended.signal) : undefined,
    churnLater(context, ended.signal),
  ]);
  // It is waited for below; until then an error of it must not end the process in the middle of an outage.
  sideWork.catch(() => undefined);
  let windowIsOpen = true;
  const closeWindow = async (): Promise<void> => {
    if (!windowIsOpen) return;
    windowIsOpen = false;
    recorder.emit({ type: "phase", phase: "window", state: "end" });
    ended.abort();
    await looks?.end();
    view.phaseEnd("window");
  };
  try {
    while (clock.now() < end && !stopped.aborted) {
      showLive(context, measuring, running.kills);
      await clock.sleep(Math.min(LIVE_EVERY_MS, end - clock.now()), stopped);
    }
    const { lastError } = running;
    if (lastError !== undefined)
      recorder.emit({ type: "warning", text: `a blow did not go through: ${messageOf(lastError)}` });
    if (looks?.disturbs === true && !stopped.aborted) {
      await closeWindow();
      await lookOutsideTheWindow(context, looks, stopped);
    }
  } finally {
    // First of all: nothing is done to the target after this line.
    await running.stop();
    measuring.abortWhen?.disarm();
    await closeWindow();
    await sideWork;
  }
  return running;
}

function attackContext(
  context: RunContext,
  measuring: Measuring,
  pending: readonly PendingUndo[],
): AttackContext {
  const { clock, recorder, transport, nodeAccess, runId } = context;
  return {
    runId,
    transport,
    target: measuring.target,
    watch: measuring.watch,
    companions: measuring.companions,
    emit: recorder.emit,
    now: clock.now,
    setTimeout: (work, ms) => setTimeout(work, ms),
    // Its journal entry stays open: it will be taken down again.
    letUp: async () => {
      const failures = await undoAll(transport, pending, async () => await Promise.resolve(), undefined, {
        ...(nodeAccess === undefined ? {} : { access: nodeAccess }),
      });
      for (const { error } of failures) recorder.emit({ type: "warning", text: `not let up: ${error}` });
    },
    ...(nodeAccess === undefined ? {} : { node: { access: nodeAccess, healAfterMs: HEAL_AFTER_MS } }),
  };
}

/** Looks at the function as soon as the first blow has had its effect, until the window is over. */
async function lookFromFirstBlow(
  context: RunContext,
  looks: FunctionLooks,
  running: RunningAttack,
  signal: AbortSignal,
): Promise<void> {
  const control = isControl(context.resolved.attack);
  while (!control && running.kills === 0 && !signal.aborted) await context.clock.sleep(100, signal);
  if (!control) await context.clock.sleep(LOOKS_AFTER_MS, signal);
  if (!signal.aborted) looks.begin();
}

/** A look that may disturb the application: its window is over, the component is still kept down. */
async function lookOutsideTheWindow(
  context: RunContext,
  looks: FunctionLooks,
  stopped: AbortSignal,
): Promise<void> {
  const { recorder, view } = context;
  recorder.emit({ type: "phase", phase: "function", state: "start" });
  view.phase("function", looks.deadlineMs);
  await looks.another(looks.deadlineMs + LOOKS_AFTER_MS, stopped);
  await looks.end();
  recorder.emit({ type: "phase", phase: "function", state: "end" });
  view.phaseEnd("function");
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
