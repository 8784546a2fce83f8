/** How often it went down, who recreated it, which events belong to the target, and what happened during the run. */
import test from "ava";
import { analyse } from "../../../src/analysis/analyse.js";
import { ofTarget } from "../../../src/analysis/companion-events.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { RunResult, Suppression } from "../../../src/analysis/result.js";
import { storyOf } from "../../../src/analysis/story.js";
import { suppressionOf } from "../../../src/analysis/suppression.js";
import * as own from "../../helpers/function-runs.js";
import * as runs from "../../helpers/synthetic-run.js";

const { at, DEPLOYMENT, endpoints, instance, kill, pod } = runs;
const codes = (result: RunResult): string[] => result.reasons.map(({ code }) => code);

/** The window is 1000–2000 ms, the first kill at 1000. */
function of(...events: RunEvent[]): Suppression {
  const all = [...events, kill(1000, DEPLOYMENT)].sort((a, b) => a.tMs - b.tMs);
  const result = suppressionOf(all, 990, 2000);
  if (result === null) throw new Error("nothing was killed");
  return result;
}
const recreatedAs = (uid: string): typeof DEPLOYMENT => ({ ...DEPLOYMENT, uid });
const recreated = (tMs: number, uid: string, by?: string): RunEvent =>
  at(tMs, { type: "recreated", object: recreatedAs(uid), ...(by === undefined ? {} : { by }) });

test("times down: from serving to not serving, within the window only", (t) => {
  const steps = [
    endpoints(0, 1),
    endpoints(500, 0),
    endpoints(600, 1),
    endpoints(1100, 0),
    endpoints(1300, 1),
    endpoints(1500, 0),
    endpoints(1900, 1),
    endpoints(2000, 0),
  ];
  t.is(of(...steps).timesDown, 2);
  t.is(of(endpoints(0, 1)).timesDown, 0);
  t.is(of(endpoints(1500, 0)).timesDown, 0, "it was never seen serving");
});

test("fight: each recreation of the workload, how long it existed, and whether it served", (t) => {
  const { fight } = of(
    endpoints(0, 1),
    endpoints(1010, 0),
    recreated(1100, "d-2", "kubectl"),
    // Sent before the recreation was recorded, because the attack reacts to the watch event first.
    kill(1095, recreatedAs("d-2"), "recreated"),
    recreated(1300, "d-3"),
    instance(1350, "b", { ready: true }),
    kill(1388, recreatedAs("d-3"), "recreated"),
    recreated(1700, "d-4", "kubectl"),
    kill(1710, recreatedAs("d-4"), "recreated", 500),
    recreated(2000, "d-5", "kubectl"),
  );
  t.deepEqual(fight, [
    { atMs: 100, by: "kubectl", livedMs: 7, served: false },
    { atMs: 300, by: null, livedMs: 100, served: true },
    { atMs: 700, by: "kubectl", livedMs: null, served: false },
  ]);
});

test("fight: the deletion of another object of the same name does not count; without uids an earlier one does not count", (t) => {
  const late = of(
    recreated(1300, "d-3"),
    kill(1350, recreatedAs("d-2"), "recreated"),
    kill(1388, recreatedAs("d-3"), "recreated"),
  );
  t.is(late.fight[0]?.livedMs, 100);
  const nameless = { kind: "Deployment", namespace: "kube-system", name: "coredns" };
  const unknown = of(
    kill(1050, nameless),
    at(1100, { type: "recreated", object: nameless }),
    kill(1188, nameless, "recreated"),
  );
  t.is(unknown.fight[0]?.livedMs, 100);
});

test("fight: recreated pods and ReplicaSets do not count, nor does what the attack itself recreates", (t) => {
  const { fight, recreationsByKind } = of(
    at(1100, { type: "recreated", object: pod("x"), by: "kube-controller-manager" }),
    at(1100, { type: "recreated", object: { kind: "ReplicaSet", name: "x" } }),
    recreated(1200, "d-2", "kube-system-chaos"),
  );
  t.deepEqual(fight, []);
  t.deepEqual(recreationsByKind, { Pod: 1, ReplicaSet: 1, Deployment: 1 });
});

test("fight: a new endpoint means serving; endpoints before its creation or after its end do not count", (t) => {
  const served = (...events: RunEvent[]): boolean | undefined =>
    of(recreated(1100, "d-2"), kill(1300, recreatedAs("d-2"), "recreated"), ...events).fight[0]?.served;
  t.false(served());
  t.true(served(endpoints(1200, 1)));
  t.false(served(endpoints(1050, 1)));
  t.false(served(endpoints(1050, 2), endpoints(1200, 1)), "one address less is not a new one");
  t.false(served(endpoints(1400, 1)));
  t.false(served(instance(1200, "c", { ready: false })));
  t.false(served(instance(1200, "c", { ready: true, terminating: true })));
});

