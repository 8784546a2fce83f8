import test from "ava";
import fc from "fast-check";
import { impairmentsOf, longestMs, totalMs } from "../../../src/analysis/intervals.js";
import { inOrder, type Point } from "../../../src/analysis/series.js";

const MS = 100;

/** "GGFxGG" → points 100 ms apart: G good, F failed, x missed; answered after 5 ms. Each third asks the next target. */
function series(text: string, targets = 1, fromMs = 0): Point[] {
  const outcomes = { G: "good", F: "failed", x: "missed" } as const;
  return [...text].map((letter, index) => ({
    tMs: fromMs + index * MS,
    durationMs: 5,
    outcome: outcomes[letter as keyof typeof outcomes],
    ...(targets === 1 ? {} : { target: `front-end-${index % targets}` }),
  }));
}

/** "U100-305 I305-": unreachable, intermittent. */
const words = (points: readonly Point[], k: number): string =>
  impairmentsOf(points, k)
    .flatMap(({ spans }) => spans)
    .map(({ kind, fromMs, toMs }) => `${kind === "unreachable" ? "U" : "I"}${fromMs}-${toMs ?? ""}`)
    .join(" ");

const cases: [title: string, text: string, k: number, expected: string][] = [
  ["no samples", "", 3, ""],
  ["only good ones", "GGGG", 3, ""],
  ["to the first answer, when K good ones follow", "GFFGGG", 3, "U100-305"],
  ["K = 1: the first good one", "GFGFG", 1, "U100-205 U300-405"],
  ["two good ones are not three", "FGGFGGG", 3, "I0-405"],
  ["open at the end", "GGFF", 3, "U200-"],
  ["open when too few good ones follow", "GFGG", 3, "I100-"],
  ["missed ticks are no failures", "GxxxG", 3, ""],
  ["missed ticks do not end one", "FxxxGGG", 3, "U0-405"],
  ["missed ticks do not break the row", "FGxGxG", 3, "U0-105"],
  ["missed ticks do not count for K", "FGxx", 3, "I0-"],
  [
    "a long stretch between good samples is unreachable",
    `FG${"F".repeat(30)}GFGGG`,
    3,
    "I0-200 U200-3205 I3205-3405",
  ],
  [
    "long stretches parted by one good sample",
    `${"F".repeat(30)}G${"F".repeat(30)}GGG`,
    3,
    "U0-3005 U3100-6105",
  ],
  ["K good ones part two outages", "FFFGGGFFFGGG", 3, "U0-305 U600-905"],
  ["a single target that fails again soon", "FGGGGGFGGGGFGGG", 3, "I0-1205"],
  ["a single target that fails again later", `FGGG${"G".repeat(12)}FGGG`, 3, "U0-105 U1600-1705"],
  ["every second one fails", `${"FG".repeat(50)}GG`, 3, "I0-9905"],
];
for (const [title, text, k, expected] of cases) {
  test(`impairments: ${title}`, (t) => t.is(words(series(text), k), expected));
}

test("one front end of three fails: intermittent, from its first failed to its next good sample", (t) => {
  t.is(words(series(`GGG${"FGG".repeat(40)}GGGGGGGGG`, 3), 3), `I300-${300 + 120 * MS + 5}`);
});

test("two front ends of three fail: intermittent", (t) => {
  t.is(words(series(`GGG${"FFG".repeat(40)}GGGGGGGGG`, 3), 3), `I300-${300 + 120 * MS + 5}`);
});

test("all front ends fail: unreachable, to the first answer of any", (t) => {
  t.is(words(series(`GGGGFFFFFFFFFF${"G".repeat(9)}`, 3), 3), "U400-1405");
});

test("all front ends fail while one already did: unreachable for that time only", (t) => {
  const text = `${"FGG".repeat(20)}${"F".repeat(30)}${"FGG".repeat(20)}${"G".repeat(9)}`;
  t.is(words(series(text, 3), 3), "I0-6000 U6000-9105 I9105-15005");
});

