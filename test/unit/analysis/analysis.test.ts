import test from "ava";
import { analyse } from "../../../src/analysis/analyse.js";
import type { ProbeResult, RunResult } from "../../../src/analysis/result.js";
import { compareWithStudy } from "../../../src/analysis/study.js";
import { exitCodeOf } from "../../../src/analysis/verdict.js";
import type { ProbeName } from "../../../src/experiment/names.js";
import { resultJson } from "../../../src/report/result-json.js";
import * as runs from "../../helpers/synthetic-run.js";

const of = ({ facts, events, samples }: runs.SyntheticRun): RunResult => analyse(facts, events, samples);
const codes = (result: RunResult): string[] => result.reasons.map(({ code }) => code);

function probe(result: RunResult, name: ProbeName, source: string): ProbeResult {
  const found = result.probes.find((one) => one.probe === name && one.source === source);
  if (found === undefined) throw new Error(`no ${name} from ${source}`);
  return found;
}

test("kube-dns outage: as expected, all times exact", (t) => {
  const result = of(runs.kubeDnsOutage());
  t.is(result.verdict, "as expected");
  t.is(result.severity, "outage");
  t.deepEqual(result.reasons, []);
  t.is(exitCodeOf(result), 0);
  t.true(result.functionLost);
  t.is(result.study.impact, "confirmed");
  t.is(result.study.function, "confirmed");
  const write = probe(result, "app-write", "kind-worker2");
  // 240 samples from 36 s, one every 250 ms. They fail from 36.75 s.
  t.deepEqual(write.phases.window, {
    // Without the three good samples from before the target was down, 500 ms after the first kill.
    samples: 237,
    good: 0,
    missed: 0,
    availability: 0,
    p50Ms: write.phases.window.p50Ms,
    p95Ms: write.phases.window.p95Ms,
    failures: { timeout: 237 },
  });
  t.deepEqual(write.outages, [{ fromMs: 36_750, toMs: 101_507 }], "to the first answer");
  t.deepEqual(write.intermittent, []);
  t.is(write.timeToImpactMs, 650);
  t.is(write.longestOutageMs, 64_757);
  t.is(write.timeToRecoverMs, 5507);
  t.is(write.clockUncertaintyMs, 2.5);
  t.is(probe(result, "outside", "runner").clockUncertaintyMs, 0);
  t.is(probe(result, "app-write-env", "kind-worker").phases.window.availability, 1);
  t.deepEqual(result.recovery, {
    restorerMs: 2200,
    restoredBy: "kubectl",
    readyMs: 5500,
    firstGoodMs: 5507,
    healthyMs: 7500,
  });
  t.is(result.suppression?.servingMs, 500);
  t.is(result.suppression?.downAfterMs, 500);
  t.is(result.suppression?.kills, 6);
  t.is(result.suppression?.killsNotAccepted, 1);
  t.is(result.suppression?.evidence, "runtime");
});

test("the runner's probe measures from outside the cluster and does not decide the severity", (t) => {
  const run = runs.kubeDnsOutage();
  const samples = runs.samplesOf({ failing: [{ probe: "outside", fromMs: 36_700, toMs: 96_000 }] });
  t.is(analyse(run.facts, run.events, samples).severity, "none");
});

test("control: nothing taken down, nothing affected; no comparison with the study", (t) => {
  const result = of(runs.controlRun());
  t.is(result.verdict, "control");
  t.is(result.severity, "none");
  t.is(result.study.impact, "not in the study");
  t.is(result.suppression, null);
  t.is(exitCodeOf(result), 0);
});

test("a control run with an impact differs: the method or the cluster is at fault", (t) => {
  const run = runs.controlRun();
  const samples = runs.samplesOf({ failing: [{ probe: "app-write", fromMs: 40_000, toMs: 90_000 }] });
  const result = analyse(run.facts, run.events, samples);
  t.is(result.verdict, "differs");
  t.is(exitCodeOf(result), 1);
});

