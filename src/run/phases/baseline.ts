import { analyse } from "../../analysis/analyse.js";
import { LOOK_SLACK_MS } from "../measuring/function-checks.js";
import { showLive } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";

/** A target that is not ready is not measured, much less attacked. */
export async function targetIsReady(state: RunState): Promise<boolean> {
  const ready = state.measuring.watch.isTargetReady();
  const { kind, name } = state.context.target;
  if (!ready) state.stopped("target-not-ready", `${kind} ${name} is not wholly ready before the run`);
  return await Promise.resolve(ready);
}

/** Measures the healthy system. */
export async function measureBaseline(state: RunState): Promise<boolean> {
  const { clock, resolved } = state.context;
  const { looks, abortWhen } = state.measuring;
  state.collector.health.startCounting();
  abortWhen?.start();
  const looking = looks?.disturbs === false ? looks : undefined;
  looking?.begin();
  const end = clock.now() + resolved.experiment.phases.baseline;
  while (clock.now() < end && !state.stop.aborted) {
    showLive(state, 0);
    await clock.sleep(Math.min(250, end - clock.now()), state.stop);
  }
  // A function that was not once seen to work says nothing by being gone.
  if (looking?.finished === 0) await looking.another(looking.deadlineMs + LOOK_SLACK_MS, state.stop);
  await looking?.end();
  return true;
}

/** @returns false when the baseline was not healthy: then nothing may be harmed. */
export async function baselineIsGood(state: RunState): Promise<boolean> {
  const { recorder } = state.context;
  await state.collector.fetch();
  if (state.stop.aborted) return false;
  const unhealthy = analyse(state.facts, recorder.events, recorder.samples).reasons.filter(
    ({ code }) => code === "baseline-unhealthy" || code === "control-arm-failed",
  );
  for (const { code, message } of unhealthy) state.stopped(code, message);
  const notGood = await state.measuring.abortWhen?.notGood();
  if (notGood !== undefined) state.stopped("abort-condition-at-baseline", notGood);
  return unhealthy.length === 0 && notGood === undefined && !state.stop.aborted;
}
