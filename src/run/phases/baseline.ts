import { analyse } from "../../analysis/analyse.js";
import { disturbedWords, wasDisturbed } from "../../analysis/disturbed.js";
import type { InconclusiveReason, RunResult } from "../../analysis/result.js";
import { CHECK_SLACK_MS } from "../measuring/function-checks.js";
import { showLive } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";
import { inPhase } from "./phase.js";

/** A target that is not ready is neither measured nor attacked. */
export async function targetIsReady(state: RunState): Promise<boolean> {
  const ready = state.measuring.watch.isTargetReady();
  const { kind, name } = state.context.target;
  if (!ready) state.stopped("target-not-ready", `${kind} ${name} is not fully ready before the run`);
  return await Promise.resolve(ready);
}

/** Measures the healthy system. */
export async function measureBaseline(state: RunState): Promise<boolean> {
  state.measuring.abortWhen?.start();
  return await measure(state);
}

async function measure(state: RunState): Promise<boolean> {
  const { clock, resolved } = state.context;
  const { functionChecks } = state.measuring;
  state.collector.health.startCounting();
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

/** These reasons refuse a baseline. */
const REFUSING: readonly InconclusiveReason[] = ["disturbed", "baseline-unhealthy", "control-arm-failed"];

type Refusals = RunResult["reasons"];

/** Why the baseline, measured last, is refused, and what of it is worth a second try; undefined: nothing is. */
async function judged({ collector, facts, context }: RunState): Promise<{
  readonly refusals: Refusals;
  readonly again: string | undefined;
}> {
  await collector.fetch();
  const { events, samples } = context.recorder;
  const { reasons, disturbed = [], ownFunction } = analyse(facts, events, samples);
  const refusals = reasons.filter(({ code }) => REFUSING.includes(code));
  const { looks = 0, present = 0 } = ownFunction.baseline ?? {};
  // A busy machine misses the deadline of a function check, too.
  const absent = facts.functionProbe?.disturbs === false && present < looks;
  const worthIt = (refusals.length > 0 || absent) && wasDisturbed(disturbed);
  return { refusals, again: worthIt ? disturbedWords(disturbed) : undefined };
}

/**
 * A baseline that is refused while the prober or the machine was late is measured once more. Of both, the last one counts.
 *
 * @returns false when the baseline was not healthy: then the attack must not start.
 */
export async function baselineIsGood(state: RunState): Promise<boolean> {
  const { again, ...first } = await judged(state);
  let { refusals } = first;
  if (again !== undefined && !state.stop.aborted) {
    const { recorder, resolved } = state.context;
    const text = `the baseline was disturbed: ${again}. It is measured again, once`;
    recorder.emit({ type: "warning", text });
    await inPhase(
      state.context,
      "baseline",
      async () => await measure(state),
      resolved.experiment.phases.baseline,
    );
    ({ refusals } = await judged(state));
  }
  if (state.stop.aborted) return false;
  for (const { code, message } of refusals) state.stopped(code, message);
  const notGood = await state.measuring.abortWhen?.notGood();
  if (notGood !== undefined) state.stopped("abort-condition-at-baseline", notGood);
  return refusals.length === 0 && notGood === undefined && !state.stop.aborted;
}
