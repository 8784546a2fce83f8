import test from "ava";
import fc from "fast-check";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { Suppression } from "../../../src/analysis/result.js";
import { downAtMs, suppressionOf } from "../../../src/analysis/suppression.js";
import { at, DEPLOYMENT, endpoints, instance, kill, pod, runtime } from "../../helpers/synthetic-run.js";

const gone = (tMs: number, name: string): RunEvent => at(tMs, { type: "gone", object: pod(name) });

/** The window is 1000–2000 ms, the first kill at 1000. */
function of(...events: RunEvent[]): Suppression {
  const result = suppressionOf(
    [...events].sort((a, b) => a.tMs - b.tMs),
    990,
    2000,
  );
  if (result === null) throw new Error("nothing was killed");
  return result;
}
const up = [instance(0, "a", { ready: true }), endpoints(0, 1), kill(1000, pod("a"))];

test("no accepted kill means nothing killed: 404, 409 and refusals", (t) => {
  const kills = [404, 409, 403, 500, 0].map((status) => kill(1000, pod("a"), "initial", status));
  t.is(suppressionOf(kills, 990, 2000), null);
});

test("down when the last endpoint and the last ready pod are gone: the time until then is apart from the share", (t) => {
  const result = of(
    ...up,
    instance(1020, "a", { ready: true, terminating: true }),
    endpoints(1500, 0),
    gone(1600, "a"),
  );
  t.is(result.windowMs, 1000);
  t.is(result.servingMs, 500);
  t.is(result.downAfterMs, 500);
  t.is(result.share, 1);
  t.deepEqual(result.servedBy, []);
  t.true(result.servingBefore);
});

test("without a Service the pods alone decide: ready and not terminating", (t) => {
  const result = of(
    instance(0, "a", { ready: true }),
    instance(0, "b", { ready: true }),
    kill(1000, pod("a")),
    instance(1100, "a", { ready: true, terminating: true }),
    gone(1300, "b"),
  );
  t.is(result.servingMs, 300);
  t.is(result.downAfterMs, 300);
});

test("a terminating pod serves as long as an endpoint says so", (t) => {
  const result = of(
    ...up,
    instance(1020, "a", { ready: true, terminating: true }),
    endpoints(1100, 0, 1),
    endpoints(1800, 0, 0),
  );
  t.is(result.servingMs, 800);
});

test("a pod that the API has forgotten serves as long as the runtime is seen running it", (t) => {
  const result = of(
    ...up,
    runtime(900, "n1", ["a 0123"]),
    endpoints(1010, 0),
    gone(1010, "a"),
    runtime(1400, "n1", ["a 0123"]),
    runtime(1700, "n1", []),
  );
  t.is(result.servingMs, 400);
  t.is(result.share, 1);
  t.is(result.downAfterMs, 400);
  t.is(result.evidence, "runtime");
  t.is(result.runtimeChecks, 2);
  t.is(result.runtimeRunning, 0);
});

test("a node's first answer also covers the time before it", (t) => {
  const result = of(...up, endpoints(1010, 0), gone(1010, "a"), runtime(1400, "n1", ["a 0123"]));
  t.is(result.servingMs, 400);
});

test("a container of a starting pod does not serve; a container of a ready pod does", (t) => {
  const result = of(
    ...up,
    endpoints(1010, 0),
    gone(1010, "a"),
    instance(1100, "b", { ready: false }),
    runtime(1200, "n1", ["b 77"]),
    runtime(1300, "n1", ["b 77"]),
    instance(1350, "b", { ready: false, terminating: true }),
    gone(1400, "b"),
  );
  t.is(result.servingMs, 10);
  t.is(result.runtimeRunning, 0);
});

for (const { cluster, terminating, servingMs } of [
  { cluster: "endpoints leave out what terminates", terminating: 0, servingMs: 10 },
  { cluster: "an endpoint serves while it terminates", terminating: 1, servingMs: 10 + 200 },
]) {
  test(`a replacement that became ready after its deletion and kept running: ${cluster}`, (t) => {
    const result = of(
      ...up,
      endpoints(1010, 0),
      gone(1010, "a"),
      instance(1100, "b", { ready: false }),
      instance(1150, "b", { ready: false, terminating: true }),
      runtime(1250, "n1", ["b 77"]),
      ...(terminating > 0 ? [endpoints(1300, 0, terminating), endpoints(1350, 0)] : []),
      instance(1300, "b", { ready: true, terminating: true }),
      runtime(1500, "n1", ["b 77"]),
    );
    t.is(result.servingMs, servingMs);
    t.is(result.runtimeRunning, terminating > 0 ? 1 : 0);
  });
}