test("kills other than deletions are listed with their action and number", (t) => {
  const scaled = (tMs: number): RunEvent =>
    at(tMs, {
      type: "kill",
      object: DEPLOYMENT,
      reason: "initial",
      action: "scaled",
      status: 200,
      tookMs: 5,
    });
  const result = of(scaled(1001), scaled(1500), kill(1600, pod("a")));
  t.is(result.kills, 4);
  t.deepEqual(result.blows, [{ action: "scaled", object: DEPLOYMENT, times: 2 }]);
  t.deepEqual(of().blows, []);
});

const AUTOSCALER = { kind: "Deployment", namespace: "kube-system", name: "coredns-autoscaler", uid: "as" };
const ofAutoscaler = (name: string, uid = name): typeof AUTOSCALER => ({
  kind: "Pod",
  namespace: "kube-system",
  name,
  uid,
});

test("a companion is not the target: its kills, instances and recreations do not count", (t) => {
  const run = own.logs();
  const companion: RunEvent[] = [
    at(1500, {
      type: "instance",
      object: ofAutoscaler("coredns-autoscaler-7f-x"),
      podPhase: "Running",
      ready: true,
      terminating: false,
    }),
    at(36_010, {
      type: "kill",
      object: AUTOSCALER,
      reason: "initial",
      action: "scaled",
      status: 200,
      tookMs: 9,
    }),
    at(50_000, { type: "recreated", object: { ...AUTOSCALER, uid: "as-2" }, by: "kubectl" }),
    at(96_050, { type: "restored", object: AUTOSCALER, how: "patched", by: "runner" }),
  ];
  const plain = analyse(run.facts, run.events, run.samples);
  const result = analyse(run.facts, [...run.events, ...companion], run.samples);
  t.is(result.firstKillMs, runs.FIRST_KILL_MS);
  t.deepEqual(result.suppression, plain.suppression);
  t.deepEqual(result.recovery, plain.recovery);
  t.deepEqual(
    result.companions.map(({ name }) => name),
    ["coredns-autoscaler"],
  );
  t.deepEqual(plain.companions, []);
  // A target that is scaled to 0 is not its own companion.
  const scaled = run.events.map((event) =>
    event.type === "kill" ? { ...event, action: "scaled" as const } : event,
  );
  t.deepEqual(analyse(run.facts, scaled, run.samples).companions, []);
});

test("a companion whose name is a prefix of the target's name owns none of the target's objects", (t) => {
  const target = { kind: "Deployment", namespace: "kube-system", name: "dns-extra" };
  const companion = { kind: "Deployment", namespace: "kube-system", name: "dns" };
  const scaled = at(900, {
    type: "kill",
    object: companion,
    reason: "initial",
    action: "scaled",
    status: 200,
    tookMs: 1,
  });
  const left = ofTarget(
    [scaled, instance(950, "dns-extra-1-a", { ready: true }), instance(950, "dns-1-a", { ready: true })],
    target,
  );
  t.deepEqual(
    left.map((event) => event.type === "instance" && event.object.name),
    ["dns-extra-1-a"],
  );
  t.is(ofTarget([scaled], undefined).length, 1, "without a target all events are kept");
});

test("a workload that a function check changed and restored is not part of the recovery", (t) => {
  const run = own.kubelet();
  const other = at(96_010, { type: "restored", object: DEPLOYMENT, how: "patched", by: "runner" });
  t.is(analyse(run.facts, [...run.events, other], run.samples).recovery?.restorerMs, 300);
});

test("harmful churn in the rehearsal makes the run inconclusive; in the window it is a finding", (t) => {
  const run = own.logs();
  const churn = (tMs: number, rehearsal: boolean, ok: boolean): RunEvent =>
    at(tMs, {
      type: "churn",
      object: { kind: "Deployment", namespace: "guestbook", name: "redis-leader" },
      rehearsal,
      ok,
      tookMs: 3200,
      detail: "the old pod was not replaced",
    });
  const with_ = (...events: RunEvent[]): RunResult =>
    analyse(run.facts, [...run.events, ...events], run.samples);
  const harmful = with_(churn(15_000, true, false));
  t.deepEqual(codes(harmful), ["churn-not-harmless"]);
  t.regex(harmful.reasons[0]?.message ?? "", /redis-leader.*the old pod was not replaced/);
  t.deepEqual(codes(with_(churn(15_000, true, true), churn(56_100, false, false))), []);
  // The runner also stops for it. It is listed once.
  const stopped = at(16_000, { type: "stopped", code: "churn-not-harmless", message: "It was not." });
  t.deepEqual(codes(with_(churn(15_000, true, false), stopped)), ["churn-not-harmless"]);
});

