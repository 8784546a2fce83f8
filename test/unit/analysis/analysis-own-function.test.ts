import test from "ava";
import { analyse } from "../../../src/analysis/analyse.js";
import type { RunResult } from "../../../src/analysis/result.js";
import { exitCodeOf } from "../../../src/analysis/verdict.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import * as own from "../../helpers/function-runs.js";
import * as runs from "../../helpers/synthetic-run.js";

const of = ({ facts, events, samples }: runs.SyntheticRun): RunResult => analyse(facts, events, samples);
const codes = (result: RunResult): string[] => result.reasons.map(({ code }) => code);

/** The kubelet's run with other function checks. */
function checked(...checks: RunEvent[]): RunResult {
  const run = own.kubelet();
  const events = run.events.filter(({ type }) => type !== "function");
  return analyse(run.facts, [...events, ...checks], run.samples);
}
const baseline = own.look(21_000, true);

test("lost: present before, absent in every check while it was down", (t) => {
  const result = of(own.kubelet());
  const { ownFunction } = result;
  t.is(ownFunction.state, "lost");
  t.deepEqual(ownFunction.baseline, { looks: 3, present: 3 });
  t.deepEqual(ownFunction.window, { looks: 3, present: 0 });
  t.deepEqual(ownFunction.recovery, { looks: 2, present: 1 });
  t.is(
    ownFunction.because,
    "Checks of node-runs-pods: present in 3 of 3 checks before, in none of 3 while it was down.",
  );
  t.is(
    result.functionBecause,
    "node-runs-pods: present in 3 of 3 checks before, in none of 3 while it was down.",
  );
  t.true(result.functionLost);
  t.is(result.severity, "function lost");
  t.regex(result.severityBecause, /its own function was lost: node-runs-pods: present in 3 of 3/);
  t.is(result.verdict, "as expected");
  t.is(result.study.function, "confirmed");
  t.is(result.study.impact, "confirmed");
  t.deepEqual(result.reasons, []);
});

test("recovery of the function: the end of the first check after the release that found it, not its start", (t) => {
  t.is(of(own.kubelet()).ownFunction.backAfterMs, 97_500 + 1500 - runs.RELEASE_MS);
  t.is(checked(baseline, own.look(40_000, false)).ownFunction.backAfterMs, null);
  // It began before the release, so it does not show when the function recovered.
  t.is(checked(baseline, own.look(95_000, true, { tookMs: 3000 })).ownFunction.backAfterMs, null);
});

test("evidence: the first and last check of the window, and the first good one after the release", (t) => {
  t.deepEqual(of(own.kubelet()).ownFunction.evidence, [
    "+3.9 s, absent: seen | at 40000",
    "+38.9 s, absent: seen | at 75000",
    "1.5 s after the release, present: seen | at 97500",
  ]);
  t.deepEqual(checked(baseline, own.look(40_000, false)).ownFunction.evidence, [
    "+3.9 s, absent: seen | at 40000",
  ]);
});

test("kept: present in every check; nothing is affected, so the severity is none", (t) => {
  const result = checked(baseline, own.look(40_000, true), own.look(60_000, true));
  t.is(result.ownFunction.state, "kept");
  t.false(result.functionLost);
  t.is(result.severity, "none");
  t.is(result.study.function, "differs");
  t.is(result.verdict, "differs");
});

test("partly lost counts as lost when under half of the checks found it, and is reported as partial", (t) => {
  const third = checked(baseline, own.look(40_000, true), own.look(50_000, false), own.look(60_000, false));
  t.is(third.ownFunction.state, "partly lost");
  t.true(third.functionLost);
  t.is(third.severity, "function lost");
  t.regex(third.ownFunction.because, /in 1 of 3 while it was down \(lost: under 50 %\)/);
  t.regex(third.study.because, /in part of the window/);
  const half = checked(baseline, own.look(40_000, true), own.look(50_000, false));
  t.is(half.ownFunction.state, "partly lost");
  t.false(half.functionLost);
  t.is(half.severity, "none");
});