test("one pod on one of many nodes: a small share of the checks, but never down", (t) => {
  const nodes = Array.from({ length: 20 }, (_, index) => `n${index}`);
  const result = of(
    ...up,
    endpoints(1010, 0),
    gone(1010, "a"),
    ...nodes.map((node) => runtime(1020, node, [])),
    ...[1200, 1400].flatMap((tMs, round) =>
      nodes.map((node) => runtime(tMs, node, node === "n3" ? [`unseen-${round} 9`] : [])),
    ),
  );
  t.is(result.runtimeRunning, 2);
  // Seen at 1200 and 1400; the checks began at 1020, and the release is at 2000.
  t.is(result.runtimeRunningShare, 800 / 980);
  t.is(result.runtimeChecks, 60);
});

test("two pods that run at the same time on two of three nodes count once", (t) => {
  const checks = (tMs: number, ...running: readonly string[]): RunEvent[] =>
    ["n1", "n2", "n3"].map((node) => runtime(tMs, node, running.includes(node) ? [`of-${node} 9`] : []));
  const result = of(
    ...up,
    endpoints(1010, 0),
    gone(1010, "a"),
    ...checks(1100),
    ...checks(1300, "n1", "n2"),
    ...checks(1500, "n2"),
    ...checks(1600),
    ...checks(1800),
  );
  t.is(result.runtimeRunning, 3);
  t.is(result.runtimeRunningShare, 300 / 900);
});

test("a runtime that could not be asked is not evidence", (t) => {
  const failed = at(1500, { type: "runtime", node: "n1", running: [], error: "no answer" });
  const result = of(...up, endpoints(1010, 0), gone(1010, "a"), failed);
  t.is(result.evidence, "API only");
  t.is(result.runtimeChecks, 0);
  t.is(result.runtimeErrors, 1);
});

test("never down: no time to down, share 0; what served all the time is named", (t) => {
  const result = of(...up, instance(1020, "a", { ready: true, terminating: true }));
  t.is(result.downAfterMs, null);
  t.is(result.share, 0);
  t.deepEqual(result.servedBy, [
    { what: "an endpoint of kube-dns", ms: 1000 },
    { what: "the ready pod a", ms: 20 },
  ]);
});

test("down, up again in the middle, down again: only the first time to down is apart", (t) => {
  const result = of(
    ...up,
    instance(1020, "a", { ready: true, terminating: true }),
    endpoints(1200, 0),
    gone(1200, "a"),
    endpoints(1400, 1),
    endpoints(1600, 0),
  );
  t.is(result.downAfterMs, 200);
  t.is(result.servingMs, 200 + 200);
  t.is(result.share, 1 - 200 / 800);
  t.deepEqual(result.servedBy, [{ what: "an endpoint of kube-dns", ms: 200 }]);
  t.is(result.timesDown, 2);
});

test("down at the first kill: nothing is apart", (t) => {
  const result = of(...up, endpoints(1000, 0), gone(1000, "a"), endpoints(1250, 1), endpoints(1500, 0));
  t.is(result.downAfterMs, 0);
  t.is(result.share, 0.75);
});

test("the moment down as the run sees it: not before its evidence, and later once a container is found", (t) => {
  const events = [...up, endpoints(1010, 0), gone(1010, "a")].sort((a, b) => a.tMs - b.tMs);
  t.is(downAtMs(events, 1005), null);
  t.is(downAtMs(events, 1500), 1010);
  t.is(downAtMs([...events, runtime(1400, "n1", ["a 0123"])], 1500), 1400);
  t.is(downAtMs([...events, runtime(1400, "n1", ["a 0123"])], 1400), null, "still running when last asked");
  t.is(downAtMs([endpoints(0, 1)], 1500), null, "nothing killed");
});

test("a target that was not serving before does not count as taken down", (t) => {
  const result = of(kill(1000, pod("a")));
  t.false(result.servingBefore);
});

