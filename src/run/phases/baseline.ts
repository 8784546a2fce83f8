import { analyse } from "../../analysis/analyse.js";
import { disturbedWords, wasDisturbed } from "../../analysis/disturbed.js";
import type { InconclusiveReason } from "../../analysis/result.js";
import { CHECK_SLACK_MS } from "../measuring/function-checks.js";
import { showLive } from "../measuring/measuring.js";
import type { RunState } from "../run-state.js";
import { untilCalm } from "./calm.js";
import { mayConclude } from "./known-inconclusive.js";
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
  // A repeated baseline counts only its own checks.
  const finishedBefore = checks?.finished;
  checks?.begin();
  const end = clock.now() + resolved.experiment.phases.baseline;
  while (clock.now() < end && !state.stop.aborted) {
    showLive(state, 0);
    await clock.sleep(Math.min(250, end - clock.now()), state.stop);
  }
  // If the function was never seen working, its absence later proves nothing.
  if (checks !== undefined && checks.finished === finishedBefore)
    await checks.another(checks.deadlineMs + CHECK_SLACK_MS, state.stop);
  await checks?.end();
  return true;
}

/** These reasons refuse a baseline. */
const REFUSING: readonly InconclusiveReason[] = ["disturbed", "baseline-unhealthy", "control-arm-failed"];

/** What was disturbed, if that may be why the baseline is refused; undefined: measuring it again would change nothing. */
function worthAgain({ facts, context }: RunState): string | undefined {
  const { events, samples } = context.recorder;
  const { reasons, disturbed = [], ownFunction } = analyse(facts, events, samples);
  const { looks = 0, present = 0 } = ownFunction.baseline ?? {};
  // A busy machine misses the deadline of a function check, too.
  const absent = facts.functionProbe?.disturbs === false && present < looks;
  const refused = absent || reasons.some(({ code }) => REFUSING.includes(code));
  return refused && wasDisturbed(disturbed) ? disturbedWords(disturbed) : undefined;
}

/** A baseline that is refused while a prober was late, or a machine busy, is measured once more. The last one counts. */
async function repeatIfDisturbed(state: RunState): Promise<void> {
  const { recorder, resolved } = state.context;
  const disturbed = state.stop.aborted ? undefined : worthAgain(state);
  if (disturbed === undefined) return;
  recorder.emit({
    type: "warning",
    text: `the baseline was disturbed: ${disturbed}. It is measured again, once`,
  });
  await untilCalm(state);
  if (state.stop.aborted) return;
  const again = async (): Promise<boolean> => await measure(state);
  await inPhase(state.context, "baseline", again, resolved.experiment.phases.baseline);
  await state.collector.fetch();
}

/** @returns false when nothing could be concluded from the attack (the baseline was not healthy): it must not start. */
export async function baselineIsGood(state: RunState): Promise<boolean> {
  await state.collector.fetch();
  await repeatIfDisturbed(state);
  if (state.stop.aborted) return false;
  const conclusive = mayConclude(state);
  const notGood = await state.measuring.abortWhen?.notGood();
  if (notGood !== undefined) state.stopped("abort-condition-at-baseline", notGood);
  return conclusive && notGood === undefined && !state.stop.aborted;
}