test("target never down: inconclusive, although the application was fine and `none` was expected", (t) => {
  const result = of(runs.targetNeverDown());
  t.is(result.verdict, "inconclusive");
  t.deepEqual(codes(result), ["target-not-down"]);
  t.regex(
    result.reasons[0]?.message ?? "",
    /^The target never went down: .* all of the 59\.9 s from the first kill to the release\. What served: an endpoint of kube-dns \(59\.9 s\), the ready pod coredns-b /,
  );
  t.is(result.severity, "inconclusive");
  t.is(result.study.impact, "inconclusive");
  t.is(exitCodeOf(result), 2);
});

test("nothing killed: inconclusive, whatever was measured", (t) => {
  const run = runs.kubeDnsOutage();
  const events = run.events.map((event) => (event.type === "kill" ? { ...event, status: 403 } : event));
  const result = analyse(run.facts, events, run.samples);
  t.deepEqual(codes(result), ["nothing-killed"]);
  t.is(result.firstKillMs, null);
});

test("a container that kept running unseen: inconclusive, although the API did not show it", (t) => {
  const run = runs.kubeDnsOutage();
  // A different container at each check proves no interval. Half of one node's checks find one.
  const events = run.events.map((event) =>
    event.type === "runtime" && event.node === "kind-worker2" && (event.tMs / 10_000) % 2 === 0
      ? { ...event, running: [`unseen-${event.tMs} 1`] }
      : event,
  );
  const result = analyse(run.facts, events, run.samples);
  t.true((result.suppression?.share ?? 0) > 0.9);
  t.deepEqual(codes(result), ["target-not-down"]);
});

test("unhealthy baseline: inconclusive before the attack; its consequences are not listed", (t) => {
  const result = of(runs.baselineUnhealthy());
  t.is(result.verdict, "inconclusive");
  t.deepEqual(codes(result), ["baseline-unhealthy"]);
  t.is(result.recovery, null);
  t.is(exitCodeOf(result), 4);
});

test("unhealthy baseline is also found without the runner's event: each needed probe, the control arm with its own code", (t) => {
  const run = runs.kubeDnsOutage();
  for (const [name, code] of [
    ["app-write", "baseline-unhealthy"],
    ["app-read", "baseline-unhealthy"],
    ["dns-internal", "baseline-unhealthy"],
    ["app-write-env", "control-arm-failed"],
  ] as const) {
    const failing = { probe: name, source: "kind-worker2", fromMs: 25_000, toMs: 26_000 };
    const result = analyse(run.facts, run.events, runs.samplesOf({ failing: [failing] }));
    t.is(result.reasons[0]?.code, code, name);
    t.regex(result.reasons[0]?.message ?? "", /kind-worker2/);
  }
});

test("a failure of the control arm in the window is a finding, not a reason", (t) => {
  const run = runs.kubeDnsOutage();
  const all = ["app-write", "app-write-env", "dns-internal"] as const;
  const samples = runs.samplesOf({
    failing: all.map((name) => ({ probe: name, fromMs: 36_700, toMs: 101_500 })),
  });
  t.is(analyse(run.facts, run.events, samples).verdict, "as expected");
});

test("interrupted and restored: 130, and nothing is concluded from half a window", (t) => {
  const result = of(runs.interruptedRun());
  t.is(result.verdict, "interrupted");
  t.deepEqual(codes(result), ["interrupted"]);
  t.is(result.severity, "inconclusive");
  t.is(exitCodeOf(result), 130);
});

test("aborted: restored, inconclusive, and the measurements up to then are kept", (t) => {
  const result = of(runs.abortedRun());
  t.is(result.verdict, "inconclusive");
  t.is(
    result.verdictBecause,
    "Nothing can be concluded: app-write from kind-worker has failed for 19.2 s. Everything that was taken down is restored.",
  );
  t.deepEqual(codes(result), ["aborted"]);
  t.is(exitCodeOf(result), 2);
  t.is(result.severity, "inconclusive");
  t.regex(result.severityBecause, /^Nothing can be concluded\. Observed: .*3\.7 %/);
  // From 36 s to 56 s, one every 250 ms.
  t.is(probe(result, "app-write", "kind-worker").phases.window.samples, 80);
  t.not(result.recovery?.healthyMs ?? null, null);
  const notRestored = runs.abortedRun().events.filter(({ type }) => type !== "healthy");
  t.is(exitCodeOf(analyse(runs.defaultFacts, notRestored, [])), 5, "not restored overrides");
});

