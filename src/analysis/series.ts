/** Samples of one probe from one source, placed in the runner's time. */
import type { FailureKind } from "../evidence/sample.js";
import type { ProbeName } from "../experiment/names.js";

/** One tick of a probe. */
export interface Point {
  /** Start of the sample: milliseconds since the run began. */
  readonly tMs: number;
  /** How long it took, ms; 0 for a missed tick. */
  readonly durationMs: number;
  /** missed: the prober missed the tick, or stalled; it says nothing about the application. */
  readonly outcome: "good" | "failed" | "missed";
  /** The prober was late itself when it sent the sample, or soon after: the length of a good one says nothing. */
  readonly disturbed?: true;
  readonly kind?: FailureKind;
  /** The error message of a failed one, if there was any: foreign text. */
  readonly message?: string;
  /** Which of several targets was asked: the name of the front-end pod. */
  readonly target?: string;
}

export interface Series {
  readonly probe: ProbeName;
  readonly source: string;
  /** In order of their start. May be made again by each access. */
  readonly points: readonly Point[];
  /** Uncertainty between the clocks of source and runner, ms; 0 for the runner itself. */
  readonly clockUncertaintyMs: number;
}

const OUTCOME_ORDER = { failed: 0, missed: 1, good: 2 } as const;

const compareTargets = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Points in order of their start. Points of the same moment have an order that does not depend on the input. */
export function inOrder(points: readonly Point[]): Point[] {
  return [...points].sort(
    (a, b) =>
      a.tMs - b.tMs ||
      OUTCOME_ORDER[a.outcome] - OUTCOME_ORDER[b.outcome] ||
      a.durationMs - b.durationMs ||
      compareTargets(a.target ?? "", b.target ?? ""),
  );
}

/** The latest end of a sample, ms since the run began; null without points. */
export function endOf(points: readonly Point[]): number | null {
  let end: number | null = null;
  for (const point of points) end = Math.max(end ?? -Infinity, point.tMs + point.durationMs);
  return end;
}
