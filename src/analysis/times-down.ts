import type { RunFacts } from "../evidence/facts.js";

/** How often a flapping target is taken down, ms; null: it is kept down. */
export function flappingEveryMs({ experiment }: Pick<RunFacts, "experiment">): number | null {
  const { every } = experiment.attack;
  return typeof every === "number" && every > 0 ? every : null;
}

/** A flapping target must go down at least this often: half of the kills that fit into the window. */
export function leastTimesDown(windowMs: number, everyMs: number): number {
  return Math.max(1, Math.floor(windowMs / everyMs) / 2);
}
