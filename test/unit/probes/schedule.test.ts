import test from "ava";
import type { Outcome } from "../../../src/probes/agent/judge.js";
import { maxInFlight, sampleOnce, startFixedRate, startProbe } from "../../../src/probes/agent/schedule.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { FakeClock, settled } from "../../helpers/prober-servers.js";

/** Starts a schedule that records its ticks and late ticks. */
function noted(
  clock: FakeClock,
  firstMs: number,
  intervalMs: number,
): { ticks: number[]; late: number[]; stop: () => void } {
  const ticks: number[] = [];
  const late: number[] = [];
  const stop = startFixedRate({
    firstMs,
    intervalMs,
    clock,
    onTick: () => ticks.push(clock.now()),
    onLate: (dueMs) => late.push(dueMs),
  });
  return { ticks, late, stop };
}

test("ticks come at first + k·interval", async (t) => {
  const clock = new FakeClock(1000);
  const { ticks, late } = noted(clock, 1010, 250);
  await clock.advance(1100);
  t.deepEqual(ticks, [1010, 1260, 1510, 1760, 2010]);
  t.deepEqual(late, []);
});

test("ticks before the start are neither made up for nor missed", async (t) => {
  const clock = new FakeClock(1600);
  const { ticks, late } = noted(clock, 1010, 250);
  await clock.advance(400);
  t.deepEqual(ticks, [1760]);
  t.deepEqual(late, []);
});

test("a late wake-up does not shift the ticks after it", async (t) => {
  const clock = new FakeClock(1000);
  const { ticks, late } = noted(clock, 1000, 250);
  await clock.advance(1);
  await clock.stall(399); // the tick of 1250 is taken at 1400
  await clock.advance(400);
  t.deepEqual(ticks, [1000, 1400, 1500, 1750]);
  t.deepEqual(late, []);
});

test("each tick that the next one overtakes is late", async (t) => {
  const clock = new FakeClock(1000);
  const { ticks, late } = noted(clock, 1100, 250);
  await clock.advance(150);
  await clock.stall(1000); // 2150: those of 1350, 1600 and 1850 were overtaken, that of 2100 is taken
  await clock.advance(250);
  t.deepEqual(ticks, [1100, 2150, 2350]);
  t.deepEqual(late, [1350, 1600, 1850]);
});

test("an interval that floating point cannot represent does not drift", async (t) => {
  const clock = new FakeClock(0);
  const intervalMs = 1000 / 3;
  let count = 0;
  startFixedRate({
    firstMs: 0.7,
    intervalMs,
    clock,
    onTick: () => {
      count += 1;
      const behind = clock.now() - (0.7 + (count - 1) * intervalMs);
      if (!(behind >= 0 && behind < 1.001)) t.fail(`tick ${count} is ${behind} ms behind`);
    },
    onLate: () => t.fail("late"),
  });
  await clock.advance(20_000);
  t.is(count, 60);
});

test("after a timer that fires too early, the schedule sleeps again", async (t) => {
  const clock = new FakeClock(1000);
  const early: FakeClock = Object.assign(Object.create(FakeClock.prototype) as FakeClock, {
    now: clock.now,
    clearTimeout: clock.clearTimeout,
    setTimeout: (run: () => void, ms: number) => clock.setTimeout(run, Math.max(1, ms - 5)),
  });
  const { ticks, late } = noted(early, 1100, 250);
  await clock.advance(300);
  t.deepEqual(ticks, [1100]);
  t.deepEqual(late, []);
});

test("stop ends the ticks, also from within a tick", async (t) => {
  const clock = new FakeClock(1000);
  let ticks = 0;
  const stop = startFixedRate({
    firstMs: 1000,
    intervalMs: 100,
    clock,
    onTick: () => {
      ticks += 1;
      if (ticks === 3) stop();
    },
    onLate: () => t.fail(),
  });
  await clock.advance(1000);
  t.is(ticks, 3);
});

/** A probe whose samples end when the test ends them. */
function probeOf(
  clock: FakeClock,
  limit: number,
): {
  lines: SampleLine[];
  pending: Array<(outcome: Outcome | undefined) => void>;
  probe: { stop(): Promise<void> };
} {
  const lines: SampleLine[] = [];
  const pending: Array<(outcome: Outcome | undefined) => void> = [];
  const probe = startProbe({
    probe: "tcp-pod",
    firstMs: 1000,
    intervalMs: 100,
    clock,
    limit: () => limit,
    measure: () => new Promise((resolve) => pending.push(resolve)),
    emit: (line) => lines.push(line),
  });
  return { lines, pending, probe };
}

test("samples overlap; those over the limit are missed as busy; each line has its send time", async (t) => {
  const clock = new FakeClock(1000);
  const { lines, pending } = probeOf(clock, 3);
  await clock.advance(450); // ticks at 1000 … 1400
  t.is(pending.length, 3);
  t.deepEqual(lines, [
    { probe: "tcp-pod", t: 1300, missed: "busy" },
    { probe: "tcp-pod", t: 1400, missed: "busy" },
  ]);
  pending[1]?.({ ok: true }); // a slow one does not hold up the next
  await settled();
  t.deepEqual(lines.at(-1), { probe: "tcp-pod", t: 1100, d: 350, ok: true });
  await clock.advance(100);
  t.is(pending.length, 4);
});

test("late ticks become lines and never failures", async (t) => {
  const clock = new FakeClock(1000);
  const { lines } = probeOf(clock, 3);
  await clock.advance(50);
  await clock.stall(300);
  t.deepEqual(lines, [
    { probe: "tcp-pod", t: 1100, missed: "late" },
    { probe: "tcp-pod", t: 1200, missed: "late" },
  ]);
});

test("stop waits for the samples in progress", async (t) => {
  const clock = new FakeClock(1000);
  const { lines, pending, probe } = probeOf(clock, 3);
  await clock.advance(10);
  let stopped = false;
  const stopping = probe.stop().then(() => (stopped = true));
  await settled();
  t.false(stopped);
  pending[0]?.({ ok: false, kind: "timeout", message: "slow" });
  await stopping;
  t.deepEqual(lines, [{ probe: "tcp-pod", t: 1000, d: 10, ok: false, kind: "timeout", message: "slow" }]);
});

test("a sample that cannot be judged gives no line", async (t) => {
  const clock = new FakeClock(1000);
  const { lines, pending } = probeOf(clock, 3);
  await clock.advance(10);
  pending[0]?.(undefined);
  await settled();
  t.deepEqual(lines, []);
});

test("any thrown value becomes a failed line", async (t) => {
  const now = (): number => 5;
  const broken = await sampleOnce("outside", () => Promise.reject(new TypeError("no such thing")), now);
  t.deepEqual(broken, {
    probe: "outside",
    t: 5,
    d: 0,
    ok: false,
    kind: "other",
    message: "no such thing",
  });
  const throwing = (): Promise<Outcome> => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- a package may throw anything
    throw undefined;
  };
  t.like(await sampleOnce("outside", throwing, now), { ok: false, kind: "other" });
});

test("the limit is as many samples as can time out together, plus a margin", (t) => {
  t.is(maxInFlight(2000, 250), 12);
  t.is(maxInFlight(900, 60_000), 5);
});