test("each front end has its own K good samples: good ones of others end nothing", (t) => {
  t.is(words(series("FGGGGGGGGFGGGGGGGGG", 3), 3), "I0-1205");
});

test("a front end that is not asked any more ends nothing, and its failures end", (t) => {
  const before = series("FGGFGG", 3);
  const after = series("G".repeat(30), 2, 600).map((point) => ({
    ...point,
    target: `new-${point.target}`,
  }));
  t.is(words([...before, ...after], 3), "I0-405");
});

test("a sample without any front end fails for all of them", (t) => {
  const [first, ...rest] = series("FGGGGGGG", 3);
  t.is(words([{ tMs: 0, durationMs: 0, outcome: "failed" }, ...rest], 3), "U0-105");
  t.truthy(first);
});

test("a lost SYN is sent again after a second: the samples of the last second of a loss are good, and end with it", (t) => {
  // Packets are lost from 10 s to 40 s; a sample times out after 2 s.
  const points: Point[] = [];
  for (let tMs = 0; tMs < 60_000; tMs += 250) {
    const lost = tMs >= 10_000 && tMs < 40_000;
    const late = tMs + 1000 >= 40_000;
    points.push(
      lost
        ? { tMs, durationMs: late ? 1005 : 2000, outcome: late ? "good" : "failed" }
        : { tMs, durationMs: 5, outcome: "good" },
    );
  }
  t.is(words(points, 3), "U10000-40005");
});

test("one of three instances behind a Service fails: intermittent for the time, no series of outages", (t) => {
  // A linear congruential generator: the same "chance" in every run.
  let state = 7;
  const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  const points = Array.from({ length: 240 }, (_, index): Point => {
    const failed = index >= 60 && index < 180 && random() < 1 / 3;
    return { tMs: index * 250, durationMs: 5, outcome: failed ? "failed" : "good" };
  });
  const spans = impairmentsOf(points, 3).flatMap((impairment) => impairment.spans);
  t.deepEqual([...new Set(spans.map(({ kind }) => kind))], ["intermittent"]);
  t.true(spans.length <= 2);
  t.true(totalMs(spans, Infinity) > 24_000);
});

test("requests that waited for the end of an outage are no gap in it", (t) => {
  const slow = (at: number): Point => ({ tMs: at, durationMs: 1_000, outcome: "good" });
  const points = series(`GG${"F".repeat(30)}GGGG`).map((point) =>
    [2_600, 2_800].includes(point.tMs) ? slow(point.tMs) : point,
  );
  t.is(words(points, 3), "U200-3205");
  const answered = points.map((point) => (point.durationMs === 1_000 ? { ...point, durationMs: 50 } : point));
  t.is(words(answered, 3), "U200-2650 I2650-3205", "answered within it: there was a gap");
});

test("longest and total: an outage without an end counts up to the given moment", (t) => {
  const outages = impairmentsOf(series("FGGGGGFFGGGGGFFF"), 1);
  t.is(longestMs(outages, 1800), 500);
  t.is(totalMs(outages, 1800), 105 + 205 + 500);
  t.is(longestMs([], 1000), 0);
});

const points = fc.array(
  fc.record(
    {
      tMs: fc.integer({ min: 0, max: 5000 }),
      durationMs: fc.integer({ min: 0, max: 2000 }),
      outcome: fc.constantFrom("good" as const, "failed" as const, "missed" as const),
      target: fc.constantFrom("a", "b", "c"),
    },
    { requiredKeys: ["tMs", "durationMs", "outcome"] },
  ),
  { maxLength: 80 },
);
const k = fc.integer({ min: 1, max: 5 });
const end = (toMs: number | null): number => toMs ?? Infinity;