test("kills, recreations and their field managers count only within the window", (t) => {
  const recreated = (tMs: number, by?: string): RunEvent =>
    at(tMs, { type: "recreated", object: DEPLOYMENT, ...(by === undefined ? {} : { by }) });
  const result = of(
    ...up,
    endpoints(1010, 0),
    gone(1010, "a"),
    recreated(1200, "kubectl"),
    kill(1210, DEPLOYMENT, "recreated"),
    recreated(1600, "kubectl"),
    recreated(1601),
    kill(1700, pod("x"), "swept", 404),
    instance(1500, "c", { ready: true }),
    instance(1550, "c", { ready: false }),
    instance(1560, "c", { ready: true }),
    instance(1570, "c", { ready: true, terminating: true }),
    recreated(2000, "late"),
    kill(2000, DEPLOYMENT),
    instance(2100, "d", { ready: true }),
  );
  t.is(result.kills, 2);
  t.deepEqual(result.killsByKind, { Pod: 1, Deployment: 1 });
  t.is(result.killsNotAccepted, 1);
  t.deepEqual(result.recreationsByKind, { Deployment: 3 });
  t.deepEqual(result.recreatedBy, ["kubectl"]);
  t.is(result.readySeen, 2);
  t.is(result.servingMs, 10 + 50 + 10);
});

test("property: 0 ≤ serving ≤ window, and shifting all times changes nothing", (t) => {
  const event = fc.oneof(
    fc
      .record({ tMs: fc.integer({ min: 0, max: 2500 }), n: fc.integer({ min: 0, max: 2 }) })
      .map(({ tMs, n }) => endpoints(tMs, n)),
    fc
      .record({
        tMs: fc.integer({ min: 0, max: 2500 }),
        name: fc.constantFrom("a", "b"),
        ready: fc.boolean(),
        terminating: fc.boolean(),
      })
      .map(({ tMs, name, ready, terminating }) => instance(tMs, name, { ready, terminating })),
    fc
      .record({
        tMs: fc.integer({ min: 0, max: 2500 }),
        node: fc.constantFrom("n1", "n2"),
        running: fc.subarray(["a 1", "b 2", "z 3"]),
      })
      .map(({ tMs, node, running }) => runtime(tMs, node, running)),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), fc.integer({ min: 1, max: 1e6 }), (events, shift) => {
      const all = [...events, kill(1000, pod("a"))].sort((a, b) => a.tMs - b.tMs);
      const result = suppressionOf(all, 990, 2000);
      if (result === null) return false;
      const moved = suppressionOf(
        all.map((one) => ({ ...one, tMs: one.tMs + shift })),
        990 + shift,
        2000 + shift,
      );
      t.deepEqual(moved, result);
      const { servingMs, share, downAfterMs, runtimeRunningShare } = result;
      const inRange = [share, runtimeRunningShare].every((value) => value >= 0 && value <= 1);
      return (
        servingMs >= 0 && servingMs <= 1000 && inRange && (downAfterMs === null) === (servingMs === 1000)
      );
    }),
  );
  t.pass();
});

test("a container whose pod was never ready does not serve, even if it outlives its pod; an unknown one does", (t) => {
  const endedAt = [endpoints(1100, 0), gone(1100, "a"), runtime(1200, "n1", [])];
  const starting = of(
    ...up,
    ...endedAt,
    instance(1150, "b", { ready: false }),
    instance(1180, "b", { ready: false, terminating: true }),
    gone(1190, "b"),
    runtime(1400, "n1", ["b 0123"]),
    runtime(1800, "n1", ["b 0123"]),
  );
  t.is(starting.servingMs, 100);
  t.is(starting.runtimeRunning, 0);
  const unknown = of(...up, ...endedAt, runtime(1400, "n1", ["z 0123"]), runtime(1800, "n1", ["z 0123"]));
  t.is(unknown.servingMs, 500);
  t.is(unknown.runtimeRunning, 2);
});

test("the time in which the runner was late does not count for the share: what it saw then, and its kills, are late", (t) => {
  const events = [
    ...up,
    endpoints(1100, 0),
    gone(1100, "a"),
    instance(1300, "b", { ready: true }),
    gone(1700, "b"),
    runtime(1690, "n", ["b 1"]),
    runtime(1900, "n", []),
  ];
  const share = (stalls: readonly { fromMs: number; toMs: number }[]): Suppression | null =>
    suppressionOf(
      [...events].sort((a, b) => a.tMs - b.tMs),
      990,
      2000,
      undefined,
      stalls,
    );
  t.is(share([])?.share, 1 - 400 / 900);
  t.is(share([])?.runtimeRunning, 1);
  const late = share([{ fromMs: 1350, toMs: 1700 }]);
  t.is(late?.share, 1 - 50 / 550);
  t.is(late?.servingMs, 500, "the plain time stays as it was seen");
  t.is(late?.runtimeRunning, 0);
});