test("story: changes of nodes and endpoints from the window's start, with their times", (t) => {
  const { story } = analyse(own.kubelet().facts, own.kubelet().events, own.kubelet().samples);
  t.deepEqual(story, [
    { tMs: 77_300, text: "+41.2 s: node kind-worker NotReady (NodeStatusUnknown)" },
    { tMs: 77_500, text: "+41.4 s: 0 of 1 address of redis-leader ready" },
    { tMs: 97_600, text: "+61.5 s: node kind-worker Ready again" },
    { tMs: 97_700, text: "+61.6 s: 1 of 1 address of redis-leader ready" },
  ]);
});

test("story: only changes after the window's start are told", (t) => {
  const told = (...events: RunEvent[]): string[] =>
    storyOf(
      [...events].sort((a, b) => a.tMs - b.tMs),
      1000,
      1100,
    ).map(({ text }) => text);
  t.deepEqual(told(own.nodeReady(1500, "n1", "True"), own.appEndpoints(1500, "frontend", 3)), []);
  t.deepEqual(
    told(
      own.nodeReady(500, "n1", "Unknown", "NodeStatusUnknown"),
      own.nodeReady(1500, "n1", "Unknown", "NodeStatusUnknown"),
      own.nodeReady(1600, "n1", "True"),
    ),
    ["+500 ms: node n1 Ready again"],
  );
  t.deepEqual(
    told(
      own.appEndpoints(500, "frontend", 3),
      own.appEndpoints(600, "frontend", 2),
      own.appEndpoints(1050, "frontend", 1),
      own.appEndpoints(1500, "frontend", 1),
      own.appEndpoints(1600, "frontend", 3),
    ),
    ["−50 ms: 1 of 3 addresses of frontend ready", "+500 ms: 3 of 3 addresses of frontend ready"],
  );
  t.deepEqual(storyOf([own.nodeReady(1500, "n1", "False")], null, 0), []);
});

test("story: whether the attacked nodes stayed Ready is seen, not assumed", (t) => {
  const run = own.kubelet();
  const { experiment } = run.facts;
  const quiet = run.events.filter(({ type }) => type !== "node-ready" && type !== "app-endpoints");
  const told = (events: readonly RunEvent[], facts = run.facts): string[] =>
    analyse(facts, [...quiet, ...events], run.samples).story.map(({ text }) => text);
  const before = own.nodeReady(2000, "kind-worker", "True", "KubeletReady");
  const stayed = "+59.9 s: node kind-worker still Ready when it was released";
  t.deepEqual(told([before]), [stayed]);
  t.deepEqual(told([before, own.nodeReady(98_000, "kind-worker", "False")]), [
    stayed,
    "+61.9 s: node kind-worker NotReady",
  ]);
  t.deepEqual(told([]), [], "its state was not seen");
  t.deepEqual(told([own.nodeReady(2000, "kind-worker", "Unknown")]), [], "not Ready before");
  t.deepEqual(told([before, at(50_000, { type: "watch", resource: "nodes", what: "ended" })]), [], "a gap");
  t.deepEqual(told([before, at(20_000, { type: "watch", resource: "nodes", what: "ended" })]), [stayed]);
  t.deepEqual(told([before, own.nodeReady(80_000, "kind-worker", "False", "KubeletNotReady")]), [
    "+43.9 s: node kind-worker NotReady (KubeletNotReady)",
  ]);
  const flapping = {
    ...run.facts,
    experiment: { ...experiment, attack: { type: "systemd-unit", every: 10_000 } },
  };
  t.deepEqual(told([before], flapping), []);
  const { target } = run.facts;
  const object = { kind: "StaticPod", name: "etcd" };
  t.deepEqual(
    told([before], { ...run.facts, ...(target === undefined ? {} : { target: { ...target, object } }) }),
    [],
  );
});

test("story: the churn, and a flapping attack allowing the target to run again", (t) => {
  const object = { kind: "Deployment", namespace: "guestbook", name: "redis-leader" };
  const events: RunEvent[] = [
    at(1200, {
      type: "churn",
      object,
      rehearsal: false,
      ok: true,
      tookMs: 3200,
      detail: "pod r-2 took its place",
    }),
    at(1300, { type: "churn", object, rehearsal: false, ok: false, tookMs: 30_000, detail: "" }),
    at(1400, { type: "let-up", object: own.KUBELET }),
  ];
  t.deepEqual(
    storyOf(events, 1000, 1000).map(({ text }) => text),
    [
      "+200 ms: Deployment redis-leader: pod replaced in 3.2 s: pod r-2 took its place",
      "+300 ms: Deployment redis-leader: pod not replaced within 30.0 s",
      "+400 ms: the attack allowed SystemdUnit kubelet on kind-worker to run again",
    ],
  );
});