test("the cause of a short window is a reason; its shortness is not", (t) => {
  for (const code of ["aborted", "application-changed", "target-changed", "lock-lost"]) {
    const { facts, events, samples } = runs.abortedRun(code);
    t.deepEqual(codes(analyse(facts, events, samples)), [code]);
    // So early that no sample was delivered and nothing was killed.
    const early = events.filter(({ type }) => type !== "kill");
    t.deepEqual(codes(analyse(facts, early, [])), [code]);
    const unstopped = early.filter(({ type }) => type !== "stopped");
    t.deepEqual(codes(analyse(facts, unstopped, [])), ["no-samples", "no-samples", "nothing-killed"]);
  }
});

test("an abort condition that is not good at the baseline: inconclusive, nothing was changed", (t) => {
  const run = runs.kubeDnsOutage();
  const events = [
    ...run.events.filter(({ tMs }) => tMs <= 35_000),
    runs.at(35_100, {
      type: "stopped",
      code: "abort-condition-at-baseline",
      message: "GET shop/web:80/ is failing: HTTP 503.",
    }),
  ];
  const result = analyse(run.facts, events, run.samples);
  t.deepEqual(codes(result), ["abort-condition-at-baseline"]);
  t.is(
    result.verdictBecause,
    "Nothing can be concluded: GET shop/web:80/ is failing: HTTP 503. Nothing was attacked.",
  );
  t.is(exitCodeOf(result), 4);
});

test("a signal after the window: interrupted, but the measurements stay valid", (t) => {
  const run = runs.kubeDnsOutage();
  const signal = runs.at(100_000, { type: "signal", signal: "SIGTERM" });
  const result = analyse(run.facts, [...run.events, signal], run.samples);
  t.is(result.verdict, "interrupted");
  t.is(result.severity, "outage");
  t.is(exitCodeOf(result), 130);
});

test("not restored overrides everything else", (t) => {
  const run = runs.notRestored();
  const result = of(run);
  t.is(result.verdict, "not restored");
  t.is(exitCodeOf(result), 5);
  t.is(result.severity, "outage");
  t.is(result.recovery?.readyMs, null);
  const write = probe(result, "app-write", "kind-worker");
  t.deepEqual(write.outages, [{ fromMs: 36_750, toMs: null }]);
  t.is(write.timeToRecoverMs, null);
  const interrupted = [...run.events, runs.at(50_000, { type: "signal", signal: "SIGINT" })];
  t.is(exitCodeOf(analyse(run.facts, interrupted, run.samples)), 5);
});

test("ready but not healthy is not restored; ready before the release is not restored", (t) => {
  const run = runs.kubeDnsOutage();
  const unhealthy = run.events.filter(({ type }) => type !== "healthy");
  t.is(analyse(run.facts, unhealthy, run.samples).verdict, "not restored");
  const early = run.events.map((event) =>
    event.type === "target-ready" ? { ...event, tMs: 50_000 } : event,
  );
  t.is(analyse(run.facts, early, run.samples).verdict, "not restored");
});

test("a kill without a clear answer may have succeeded: the target must be seen restored", (t) => {
  const run = runs.notRestored();
  const events = run.events.map((event) => (event.type === "kill" ? { ...event, status: 504 } : event));
  t.is(analyse(run.facts, events, run.samples).verdict, "not restored");
});

