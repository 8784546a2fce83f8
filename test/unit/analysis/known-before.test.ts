import test from "ava";
import { analyse } from "../../../src/analysis/analyse.js";
import { knownInconclusive } from "../../../src/analysis/known-before.js";
import { exitCodeOf } from "../../../src/analysis/verdict.js";
import { ExitCode } from "../../../src/common/errors.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import { matrixRun } from "../../../src/report/matrix-run.js";
import { behaviourOf } from "../../../src/report/behaviour.js";
import * as runs from "../../helpers/synthetic-run.js";

const run = runs.kubeDnsOutage();

/** The events of the run up to the end of its baseline. */
const before = run.events.filter(
  ({ tMs }) =>
    tMs <=
    (run.events.find((e) => e.type === "phase" && e.phase === "baseline" && e.state === "end")?.tMs ?? 0),
);
const beforeBaseline = before.filter((event) => !(event.type === "phase" && event.phase === "baseline"));

const CHECK = { name: "metrics-are-served", means: "x", deadlineMs: 10_000, disturbs: false } as const;
const withCheck: RunFacts = { ...run.facts, functionProbes: [], functionProbe: CHECK };
const look = (present: boolean, tMs = 25_000): RunEvent => ({
  type: "function",
  probe: CHECK.name,
  look: 1,
  present,
  tookMs: 100,
  evidence: "x",
  tMs,
});

const codes = (...args: Parameters<typeof knownInconclusive>): string[] =>
  knownInconclusive(...args).map(({ code }) => code);

test("a healthy baseline: nothing is known, so the run attacks", (t) => {
  t.deepEqual(codes(run.facts, before, run.samples), []);
  t.deepEqual(codes(withCheck, [...before, look(true)], run.samples), []);
});

test("a function check that cannot be set up is known before the baseline", (t) => {
  t.deepEqual(codes(run.facts, beforeBaseline, [], undefined), []);
  const [reason, ...others] = knownInconclusive(withCheck, beforeBaseline, [], "its sink is missing");
  t.deepEqual(others, []);
  t.is(reason?.code, "function-not-measured");
  t.regex(reason?.message ?? "", /its sink is missing\.$/);
});

test("a function that is absent at the baseline, or was never checked, is known after it", (t) => {
  t.deepEqual(codes(withCheck, beforeBaseline, run.samples), [], "it is checked in the baseline");
  t.deepEqual(codes(withCheck, before, run.samples), ["function-not-measured"], "no check finished");
  const absent = [...before, look(true), look(false, 26_000)];
  t.regex(knownInconclusive(withCheck, absent, run.samples)[0]?.message ?? "", /absent in 1 of 2 checks/);
});

test("a check that disturbs runs before the baseline: its absence is known then", (t) => {
  const facts: RunFacts = { ...withCheck, functionProbe: { ...CHECK, disturbs: true } };
  t.deepEqual(codes(facts, beforeBaseline, []), []);
  t.deepEqual(codes(facts, [...beforeBaseline, look(false, 1000)], []), ["function-not-measured"]);
});

test("a control run needs no function", (t) => {
  const control = { ...withCheck.experiment, attack: { type: "none" } };
  t.deepEqual(codes({ ...withCheck, experiment: control }, before, run.samples, "no sink"), []);
});

test("a worker without a sample, no worker, an unhealthy baseline, a target that does not serve", (t) => {
  t.deepEqual(codes({ ...run.facts, sources: [...run.facts.sources, "gone"] }, before, run.samples), [
    "no-samples",
  ]);
  t.deepEqual(codes({ ...run.facts, sources: [] }, before, run.samples), ["no-samples"]);
  const unhealthy = runs.samplesOf({ failing: [{ probe: "app-write", fromMs: 0, toMs: 60_000 }] });
  t.true(codes(run.facts, before, unhealthy).includes("baseline-unhealthy"));
  const gone = before.filter(({ type }) => type !== "instance" && type !== "endpoints" && type !== "runtime");
  t.deepEqual(codes(run.facts, gone, run.samples), ["target-not-ready"]);
});

test("after a signal the verdict is interrupted, whatever is known", (t) => {
  const signal: RunEvent = { type: "signal", signal: "SIGINT", tMs: 20_000 };
  t.deepEqual(codes(withCheck, [...before, signal], []), []);
});

test("a run that refuses to attack: exit code 4, its reason, and what to do", (t) => {
  const message = "the sink is missing";
  const stopped: RunEvent = { type: "stopped", code: "function-not-measured", message, tMs: 32_000 };
  const result = analyse(withCheck, [...before, stopped], run.samples);
  t.is(result.verdict, "inconclusive");
  t.is(exitCodeOf(result), ExitCode.preflightRefused);
  t.is(
    result.verdictBecause,
    "Nothing can be concluded: the sink is missing. Nothing was attacked. Repair what the reason names and run it again, or attack anyway with --anyway.",
  );
  t.deepEqual(result.reasons, [{ code: "function-not-measured", message }]);
  t.is(behaviourOf(result).en, "No statement: inconclusive (function-not-measured).");
  t.true(matrixRun({ path: "r/result.json", result }).refused);
  const attacked = analyse(withCheck, run.events, run.samples);
  t.is(exitCodeOf({ ...attacked, verdict: "inconclusive" }), ExitCode.inconclusive);
});
