import { analyse } from "../../analysis/analyse.js";
import { LOOK_SLACK_MS } from "../measuring/function-checks.js";
import { showLive, type Measuring } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";

/** Measures the healthy system. @returns false when it is not healthy: then nothing may be harmed. */
export async function baseline(state: RunState, measuring: Measuring): Promise<boolean> {
  const { recorder, interrupted } = state.context;
  const stop = AbortSignal.any([interrupted, measuring.abort]);
  if (!measuring.watch.isTargetReady()) {
    state.stopped(
      "target-not-ready",
      `${state.target.kind} ${state.target.name} is not wholly ready before the run`,
    );
    return false;
  }
  await measureBaseline(state, measuring, stop);
  await measuring.collector.fetch();
  if (stop.aborted) return false;
  const unhealthy = analyse(state.facts, recorder.events, recorder.samples).reasons.filter(
    ({ code }) => code === "baseline-unhealthy" || code === "control-arm-failed",
  );
  for (const { code, message } of unhealthy) state.stopped(code, message);
  const notGood = await measuring.abortWhen?.notGood();
  if (notGood !== undefined) state.stopped("abort-condition-at-baseline", notGood);
  return unhealthy.length === 0 && notGood === undefined && !stop.aborted;
}

async function measureBaseline(state: RunState, measuring: Measuring, stop: AbortSignal): Promise<void> {
  const { recorder, view, clock, resolved } = state.context;
  const durationMs = resolved.experiment.phases.baseline;
  const { looks } = measuring;
  recorder.emit({ type: "phase", phase: "baseline", state: "start" });
  view.phase("baseline", durationMs);
  measuring.collector.health.startCounting();
  measuring.abortWhen?.start();
  const looking = looks?.disturbs === false ? looks : undefined;
  looking?.begin();
  const end = clock.now() + durationMs;
  while (clock.now() < end && !stop.aborted) {
    showLive(state.context, measuring, 0);
    await clock.sleep(Math.min(250, end - clock.now()), stop);
  }
  // A function that was not once seen to work says nothing by being gone.
  if (looking?.finished === 0) await looking.another(looking.deadlineMs + LOOK_SLACK_MS, stop);
  await looking?.end();
  recorder.emit({ type: "phase", phase: "baseline", state: "end" });
  view.phaseEnd("baseline");
}
