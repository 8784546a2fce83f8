/** What probers measured without an attack, from a few words about each series. */
import { probeResults } from "../../src/analysis/probe-results.js";
import type { ProbeResult } from "../../src/analysis/result.js";
import type { Point } from "../../src/analysis/series.js";
import type { ProbeName } from "../../src/experiment/names.js";

export interface SeriesWords {
  readonly probe: ProbeName;
  readonly node: string;
  /** Default 40. */
  readonly samples?: number;
  /** How many of them fail, spread evenly. */
  readonly failed?: number;
  /** Length of the good ones, ms. Default 3. */
  readonly ms?: number;
  readonly missed?: number;
}

const INTERVAL_MS = 250;

function measured(all: readonly SeriesWords[]): ProbeResult[] {
  const series = all.map(({ probe, node, samples = 40, failed = 0, ms = 3, missed = 0 }) => {
    const every = failed === 0 ? Infinity : samples / failed;
    let sent = 0;
    const points = Array.from({ length: samples + missed }, (_, index): Point => {
      const tMs = index * INTERVAL_MS;
      if (index >= samples) return { tMs, durationMs: 0, outcome: "missed" };
      const fails = Math.floor((index + 1) / every) > sent;
      if (fails) sent += 1;
      return fails
        ? { tMs, durationMs: 2_000, outcome: "failed", kind: "timeout" }
        : { tMs, durationMs: ms, outcome: "good" };
    });
    return { probe, source: node, points, clockUncertaintyMs: 1 };
  });
  return probeResults(series, {
    spans: { baseline: { fromMs: 0, toMs: 1e9 }, window: null, recovery: null },
    firstKillMs: null,
    releaseMs: null,
    goodInARow: 3,
    intervalMs: INTERVAL_MS,
    leftOut: null,
  });
}

export const NODES = ["a", "b", "c"];

const PROBES: readonly ProbeName[] = [
  "dns-internal",
  "dns-search",
  "dns-same-socket",
  "dns-external",
  "tcp-pod",
  "tcp-service",
  "http-service",
];

/** Every layer from every node: all good but for what is given. */
export function everyLayer(change: readonly SeriesWords[] = []): ProbeResult[] {
  return measured(
    PROBES.flatMap((probe) =>
      NODES.map(
        (node) => change.find((each) => each.probe === probe && each.node === node) ?? { probe, node },
      ),
    ),
  );
}