test("checks count for the window only after the target went down and before the release", (t) => {
  // The target is down from 37 s. Checks before that or after the release do not count.
  const around = [own.look(36_050, true), own.look(36_999, true), own.look(96_000, true)];
  t.is(checked(baseline, own.look(40_000, false), ...around).ownFunction.state, "lost");
  t.deepEqual(checked(baseline, own.look(37_000, true)).ownFunction.window, { looks: 1, present: 1 });
  t.deepEqual(checked(baseline, own.look(95_999, false)).ownFunction.window, { looks: 1, present: 0 });
});

test("a check that ended after the release counts if it is absent, not if it is present", (t) => {
  const over = { tookMs: 5000 };
  t.is(checked(baseline, own.look(40_000, false), own.look(94_000, true, over)).ownFunction.state, "lost");
  t.is(
    checked(baseline, own.look(40_000, true), own.look(94_000, false, over)).ownFunction.state,
    "partly lost",
  );
});

test("a check of another function is ignored", (t) => {
  const other = own.look(40_000, true, { probe: "api-stores" });
  t.is(checked(baseline, own.look(50_000, false), other).ownFunction.state, "lost");
});

test("inconclusive: it did not work before, or not every time", (t) => {
  const window = own.look(40_000, false);
  for (const before of [[], [own.look(21_000, false)], [baseline, own.look(25_000, false)]]) {
    const result = checked(...before, window);
    t.is(result.ownFunction.state, "inconclusive");
    t.is(result.functionLost, null);
    t.deepEqual(codes(result), ["function-not-measured"]);
    t.is(result.severity, "inconclusive");
    t.is(exitCodeOf(result), 2);
    t.regex(result.reasons[0]?.message ?? "", /needed: (all|at least one)/);
  }
  // Checks before or after the baseline do not show that it worked in the baseline.
  t.is(checked(own.look(10_000, true), window).ownFunction.state, "inconclusive");
  t.is(checked(own.look(35_500, true), window).ownFunction.state, "inconclusive");
});

test("inconclusive: no check finished while it was down", (t) => {
  const result = checked(baseline, own.look(97_000, true));
  t.is(result.ownFunction.state, "inconclusive");
  t.regex(result.ownFunction.because, /no check finished while it was down/);
  t.deepEqual(codes(result), ["function-not-measured"]);
});

test("an absent check that was running at the first kill does not prove that it did not work before", (t) => {
  const window = own.look(40_000, false);
  const overtaken = own.look(34_900, false, { tookMs: 20_000 });
  t.is(checked(baseline, overtaken, window).ownFunction.state, "lost");
  t.is(checked(overtaken, window).ownFunction.state, "inconclusive", "nor that it worked");
  t.is(checked(own.look(34_900, true, { tookMs: 2000 }), window).ownFunction.state, "lost");
});

test("if only the function is unknown, the impact is still compared", (t) => {
  const result = checked(baseline);
  t.is(result.study.impact, "confirmed");
  t.is(result.study.function, "inconclusive");
  // With any other reason nothing is compared.
  const run = own.kubelet();
  const events = run.events.filter(({ type }) => type !== "function" && type !== "unit");
  const unsure = analyse(run.facts, events, run.samples);
  t.false(codes(unsure).includes("function-not-measured"));
  t.is(unsure.study.impact, "inconclusive");
});

test("an outage is conclusive without the function; an unchecked function is not called lost", (t) => {
  const run = own.kubelet();
  const events = run.events.filter(({ type }) => type !== "function");
  const samples = runs.samplesOf({ failing: [{ probe: "app-write", fromMs: 40_000, toMs: 96_000 }] });
  const result = analyse(run.facts, events, samples);
  t.is(result.severity, "outage");
  t.deepEqual(result.reasons, []);
  t.is(result.functionLost, null);
  t.is(result.study.function, "inconclusive");
  t.is(result.study.impact, "differs");
});

