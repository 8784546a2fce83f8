/** When the target counts as down, and how often and for how long it must be. Milliseconds. */
import type { RunFacts } from "../evidence/facts.js";
import { isControl } from "../experiment/attacks.js";

/** How often a flapping target is taken down, ms; null: it is kept down. */
export function flappingEveryMs({ experiment }: Pick<RunFacts, "experiment">): number | null {
  const { every } = experiment.attack;
  return typeof every === "number" && every > 0 ? every : null;
}

/** A flapping target must go down at least this often: half of the kills that fit into the window. */
export function leastTimesDown(windowMs: number, everyMs: number): number {
  return Math.max(1, Math.floor(windowMs / everyMs) / 2);
}

/** Whether the attack keeps the target down: neither a control run nor flapping. */
export function isKeptDown(facts: Pick<RunFacts, "experiment">): boolean {
  return !isControl(facts.experiment.attack) && flappingEveryMs(facts) === null;
}

/**
 * When the window of a target that is kept down ends. It lasts `phases.window` from the moment the target was down:
 * the time to down does not shorten it. A target that is not down when it should have been released already (after
 * one `phases.window`) is released then.
 *
 * @param fromMs start of the attack.
 * @param downMs when the target was first down; null: not yet.
 */
export function windowEndMs(fromMs: number, windowMs: number, downMs: number | null): number {
  const limitMs = fromMs + windowMs;
  return downMs === null || downMs > limitMs ? limitMs : Math.max(fromMs, downMs) + windowMs;
}

/** At least this share of `phases.window` must be left when the target is down, as of the window's samples. */
export const LEAST_LEFT = 0.5;

/**
 * Whether the target was down too late: less than half of a window was left to show anything.
 *
 * @param toMs the end of the window.
 * @param windowMs the planned length, `phases.window`.
 */
export function isLate(downMs: number, toMs: number, windowMs: number): boolean {
  return toMs - downMs < windowMs * LEAST_LEFT;
}
