/** When the window ends: it lasts its planned time from the moment the target was down. */
import test from "ava";
import { windowEndMs } from "../../../src/analysis/times-down.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import { WindowEnd } from "../../../src/run/phases/window-end.js";
import * as own from "../../helpers/function-runs.js";
import { endpoints, instance, kill, pod, at, runtime, factsWith } from "../../helpers/synthetic-run.js";

test("the end: one window after the moment down, and one window after the start if it is not down by then", (t) => {
  t.is(windowEndMs(1000, 30_000, null), 31_000);
  t.is(windowEndMs(1000, 30_000, 1000), 31_000);
  t.is(windowEndMs(1000, 30_000, 8_700), 38_700);
  t.is(windowEndMs(1000, 30_000, 31_000), 61_000);
  t.is(windowEndMs(1000, 30_000, 31_001), 31_000, "it should have been released by then");
  t.is(windowEndMs(1000, 30_000, 900), 31_000, "not serving before the attack: the window is not shorter");
});

const { facts: kubelet } = own.kubelet();

/** Follows a window of 60 s that starts at 1000 ms. Events are seen once they have happened. */
function following(
  facts: RunFacts,
  ...all: RunEvent[]
): { end: WindowEnd; leftAt: (nowMs: number) => number } {
  const events: RunEvent[] = [];
  let nowMs = 1000;
  const end = new WindowEnd({ facts, context: { clock: { now: () => nowMs }, recorder: { events } } }, nowMs);
  const leftAt = (tMs: number): number => {
    nowMs = tMs;
    events.splice(0, events.length, ...all.filter((event) => event.tMs <= tMs));
    return end.leftMs();
  };
  return { end, leftAt };
}

test("a target that goes down late is kept down for the whole window", (t) => {
  const up = own.unit(0, "kind-worker", true);
  const { end, leftAt } = following(kubelet, up, own.stopped(1100), own.unit(8_800, "kind-worker", false));
  t.is(leftAt(1000), 60_000);
  t.is(leftAt(8_500), 52_500);
  t.false(end.isDown);
  t.is(leftAt(9_000), 59_800);
  t.true(end.isDown);
  t.is(leftAt(61_000), 7_800);
  t.is(leftAt(68_800), 0);
});

test("a target that never goes down, or cannot be asked, is released after one window", (t) => {
  const up = own.unit(0, "kind-worker", true);
  const silent = at(2000, {
    type: "unit",
    node: "kind-worker",
    unit: "kubelet.service",
    active: false,
    error: "no answer",
  });
  for (const events of [[up], [up, own.stopped(1100)], [up, own.stopped(1100), silent]]) {
    const { end, leftAt } = following(kubelet, ...events);
    t.is(leftAt(60_999), 1);
    t.is(leftAt(61_000), 0);
    t.false(end.isDown);
  }
});

test("a runtime's answer that comes later moves the end", (t) => {
  const { leftAt } = following(
    factsWith({}),
    instance(0, "a", { ready: true }),
    endpoints(0, 1),
    kill(1100, pod("a")),
    endpoints(1200, 0),
    at(1200, { type: "gone", object: pod("a") }),
    runtime(4000, "kind-worker", ["a 0123"]),
    runtime(9000, "kind-worker", []),
  );
  t.is(leftAt(1250), 59_950);
  t.is(leftAt(61_200), 2_800, "the container ran until the first answer at least");
  t.is(leftAt(64_000), 0);
});

test("control runs and flapping count from the start", (t) => {
  const off = [own.unit(0, "kind-worker", true), own.stopped(1100), own.unit(8_800, "kind-worker", false)];
  const { experiment } = kubelet;
  for (const attack of [{ type: "none" }, { type: "systemd-unit", nodes: "one", every: 10_000 }]) {
    const { end, leftAt } = following({ ...kubelet, experiment: { ...experiment, attack } }, ...off);
    t.true(end.fixed);
    t.is(leftAt(9_000), 52_000);
    t.is(leftAt(61_000), 0);
  }
});
