import test from "ava";
import { expectedMs, expectedRestMs } from "../../../src/run/expected-time.js";

const short = { baseline: 15_000, window: 30_000 };
const long = { baseline: 15_000, window: 60_000 };

test("a run takes its baseline, its window, and what the example runs took beside them", (t) => {
  t.is(expectedMs(short), 90_000);
});

test("the rest of a session: as planned before its first run, then at the pace of the runs so far", (t) => {
  t.is(expectedRestMs([short, long], { runs: [], tookMs: 0 }), 210_000);
  t.is(expectedRestMs([long], { runs: [short], tookMs: 180_000 }), 240_000);
  t.is(expectedRestMs([], { runs: [short], tookMs: 180_000 }), 0);
});
