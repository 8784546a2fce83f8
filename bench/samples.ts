/** Simulated runs sample by sample, where the times of samples matter: the prober's own delays, and the time to impact. */
import { seriesOf } from "../src/analysis/clocks.js";
import type { ClosedSpan } from "../src/analysis/phases.js";
import { probeResults, type RunTimes } from "../src/analysis/probe-results.js";
import type { ProbeResult } from "../src/analysis/result.js";
import type { Point } from "../src/analysis/series.js";
import type { RawSamples, SampleLine } from "../src/evidence/sample.js";
import type { ProbeName } from "../src/experiment/names.js";
import type { Experiment } from "../src/experiment/schema.js";
import { happening, HEALTHY, latencyAt, NOISE } from "./draws.js";

/** What every simulated run needs. */
export interface Sampled {
  readonly random: () => number;
  readonly experiment: Experiment;
  readonly workers: readonly string[];
  readonly intervalMs: number;
}

/** The window begins with the first kill; the release is its end. */
function timesOf({ experiment, intervalMs }: Sampled): RunTimes & { readonly window: ClosedSpan } {
  const { baseline, window } = experiment.phases;
  const releaseMs = baseline + window;
  return {
    spans: {
      baseline: { fromMs: 0, toMs: baseline },
      window: { fromMs: baseline, toMs: releaseMs },
      recovery: { fromMs: releaseMs, toMs: releaseMs + baseline },
    },
    window: { fromMs: baseline, toMs: releaseMs },
    firstKillMs: baseline,
    releaseMs,
    goodInARow: experiment.probes.goodInARow,
    intervalMs,
    leftOut: null,
  };
}

/** How long the prober's event loop stands still, ms; this share of the window. */
const STALL_MS = [300, 800] as const;
const STALLED = 0.15;

/** The prober notices delays from 50 ms on, by a timer of 50 ms. Of the shorter ones a sample meets two at most. */
const TICK_MS = 50;
const SHORT_DELAY_SHARE = 0.3;

function stallsOf(random: () => number, { fromMs, toMs }: ClosedSpan): ClosedSpan[] {
  const stalls: ClosedSpan[] = [];
  const [least, most] = STALL_MS;
  const gapMs = ((least + most) / 2) * (1 / STALLED - 1);
  for (let at = fromMs; ; at = stalls.at(-1)?.toMs ?? toMs) {
    const from = at - Math.log(1 - random()) * gapMs;
    const to = from + least + random() * (most - least);
    if (to >= toMs) return stalls;
    stalls.push({ fromMs: from, toMs: to });
  }
}

/** A prober's file: an answer that comes during a stall is read at its end. */
function linesOf(
  { random, intervalMs }: Sampled,
  probes: readonly ProbeName[],
  stalls: readonly ClosedSpan[],
  toMs: number,
  measured: boolean,
): SampleLine[] {
  const lines: SampleLine[] = [{ boot: "b", t: 0, wall: 0, node: "" }];
  let next = 0;
  const phase = random() * intervalMs;
  for (let t = phase; t < toMs; t += intervalMs) {
    while ((stalls[next]?.toMs ?? Infinity) <= t) next += 1;
    for (const probe of probes) {
      const short = (): number => (random() < SHORT_DELAY_SHARE ? random() * TICK_MS : 0);
      const d = latencyAt(random(), HEALTHY, 1) + short() + short();
      const stall = stalls[next];
      const waits = stall !== undefined && t + d > stall.fromMs;
      lines.push({ probe, t, d: waits ? stall.toMs - t + d : d, ok: true });
    }
  }
  if (!measured) return lines;
  const late = stalls.map(({ fromMs, toMs: until }) => {
    const t = fromMs - random() * TICK_MS;
    return { own: "late" as const, t, d: until + TICK_MS - t, late: until - fromMs };
  });
  return [...lines, ...late];
}

/** What a run finds whose probers stand still at times, all at their own. @param measured whether they notice it. */
export function stalledRun(run: Sampled, probes: readonly ProbeName[], measured: boolean): ProbeResult[] {
  const times = timesOf(run);
  const samples: RawSamples[] = run.workers.map((source) => ({
    source,
    lines: linesOf(run, probes, stallsOf(run.random, times.window), times.window.toMs, measured),
  }));
  const clocks = run.workers.map((source) => ({ source, boot: "b", offsetMs: 0, uncertaintyMs: 1 }));
  return probeResults(seriesOf(samples, clocks).series, times);
}

const OUTAGE_MS = 20_000;

/** Runs with failures in time. Good samples are the same in each run. */
export class ImpactRuns {
  readonly #run: Sampled;
  readonly #times: RunTimes & { readonly window: ClosedSpan };
  readonly #series: { probe: ProbeName; source: string; good: readonly Point[] }[];

  constructor(run: Sampled, probes: readonly ProbeName[]) {
    this.#run = run;
    this.#times = timesOf(run);
    const toMs = this.#times.spans.recovery?.toMs ?? 0;
    const { frontendReplicas = 1, controlReplicas = 1 } = run.experiment.application.guestbook ?? {};
    this.#series = run.workers.flatMap((source) => {
      const offset = run.random() * run.intervalMs;
      return probes.map((probe) => {
        const control = probe.endsWith("env");
        const targets = probe.startsWith("dns") ? 0 : control ? controlReplicas : frontendReplicas;
        const good = Array.from({ length: Math.floor((toMs - offset) / run.intervalMs) }, (_, index) => ({
          tMs: offset + index * run.intervalMs,
          durationMs: 20,
          outcome: "good" as const,
          ...(targets === 0 ? {} : { target: `${control ? "control" : "front-end"}-${index % targets}` }),
        }));
        return { probe, source, good };
      });
    });
  }

  /**
   * Whether one run names a stray as the time to impact of any probe. Right is: none, or the beginning of the outage. (A
   * stray in the sample before it, or of another probe in the first three, is no other time.)
   *
   * @param failing probes that fail in the outage, from some time after the first kill on. Empty: nothing does.
   */
  isWrong(failing: readonly ProbeName[]): boolean {
    const { random, intervalMs } = this.#run;
    const killMs = this.#times.window.fromMs;
    const fromMs = killMs + 2_000 + random() * 30_000;
    const series = this.#series.map(({ probe, source, good }) => {
      const points: Point[] = [...good];
      const fail = (index: number): void => {
        const point = points[index];
        if (point !== undefined) points[index] = { ...point, outcome: "failed", kind: "timeout" };
      };
      for (const index of happening(random, points.length, NOISE)) fail(index);
      if (failing.includes(probe)) {
        const first = good.findIndex(({ tMs }) => tMs >= fromMs);
        for (let index = first; (good[index]?.tMs ?? Infinity) < fromMs + OUTAGE_MS; index += 1) fail(index);
      }
      return { probe, source, points, clockUncertaintyMs: 1 };
    });
    return probeResults(series, this.#times).some(({ probe, timeToImpactMs }) => {
      if (timeToImpactMs === null) return failing.includes(probe);
      if (failing.length === 0) return true;
      const late = killMs + timeToImpactMs - fromMs;
      return late < -intervalMs || late > 3 * intervalMs;
    });
  }
}
