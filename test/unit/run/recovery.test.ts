import { LiveLanes } from "../../../src/run/measuring/live-lanes.js";
import test from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { GoodLine } from "../../../src/evidence/sample.js";
import type { ProbeName } from "../../../src/experiment/names.js";
import { GivingUp } from "../../../src/run/giving-up.js";
import { HealthTracker } from "../../../src/run/measuring/health.js";
import { recover } from "../../../src/run/phases/recovery.js";
import type { Harm, RunState } from "../../../src/run/run-state.js";

interface Recovered {
  readonly whole: boolean;
  readonly tookMs: number;
  readonly events: readonly RunEventBody[];
}

/** A recovery in which these probes stay broken. The clock is advanced by sleeping alone. */
async function recovering(broken: readonly ProbeName[], giveUpAtMs = Infinity): Promise<Recovered> {
  let now = 0;
  const user = new AbortController();
  const events: RunEventBody[] = [];
  const health = new HealthTracker(2);
  const probes: readonly ProbeName[] = ["app-write", "dns-external", "outside"];
  const sample = (): void => {
    for (const probe of probes) {
      const line = { probe, t: now, ok: !broken.includes(probe) || now < 0, kind: "timeout" };
      health.add("worker-1", line as unknown as GoodLine, now);
    }
  };
  now = -1_000;
  sample();
  const clock = {
    now: () => now,
    sleep: async (ms: number) => {
      now += ms;
      if (now >= giveUpAtMs) user.abort("a later Ctrl-C ended the restore");
      sample();
      await Promise.resolve();
    },
  };
  const harm = { series: health.everGood(), functionWorked: false } as unknown as Harm;
  now = 0;
  const state = {
    context: {
      clock,
      recorder: { emit: (body: RunEventBody) => void events.push(body) },
      view: { live: () => undefined },
      resolved: { experiment: { phases: { recovery: 120_000 } } },
      givingUp: new GivingUp(clock, user.signal),
    },
    collector: { health, lanes: new LiveLanes() },
    measuring: {
      companions: [],
      watch: { isTargetReady: () => true, targetState: () => ({}), ready: 1, containersDown: false },
    },
    applicationChanged: false,
  } as unknown as RunState;
  return { whole: await recover(state, harm), tookMs: now, events };
}

test("only an external name and the runner's own network fail: restored, with one warning", async (t) => {
  const { whole, tookMs, events } = await recovering(["dns-external", "outside"]);
  t.true(whole);
  t.true(tookMs < 15_000, `${tookMs} ms`);
  const warnings = events.filter(({ type }) => type === "warning");
  t.is(warnings.length, 1);
  t.regex(
    JSON.stringify(warnings),
    /dns-external from worker-1 \(timeout\), outside from worker-1.*outside the cluster/,
  );
  t.deepEqual(
    events.map(({ type }) => type),
    ["target-ready", "healthy", "warning"],
  );
});

test("everything works: no warning, no wait", async (t) => {
  const { whole, tookMs, events } = await recovering([]);
  t.true(whole);
  t.true(tookMs <= 1_000);
  t.false(events.some(({ type }) => type === "warning"));
});

test("a probe of the cluster fails: not restored, after the whole limit", async (t) => {
  const { whole, tookMs } = await recovering(["app-write"]);
  t.false(whole);
  t.is(tookMs, 120_000);
});

test("the user ends the restore: the recovery ends at once", async (t) => {
  const { whole, tookMs } = await recovering(["app-write"], 5_000);
  t.false(whole);
  t.true(tookMs <= 5_100, `${tookMs} ms`);
});
