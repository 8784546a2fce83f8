/** What each probe measured from each source: phases, outages and times. Milliseconds. */
import { longestMs, outagesOf, totalMs } from "./intervals.js";
import type { ClosedSpan, MeasuredSpans } from "./phases.js";
import type { Outage, ProbeResult } from "./result.js";
import { endOf, type Series } from "./series.js";
import { phaseStats, pointsIn } from "./statistics.js";

export interface RunTimes {
  readonly spans: MeasuredSpans;
  readonly firstKillMs: number | null;
  readonly releaseMs: number | null;
  /** K: this many good samples in a row end an outage. */
  readonly goodInARow: number;
  /** Function checks may disturb the application here, so its samples are not counted. */
  readonly leftOut: ClosedSpan | null;
}

/** From the start of the baseline to the end of the last measured phase. Everything else is setup. */
export function measuredSpan({ baseline, window, recovery }: MeasuredSpans): ClosedSpan | null {
  const spans = [baseline, window, recovery].filter((span) => span !== null);
  const [first] = spans;
  const last = spans.at(-1);
  return first === undefined || last === undefined ? null : { fromMs: first.fromMs, toMs: last.toMs };
}

/** See `ProbeResult.timeToRecoverMs`. */
function timeToRecover(outages: readonly Outage[], times: RunTimes): number | null {
  const { releaseMs, firstKillMs, spans } = times;
  const begun = firstKillMs ?? spans.window?.fromMs;
  if (releaseMs === null || begun === undefined) return null;
  const last = outages.at(-1);
  if (last === undefined || last.toMs === null || last.toMs <= begun) return null;
  return Math.max(0, last.toMs - releaseMs);
}

/** The result of one series. */
export function probeResult(series: Series, times: RunTimes): ProbeResult {
  const { spans, firstKillMs, leftOut } = times;
  const all = series.points;
  const within = pointsIn(all, measuredSpan(spans));
  const points =
    leftOut === null ? within : within.filter(({ tMs }) => tMs < leftOut.fromMs || tMs >= leftOut.toMs);
  const outages = outagesOf(points, times.goodInARow);
  const end = endOf(points) ?? 0;
  const impact =
    firstKillMs === null
      ? undefined
      : points.find((point) => point.outcome === "failed" && point.tMs >= firstKillMs);
  return {
    probe: series.probe,
    source: series.source,
    phases: {
      baseline: phaseStats(all, spans.baseline),
      window: phaseStats(all, spans.window),
      recovery: phaseStats(all, spans.recovery),
    },
    outages,
    longestOutageMs: longestMs(outages, end),
    totalOutageMs: totalMs(outages, end),
    timeToImpactMs: impact === undefined || firstKillMs === null ? null : impact.tMs - firstKillMs,
    timeToRecoverMs: timeToRecover(outages, times),
    clockUncertaintyMs: series.clockUncertaintyMs,
  };
}
