/** Targets on nodes: only the node's answers about a unit or a static pod count. */
import test from "ava";
import fc from "fast-check";
import { analyse } from "../../../src/analysis/analyse.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { RunResult, Suppression } from "../../../src/analysis/result.js";
import { servingMoments, servingSteps } from "../../../src/analysis/serving.js";
import { suppressionOf } from "../../../src/analysis/suppression.js";
import { exitCodeOf } from "../../../src/analysis/verdict.js";
import { at, endpoints, instance, runtime, type SyntheticRun } from "../../helpers/synthetic-run.js";
import * as own from "../../helpers/function-runs.js";
import * as runs from "../../helpers/synthetic-run.js";

const { unit } = own;
const analysed = ({ facts, events, samples }: SyntheticRun): RunResult => analyse(facts, events, samples);
const codes = (result: RunResult): string[] => result.reasons.map(({ code }) => code);

/** n1 and n2 are attacked. The window is 1000–2000 ms, the first kill at 1000. */
function of(...events: RunEvent[]): Suppression {
  const all = [...events, own.stopped(1000)].sort((a, b) => a.tMs - b.tMs);
  const result = suppressionOf(all, 990, 2000, ["n1", "n2"]);
  if (result === null) throw new Error("nothing was killed");
  return result;
}
const failed = (tMs: number, node: string): RunEvent =>
  at(tMs, { type: "unit", node, unit: "kubelet.service", active: false, error: "no answer" });

test("a node whose unit is active serves; an answer is valid until the next one", (t) => {
  const result = of(unit(0, "n1", true), unit(1300, "n1", false), unit(1900, "n1", true));
  t.is(result.servingMs, 300 + 100);
  t.is(result.downAfterMs, 300);
  t.is(result.share, 1 - 100 / 700);
  t.deepEqual(result.servedBy, [{ what: "unit kubelet.service on n1", ms: 100 }]);
  t.is(result.timesDown, 1);
  t.is(result.readySeen, 1);
  t.true(result.servingBefore);
  t.is(result.evidence, "node");
  t.is(result.runtimeChecks, 2);
  t.is(result.runtimeRunning, 1);
});

test("one node that still runs it is enough to serve; a node that is not attacked is ignored", (t) => {
  const both = [unit(0, "n1", true), unit(0, "n2", true), unit(1200, "n1", false)];
  t.is(of(...both).downAfterMs, null);
  t.is(of(...both, unit(1500, "n2", false)).downAfterMs, 500);
  t.is(of(...both, unit(1500, "n2", false), unit(1600, "n3", true)).servingMs, 500);
});

test("answers of the same moment count together: a move between nodes is not a time down", (t) => {
  const moved = of(
    unit(0, "n1", true),
    unit(0, "n2", false),
    unit(1500, "n1", false),
    unit(1500, "n2", true),
  );
  t.is(moved.timesDown, 0);
  t.is(moved.servingMs, 1000);
});

test("a question without an answer changes nothing, and is counted as an error", (t) => {
  const up = of(unit(0, "n1", true), failed(1100, "n1"));
  t.is(up.servingMs, 1000);
  t.is(up.downAfterMs, null);
  t.is(up.runtimeErrors, 1);
  t.is(up.runtimeChecks, 0);
  t.is(up.evidence, "API only");
  const down = of(unit(0, "n1", true), unit(1100, "n1", false), failed(1200, "n1"));
  t.is(down.servingMs, 100);
  t.is(down.evidence, "API only", "an answer before or at the moment it went down is not a later check");
  t.is(of(unit(0, "n1", true), unit(1100, "n1", false), unit(1200, "n1", false)).evidence, "node");
});

test("a gap in a node's answers while it goes down: it was up until the next answer", (t) => {
  const gap = [failed(1100, "n1"), failed(1400, "n1")];
  const result = of(unit(0, "n1", true), ...gap, unit(1600, "n1", false));
  t.is(result.downAfterMs, 600);
  t.is(result.share, 1);
  t.is(of(unit(0, "n1", true), ...gap).downAfterMs, null, "no answer is no evidence that it was down");
  t.is(of(unit(0, "n1", true), ...gap).share, 0);
});

test("a static pod is judged by the runtimes of the attacked nodes; every container counts", (t) => {
  const result = of(
    runtime(0, "n1", ["kube-scheduler-n1 1"]),
    instance(0, "kube-scheduler-n1", { ready: false }),
    runtime(1400, "n1", []),
    runtime(1800, "n1", []),
    runtime(1500, "n9", ["kube-scheduler-n9 1"]),
  );
  t.is(result.servingMs, 400);
  t.is(result.evidence, "runtime");
  t.deepEqual(result.runtimeNodes, ["n1"]);
});

test("the API is ignored: ready pods, endpoints and deletions do not count", (t) => {
  const blind = [instance(0, "mirror", { ready: true }), endpoints(0, 3), endpoints(1500, 4)];
  t.is(of(unit(0, "n1", true), unit(1200, "n1", false), ...blind).servingMs, 200);
  const gone = at(1010, { type: "gone", object: runs.pod("mirror") });
  t.is(of(runtime(0, "n1", ["mirror 1"]), ...blind, gone).downAfterMs, null);
  t.is(of(unit(0, "n1", true), unit(1200, "n1", false), ...blind).readySeen, 0);
});