test("late and lost: the last event for each check of this function counts", (t) => {
  const run = own.logs();
  const { ownFunction } = of(run);
  t.is(ownFunction.late, 2);
  t.is(ownFunction.lostForGood, 1);
  const more = [own.late(104_000, 75_000, "late"), own.late(104_000, 1, "lost", "events-arrive")];
  const later = analyse(run.facts, [...run.events, ...more], run.samples).ownFunction;
  t.is(later.late, 3);
  t.is(later.lostForGood, 0);
});

test("disruptive checks: before the baseline, and in the phase after the application's window", (t) => {
  const run = own.disturbing();
  const result = of(run);
  t.is(result.ownFunction.state, "lost");
  t.deepEqual(result.ownFunction.baseline, { looks: 1, present: 1 });
  t.deepEqual(result.ownFunction.window, { looks: 1, present: 0 });
  t.is(result.ownFunction.backAfterMs, 3500);
  t.is(result.severity, "function lost");
  // A disruptive check in the window does not count.
  const moved = run.events.map((event) =>
    event.type === "function" && event.tMs === 66_100 ? { ...event, tMs: 50_000, tookMs: 1000 } : event,
  );
  t.is(analyse(run.facts, moved, run.samples).ownFunction.state, "inconclusive");
});

test("a disruptive check's effect on the application is not counted; suppression continues", (t) => {
  const run = own.disturbing();
  const result = of(run);
  const write = result.probes.find(({ probe }) => probe === "app-write");
  // Down at 36.6 s, and until 66 s, at 4 samples a second.
  t.is(write?.phases.window.samples, 117);
  t.is(write?.phases.window.availability, 1);
  t.deepEqual(write?.outages, []);
  t.is(write?.timeToImpactMs, null);
  t.is(result.suppression?.windowMs, runs.RELEASE_MS - runs.FIRST_KILL_MS);
  // The same failure in the window itself counts.
  const facts: RunFacts = { ...run.facts, functionProbe: own.functionProbe("dns-is-scaled") };
  const events = run.events.filter((event) => event.type !== "phase" || event.phase !== "function");
  const whole = events.map((event) =>
    event.type === "phase" && event.phase === "window" && event.state === "end"
      ? { ...event, tMs: runs.RELEASE_MS }
      : event,
  );
  t.is(analyse(facts, whole, run.samples).severity, "degraded");
});

test("a signal in the phase for disruptive checks comes after the window: the application's measurements stay valid", (t) => {
  const run = own.disturbing();
  const signal = runs.at(80_000, { type: "signal", signal: "SIGINT" });
  const result = analyse(run.facts, [...run.events, signal], run.samples);
  t.is(result.verdict, "interrupted");
  t.deepEqual(result.reasons, []);
  const inWindow = runs.at(60_000, { type: "signal", signal: "SIGINT" });
  t.deepEqual(codes(analyse(run.facts, [...run.events, inWindow], run.samples)), ["interrupted"]);
});

test("the window ends where the phase for disruptive checks begins, even if its own end is recorded later", (t) => {
  const run = own.disturbing();
  const events = run.events.map((event) =>
    event.type === "phase" && event.phase === "window" && event.state === "end"
      ? { ...event, tMs: 95_999 }
      : event,
  );
  const { probes, severity } = analyse(run.facts, events, run.samples);
  t.is(probes[0]?.phases.window.samples, 117);
  t.is(severity, "function lost");
});

test("a run that was cut off in the phase for disruptive checks: the window still ends before that phase", (t) => {
  const run = own.disturbing();
  const cut = run.events.filter(
    ({ tMs, type }) => tMs <= 80_000 && type !== "function" && type !== "function-late",
  );
  const { probes, releaseMs } = analyse(run.facts, cut, run.samples);
  t.is(probes[0]?.phases.window.samples, 117);
  t.is(releaseMs, null);
});

