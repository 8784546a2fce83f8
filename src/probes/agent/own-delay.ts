/**
 * How late a program is itself. The probers and the runner measure it: a sample that was sent late, or whose answer was
 * read late, shows the busy machine, not the application.
 */
import { readFile } from "node:fs/promises";
import type { OwnLine } from "../../evidence/sample.js";
import { round, type Timers } from "./schedule.js";

/** How often the delay is measured, ms. Twenty timers a second, with /proc, cost 0.3 % of a core (measured). */
const TICK_MS = 50;

/**
 * A tick this late is a delay, ms. A sample waits for the event loop at least twice (connected, answered), so two such
 * delays make it 100 ms slower, from which slowness counts (the default of `thresholds.slowFrom`).
 */
const LATE_MS = 50;

/** A delay that lasts is reported at least this often, ms. */
const REPORT_EVERY_MS = 1_000;

/** How often the machine's own figures are read, ms. On a machine with many cores /proc/stat is long. */
const CPU_EVERY_MS = 5_000;

/** Shares of time from which the machine's figures are reported. */
const LEAST_PRESSURE = 0.1;
const LEAST_STEAL = 0.02;

interface Watched {
  readonly clock: Timers;
  readonly emit: (line: OwnLine) => void;
}

/**
 * Measures how late timers fire. A delay lasts from the last tick on time to the next tick on time, so a process that was
 * stopped and continued covers all samples that were in progress, and the burst after it.
 *
 * @returns a function that ends it
 */
export function startOwnDelay({ clock, emit }: Watched): () => void {
  let last = clock.now();
  let since: number | undefined;
  let longest = 0;
  let timer: unknown;
  const report = (toMs: number): void => {
    if (since !== undefined)
      emit({ own: "late", t: round(since), d: round(toMs - since), late: round(longest) });
    since = undefined;
    longest = 0;
  };
  const tick = (): void => {
    const now = clock.now();
    const late = now - last - TICK_MS;
    if (late >= LATE_MS) {
      since ??= last;
      longest = Math.max(longest, late);
      if (now - since >= REPORT_EVERY_MS) {
        report(now);
        since = now;
      }
    } else report(now);
    last = now;
    timer = clock.setTimeout(tick, TICK_MS);
  };
  timer = clock.setTimeout(tick, TICK_MS);
  return () => {
    clock.clearTimeout(timer);
    report(clock.now());
  };
}

/** What a machine has counted since it started; a figure that it does not have is undefined. */
interface CpuCounts {
  /** Jiffies of all CPUs: those taken by the hypervisor for others, and all. */
  readonly stolen?: number;
  readonly total?: number;
  /** Time in which some task waited for a CPU, ms. */
  readonly waitedMs?: number;
}

/** Reads `/proc/stat` (proc(5): steal is the eighth figure) and `/proc/pressure/cpu` (kernel: accounting/psi.rst). Pure. */
export function cpuCounts(stat: string, pressure: string): CpuCounts {
  const figures = /^cpu +([\d ]+)$/m.exec(stat)?.[1]?.trim().split(/ +/).map(Number);
  const waited = /^some .*\btotal=(\d+)/m.exec(pressure)?.[1];
  return {
    // Without the last two: guest time is part of user time.
    ...(figures === undefined
      ? {}
      : { stolen: figures[7] ?? 0, total: figures.slice(0, 8).reduce((sum, each) => sum + each, 0) }),
    ...(waited === undefined ? {} : { waitedMs: Number(waited) / 1000 }),
  };
}

/** The shares between two counts; undefined: the machine was not busy, or does not say. Pure. */
export function cpuLine(before: CpuCounts, after: CpuCounts, t: number, d: number): OwnLine | undefined {
  const share = (from: number | undefined, to: number | undefined, of: number): number =>
    from === undefined || to === undefined || of <= 0 ? 0 : Math.round((100 * (to - from)) / of) / 100;
  const steal = share(before.stolen, after.stolen, (after.total ?? 0) - (before.total ?? 0));
  const pressure = share(before.waitedMs, after.waitedMs, d);
  if (steal < LEAST_STEAL && pressure < LEAST_PRESSURE) return undefined;
  return { own: "cpu", t: round(t), d: round(d), steal, pressure: Math.min(1, pressure) };
}

const proc = async (name: string): Promise<string> =>
  // Without Linux there is no /proc; a kernel may lack pressure figures (psi=0), or a container hide them.
  await readFile(`/proc/${name}`, "utf8").catch(() => "");

/**
 * Reports how busy the machine is. In a pod /proc is the node's.
 *
 * @returns a function that ends it
 */
export function startCpuWatch(
  { clock, emit }: Watched,
  read: (name: string) => Promise<string> = proc,
): () => void {
  let before: { readonly counts: CpuCounts; readonly t: number } | undefined;
  let timer: unknown;
  let stopped = false;
  const look = async (): Promise<void> => {
    const [stat, pressure] = await Promise.all([read("stat"), read("pressure/cpu")]);
    if (stopped) return;
    const now = { counts: cpuCounts(stat, pressure), t: clock.now() };
    const line =
      before === undefined ? undefined : cpuLine(before.counts, now.counts, before.t, now.t - before.t);
    if (line !== undefined) emit(line);
    before = now;
    timer = clock.setTimeout(() => void look(), CPU_EVERY_MS);
  };
  void look();
  return () => {
    stopped = true;
    clock.clearTimeout(timer);
  };
}
