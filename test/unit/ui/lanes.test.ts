import test from "ava";
import type { LiveLane } from "../../../src/ui/base.js";
import { bar, laneLines } from "../../../src/ui/lanes.js";

function lane(probe: string, seconds: readonly (number | null)[], failing = 0): LiveLane {
  return { probe, seconds, failing, sources: 3 };
}

const quiet = Array.from({ length: 60 }, () => 0);

test("a bar: one failure of many is visible, and only a second without a good sample is full", (t) => {
  t.is([null, 0, 0.01, 0.5, 0.99, 1].map(bar).join(""), " ▁▂▅▇█");
});

test("lanes: names and bars are aligned, newest second last, a note about the workers that fail", (t) => {
  const lines = laneLines([lane("app-write", [...quiet, 1, 1], 2), lane("dns", quiet)], {
    lines: 5,
    columns: 40,
  });
  t.deepEqual(
    lines.map(({ name, bars, note }) => `${name}|${bars}|${note}`),
    [
      "app-write|▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██|2 of 3 fail".replace("▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁", "▁".repeat(14)),
      `dns      |${"▁".repeat(16)}|`,
    ],
  );
});

test("lanes: with little room those of the application stay, then those with failures, in their own order", (t) => {
  const lanes = [
    lane("dns", quiet),
    lane("tcp", [0, 1, 0], 1),
    lane("app-read", quiet),
    lane("app-write", quiet),
  ];
  const names = (lines: number): string[] =>
    laneLines(lanes, { lines, columns: 80 }).map(({ name }) => name.trim());
  t.deepEqual(names(9), ["dns", "tcp", "app-read", "app-write"]);
  t.deepEqual(names(3), ["tcp", "app-read", "app-write"]);
  t.deepEqual(names(2), ["app-read", "app-write"]);
  t.deepEqual(names(0), []);
  t.deepEqual(names(-3), []);
});

test("lanes: a narrow terminal loses the notes first, then the lanes", (t) => {
  const at = (columns: number): string[] =>
    laneLines([lane("app-write", [1, 1], 1)], { lines: 5, columns }).map(({ note }) => note);
  t.deepEqual(at(40), ["1 of 3 fail"]);
  t.deepEqual(at(25), [""]);
  t.deepEqual(at(20), []);
});
