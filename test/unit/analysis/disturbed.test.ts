/** Samples taken while their source was late itself count for nothing. A real outage is never hidden. */
import test from "ava";
import fc from "fast-check";
import { analyse } from "../../../src/analysis/analyse.js";
import { seriesOf } from "../../../src/analysis/clocks.js";
import { disturbedWords, wasDisturbed } from "../../../src/analysis/disturbed.js";
import { coveredMs, isWithin } from "../../../src/analysis/spans.js";
import type { RunResult } from "../../../src/analysis/result.js";
import { exitCodeOf } from "../../../src/analysis/verdict.js";
import type { OwnLine, SampleLine } from "../../../src/evidence/sample.js";
import { samplesOf as read, samplesToNdjson } from "../../../src/evidence/serialise.js";
import * as runs from "../../helpers/synthetic-run.js";

/** A delay in the runner's time, as a line of the source. */
const late = (source: string, fromMs: number, toMs: number): OwnLine => ({
  own: "late",
  t: fromMs - (runs.OFFSETS[source] ?? 0),
  d: toMs - fromMs,
  late: toMs - fromMs - 50,
});

/** The run with delays of one source, written after the samples that they cover. */
function withLate(
  run: runs.SyntheticRun,
  source: string,
  ...spans: readonly (readonly [number, number])[]
): RunResult {
  const lines = spans.map(([fromMs, toMs]) => late(source, fromMs, toMs));
  const samples = run.samples.map((each) =>
    each.source === source ? { ...each, lines: [...each.lines, ...lines] } : each,
  );
  return analyse(run.facts, run.events, samples);
}

const codes = ({ reasons }: RunResult): string[] => reasons.map(({ code }) => code);

/** A control run in which one worker's writes fail (from 60 s, 3 s long), as if its prober had been stopped. */
function failing(fromMs: number, toMs: number): runs.SyntheticRun {
  const control = runs.controlRun();
  const samples = runs.samplesOf({ failing: [{ probe: "app-write", source: "kind-worker", fromMs, toMs }] });
  return { ...control, samples };
}

const writes = (result: RunResult): RunResult["probes"][number] => {
  const found = result.probes.find(({ probe, source }) => probe === "app-write" && source === "kind-worker");
  if (found === undefined) throw new Error("no writes");
  return found;
};

// An outage ends with the first answer, 7 ms after the sample was sent.
test("a prober that was stopped: its failed samples are missed, and no outage is left", (t) => {
  const run = failing(60_000, 63_000);
  const without = writes(analyse(run.facts, run.events, run.samples));
  t.deepEqual(without.outages, [{ fromMs: 60_000, toMs: 63_007 }]);
  const result = withLate(run, "kind-worker", [59_950, 63_050]);
  t.deepEqual(writes(result).outages, []);
  t.is(result.severity, "none");
  t.deepEqual(codes(result), []);
  const { window } = writes(result).phases;
  t.is(
    window.samples,
    without.phases.window.samples - 14,
    "12 failed, and the good ones right before and after",
  );
  t.is(window.missed, 14);
  t.deepEqual(result.disturbed, [
    {
      source: "kind-worker",
      spans: [{ fromMs: 59_950, toMs: 63_050 }],
      lateMs: 3100,
      pressure: 0,
      steal: 0,
    },
  ]);
});

test("the samples of other sources still count", (t) => {
  const run = failing(60_000, 63_000);
  const result = withLate(run, "kind-worker2", [59_950, 63_050]);
  t.is(writes(result).outages.length, 1);
});

/** Samples around a delay of [1000, 1100] that made a timer this late: time, length, outcome, disturbed. */
function around(lateMs: number): unknown {
  const lines: SampleLine[] = [
    { probe: "app-write", t: 749, d: 2000, ok: false, kind: "timeout" },
    { probe: "app-write", t: 750, d: 5, ok: true },
    { probe: "app-write", t: 1050, d: 5, ok: false, kind: "timeout" },
    { probe: "app-write", t: 1100, missed: "late" },
    { probe: "app-write", t: 1101, d: 5, ok: true },
    { own: "late", t: 1000, d: 100, late: lateMs },
  ];
  const { series } = seriesOf([{ source: "runner", lines }], []);
  return series[0]?.points.map((point) => [point.tMs, point.durationMs, point.outcome, point.disturbed]);
}

