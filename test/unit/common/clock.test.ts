import { after } from "../../../src/common/clock.js";
import test from "ava";
import type { Clock } from "../../../src/common/clock.js";
import { pollUntil, systemClock, within } from "../../../src/common/clock.js";
import { ChaosError } from "../../../src/common/errors.js";

/** A clock that only sleeping advances. Its wall clock jumps by an hour on each read. */
function steppedClock(): Clock & { readonly slept: number[] } {
  let now = 0;
  let asked = 0;
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    after,
    wall: () => new Date(Date.UTC(2026, 0, 1) + now + (asked++ % 2 === 0 ? 1 : -1) * 3_600_000),
    sleep: async (ms, signal) => {
      if (signal?.aborted === true) return;
      slept.push(ms);
      now += ms;
      await Promise.resolve();
    },
  };
}

const never = new Promise<never>(() => undefined);

test("within returns a result or a rejection in time", async (t) => {
  const clock = systemClock();
  const options = { limitMs: 60_000, what: "nothing came" };
  t.is(await within(clock, options, Promise.resolve(7)), 7);
  await t.throwsAsync(within(clock, options, Promise.reject(new Error("refused"))), { message: "refused" });
});

test("within throws at its limit and names what is missing", async (t) => {
  const clock = steppedClock();
  await t.throwsAsync(within(clock, { limitMs: 30_000, what: "the watches had not listed once" }, never), {
    instanceOf: ChaosError,
    message: "the watches had not listed once within 30 s",
  });
  t.deepEqual(clock.slept, [30_000]);
});

test("within ends without an error when the signal aborts", async (t) => {
  const abort = new AbortController();
  const waiting = within(systemClock(), { limitMs: 60_000, what: "x", signal: abort.signal }, never);
  abort.abort();
  t.is(await waiting, undefined);
});

test("pollUntil measures its limit with the monotonic clock, not the wall clock", async (t) => {
  const clock = steppedClock();
  let asked = 0;
  const answer = await pollUntil(clock, { everyMs: 1_000, limitMs: 10_000 }, async () => {
    asked += 1;
    clock.wall();
    return await Promise.resolve(undefined);
  });
  t.is(answer, undefined);
  t.is(asked, 11);
  t.is(clock.now(), 10_000);
});
