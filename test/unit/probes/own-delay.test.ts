/** How late a prober or the runner is itself: a stall covers everything that was in progress. */
import test from "ava";
import type { OwnLine } from "../../../src/evidence/sample.js";
import { cpuCounts, cpuLine, startCpuWatch, startOwnDelay } from "../../../src/probes/agent/own-delay.js";
import { sampleOnce } from "../../../src/probes/agent/schedule.js";
import { FakeClock, settled } from "../../helpers/prober-servers.js";

function measured(clock: FakeClock): { readonly lines: OwnLine[]; readonly stop: () => void } {
  const lines: OwnLine[] = [];
  return { lines, stop: startOwnDelay({ clock, emit: (line) => lines.push(line) }) };
}

test("a program that is on time, or under 50 ms late, writes nothing", async (t) => {
  const clock = new FakeClock(1000);
  const { lines, stop } = measured(clock);
  await clock.advance(500);
  await clock.stall(99); // the tick of 1550 at 1599
  await clock.advance(500);
  stop();
  t.deepEqual(lines, []);
});

test("a delay lasts from the last tick on time to the next one", async (t) => {
  const clock = new FakeClock(1000);
  const { lines } = measured(clock);
  await clock.advance(510);
  await clock.stall(300); // 1810: the tick of 1550, 260 ms late
  t.deepEqual(lines, []);
  await clock.advance(50);
  t.deepEqual(lines, [{ own: "late", t: 1500, d: 360, late: 260 }]);
});

test("delays without a tick on time between them are one, with the longest of them", async (t) => {
  const clock = new FakeClock(1000);
  const { lines } = measured(clock);
  await clock.stall(150);
  await clock.stall(250);
  await clock.stall(120);
  await clock.advance(50);
  t.deepEqual(lines, [{ own: "late", t: 1000, d: 570, late: 200 }]);
});

test("a long stall is written at its end, and one that continues every second", async (t) => {
  const clock = new FakeClock(0);
  const { lines, stop } = measured(clock);
  for (let k = 0; k < 15; k += 1) await clock.stall(150);
  stop();
  t.deepEqual(
    lines.map((line) => [line.t, line.d]),
    [
      [0, 1050],
      [1050, 1050],
      [2100, 150],
    ],
  );
});

test("a prober that was stopped and continued: the sample in progress, which times out then, is inside the delay", async (t) => {
  const clock = new FakeClock(1000);
  const { lines } = measured(clock);
  await clock.advance(240);
  const sample = sampleOnce(
    "tcp-pod",
    async () => await new Promise((_, reject) => clock.setTimeout(() => reject(new Error("timeout")), 900)),
    clock.now,
  );
  await clock.stall(3000);
  await clock.advance(50);
  const line = await sample;
  const [first, last] = [lines[0], lines.at(-1)];
  if (line === undefined || !("d" in line) || first === undefined || last === undefined) return t.fail();
  t.true(line.t >= first.t && line.t + line.d <= last.t + last.d, JSON.stringify([line, lines]));
  t.true(last.t + last.d - first.t < 3150, "not much longer than the stop");
});

const STAT = (user: number, idle: number, steal: number): string =>
  `cpu  ${user} 0 0 ${idle} 0 0 0 ${steal} 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n`;
const PRESSURE = (totalUs: number): string =>
  `some avg10=1.00 avg60=0.50 avg300=0.10 total=${totalUs}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n`;

test("the machine's figures: steal of all CPUs' time, and the share of time in which a task waited", (t) => {
  const before = cpuCounts(STAT(100, 100, 0), PRESSURE(1_000_000));
  const after = cpuCounts(STAT(450, 500, 250), PRESSURE(3_500_000));
  t.deepEqual(cpuLine(before, after, 10, 5000), { own: "cpu", t: 10, d: 5000, steal: 0.25, pressure: 0.5 });
  t.is(cpuLine(before, cpuCounts(STAT(700, 500, 1), PRESSURE(1_100_000)), 10, 5000), undefined, "not busy");
});

test("a machine without these figures is not busy", async (t) => {
  t.deepEqual(cpuCounts("", ""), {});
  t.is(cpuLine({}, {}, 0, 5000), undefined);
  t.is(cpuLine({}, cpuCounts(STAT(1, 1, 900), PRESSURE(9e9)), 0, 5000), undefined, "nothing to compare with");
  const clock = new FakeClock(0);
  const lines: OwnLine[] = [];
  let reads = 0;
  const stop = startCpuWatch({ clock, emit: (line) => lines.push(line) }, async () => {
    reads += 1;
    return await Promise.resolve("");
  });
  await settled();
  await clock.advance(10_000);
  stop();
  await clock.advance(10_000);
  t.is(reads, 6, "two files, every five seconds, until it ends");
  t.deepEqual(lines, []);
});

test("the machine is looked at every five seconds", async (t) => {
  const clock = new FakeClock(0);
  const lines: OwnLine[] = [];
  startCpuWatch({ clock, emit: (line) => lines.push(line) }, async (name) => {
    return await Promise.resolve(name === "stat" ? "" : PRESSURE(clock.now() * 800));
  });
  await settled();
  await clock.advance(10_000);
  t.deepEqual(lines, [
    { own: "cpu", t: 0, d: 5000, steal: 0, pressure: 0.8 },
    { own: "cpu", t: 5000, d: 5000, steal: 0, pressure: 0.8 },
  ]);
});