test("flapping: separate outages; inconclusive unless the experiment lowers the threshold", (t) => {
  t.deepEqual(codes(of(runs.flapping())), ["target-not-down"]);
  const result = of(runs.flapping(0.4));
  t.deepEqual(result.reasons, []);
  const write = probe(result, "app-write", "kind-worker");
  t.is(write.outages.length, 3);
  t.deepEqual(write.outages[0], { fromMs: 36_500, toMs: 46_257.3 });
  t.true(Math.abs(write.totalOutageMs - 3 * 9757) < 2);
  // Good again before the release.
  t.is(write.timeToRecoverMs, 0);
  t.is(result.suppression?.readySeen, 3);
  t.is(result.severity, "degraded");
  t.is(result.verdict, "differs");
  t.is(exitCodeOf(result), 1);
});

test("function lost: the application is fine, the component's own function is lost", (t) => {
  const result = of(runs.functionLostRun());
  t.is(result.severity, "function lost");
  t.is(result.verdict, "as expected");
  t.is(result.study.impact, "confirmed");
  t.is(result.study.function, "newly verified");
  t.true(result.onStandIn);
  t.regex(result.study.because, /substitute image/);
});

test("slow is degraded: more than three times the baseline's p95", (t) => {
  const run = runs.kubeDnsOutage();
  const slow = (factor: number, slowFrom: number): string => {
    const { experiment } = run.facts;
    const facts = {
      ...run.facts,
      experiment: { ...experiment, thresholds: { ...experiment.thresholds, slowFrom } },
    };
    return analyse(
      facts,
      run.events,
      runs.samplesOf({ slow: [{ probe: "app-write", fromMs: 36_000, toMs: 96_000, factor }] }),
    ).severity;
  };
  t.is(slow(3, 0), "none");
  t.is(slow(3.01, 0), "degraded");
  // Three times a very small value is not slow.
  t.is(slow(3.01, 10_000), "none");
});

test("thresholds are exclusive: a value at the threshold is not under it", (t) => {
  const run = runs.kubeDnsOutage();
  const { experiment } = run.facts;
  // 237 samples since it was down: the threshold is 118 of them.
  const thresholds = { ...experiment.thresholds, outageBelow: 118 / 237 };
  const facts = { ...run.facts, experiment: { ...experiment, thresholds } };
  const severity = (fromMs: number): string =>
    analyse(
      facts,
      run.events,
      runs.samplesOf({ failing: [{ probe: "app-write", source: "kind-worker2", fromMs, toMs: 96_000 }] }),
    ).severity;
  t.is(severity(66_250), "degraded", "118 good");
  t.is(severity(66_000), "outage", "117 good");
});

test("a worker without samples, or with too few, makes the run inconclusive", (t) => {
  const run = runs.kubeDnsOutage();
  const without = run.samples.filter(({ source }) => source !== "kind-worker2");
  t.deepEqual(codes(analyse(run.facts, run.events, without)), ["no-samples"]);
  t.deepEqual(codes(analyse(run.facts, run.events, runs.samplesOf({ untilMs: 38_000 }))), [
    "too-few-samples",
    "too-few-samples",
  ]);
  t.deepEqual(codes(analyse(run.facts, run.events, runs.samplesOf({ untilMs: 60_000 }))), [
    "too-few-samples",
    "too-few-samples",
  ]);
});

test("a probe that is not measured is in no table and decides nothing", (t) => {
  const run = runs.kubeDnsOutage();
  const lines = Array.from({ length: 200 }, (_, index) => ({
    probe: "dns-external" as const,
    t: 20_000 + index * 250,
    d: 2000,
    ok: false as const,
    kind: "timeout" as const,
  }));
  const result = analyse(run.facts, run.events, [...run.samples, { source: "runner", lines }]);
  t.deepEqual(result.reasons, []);
  t.false(result.probes.some(({ probe: name }) => name === "dns-external"));
});

test("an unknown code of the runner is kept in the message", (t) => {
  const run = runs.kubeDnsOutage();
  const stopped = runs.at(60_000, { type: "stopped", code: "disk-full", message: "No space left." });
  const result = analyse(run.facts, [...run.events, stopped], run.samples);
  t.deepEqual(result.reasons, [{ code: "stopped", message: "No space left. (disk-full)" }]);
});