test("which samples a stall leaves out depends on when they were sent, not on their outcome or length", (t) => {
  t.deepEqual(around(250), [
    [749, 2000, "failed", undefined],
    [750, 5, "missed", true],
    [1050, 5, "missed", true],
    [1100, 0, "missed", true],
    [1101, 5, "good", undefined],
  ]);
});

test("a shorter delay cannot let a sample fail: outcomes count, and lengths do not", (t) => {
  t.deepEqual(around(249), [
    [749, 2000, "failed", undefined],
    [750, 5, "good", true],
    [1050, 5, "failed", undefined],
    [1100, 0, "missed", undefined],
    [1101, 5, "good", undefined],
  ]);
  const run = runs.controlRun();
  const short = Array.from({ length: 600 }, (_, index) => runs.WINDOW_MS + index * 100);
  const result = withLate(run, "kind-worker", ...short.map((fromMs) => [fromMs, fromMs + 100] as const));
  const { good, timed, p95Ms, availability } = writes(result).phases.window;
  t.deepEqual([timed, p95Ms, availability], [0, null, 1]);
  t.true(good > 200);
  t.deepEqual([result.severity, codes(result)], ["none", []]);
});

test("an outage of a busy machine is found: its samples wait for their time-out, and each meets a short delay", (t) => {
  const short = Array.from({ length: 60 }, (_, index) => {
    const fromMs = runs.WINDOW_MS + index * 1000;
    return [fromMs, fromMs + 100] as const;
  });
  const { severity, reasons } = withLate(failing(runs.WINDOW_MS, runs.RELEASE_MS), "kind-worker", ...short);
  t.deepEqual([severity, reasons], ["outage", []]);
});

test("a real outage around a stall is one outage", (t) => {
  const result = withLate(failing(50_000, 70_000), "kind-worker", [59_950, 63_050]);
  t.deepEqual(writes(result).outages, [{ fromMs: 50_000, toMs: 70_007 }]);
});

test("no stall hides an outage: the run is inconclusive when a fifth of the window is disturbed", (t) => {
  const whole = runs.RELEASE_MS - runs.WINDOW_MS;
  const from = 50_000;
  fc.assert(
    fc.property(fc.integer({ min: 500, max: 40_000 }), (lengthMs) => {
      const result = withLate(failing(from, from + lengthMs), "kind-worker", [
        from - 100,
        from + lengthMs + 100,
      ]);
      return lengthMs + 200 > whole * 0.2
        ? codes(result).join() === "disturbed" && exitCodeOf(result) === 2
        : result.severity === "none" && result.disturbed !== undefined;
    }),
    { numRuns: 30 },
  );
  t.pass();
});

test("short delays leave a fair part of the samples: half of the window is enough, if they are spread", (t) => {
  const spread = (lateMs: number): readonly (readonly [number, number])[] =>
    Array.from({ length: 60 }, (_, index) => {
      const fromMs = runs.WINDOW_MS + index * 1000;
      return [fromMs, fromMs + lateMs] as const;
    });
  const of = (lateMs: number): RunResult => withLate(runs.controlRun(), "kind-worker", ...spread(lateMs));
  t.deepEqual([of(480).severity, codes(of(480))], ["none", []]);
  t.deepEqual(codes(of(520)), ["disturbed"]);
  t.regex(of(520).reasons[0]?.message ?? "", /stalled for 5[0-9.]+ % of the window \(at most 50 %\)/);
  // Between these no sample fits: they are one stretch.
  const dense = Array.from({ length: 45 }, (_, index) => {
    const fromMs = runs.WINDOW_MS + index * 540;
    return [fromMs, fromMs + 300] as const;
  });
  t.regex(withLate(runs.controlRun(), "kind-worker", ...dense).reasons[0]?.message ?? "", /at a stretch/);
});

test("a disturbed baseline is refused as such, and too few samples are its consequence", (t) => {
  const run = runs.controlRun();
  const baseline = withLate(run, "kind-worker", [runs.BASELINE_MS, runs.BASELINE_MS + 5_000]);
  t.deepEqual(codes(baseline), ["disturbed"]);
  t.regex(
    baseline.reasons[0]?.message ?? "",
    /^The prober on kind-worker stalled for 33\.3 % of the baseline at a stretch \(at most 20 %\), so what .* less busy\.$/,
  );
  t.deepEqual(codes(withLate(run, "kind-worker", [runs.WINDOW_MS, runs.RELEASE_MS])), ["disturbed"]);
  t.deepEqual(codes(withLate(run, "kind-worker", [100, runs.BASELINE_MS])), [], "before the baseline");
});