test("property: outages and intermittent times are in order and apart, and together have every failed sample", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      const found = impairmentsOf(all, inARow);
      const spans = found.flatMap((impairment) => impairment.spans);
      spans.slice(1).forEach(({ fromMs }, index) => t.true(end(spans[index]?.toMs ?? null) <= fromMs));
      for (const { fromMs, toMs } of spans) t.true(end(toMs) >= fromMs);
      const failed = inOrder(all).filter(({ outcome }) => outcome === "failed");
      t.deepEqual(
        found.flatMap(({ failedMs }) => failedMs),
        failed.map(({ tMs }) => tMs),
      );
      t.is(
        spans.reduce((total, span) => total + span.failed, 0),
        failed.length,
      );
      for (const { tMs } of failed)
        t.true(spans.some(({ fromMs, toMs }) => tMs >= fromMs && tMs <= end(toMs)));
    }),
  );
  t.pass();
});

test("property: every sample of an outage failed, some of an intermittent time did; outside of both all are good", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      const found = impairmentsOf(all, inARow);
      for (const { kind, failed, samples } of found.flatMap((impairment) => impairment.spans)) {
        if (kind === "unreachable") t.is(failed, samples);
        else t.true(failed > 0 && failed < samples);
      }
      for (const { fromMs, toMs, failedMs } of found) {
        t.is(failedMs[0], fromMs);
        t.true((failedMs.at(-1) ?? 0) <= end(toMs));
      }
    }),
  );
  t.pass();
});

test("property: an impairment of one target has no long row of good samples", (t) => {
  fc.assert(
    fc.property(points, k, (all, inARow) => {
      const counted = inOrder(all)
        .filter(({ outcome }) => outcome !== "missed")
        .map((point) => ({ ...point, target: "a" }));
      for (const { fromMs, failedMs } of impairmentsOf(counted, inARow)) {
        let good = 0;
        for (const { tMs, outcome } of counted) {
          if (tMs <= fromMs || tMs >= (failedMs.at(-1) ?? 0)) continue;
          good = outcome === "good" ? good + 1 : 0;
          t.true(good < 4 * inARow);
        }
      }
    }),
  );
  t.pass();
});

test("property: shifting all times shifts the impairments and changes no length", (t) => {
  fc.assert(
    fc.property(points, k, fc.integer({ min: -100_000, max: 100_000 }), (all, inARow, shift) => {
      const moved = all.map((point) => ({ ...point, tMs: point.tMs + shift }));
      const spans = (given: readonly Point[]): unknown[] =>
        impairmentsOf(given, inARow).flatMap((impairment) => impairment.spans);
      const shifted = impairmentsOf(all, inARow)
        .flatMap((impairment) => impairment.spans)
        .map((span) => ({
          ...span,
          fromMs: span.fromMs + shift,
          toMs: span.toMs === null ? null : span.toMs + shift,
        }));
      t.deepEqual(spans(moved), shifted);
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
      t.deepEqual(impairmentsOf(mixed, inARow), impairmentsOf(all, inARow));
    }),
  );
  t.pass();
});

test("property: one of n front ends cut: intermittent, its length known within one turn of the front ends", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 6 }),
      fc.integer({ min: 2000, max: 40_000 }),
      fc.integer({ min: 0, max: 5000 }),
      (frontEnds, cutMs, fromMs) => {
        const turn = frontEnds * 250;
        const cut = Math.max(cutMs, 2 * turn);
        const all: Point[] = Array.from({ length: 400 }, (_, index) => {
          const tMs = index * 250;
          const target = `front-end-${index % frontEnds}`;
          const failed = target === "front-end-0" && tMs >= fromMs && tMs < fromMs + cut;
          return { tMs, durationMs: 5, outcome: failed ? ("failed" as const) : ("good" as const), target };
        });
        const spans = impairmentsOf(all, 3).flatMap((impairment) => impairment.spans);
        t.deepEqual(
          spans.map(({ kind }) => kind),
          ["intermittent"],
        );
        t.true(Math.abs(totalMs(spans, Infinity) - cut) <= turn + 5);
      },
    ),
  );
  t.pass();
});