test("a workload that was found unchanged was not restored by anyone", (t) => {
  const run = runs.flapping(0.4);
  const found = runs.at(96_010, {
    type: "restored",
    object: runs.DEPLOYMENT,
    how: "found",
    by: "nobody: it was never gone",
  });
  const { recovery } = analyse(run.facts, [...run.events, found], run.samples);
  t.is(recovery?.restorerMs, null);
  t.is(recovery?.restoredBy, null);
});

test("the order of events and of files does not matter", (t) => {
  const run = runs.kubeDnsOutage();
  const mixed = [...run.events].sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : a.tMs - b.tMs));
  t.is(resultJson(analyse(run.facts, mixed, [...run.samples].reverse())), resultJson(of(run)));
});

test("the start of the run does not matter: a run an hour later has the same times", (t) => {
  const run = runs.kubeDnsOutage();
  const hour = 3_600_000;
  const events = run.events.map((event) => {
    const moved = { ...event, tMs: event.tMs + hour };
    return moved.type === "clock" ? { ...moved, offsetMs: moved.offsetMs + hour } : moved;
  });
  const samples = run.samples.map(({ source, lines }) => ({
    source,
    lines: source === "runner" ? lines.map((line) => ({ ...line, t: line.t + hour })) : lines,
  }));
  const later = analyse(run.facts, events, samples);
  const now = of(run);
  t.deepEqual(later.recovery, now.recovery);
  t.deepEqual(later.suppression, now.suppression);
  t.is(later.verdictBecause, now.verdictBecause);
  const times = ({ timeToImpactMs, totalOutageMs, timeToRecoverMs }: ProbeResult): unknown[] =>
    [timeToImpactMs, totalOutageMs, timeToRecoverMs].map((ms) => (ms === null ? null : ms.toFixed(3)));
  t.deepEqual(later.probes.map(times), now.probes.map(times));
});

test("an empty run is inconclusive, not an error", (t) => {
  const result = analyse(runs.defaultFacts, [], []);
  t.is(result.verdict, "inconclusive");
  t.deepEqual(codes(result), ["stopped"]);
});

test("study: assumed and measured is newly verified; anything else differs", (t) => {
  const claim = { ...runs.defaultFacts.study!, impactVerified: false };
  const base = { functionLost: true, onStandIn: false, control: false } as const;
  t.is(compareWithStudy(claim, { ...base, severity: "outage" }).impact, "newly verified");
  t.is(compareWithStudy(claim, { ...base, severity: "degraded" }).impact, "differs");
  t.is(compareWithStudy({ ...claim, impact: "none" }, { ...base, severity: "degraded" }).impact, "differs");
  t.is(
    compareWithStudy({ ...claim, impact: "none" }, { ...base, severity: "function lost" }).impact,
    "newly verified",
  );
  t.is(compareWithStudy(claim, { ...base, severity: "outage", functionLost: false }).function, "differs");
  t.is(compareWithStudy(claim, { ...base, severity: "outage", functionLost: null }).function, "inconclusive");
  t.is(compareWithStudy(null, { ...base, severity: "outage" }).impact, "not in the study");
});

test("a scaled workload: its pods are back before its restore is told, and the runner restored it", (t) => {
  const run = runs.kubeDnsOutage();
  const events = run.events.filter(({ type }) => type !== "recreated" && type !== "restored");
  events.push(
    runs.at(98_100, { type: "recreated", object: runs.pod("coredns-y"), by: "kube-controller-manager" }),
    runs.at(98_300, { type: "restored", object: runs.DEPLOYMENT, how: "patched", by: "runner" }),
  );
  const { recovery } = analyse(run.facts, events, run.samples);
  t.is(recovery?.restoredBy, "runner");
  t.is(recovery?.restorerMs, 98_100 - runs.RELEASE_MS);
});