test("a runner that is late takes nothing from a target that was kept down", (t) => {
  const late = [runs.FIRST_KILL_MS + 1_000, runs.FIRST_KILL_MS + 40_000] as const;
  const down = withLate(runs.kubeDnsOutage(), "runner", late);
  t.deepEqual([down.severity, codes(down)], ["outage", []]);
  t.deepEqual(codes(withLate(runs.controlRun(), "runner", late)), [], "nothing to keep down");
  t.deepEqual(codes(withLate(runs.targetNeverDown(), "runner", late)), ["disturbed", "target-not-down"]);
  const short = [runs.FIRST_KILL_MS, runs.FIRST_KILL_MS + 2_000] as const;
  t.deepEqual(codes(withLate(runs.targetNeverDown(), "runner", short)), ["target-not-down"]);
});

test("a run without such lines has no such part: older files give the same result", (t) => {
  const run = runs.kubeDnsOutage();
  t.false("disturbed" in analyse(run.facts, run.events, run.samples));
});

test("the lines are read again from the file", async (t) => {
  const lines: SampleLine[] = [
    late("runner", 100, 200),
    { own: "cpu", t: 0, d: 5000, steal: 0.25, pressure: 0.5 },
  ];
  const text = samplesToNdjson({ source: "runner", lines });
  const { value, notes } = await read(text.split("\n"), "runner");
  t.deepEqual([...value.lines], lines);
  t.deepEqual(notes, []);
});

test("a busy machine is told, also when its prober was on time", (t) => {
  const run = runs.controlRun();
  const busy: OwnLine = { own: "cpu", t: runs.WINDOW_MS, d: 5000, steal: 0.25, pressure: 0.875 };
  const samples = run.samples.map((each) =>
    each.source === "runner" ? { ...each, lines: [...each.lines, busy] } : each,
  );
  const { disturbed = [], severity } = analyse(run.facts, run.events, samples);
  t.is(severity, "none");
  t.deepEqual(disturbed, [{ source: "runner", spans: [], lateMs: 0, pressure: 0.875, steal: 0.25 }]);
  t.is(
    disturbedWords(disturbed),
    "the machine of the runner had tasks that waited for a CPU for up to 87.5 % of the time, lost up to 25.0 % of its CPUs' time to other machines",
  );
  t.true(wasDisturbed(disturbed));
  t.false(
    wasDisturbed([{ source: "runner", spans: [], lateMs: 0, pressure: 0.3, steal: 0 }]),
    "not busy enough to matter",
  );
  const four = ["a", "b", "c", "d"].map((source, index) => ({
    source,
    spans: [],
    lateMs: 100 * (index + 1),
    pressure: 0,
    steal: 0,
  }));
  t.is(
    disturbedWords(four),
    "the prober on d was late for 400 ms in total; the prober on c was late for 300 ms in total; " +
      "the prober on b was late for 200 ms in total; and 1 others",
  );
});

test("spans: overlap and cover agree with a slow count", (t) => {
  const span = fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 1, max: 9 }));
  fc.assert(
    fc.property(
      fc.array(span, { maxLength: 12 }),
      fc.integer({ min: 0, max: 99 }),
      fc.nat(9),
      (all, from, d) => {
        const lines = all.map(([t, d]): OwnLine => ({ own: "late", t, d, late: 1 }));
        const { delays } = seriesOf([{ source: "runner", lines }], []);
        const spans = delays.get("runner")?.late ?? [];
        const met = all.some(([at, length]) => at <= from + d && at + length >= from);
        const units = Array.from({ length: d }, (_, index) => from + index);
        const covered = units.filter((ms) => all.some(([at, length]) => at <= ms && ms < at + length)).length;
        return (
          isWithin(spans, from, from + d) === met &&
          coveredMs(spans, { fromMs: from, toMs: from + d }) === covered
        );
      },
    ),
  );
  t.pass();
});
