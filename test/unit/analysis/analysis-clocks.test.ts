import test from "ava";
import { clocksOf, seriesOf } from "../../../src/analysis/clocks.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { at } from "../../helpers/synthetic-run.js";

const clock = (boot: string, offsetMs: number, uncertaintyMs: number): RunEvent =>
  at(0, { type: "clock", source: "w1", boot, offsetMs, uncertaintyMs });
const boot = (name: string, t: number): SampleLine => ({ boot: name, t, wall: 0, node: "w1" });
const good = (t: number): SampleLine => ({ probe: "app-write", t, d: 3, ok: true });

test("the measurement with the least uncertainty counts, separately for each boot", (t) => {
  const clocks = clocksOf([
    clock("a", 1004, 9),
    clock("a", 1000, 2),
    clock("a", 1001, 5),
    clock("b", 7000, 4),
  ]);
  t.deepEqual(clocks, [
    { source: "w1", boot: "a", offsetMs: 1000, uncertaintyMs: 2 },
    { source: "w1", boot: "b", offsetMs: 7000, uncertaintyMs: 4 },
  ]);
});

test("measurements that contradict each other widen the uncertainty until all agree", (t) => {
  // 1000 ± 2 and 1020 ± 5 do not meet: the true offset went somewhere between, 15 ms away at the least.
  t.is(clocksOf([clock("a", 1000, 2), clock("a", 1020, 5)])[0]?.uncertaintyMs, 15);
});

test("samples are placed by the clock of their boot; each boot has a new clock", (t) => {
  const lines = [boot("a", 10), good(20), boot("b", 1), good(5)];
  const { series, warnings } = seriesOf(
    [{ source: "w1", lines }],
    clocksOf([clock("a", 1000, 2), clock("b", 7000, 4)]),
  );
  t.deepEqual(
    series[0]?.points.map(({ tMs }) => tMs),
    [1020, 7005],
  );
  t.is(series[0]?.clockUncertaintyMs, 4);
  t.deepEqual(warnings, ["w1: the prober started 2 times during the run."]);
});

test("samples without a clock are ignored, and a warning says how many and why", (t) => {
  const lines = [good(1), good(2), boot("a", 10), good(20)];
  const { series, warnings } = seriesOf([{ source: "w1", lines }], []);
  t.deepEqual(series, []);
  t.deepEqual(warnings, [
    "w1: 2 samples before any boot line: ignored, because they cannot be placed in time.",
    "w1: 1 sample of boot a, whose clock was never measured: ignored, because they cannot be placed in time.",
  ]);
});

test("a clock of another source is not used", (t) => {
  const { series } = seriesOf(
    [{ source: "w2", lines: [boot("a", 0), good(1)] }],
    clocksOf([clock("a", 1000, 2)]),
  );
  t.deepEqual(series, []);
});

test("the runner's samples already use the runner's clock, with or without a boot line", (t) => {
  const lines = [good(5), boot("x", 6), good(7)];
  const { series, warnings } = seriesOf([{ source: "runner", lines }], []);
  t.deepEqual(
    series[0]?.points.map(({ tMs }) => tMs),
    [5, 7],
  );
  t.is(series[0]?.clockUncertaintyMs, 0);
  t.deepEqual(warnings, []);
});

test("lines are ordered by the samples' end, points by their start", (t) => {
  const lines: SampleLine[] = [
    good(30),
    { probe: "app-write", t: 10, d: 2000, ok: false, kind: "timeout" },
    { probe: "app-write", t: 20, missed: "busy" },
  ];
  const { series } = seriesOf([{ source: "runner", lines }], []);
  t.deepEqual(series[0]?.points, [
    { tMs: 10, durationMs: 2000, outcome: "failed", kind: "timeout" },
    { tMs: 20, durationMs: 0, outcome: "missed" },
    { tMs: 30, durationMs: 3, outcome: "good" },
  ]);
});
