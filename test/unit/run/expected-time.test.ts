import test from "ava";
import { expectedRestMs } from "../../../src/run/expected-time.js";

test("the rest of a session: as planned before its first run, then at the pace of the runs so far", (t) => {
  t.is(expectedRestMs([90_000, 120_000], { planned: [], tookMs: 0 }), 210_000);
  t.is(expectedRestMs([120_000], { planned: [90_000], tookMs: 180_000 }), 240_000);
  t.is(expectedRestMs([], { planned: [90_000], tookMs: 180_000 }), 0);
});
