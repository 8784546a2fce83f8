import test from "ava";
import {
  FIRST_VIGIL,
  type Look,
  type Vigil,
  type Verdict,
  watched,
} from "../../../src/safety/dead-man/vigil.js";

const LIMITS = { staleAfterMs: 60_000, gapMs: 13_000 };
const lease = (mark: string): Look => ({ seen: "lease", mark });
const COPIES: Look = { seen: "copies" };
const NOTHING: Look = { seen: "nothing" };
const UNKNOWN: Look = { seen: "unknown" };

/** Looks at these times; the verdict of each. */
function verdicts(looks: readonly (readonly [number, Look])[]): Verdict[] {
  let vigil: Vigil = FIRST_VIGIL;
  return looks.map(([nowMs, look]) => {
    const next = watched(vigil, look, nowMs, LIMITS);
    vigil = next.vigil;
    return next.verdict;
  });
}

/** The same look every 5 s, from one time to another. */
function every5s(fromMs: number, toMs: number, look: (nowMs: number) => Look): (readonly [number, Look])[] {
  const times = Array.from({ length: (toMs - fromMs) / 5_000 + 1 }, (_, index) => fromMs + index * 5_000);
  return times.map((nowMs) => [nowMs, look(nowMs)] as const);
}

/** When it was first to act, ms; undefined: never. */
function actsAt(looks: readonly (readonly [number, Look])[]): number | undefined {
  const index = verdicts(looks).indexOf("act");
  return index < 0 ? undefined : looks[index]?.[0];
}

test("renewed every 15 s: it never acts, however long", (t) => {
  const looks = every5s(0, 3_600_000, (nowMs) => lease(String(Math.floor(nowMs / 15_000))));
  t.deepEqual(new Set(verdicts(looks)), new Set(["watch"]));
});

test("silent: it acts 60 s after the last change that it saw, not a look before", (t) => {
  t.is(actsAt(every5s(0, 100_000, () => lease("a"))), 60_000);
  const late = every5s(0, 200_000, (nowMs) => lease(nowMs < 40_000 ? String(nowMs) : "last"));
  t.is(actsAt(late), 100_000);
});

test("renewed after 59 s of silence: the count begins anew", (t) => {
  const looks = every5s(0, 115_000, (nowMs) => lease(nowMs <= 55_000 ? "a" : "b"));
  t.is(actsAt(looks), undefined);
});

test("another holder is a change, too", (t) => {
  const looks = every5s(0, 200_000, (nowMs) => lease(nowMs < 50_000 ? "uid run@a time" : "uid run@b time"));
  t.is(actsAt(looks), 110_000);
});

test("an API server that is away says nothing: its time does not count, what was counted before does", (t) => {
  const away = every5s(0, 400_000, (nowMs) => (nowMs > 20_000 && nowMs < 320_000 ? UNKNOWN : lease("a")));
  // 20 s before; from 320 s on, where the first answer only begins to count.
  t.is(actsAt(away), 360_000);
});

test("one look in three is not answered: only time between two answers counts", (t) => {
  const looks = every5s(0, 600_000, (nowMs) => (nowMs % 15_000 === 0 ? UNKNOWN : lease("a")));
  // Of every 15 s, 5 s lie between two answers.
  t.is(actsAt(looks), 175_000);
});

test("a pause of our own is no silence of the runner's", (t) => {
  t.deepEqual(
    verdicts([
      [0, lease("a")],
      [5_000, lease("a")],
      [900_000, lease("a")],
      [905_000, lease("a")],
    ]),
    ["watch", "watch", "watch", "watch"],
  );
});

test("gaps of exactly the limit count, a millisecond more does not", (t) => {
  const looks = (gapMs: number): (readonly [number, Look])[] =>
    Array.from({ length: 6 }, (_, index) => [index * gapMs, lease("a")] as const);
  t.is(actsAt(looks(13_000)), 65_000);
  t.is(actsAt(looks(13_001)), undefined);
});

test("no Lease, but a copy: as if it were silent, counted from when it was seen so", (t) => {
  const looks = every5s(0, 200_000, (nowMs) => (nowMs < 55_000 ? lease("a") : COPIES));
  t.is(actsAt(looks), 115_000);
});

test("neither Lease nor copy: the run is over, and nothing that was counted is left of it", (t) => {
  t.deepEqual(verdicts([[0, NOTHING]]), ["finished"]);
  const looks = every5s(0, 200_000, (nowMs) => (nowMs === 55_000 ? NOTHING : lease("a")));
  t.is(verdicts(looks)[11], "finished");
  t.is(actsAt(looks), 120_000);
});

test("an unanswered look never acts, not even when the time is up", (t) => {
  const looks = [...every5s(0, 55_000, () => lease("a")), [60_000, UNKNOWN] as const];
  t.is(verdicts(looks).at(-1), "watch");
});
