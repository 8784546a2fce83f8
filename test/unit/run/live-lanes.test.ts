import test from "ava";
import { LANE_SECONDS, LiveLanes } from "../../../src/run/measuring/live-lanes.js";
import type { FailedLine, GoodLine } from "../../../src/evidence/sample.js";

function sample(ok: boolean, probe = "app-write"): GoodLine | FailedLine {
  return { probe, t: 0, ms: 1, ok, ...(ok ? {} : { kind: "timeout" }) } as unknown as GoodLine | FailedLine;
}

test("a lane has the share of failed samples of each second, all workers together, up to the last full second", (t) => {
  const lanes = new LiveLanes();
  for (const [source, ok, tMs] of [
    ["a", true, 100_100],
    ["b", false, 100_900],
    ["a", false, 101_000],
    ["a", true, 103_000],
  ] as const)
    lanes.add(source, sample(ok), tMs);
  const [lane] = lanes.at(103_500);
  t.is(lane?.seconds.length, LANE_SECONDS);
  t.deepEqual(lane?.seconds.slice(-4), [null, 0.5, 1, null]);
  t.is(lane?.failing, 1, "the newest sample of b failed");
  t.is(lane?.sources, 2);
});

test("a lane keeps only what it shows", (t) => {
  const lanes = new LiveLanes();
  for (let second = 0; second < 10_000; second++) lanes.add("a", sample(second % 2 === 0), second * 1000);
  const [lane] = lanes.at(10_000_000);
  t.true(lane?.seconds.every((share) => share !== null));
});
