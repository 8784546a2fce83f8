/** Intervals of time. Pure. Milliseconds of one clock. */
import { firstIndex } from "../common/first-index.js";
import type { ClosedSpan } from "./phases.js";

export const meets = (a: ClosedSpan, b: ClosedSpan): boolean => a.fromMs < b.toMs && a.toMs > b.fromMs;

/** In order; those that overlap or touch are one. */
export function merged(spans: readonly ClosedSpan[]): ClosedSpan[] {
  const whole: { fromMs: number; toMs: number }[] = [];
  for (const { fromMs, toMs } of [...spans].sort((a, b) => a.fromMs - b.fromMs)) {
    const last = whole.at(-1);
    if (last !== undefined && fromMs <= last.toMs) last.toMs = Math.max(last.toMs, toMs);
    else whole.push({ fromMs, toMs });
  }
  return whole;
}

/** Whether [fromMs, toMs], both included, meets one of them. @param spans in order, without overlaps. */
export function isWithin(spans: readonly ClosedSpan[], fromMs: number, toMs: number): boolean {
  return (spans[firstIndex(spans, (span) => span.toMs >= fromMs)]?.fromMs ?? Infinity) <= toMs;
}

/** How much of the span they cover, ms. @param spans without overlaps. */
export function coveredMs(spans: readonly ClosedSpan[], { fromMs, toMs }: ClosedSpan): number {
  return spans.reduce(
    (sum, each) => sum + Math.max(0, Math.min(each.toMs, toMs) - Math.max(each.fromMs, fromMs)),
    0,
  );
}
