import test from "ava";
import fc from "fast-check";
import { experimentSchema, type Experiment } from "../../../src/experiment/schema.js";
import type { Node } from "../../../src/kube/objects.js";
import type { GuestbookOptions } from "../../../src/application/guestbook.js";
import { sampledWorkers, samplingOf } from "../../../src/probes/sampling.js";
import { samplingText } from "../../../src/report/words.js";

const experiment = (more: object = {}): Experiment =>
  experimentSchema.parse({
    apiVersion: "kube-system-chaos/v1",
    kind: "Experiment",
    metadata: { name: "x" },
    target: { component: "kube-dns" },
    ...more,
  });

const node = (name: string, zone?: string, arch?: string): Node =>
  ({
    metadata: {
      name,
      labels: {
        ...(zone === undefined ? {} : { "topology.kubernetes.io/zone": zone }),
        ...(arch === undefined ? {} : { "kubernetes.io/arch": arch }),
      },
    },
  }) as unknown as Node;

const workers = (count: number, zone?: string, arch?: string): Node[] =>
  Array.from({ length: count }, (_, index) =>
    node(`${zone ?? "w"}-${String(index).padStart(3, "0")}`, zone, arch),
  );

test("a small cluster: every worker, as often as the experiment asks", (t) => {
  for (const count of [0, 1, 2, 3, 6]) t.is(samplingOf(experiment(), count), undefined, String(count));
});

test("a few workers more: the interval grows; a large cluster: a part of the workers", (t) => {
  t.deepEqual(samplingOf(experiment(), 8), { workers: 8, of: 8, intervalMs: 320, askedMs: 250 });
  const large = samplingOf(experiment(), 100);
  t.deepEqual(large, { workers: 12, of: 100, intervalMs: 480, askedMs: 250 });
  t.deepEqual(samplingOf(experiment(), 5000), { ...large, of: 5000 });
  t.is(large && samplingText(large), "12 of 100 workers, every 480 ms instead of 250 ms");
  t.is(
    samplingText({ workers: 8, of: 8, intervalMs: 320, askedMs: 250 }),
    "all 8 workers, every 320 ms instead of 250 ms",
  );
  t.is(
    samplingText({ workers: 12, of: 20, intervalMs: 1000, askedMs: 1000 }),
    "12 of 20 workers, every 1000 ms",
  );
});

test("a short window: fewer workers instead of an interval that gives too few samples", (t) => {
  const short = experiment({ phases: { baseline: "5s", window: "5s" }, probes: { goodInARow: 1 } });
  t.deepEqual(samplingOf(short, 100), { workers: 6, of: 100, intervalMs: 250, askedMs: 250 });
});

test("property: neither a front end nor the whole gets more than its limit; the interval is at most what is needed", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 50, max: 5000 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 2_000, max: 1_800_000 }),
      (count, interval, frontendReplicas, controlReplicas, window) => {
        const asked = experiment();
        const guestbook = asked.application.guestbook as GuestbookOptions;
        const changed = {
          ...asked,
          probes: { ...asked.probes, interval },
          phases: { ...asked.phases, window },
          application: { guestbook: { ...guestbook, frontendReplicas, controlReplicas } },
        };
        const { workers: some, intervalMs } = samplingOf(changed, count) ?? {
          workers: count,
          intervalMs: interval,
        };
        const perSecond = (perInterval: number): number => (perInterval * 1000) / intervalMs;
        const longest = Math.max(interval, Math.min(1000, 15_000 / 20, window / 20));
        t.true(some >= 1 && some <= Math.min(12, count) && intervalMs >= interval && intervalMs <= longest);
        // One worker is always sampled, and it never needs more than the application bears if the window is not tiny.
        if (some === 1 && intervalMs >= Math.floor(longest)) return;
        t.true(perSecond(some * 12) <= 400.01);
        t.true(perSecond((some * 4 + 1) / frontendReplicas) <= 50.01);
        t.true(perSecond((some * 2) / controlReplicas) <= 50.01);
      },
    ),
  );
});

test("the workers: those that matter first, then an equal share of each zone and architecture", (t) => {
  const nodes = [
    ...workers(40, "a", "amd64"),
    ...workers(40, "b", "amd64"),
    ...workers(18, "c", "amd64"),
    ...workers(2, "d", "arm64"),
  ];
  const chosen = sampledWorkers(nodes, 12, ["b-007", "gone", "b-007", "a-013"]);
  t.is(chosen.length, 12);
  t.true(chosen.includes("b-007") && chosen.includes("a-013") && !chosen.includes("gone"));
  const of = (zone: string): number => chosen.filter((name) => name.startsWith(zone)).length;
  t.deepEqual([of("a"), of("b"), of("c"), of("d")], [4, 4, 2, 2]);
  t.deepEqual(
    sampledWorkers([...nodes].reverse(), 12, ["b-007", "gone", "b-007", "a-013"]),
    chosen,
    "in any order",
  );
});

test("the workers of one zone are not neighbours: neighbours are of one node pool", (t) => {
  t.deepEqual(sampledWorkers(workers(100), 5, []), ["w-000", "w-024", "w-049", "w-074", "w-099"]);
});

test("property: as many as asked or all, no name twice, always of the nodes", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("amd64", "arm64")), {
        maxLength: 60,
      }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 30 }),
      (kinds, count, first) => {
        const nodes = kinds.map(([zone, arch], index) => node(`n-${index}`, zone, arch));
        const chosen = sampledWorkers(
          nodes,
          count,
          first.map((index) => `n-${index}`),
        );
        t.is(new Set(chosen).size, Math.min(count, nodes.length));
        t.is(chosen.length, Math.min(count, nodes.length));
        for (const name of chosen) t.true(nodes.some(({ metadata }) => metadata.name === name));
      },
    ),
  );
});
