/** How long good samples took over time: one small chart for each probe, over all its sources. Pure. */
import type { VNode } from "preact";
import { duration } from "../../common/figures.js";
import { quantile } from "../../analysis/statistics.js";
import type { Timeline } from "../timeline-model.js";

/** Enough to see a second in a run of a minute and a half. */
const BINS = 90;
const WIDTH = 300;
const HEIGHT = 96;
/** The axis is logarithmic: an answer from DNS takes 1 ms, one that waits for a lost packet a second. */
const LEAST_MS = 0.5;
const MOST_MS = 10_000;
const TICKS = [1, 10, 100, 1000] as const;

/** A percentile of each bin, ms; null: it has no good sample. */
type Line = readonly (number | null)[];

interface Latency {
  readonly probe: string;
  readonly p50: Line;
  readonly p95: Line;
  /** Of all good samples, for the words beside the chart, ms. */
  readonly all: { readonly p50: number | null; readonly p95: number | null; readonly most: number | null };
}

/** The percentiles of every probe over time. Samples whose prober was late do not count. */
function latencies({ axis, probes }: Timeline): Latency[] {
  if (axis === null) return [];
  const binMs = (axis.toMs - axis.fromMs) / BINS;
  return probes.flatMap(({ shown, others }) => {
    const bins = Array.from({ length: BINS }, (): number[] => []);
    for (const { series } of [...shown, ...others]) {
      for (const { tMs, durationMs, outcome, disturbed } of series.points) {
        if (outcome === "good" && disturbed !== true)
          bins[Math.floor((tMs - axis.fromMs) / binMs)]?.push(durationMs);
      }
    }
    const probe = shown[0]?.measured.probe;
    const lengths = bins.flat();
    if (probe === undefined || lengths.length === 0) return [];
    return [
      {
        probe,
        p50: bins.map((bin) => quantile(bin, 0.5)),
        p95: bins.map((bin) => quantile(bin, 0.95)),
        all: { p50: quantile(lengths, 0.5), p95: quantile(lengths, 0.95), most: quantile(lengths, 1) },
      },
    ];
  });
}

const share = (value: number, from: number, to: number): number => (value - from) / (to - from);

function yOf(ms: number): number {
  const log = share(Math.log(Math.max(LEAST_MS, ms)), Math.log(LEAST_MS), Math.log(MOST_MS));
  return Math.round((1 - Math.min(1, log)) * (HEIGHT - 4) + 2);
}

/** The line, broken where a bin has no good sample. A bin alone is a short stroke. */
function path(line: Line): string {
  let drawn = false;
  return line
    .map((ms, index) => {
      if (ms === null) {
        drawn = false;
        return "";
      }
      const x = Math.round((index * WIDTH) / BINS);
      const part = drawn ? `L${x} ${yOf(ms)}` : `M${x} ${yOf(ms)}h1`;
      drawn = true;
      return part;
    })
    .join("");
}

const PHASES = ["window", "function"] as const;

function Chart({ latency, timeline }: { latency: Latency; timeline: Timeline }): VNode {
  const { probe, p50, p95, all } = latency;
  const { axis, spans } = timeline;
  const x = (tMs: number): number => (axis === null ? 0 : share(tMs, axis.fromMs, axis.toMs) * WIDTH);
  const bands = PHASES.flatMap((phase) => {
    const span = spans[phase];
    return span === null ? [] : [{ phase, from: x(span.fromMs), to: x(span.toMs) }];
  });
  const words = `p50 ${duration(all.p50)} · p95 ${duration(all.p95)} · longest ${duration(all.most)}`;
  return (
    <figure class="latency">
      <figcaption>
        <strong>{probe}</strong> <span class="faint">{words}</span>
      </figcaption>
      <svg viewBox={`-46 0 ${WIDTH + 48} ${HEIGHT}`} role="img" aria-label={`${probe} over time: ${words}`}>
        {bands.map(({ phase, from, to }) => (
          <rect
            class={`phase ${phase}`}
            x={Math.round(from)}
            y="0"
            width={Math.max(1, Math.round(to - from))}
            height={HEIGHT}
          />
        ))}
        {TICKS.map((ms) => (
          <>
            <path class="rule" d={`M0 ${yOf(ms)}h${WIDTH}`} />
            <text class="tick" x="-4" y={yOf(ms) + 3} text-anchor="end">
              {ms < 1000 ? `${ms} ms` : `${ms / 1000} s`}
            </text>
          </>
        ))}
        <path class="p95" d={path(p95)} />
        <path class="p50" d={path(p50)} />
      </svg>
    </figure>
  );
}

export function LatencySection({ timeline }: { timeline: Timeline }): VNode | null {
  const found = latencies(timeline);
  if (found.length === 0) return null;
  return (
    <section aria-labelledby="latency">
      <h2 id="latency">Latency over time</h2>
      <p class="faint">
        Good samples of all sources, in {BINS} parts of the run: p50{" "}
        <span class="key p50" aria-hidden="true" /> and p95 <span class="key p95" aria-hidden="true" />,
        logarithmic. A gap: no sample was good. Shaded: the window.
      </p>
      <div class="charts">
        {found.map((latency) => (
          <Chart latency={latency} timeline={timeline} />
        ))}
      </div>
    </section>
  );
}
