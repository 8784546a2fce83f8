import test from "ava";
import {
  FIRST_VIGIL,
  type Poll,
  type Vigil,
  type Verdict,
  watched,
} from "../../../src/safety/dead-man/vigil.js";

const LIMITS = { staleAfterMs: 60_000, gapMs: 13_000 };
const lease = (mark: string): Poll => ({ seen: "lease", mark });
const COPIES: Poll = { seen: "copies" };
const NOTHING: Poll = { seen: "nothing" };
const UNKNOWN: Poll = { seen: "unknown" };

/** The verdict of each of these polls. */
function verdicts(polls: readonly (readonly [number, Poll])[]): Verdict[] {
  let vigil: Vigil = FIRST_VIGIL;
  return polls.map(([nowMs, poll]) => {
    const next = watched(vigil, poll, nowMs, LIMITS);
    vigil = next.vigil;
    return next.verdict;
  });
}

/** A poll every 5 s, from one time to another. */
function every5s(fromMs: number, toMs: number, poll: (nowMs: number) => Poll): (readonly [number, Poll])[] {
  const times = Array.from({ length: (toMs - fromMs) / 5_000 + 1 }, (_, index) => fromMs + index * 5_000);
  return times.map((nowMs) => [nowMs, poll(nowMs)] as const);
}

/** When the verdict is first "act", ms; undefined: never. */
function actsAt(polls: readonly (readonly [number, Poll])[]): number | undefined {
  const index = verdicts(polls).indexOf("act");
  return index < 0 ? undefined : polls[index]?.[0];
}

test("renewed every 15 s: the switch never acts", (t) => {
  const polls = every5s(0, 3_600_000, (nowMs) => lease(String(Math.floor(nowMs / 15_000))));
  t.deepEqual(new Set(verdicts(polls)), new Set(["watch"]));
});

test("not renewed: it acts 60 s after the last change that it saw, not one poll earlier", (t) => {
  t.is(actsAt(every5s(0, 100_000, () => lease("a"))), 60_000);
  const late = every5s(0, 200_000, (nowMs) => lease(nowMs < 40_000 ? String(nowMs) : "last"));
  t.is(actsAt(late), 100_000);
});

test("renewed after 59 s of silence: the count starts again", (t) => {
  const polls = every5s(0, 115_000, (nowMs) => lease(nowMs <= 55_000 ? "a" : "b"));
  t.is(actsAt(polls), undefined);
});

test("a new holder counts as a change, too", (t) => {
  const polls = every5s(0, 200_000, (nowMs) => lease(nowMs < 50_000 ? "uid run@a time" : "uid run@b time"));
  t.is(actsAt(polls), 110_000);
});

test("the time while the API server is away does not count; the time before it does", (t) => {
  const away = every5s(0, 400_000, (nowMs) => (nowMs > 20_000 && nowMs < 320_000 ? UNKNOWN : lease("a")));
  // 20 s before the outage; the first answer at 320 s only starts the count again.
  t.is(actsAt(away), 360_000);
});

test("one poll in three gets no answer: only time between two answers counts", (t) => {
  const polls = every5s(0, 600_000, (nowMs) => (nowMs % 15_000 === 0 ? UNKNOWN : lease("a")));
  // Of every 15 s, 5 s lie between two answers.
  t.is(actsAt(polls), 175_000);
});

test("a pause of the switch itself does not count as silence of the runner", (t) => {
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

test("a gap of exactly the limit counts, one a millisecond longer does not", (t) => {
  const polls = (gapMs: number): (readonly [number, Poll])[] =>
    Array.from({ length: 6 }, (_, index) => [index * gapMs, lease("a")] as const);
  t.is(actsAt(polls(13_000)), 65_000);
  t.is(actsAt(polls(13_001)), undefined);
});

test("no Lease, but a copy: counts as silence from the first poll that shows it", (t) => {
  const polls = every5s(0, 200_000, (nowMs) => (nowMs < 55_000 ? lease("a") : COPIES));
  t.is(actsAt(polls), 115_000);
});

test("neither Lease nor copy: the run is over, and the count is reset", (t) => {
  t.deepEqual(verdicts([[0, NOTHING]]), ["finished"]);
  const polls = every5s(0, 200_000, (nowMs) => (nowMs === 55_000 ? NOTHING : lease("a")));
  t.is(verdicts(polls)[11], "finished");
  t.is(actsAt(polls), 120_000);
});

test("an unanswered poll never acts, even when the time is up", (t) => {
  const polls = [...every5s(0, 55_000, () => lease("a")), [60_000, UNKNOWN] as const];
  t.is(verdicts(polls).at(-1), "watch");
});
