/** What each probe measured from each source: phases, outages and times. Milliseconds. */
import { impairmentsOf, longestMs, totalMs, type Impairment } from "./intervals.js";
import type { ClosedSpan, MeasuredSpans } from "./phases.js";
import type { Outage, ProbeResult } from "./result.js";
import { endOf, type Point, type Series } from "./series.js";
import { countsOf, phaseStats, pointsIn } from "./statistics.js";
import { withoutStrays, type Suspect } from "./strays.js";

export interface RunTimes {
  readonly spans: MeasuredSpans;
  readonly firstKillMs: number | null;
  readonly releaseMs: number | null;
  /** K: this many good samples in a row of each target end an impairment. */
  readonly goodInARow: number;
  /** Between two samples of a series, ms. */
  readonly intervalMs: number;
  /** Function checks may disturb the application here, so its samples are not counted. */
  readonly leftOut: ClosedSpan | null;
}

/** One series, measured on its own. Which of its impairments are strays is not known yet. */
interface Measured extends Suspect {
  readonly series: Series;
  readonly phases: ProbeResult["phases"];
  readonly endMs: number;
}

/** From the start of the baseline to the end of the last measured phase. Everything else is setup. */
export function measuredSpan({ baseline, window, recovery }: MeasuredSpans): ClosedSpan | null {
  const spans = [baseline, window, recovery].filter((span) => span !== null);
  const [first] = spans;
  const last = spans.at(-1);
  return first === undefined || last === undefined ? null : { fromMs: first.fromMs, toMs: last.toMs };
}

/** The points that count: in a measured phase, and not while function checks disturb. */
export function countedPoints(points: readonly Point[], { spans, leftOut }: RunTimes): Point[] {
  const within = pointsIn(points, measuredSpan(spans));
  return leftOut === null ? within : within.filter(({ tMs }) => tMs < leftOut.fromMs || tMs >= leftOut.toMs);
}

function measure(series: Series, times: RunTimes): Measured {
  const all = series.points;
  const { spans } = times;
  const points = countedPoints(all, times);
  const failedAt = new Map<string, number[]>();
  const askedBy = new Map<string, number>();
  for (const { outcome, tMs, target = "" } of points) {
    if (outcome === "missed") continue;
    askedBy.set(target, (askedBy.get(target) ?? 0) + 1);
    if (outcome !== "failed") continue;
    const failed = failedAt.get(target);
    if (failed === undefined) failedAt.set(target, [tMs]);
    else failed.push(tMs);
  }
  const phases = {
    baseline: phaseStats(all, spans.baseline),
    window: phaseStats(all, spans.window),
    recovery: phaseStats(all, spans.recovery),
  };
  return {
    series,
    source: series.source,
    phases,
    endMs: endOf(points) ?? 0,
    impairments: impairmentsOf(points, times.goodInARow),
    baseline: countsOf(phases.baseline),
    samples: [...askedBy.values()].reduce((total, asked) => total + asked, 0),
    measuredMs: (points.at(-1)?.tMs ?? 0) - (points[0]?.tMs ?? 0),
    failedAt,
    askedBy,
  };
}

/** See `ProbeResult.timeToRecoverMs`. */
function timeToRecover(impairments: readonly Outage[], times: RunTimes): number | null {
  const { releaseMs, firstKillMs, spans } = times;
  const begun = firstKillMs ?? spans.window?.fromMs;
  if (releaseMs === null || begun === undefined) return null;
  const last = impairments.at(-1);
  if (last === undefined || last.toMs === null || last.toMs <= begun) return null;
  return Math.max(0, last.toMs - releaseMs);
}

/** The first failed sample at or after a time. */
function firstFailed(impairments: readonly Impairment[], fromMs: number): number | undefined {
  for (const { failedMs } of impairments) {
    const first = failedMs.find((tMs) => tMs >= fromMs);
    if (first !== undefined) return first;
  }
  return undefined;
}

function resultOf(measured: Measured, impairments: readonly Impairment[], times: RunTimes): ProbeResult {
  const { series, phases, endMs } = measured;
  const { firstKillMs } = times;
  const spans = impairments.flatMap((impairment) => impairment.spans);
  const outages = spans
    .filter(({ kind }) => kind === "unreachable")
    .map(({ fromMs, toMs }) => ({ fromMs, toMs }));
  const intermittent = spans
    .filter(({ kind }) => kind === "intermittent")
    .map(({ fromMs, toMs, failed, samples }) => ({ fromMs, toMs, share: failed / samples, samples }));
  const impactMs = firstKillMs === null ? undefined : firstFailed(impairments, firstKillMs);
  return {
    probe: series.probe,
    source: series.source,
    phases,
    outages,
    longestOutageMs: longestMs(outages, endMs),
    totalOutageMs: totalMs(outages, endMs),
    intermittent,
    totalIntermittentMs: totalMs(intermittent, endMs),
    timeToImpactMs: impactMs === undefined || firstKillMs === null ? null : impactMs - firstKillMs,
    timeToRecoverMs: timeToRecover(impairments, times),
    clockUncertaintyMs: series.clockUncertaintyMs,
  };
}

/** The results of all series, in their order. They are judged together: noise is the run's. */
export function probeResults(series: readonly Series[], times: RunTimes): ProbeResult[] {
  const measured = series.map((one) => measure(one, times));
  const real = withoutStrays(measured, times.intervalMs);
  return measured.map((one, index) => resultOf(one, real[index] ?? [], times));
}
