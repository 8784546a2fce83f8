/** Statistics of one series in one phase. */
import type { FailureKind } from "../evidence/sample.js";
import type { Counts } from "./noise.js";
import type { ClosedSpan } from "./phases.js";
import type { PhaseStats } from "./result.js";
import type { Point } from "./series.js";

/** The points that started in [fromMs, toMs). */
export function pointsIn(points: readonly Point[], span: ClosedSpan | null): Point[] {
  return span === null ? [] : points.filter((point) => point.tMs >= span.fromMs && point.tMs < span.toMs);
}

/**
 * The nearest-rank quantile: the smallest value that at least the share `q` (0 < q ≤ 1) of all values does not
 * exceed. It is always a measured value.
 *
 * @returns null without values.
 */
export function quantile(values: readonly number[], q: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null;
}

/** Statistics of the points that started in the span. Without a span (phase not reached) there are no points. */
export function phaseStats(points: readonly Point[], span: ClosedSpan | null): PhaseStats {
  const within = pointsIn(points, span);
  const good = within.filter((point) => point.outcome === "good");
  const timed = good.filter((point) => point.disturbed !== true).map((point) => point.durationMs);
  const failed = within.filter((point) => point.outcome === "failed");
  const failures: Partial<Record<FailureKind, number>> = {};
  for (const { kind = "other" } of failed) failures[kind] = (failures[kind] ?? 0) + 1;
  const samples = good.length + failed.length;
  return {
    samples,
    good: good.length,
    missed: within.length - samples,
    availability: samples === 0 ? null : good.length / samples,
    p50Ms: quantile(timed, 0.5),
    p95Ms: quantile(timed, 0.95),
    ...(timed.length === good.length ? {} : { timed: timed.length }),
    failures,
  };
}

/** The failures of one phase. */
export const countsOf = ({ samples, good }: PhaseStats): Counts => ({ failed: samples - good, samples });
