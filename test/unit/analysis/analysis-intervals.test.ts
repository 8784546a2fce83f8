import test from "ava";
import fc from "fast-check";
import { longestMs, outagesOf, totalMs } from "../../../src/analysis/intervals.js";
import type { Point } from "../../../src/analysis/series.js";

/** "GGFxGG" → points 100 ms apart: G good, F failed, x missed. */
function series(text: string, fromMs = 0): Point[] {
  const outcomes = { G: "good", F: "failed", x: "missed" } as const;
  return [...text].map((letter, index) => ({
    tMs: fromMs + index * 100,
    durationMs: 5,
    outcome: outcomes[letter as keyof typeof outcomes],
  }));
}

const cases: [string, string, number, [number, number | null][]][] = [
  ["no samples", "", 3, []],
  ["only good ones", "GGGG", 3, []],
  ["ends with the first of K good ones", "GFFGGG", 3, [[100, 300]]],
  [
    "K = 1: the first good one",
    "GFGFG",
    1,
    [
      [100, 200],
      [300, 400],
    ],
  ],
  ["two good ones are not three", "FGGFGGG", 3, [[0, 400]]],
  ["open at the end", "GGFF", 3, [[200, null]]],
  ["open when too few good ones follow", "GFGG", 3, [[100, null]]],
  ["missed ticks make no outage", "GxxxG", 3, []],
  ["missed ticks do not end one", "FxxxGGG", 3, [[0, 400]]],
  ["missed ticks do not break the row", "FGxGxG", 3, [[0, 100]]],
  ["missed ticks do not count for K", "FGxx", 3, [[0, null]]],
];
for (const [title, text, k, expected] of cases) {
  test(`outages: ${title}`, (t) => {
    t.deepEqual(
      outagesOf(series(text), k).map(({ fromMs, toMs }) => [fromMs, toMs]),
      expected,
    );
  });
}

test("longest and total: an outage without an end counts up to the given moment", (t) => {
  const outages = outagesOf(series("FGFFGFFF"), 1);
  t.is(longestMs(outages, 1000), 500);
  t.is(totalMs(outages, 1000), 100 + 200 + 500);
  t.is(longestMs([], 1000), 0);
});

const points = fc.array(
  fc.record({
    tMs: fc.integer({ min: 0, max: 5000 }),
    durationMs: fc.integer({ min: 0, max: 2000 }),
    outcome: fc.constantFrom("good" as const, "failed" as const, "missed" as const),
  }),
  { maxLength: 80 },
);
const k = fc.integer({ min: 1, max: 5 });

test("property: every failed sample is in an outage, every outage begins with one, and they do not overlap", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      const outages = outagesOf(all, inARow);
      const failed = all.filter(({ outcome }) => outcome === "failed");
      for (const { tMs } of failed) {
        t.true(outages.some(({ fromMs, toMs }) => tMs >= fromMs && (toMs === null || tMs <= toMs)));
      }
      for (const { fromMs } of outages) t.true(failed.some(({ tMs }) => tMs === fromMs));
      outages.slice(1).forEach(({ fromMs }, index) => t.true((outages[index]?.toMs ?? Infinity) <= fromMs));
    }),
  );
  t.pass();
});

test("property: K good samples in a row are never inside an outage", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      // One moment, one sample: what "in a row" means needs an order.
      const distinct = [...new Map(all.map((point) => [point.tMs, point])).values()];
      distinct.sort((a, b) => a.tMs - b.tMs);
      const counted = distinct.filter(({ outcome }) => outcome !== "missed");
      for (const { fromMs, toMs } of outagesOf(distinct, inARow)) {
        let good = 0;
        for (const { tMs, outcome } of counted) {
          if (tMs < fromMs || (toMs !== null && tMs >= toMs)) continue;
          good = outcome === "good" ? good + 1 : 0;
          t.true(good < inARow);
        }
        if (toMs === null) continue;
        const after = counted.filter(({ tMs }) => tMs >= toMs).slice(0, inARow);
        t.true(after.length === inARow && after.every(({ outcome }) => outcome === "good"));
      }
    }),
  );
  t.pass();
});

test("property: the total is no more than the span, the longest no more than the total", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      const outages = outagesOf(all, inARow);
      const starts = all.map(({ tMs }) => tMs);
      const span = all.length === 0 ? 0 : Math.max(...starts) - Math.min(...starts);
      const until = Math.max(0, ...starts);
      t.true(totalMs(outages, until) <= span);
      t.true(longestMs(outages, until) <= totalMs(outages, until));
    }),
  );
  t.pass();
});

test("property: shifting all times shifts the outages and changes no length", (t) => {
  fc.assert(
    fc.property(points, k, fc.integer({ min: -100_000, max: 100_000 }), (all, inARow, shift) => {
      const moved = all.map((point) => ({ ...point, tMs: point.tMs + shift }));
      t.deepEqual(
        outagesOf(moved, inARow),
        outagesOf(all, inARow).map(({ fromMs, toMs }) => ({
          fromMs: fromMs + shift,
          toMs: toMs === null ? null : toMs + shift,
        })),
      );
    }),
  );
  t.pass();
});

test("property: the order of the input does not matter", (t) => {
  const shuffled = points.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })),
  );
  fc.assert(
    fc.property(shuffled, k, ([all, mixed], inARow) => {
      t.deepEqual(outagesOf(mixed, inARow), outagesOf(all, inARow));
    }),
  );
  t.pass();
});

test("property: a larger K never shortens an outage", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      t.true(totalMs(outagesOf(all, inARow + 1), 10_000) >= totalMs(outagesOf(all, inARow), 10_000));
    }),
  );
  t.pass();
});
