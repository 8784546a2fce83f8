/** Samples of one series → outages and their total. Times are milliseconds of one clock. */
import type { Outage } from "./result.js";
import { inOrder, type Point } from "./series.js";

/**
 * Outages of one series: each from the start of its first failed sample to the start of the first of
 * `goodInARow` good samples in a row. A missed tick neither starts nor ends an outage, and does not break a row.
 * An outage that lasts to the last sample has no end.
 */
export function outagesOf(points: readonly Point[], goodInARow: number): Outage[] {
  const outages: Outage[] = [];
  let fromMs: number | null = null;
  let goodSinceMs = 0;
  let good = 0;
  for (const point of inOrder(points)) {
    if (point.outcome === "missed") continue;
    if (point.outcome === "failed") {
      fromMs ??= point.tMs;
      good = 0;
      continue;
    }
    if (fromMs === null) continue;
    if (good === 0) goodSinceMs = point.tMs;
    good += 1;
    if (good < goodInARow) continue;
    outages.push({ fromMs, toMs: goodSinceMs });
    fromMs = null;
    good = 0;
  }
  if (fromMs !== null) outages.push({ fromMs, toMs: null });
  return outages;
}

function lengths(outages: readonly Outage[], untilMs: number): number[] {
  return outages.map((outage) => Math.max(0, (outage.toMs ?? untilMs) - outage.fromMs));
}

/** Length of the longest outage, ms; one without an end counts up to `untilMs`. 0 without outages. */
export function longestMs(outages: readonly Outage[], untilMs: number): number {
  return lengths(outages, untilMs).reduce((longest, length) => Math.max(longest, length), 0);
}

/** Total length of all outages, ms; one without an end counts up to `untilMs`. */
export function totalMs(outages: readonly Outage[], untilMs: number): number {
  return lengths(outages, untilMs).reduce((total, length) => total + length, 0);
}