test("flapping: checks count from the first kill", (t) => {
  const result = of(own.flappingUnit());
  t.deepEqual(result.ownFunction.window, { looks: 3, present: 1 });
  t.is(result.ownFunction.state, "partly lost");
  t.regex(result.ownFunction.because, /while it was taken down repeatedly/);
});

test("control: a check at any time that does not find the function makes the run differ", (t) => {
  const control = own.kubelet();
  const facts: RunFacts = {
    ...control.facts,
    experiment: { ...control.facts.experiment, attack: { type: "none" }, expectedImpact: "none" },
  };
  const quiet = [...own.frame(), own.unit(1500, "kind-worker", true)];
  const present = [21_000, 36_001, 60_000, 70_000, 97_000].map((tMs) => own.look(tMs, true));
  const good = analyse(facts, [...quiet, ...present], control.samples);
  t.is(good.verdict, "control");
  t.deepEqual(good.ownFunction.window, { looks: 3, present: 3 });
  t.is(good.ownFunction.state, "kept");
  for (const tMs of [22_000, 35_500, 61_000, 98_500]) {
    const bad = analyse(facts, [...quiet, ...present, own.look(tMs, false)], control.samples);
    t.is(bad.verdict, "differs", String(tMs));
    t.regex(bad.verdictBecause, /1 of 6 checks did not find the component's own function/);
    t.is(exitCodeOf(bad), 1);
    t.deepEqual(bad.reasons, [], "a control run is never inconclusive for that");
  }
});

test("samples: under half is lost, under the degraded threshold is partly lost, else kept", (t) => {
  const run = runs.kubeDnsOutage();
  const state = (toMs: number): [string, boolean | null] => {
    const failing = [{ probe: "dns-internal" as const, fromMs: 36_000, toMs }];
    const result = analyse(run.facts, run.events, runs.samplesOf({ failing }));
    return [result.ownFunction.state, result.functionLost];
  };
  // 237 samples since it was down, 36.6 s: 118 good are under half, 119 are not.
  t.deepEqual(state(66_500), ["lost", true]);
  t.deepEqual(state(66_250), ["partly lost", false]);
  t.deepEqual(state(36_600), ["kept", false], "what failed before it was down does not count");
  const none = analyse({ ...run.facts, functionProbes: [] }, run.events, run.samples);
  t.is(none.ownFunction.state, "not measured");
  t.is(none.functionLost, null);
  t.is(none.ownFunction.because, "The component has no function probe.");
  t.is(of(run).ownFunction.baseline, null);
});

test("a layer without samples in the window is inconclusive; a layer that is switched off is not measured", (t) => {
  const run = runs.kubeDnsOutage();
  const samples = runs.samplesOf({}).map(({ source, lines }) => ({
    source,
    lines: lines.filter((line) => !("probe" in line) || line.probe !== "dns-internal"),
  }));
  const missing = analyse(run.facts, run.events, samples);
  t.is(missing.ownFunction.state, "inconclusive");
  t.deepEqual(codes(missing), ["function-not-measured"]);
  const notMeasured = [...run.facts.notMeasured, { probe: "dns-internal" as const, reason: "switched off" }];
  const off = analyse({ ...run.facts, notMeasured }, run.events, samples);
  t.is(off.ownFunction.state, "not measured");
  t.deepEqual(off.reasons, []);
});

test("a run of an older version has no function check and can still be computed", (t) => {
  const run = runs.kubeDnsOutage();
  const { functionProbe, ...old } = run.facts;
  t.is(functionProbe, null);
  t.deepEqual(analyse(old as RunFacts, run.events, run.samples), of(run));
});

test("a run that stopped before its window is inconclusive about the function, without a further reason", (t) => {
  const stopped = runs.baselineUnhealthy();
  const result = analyse(
    { ...stopped.facts, functionProbes: [], functionProbe: own.functionProbe() },
    stopped.events,
    stopped.samples,
  );
  t.is(result.ownFunction.state, "inconclusive");
  t.deepEqual(codes(result), ["baseline-unhealthy"]);
});
