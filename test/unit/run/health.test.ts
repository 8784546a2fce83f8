import test from "ava";
import { randomOf } from "../../../bench/draws.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { PROBES, type ProbeName } from "../../../src/experiment/names.js";
import { HealthTracker } from "../../../src/run/measuring/health.js";

const line = (probe: ProbeName, ok: boolean): SampleLine =>
  ok ? { probe, t: 0, d: 1, ok } : { probe, t: 0, d: 1, ok, kind: "timeout" };

/** A tracker that has seen samples, written as "probe@source+" (good) or "…-" (failed), one a 100 ms. */
function tracker(needed: number, ...samples: string[]): HealthTracker {
  const health = new HealthTracker(needed);
  add(health, 0, ...samples);
  return health;
}

function add(health: HealthTracker, fromMs: number, ...samples: string[]): void {
  for (const [index, sample] of samples.entries()) {
    const [, probe = "", source = "", mark] = /^([^@]+)@(.+)([+-])$/.exec(sample) ?? [];
    health.add(source, line(probe as ProbeName, mark === "+"), fromMs + index * 100);
  }
}

const unhealthy = (health: HealthTracker, known?: ReadonlySet<string>): string[] =>
  health.unhealthy(known).map(({ probe, source }) => `${probe}@${source}`);

test("healthy after K good samples in a row, not before", (t) => {
  const health = tracker(3, "app-write@n1+", "app-write@n1+");
  t.deepEqual(unhealthy(health), ["app-write@n1"]);
  add(health, 200, "app-write@n1+");
  t.deepEqual(unhealthy(health), []);
});

test("one failure resets the count", (t) => {
  const health = tracker(3, "app-write@n1+", "app-write@n1+", "app-write@n1+", "app-write@n1-");
  t.deepEqual(unhealthy(health), ["app-write@n1"]);
  add(health, 400, "app-write@n1+", "app-write@n1+");
  t.deepEqual(unhealthy(health), ["app-write@n1"]);
  add(health, 600, "app-write@n1+");
  t.deepEqual(unhealthy(health), []);
});

test("a single failure after 20 good samples is a stray, a second one soon after is not", (t) => {
  const good = (count: number): string[] => Array.from({ length: count }, () => "app-write@n1+");
  t.deepEqual(unhealthy(tracker(3, ...good(19), "app-write@n1-")), ["app-write@n1"]);
  const health = tracker(3, ...good(20), "app-write@n1-");
  t.deepEqual(unhealthy(health), []);
  add(health, 2_100, "app-write@n1-");
  t.deepEqual(unhealthy(health), ["app-write@n1"]);
  t.deepEqual(unhealthy(tracker(3, ...good(20), "app-write@n1-", ...good(19), "app-write@n1-")), [
    "app-write@n1",
  ]);
  t.deepEqual(unhealthy(tracker(30, ...good(29), "app-write@n1-")), ["app-write@n1"], "it was never healthy");
});

/** Ticks until all 144 series (12 workers, 12 probes) that lose `loss` of their samples at random are healthy at once. */
function ticksUntilHealthy(needed: number, loss: number, seed: number, limit: number): number {
  const random = randomOf(seed);
  const health = new HealthTracker(needed);
  for (let tick = 1; tick <= limit; tick += 1) {
    for (let worker = 0; worker < 12; worker += 1) {
      for (const probe of PROBES.slice(0, 12)) {
        health.add(`n${worker}`, line(probe, random() >= loss), tick);
      }
    }
    if (health.unhealthy().length === 0) return tick;
  }
  return Infinity;
}

test("noise does not keep a recovery from ending, whatever K is; a real loss does", (t) => {
  const ticks = (needed: number, loss: number): number[] =>
    [1, 2, 3].map((seed) => ticksUntilHealthy(needed, loss, seed, 600));
  const upTo = (found: readonly number[], limit: number): void => {
    t.true(Math.max(...found) <= limit, found.join(", "));
  };
  upTo(ticks(3, 0.001), 20); // the default: 5 s
  upTo(ticks(20, 0.001), 80);
  upTo(ticks(100, 0.001), 500);
  t.deepEqual(ticks(3, 1 / 3), [Infinity, Infinity, Infinity]);
});

test("each probe from each source is counted separately", (t) => {
  const health = tracker(1, "app-write@n1+", "app-write@n2-", "app-read@n1-", "app-read@n2+");
  t.deepEqual(unhealthy(health), ["app-write@n2", "app-read@n1"]);
  t.is(health.size, 4);
});

test("after a reset only later samples count, good or bad", (t) => {
  const health = tracker(2, "app-write@n1+", "app-write@n1+");
  health.reset(1_000);
  t.deepEqual(unhealthy(health), ["app-write@n1"], "a good series must become good again");
  add(health, 800, "app-write@n1+", "app-write@n1+");
  t.deepEqual(unhealthy(health), ["app-write@n1"], "fetched late, sampled before");
  add(health, 1_000, "app-write@n1+", "app-write@n1+");
  t.deepEqual(unhealthy(health), []);
  add(health, 900, "app-write@n1-");
  t.deepEqual(unhealthy(health), [], "an old failure that comes late is old");
  health.reset(2_000);
  t.deepEqual(unhealthy(health), ["app-write@n1"]);
});

test("only the requested series; a series without samples is not listed", (t) => {
  const health = tracker(1, "app-write@n1+", "dns-external@n1-", "app-read@n1-");
  const good = health.everGood();
  t.deepEqual([...good], ["app-write n1"]);
  t.deepEqual(unhealthy(health, good), []);
  t.deepEqual(unhealthy(health, new Set(["app-read n1", "app-read n9"])), ["app-read@n1"]);
  t.deepEqual(unhealthy(new HealthTracker(1)), []);
});

test("a series that was good once stays known, through failures and resets", (t) => {
  const health = tracker(2, "app-write@n1+", "app-write@n1-", "app-read@n1-");
  health.reset(5_000);
  t.deepEqual([...health.everGood()], ["app-write n1"]);
});

test("a boot line is not a sample", (t) => {
  const health = new HealthTracker(1);
  health.add("n1", { boot: "b", t: 0, wall: 0, node: "n1" }, 0);
  t.is(health.size, 0);
});

test("the counts are the app → DB writes of this phase", (t) => {
  const health = tracker(1, "app-write@n1+", "app-write@n2-", "app-read@n1+", "app-write-env@n1-");
  t.deepEqual(health.counts, { ok: 1, failing: 1 });
  health.startCounting();
  t.deepEqual(health.counts, { ok: 0, failing: 0 });
  add(health, 500, "app-write@n1-", "app-write@n1-");
  t.deepEqual(health.counts, { ok: 0, failing: 2 });
});

test("a follower gets every good and failed sample until it stops following, and nothing else", (t) => {
  const health = new HealthTracker(3);
  const told: string[] = [];
  const end = health.follow((source, { probe, ok }, tMs) =>
    told.push(`${probe}@${source} ${String(ok)} ${tMs}`),
  );
  add(health, 100, "app-write@n1+", "app-read@n2-");
  health.add("n1", { probe: "app-write", t: 1, missed: "late" }, 300);
  health.add("n1", { boot: "b", t: 1, wall: 1, node: "n1" }, 300);
  end();
  add(health, 400, "app-write@n1+");
  t.deepEqual(told, ["app-write@n1 true 100", "app-read@n2 false 200"]);
});
