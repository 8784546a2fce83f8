import test from "ava";
import fc from "fast-check";
import { measuredSpans, phaseSpans, releaseOf } from "../../../src/analysis/phases.js";
import type { Point } from "../../../src/analysis/series.js";
import { phaseStats, quantile } from "../../../src/analysis/statistics.js";
import { counts, duration, percent, threshold } from "../../../src/common/figures.js";
import { phase } from "../../helpers/synthetic-run.js";

test("quantile: nearest rank, always a measured value", (t) => {
  const values = [15, 20, 35, 40, 50];
  t.is(quantile(values, 0.05), 15);
  t.is(quantile(values, 0.3), 20);
  t.is(quantile(values, 0.4), 20);
  t.is(quantile(values, 0.5), 35);
  t.is(quantile(values, 1), 50);
  t.is(quantile([7], 0.95), 7);
  t.is(quantile([], 0.5), null);
  // Numbers, not text: 10 is more than 9.
  t.is(quantile([10, 9, 8], 1), 10);
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true }), { minLength: 1 }), (all) => {
      const value = quantile(all, 0.95);
      return value !== null && all.filter((one) => one <= value).length >= 0.95 * all.length;
    }),
  );
});

test("a sample belongs to the phase in which it started; missed ticks are in no share", (t) => {
  const points: Point[] = [
    { tMs: 999, durationMs: 2000, outcome: "failed", kind: "timeout" },
    { tMs: 1000, durationMs: 10, outcome: "good" },
    { tMs: 1500, durationMs: 0, outcome: "missed" },
    { tMs: 1600, durationMs: 20, outcome: "good" },
    { tMs: 1700, durationMs: 1, outcome: "failed", kind: "nxdomain" },
    { tMs: 1800, durationMs: 1, outcome: "failed" },
    { tMs: 2000, durationMs: 10, outcome: "good" },
  ];
  t.deepEqual(phaseStats(points, { fromMs: 1000, toMs: 2000 }), {
    samples: 4,
    good: 2,
    missed: 1,
    availability: 0.5,
    p50Ms: 10,
    p95Ms: 20,
    failures: { nxdomain: 1, other: 1 },
  });
  t.is(phaseStats(points, null).availability, null);
});

test("phases: the recovery is measured from the release; gaps between phases belong to none", (t) => {
  const spans = phaseSpans([
    ...phase("baseline", 10, 20),
    ...phase("record", 20, 25),
    ...phase("window", 25, 90),
    ...phase("release", 91, 95),
    ...phase("recovery", 95, 200),
    ...phase("teardown", 200, 210),
  ]);
  t.is(releaseOf(spans), 91);
  t.deepEqual(measuredSpans(spans, 210), {
    baseline: { fromMs: 10, toMs: 20 },
    window: { fromMs: 25, toMs: 90 },
    recovery: { fromMs: 91, toMs: 200 },
  });
});

test("of a phase that was repeated, the last one counts", (t) => {
  const twice = [...phase("baseline", 10, 20), ...phase("baseline", 22, 32), ...phase("window", 40, 90)];
  t.deepEqual(measuredSpans(phaseSpans(twice), 100).baseline, { fromMs: 22, toMs: 32 });
  const cut = [...phase("baseline", 10, 20), ...phase("baseline", 22)];
  t.deepEqual(phaseSpans(cut).baseline, { fromMs: 22, toMs: null });
});

test("phases of an interrupted run end where it ended, or where a later phase begins", (t) => {
  const cut = measuredSpans(phaseSpans([...phase("baseline", 10), ...phase("window", 30)]), 77);
  t.deepEqual(cut, {
    baseline: { fromMs: 10, toMs: 30 },
    window: { fromMs: 30, toMs: 77 },
    recovery: null,
  });
  t.deepEqual(measuredSpans(phaseSpans([]), 5), { baseline: null, window: null, recovery: null });
});

test("figures: shares are rounded down, 100 % means all and 0 % none", (t) => {
  t.is(percent(0.997), "99.7 %");
  t.is(percent(0.98999), "98.9 %");
  t.is(percent(0.99999), "99.9 %");
  t.is(percent(1), "100 %");
  t.is(percent(0), "0 %");
  t.is(percent(0.0004), "< 0.1 %");
  t.is(percent(null), "—");
  t.is(threshold(0.995), "99.5 %");
  t.is(threshold(1 - 0.9), "10 %");
});

test("figures: durations", (t) => {
  const texts: [number | null, string][] = [
    [null, "—"],
    [0, "0 ms"],
    [0.42, "0.4 ms"],
    [9.97, "10 ms"],
    [340, "340 ms"],
    [999.6, "1.0 s"],
    [1234, "1.2 s"],
    [59_960, "60.0 s"],
    [125_000, "2 min 5 s"],
    [179_700, "3 min"],
    [-2500, "−2.5 s"],
  ];
  for (const [ms, text] of texts) t.is(duration(ms), text);
  t.is(counts({ timeout: 3, refused: 12, reset: 0 }), "12 refused, 3 timeout");
  t.is(counts({}), "—");
});
