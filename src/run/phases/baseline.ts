import { CHECK_SLACK_MS } from "../measuring/function-checks.js";
import { showLive } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";
import { mayConclude } from "./known-inconclusive.js";

/** A target that is not ready is neither measured nor attacked. */
export async function targetIsReady(state: RunState): Promise<boolean> {
  const ready = state.measuring.watch.isTargetReady();
  const { kind, name } = state.context.target;
  if (!ready) state.stopped("target-not-ready", `${kind} ${name} is not fully ready before the run`);
  return await Promise.resolve(ready);
}

/** Measures the healthy system. */
export async function measureBaseline(state: RunState): Promise<boolean> {
  const { clock, resolved } = state.context;
  const { functionChecks, abortWhen } = state.measuring;
  state.collector.health.startCounting();
  abortWhen?.start();
  const checks = functionChecks?.disturbs === false ? functionChecks : undefined;
  checks?.begin();
  const end = clock.now() + resolved.experiment.phases.baseline;
  while (clock.now() < end && !state.stop.aborted) {
    showLive(state, 0);
    await clock.sleep(Math.min(250, end - clock.now()), state.stop);
  }
  // If the function was never seen working, its absence later proves nothing.
  if (checks?.finished === 0) await checks.another(checks.deadlineMs + CHECK_SLACK_MS, state.stop);
  await checks?.end();
  return true;
}

/** @returns false when nothing could be concluded from the attack (the baseline was not healthy): it must not start. */
export async function baselineIsGood(state: RunState): Promise<boolean> {
  await state.collector.fetch();
  if (state.stop.aborted) return false;
  const conclusive = mayConclude(state);
  const notGood = await state.measuring.abortWhen?.notGood();
  if (notGood !== undefined) state.stopped("abort-condition-at-baseline", notGood);
  return conclusive && notGood === undefined && !state.stop.aborted;
}