test("never asked: it is unknown whether it was up before", (t) => {
  t.false(of().servingBefore);
  t.is(of().evidence, "API only");
  // The first answer that it runs also covers the time before it.
  t.true(of(unit(1100, "n1", true), unit(1200, "n1", false)).servingBefore);
});

test("the nodes' units are ignored for a workload", (t) => {
  const events = [instance(0, "a", { ready: true }), unit(1500, "n1", true), runs.kill(1000, runs.pod("a"))];
  t.deepEqual(servingSteps(servingMoments(events)), [{ tMs: 0, serving: true }]);
});

test("property: 0 ≤ serving ≤ window for targets on nodes; the order of nodes and the API do not matter", (t) => {
  const answers = fc.array(
    fc.record({
      tMs: fc.integer({ min: 0, max: 2500 }),
      node: fc.constantFrom("n1", "n2"),
      active: fc.boolean(),
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(answers, (all) => {
      const distinct = [...new Map(all.map((each) => [`${each.tMs} ${each.node}`, each])).values()];
      const events = distinct.map(({ tMs, node, active }) => unit(tMs, node, active));
      const result = of(...events);
      t.deepEqual(of(...[...events].reverse()), result);
      t.deepEqual(of(...events, instance(1400, "p", { ready: true }), endpoints(1400, 2)), {
        ...result,
      });
      const { servingMs, share, timesDown, downAfterMs } = result;
      t.true(servingMs >= 0 && servingMs <= 1000 && share >= 0 && share <= 1);
      t.true(timesDown <= events.length);
      t.is(downAfterMs === null, servingMs === 1000);
    }),
  );
  t.pass();
});

test("kubelet: down according to its node, started again by the runner, restored", (t) => {
  const result = analysed(own.kubelet());
  t.is(result.suppression?.evidence, "node");
  t.is(result.suppression?.downAfterMs, 900);
  t.is(result.suppression?.kills, 1);
  t.deepEqual(result.suppression?.killsByKind, { SystemdUnit: 1 });
  t.deepEqual(result.suppression?.blows, [{ action: "unit-stopped", object: own.KUBELET, times: 1 }]);
  t.deepEqual(result.suppression?.fight, []);
  t.is(result.recovery?.restorerMs, 300);
  t.is(result.recovery?.restoredBy, "runner");
  t.is(exitCodeOf(result), 0);
});

test("a unit that kept running is inconclusive, although the attack reports that it stopped it", (t) => {
  const run = own.kubelet();
  const events = run.events.map((event) => (event.type === "unit" ? { ...event, active: true } : event));
  const result = analyse(run.facts, events, run.samples);
  t.deepEqual(codes(result), ["target-not-down"]);
  t.regex(result.reasons[0]?.message ?? "", /What served: unit kubelet\.service on \S+ \([\d.]+ s\)/);
  t.is(result.severity, "inconclusive");
});

test("a short time running counts as time, not by the number of answers", (t) => {
  const run = own.kubelet();
  // An answer is recorded when it changes, and sometimes in between. 3 of 9 say that it ran, for 2 of 60 s.
  const again = [50_000, 55_000, 58_000].flatMap((tMs) => [
    own.unit(tMs, "kind-worker", true),
    own.unit(tMs + 600, "kind-worker", false),
  ]);
  t.deepEqual(codes(analyse(run.facts, [...run.events, ...again], run.samples)), []);
});

/** The kubelet's run with another time to down, in a window planned for `plannedMs`; the release is 59.9 s after the kill. */
function downAfter(downAfterMs: number, plannedMs = 60_000, more: readonly RunEvent[] = []): RunResult {
  const run = own.kubelet();
  const { experiment } = run.facts;
  const phases = { ...experiment.phases, window: plannedMs };
  const downMs = runs.FIRST_KILL_MS + downAfterMs;
  const events = run.events.filter((event) => event.type !== "unit" || event.active);
  const down = unit(downMs, "kind-worker", false);
  return analyse(
    { ...run.facts, experiment: { ...experiment, phases } },
    [...events, down, ...more],
    run.samples,
  );
}

test("a container that lives on for seconds: time to down is apart, and the run is conclusive", (t) => {
  const result = downAfter(7_700, 30_000);
  t.deepEqual(codes(result), []);
  t.is(result.suppression?.downAfterMs, 7_700);
  t.is(result.suppression?.share, 1);
  // 43.8–96 s at 4 samples a second.
  t.is(result.probes.find(({ probe }) => probe === "app-write")?.phases.window.samples, 208);
});

test("down too late: inconclusive when less than half of the planned window is left", (t) => {
  // The window ends 59.9 s after the first kill.
  t.deepEqual(codes(downAfter(29_900)), []);
  const late = downAfter(29_901);
  t.deepEqual(codes(late), ["target-not-down"]);
  t.is(
    late.reasons[0]?.message,
    "The target was down only 29.9 s after the first kill, 30.0 s before the window ended (needed: 30.0 s, half of " +
      "phases.window). If it always takes that long, set a longer phases.window.",
  );
  t.is(late.suppression?.share, 1, "although it stayed down from then on");
  t.is(
    late.probes.find(({ probe }) => probe === "app-write")?.phases.window.samples,
    240,
    "the whole window",
  );
});

test("down at once and up again in the middle: the share counts from the first moment down", (t) => {
  const up = [unit(60_000, "kind-worker", true), unit(70_000, "kind-worker", false)];
  const result = downAfter(0, 60_000, up);
  t.is(result.suppression?.downAfterMs, 0);
  t.deepEqual(codes(result), ["target-not-down"]);
  t.regex(
    result.reasons[0]?.message ?? "",
    /^The target was without a serving instance for 83\.3 % of the 59\.9 s from its first moment down to the release \(needed: 90 %\)\. What served: unit kubelet\.service on kind-worker \(10\.0 s\)\.$/,
  );
});

test("a signal that ends the window early is the only reason, however late the target was down", (t) => {
  const signal = at(94_000, { type: "signal", signal: "SIGINT" });
  for (const ms of [900, 50_000]) t.deepEqual(codes(downAfter(ms, 60_000, [signal])), ["interrupted"]);
});

test("an attacked node must be seen restored, like a workload", (t) => {
  const run = own.kubelet();
  const without = (type: RunEvent["type"]): RunResult =>
    analyse(
      run.facts,
      run.events.filter((event) => event.type !== type),
      run.samples,
    );
  t.is(without("target-ready").verdict, "not restored");
  t.is(without("healthy").verdict, "not restored");
  t.is(exitCodeOf(without("healthy")), 5);
  // Status 0: no clear answer. The unit may have been stopped.
  const unclear = run.events
    .filter(({ type }) => type !== "target-ready")
    .map((event) => (event.type === "kill" ? { ...event, status: 0 } : event));
  t.is(analyse(run.facts, unclear, run.samples).verdict, "not restored");
});

test("the node's own timer was faster: found restored, at the time it was seen, by whom the runner names", (t) => {
  const run = own.kubelet();
  const events = run.events.filter(({ type }) => type !== "restored");
  const seen = analyse(run.facts, events, run.samples).recovery;
  t.is(seen?.restorerMs, 900);
  t.is(seen?.restoredBy, null);
  const found = at(97_500, { type: "restored", object: own.KUBELET, how: "found", by: "the node's timer" });
  const named = analyse(run.facts, [...events, found], run.samples).recovery;
  t.is(named?.restorerMs, 900);
  t.is(named?.restoredBy, "the node's timer");
  // Only found restored: it had been taken down, so something restored it.
  const blind = [...events.filter(({ type }) => type !== "unit"), found];
  t.is(analyse(run.facts, blind, run.samples).recovery?.restorerMs, 1500);
  // Not taken down, or never seen missing: nothing restored it.
  const refused = blind.map((event) => (event.type === "kill" ? { ...event, status: 0 } : event));
  t.is(analyse(run.facts, refused, run.samples).recovery?.restorerMs, null);
  const ran = events.map((event) => (event.type === "unit" ? { ...event, active: true } : event));
  t.is(analyse(run.facts, ran, run.samples).recovery?.restorerMs, null);
  const untouched = blind.filter(({ type }) => type !== "kill");
  t.is(analyse(run.facts, untouched, run.samples).recovery?.restorerMs, null);
});

test("flapping: the number of times down counts, not the duration", (t) => {
  const result = analysed(own.flappingUnit());
  t.deepEqual(result.reasons, []);
  t.is(result.suppression?.timesDown, 6);
  t.true((result.suppression?.share ?? 1) < 0.9);
  t.is(result.suppression?.kills, 6);
  t.deepEqual(result.suppression?.blows, [{ action: "unit-stopped", object: own.KUBELET, times: 6 }]);
  // Six kills fit into 60 s: three are enough, two are not.
  t.deepEqual(codes(analysed(own.flappingUnit(3))), []);
  const seldom = analysed(own.flappingUnit(2));
  t.deepEqual(codes(seldom), ["target-not-down"]);
  t.regex(
    seldom.reasons[0]?.message ?? "",
    /went down 2 times \(taken down every 10\.0 s for 1 min|60\.0 s; needed: 3 times\)/,
  );
});

test("flapping: with a window for a single kill it must still go down once", (t) => {
  const run = own.flappingUnit(1);
  const { experiment } = run.facts;
  const facts = {
    ...run.facts,
    experiment: { ...experiment, attack: { ...experiment.attack, every: 90_000 } },
  };
  t.deepEqual(codes(analyse(facts, run.events, run.samples)), []);
  const up = run.events.filter((event) => event.type !== "unit" || event.active);
  t.deepEqual(codes(analyse(facts, up, run.samples)), ["target-not-down"]);
});
