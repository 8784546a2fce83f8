/**
 * Samples at a fixed rate. All times of the prober are milliseconds of performance.now(), which never steps and does not
 * follow the wall clock.
 */
import type { SampleLine } from "../../evidence/sample.js";
import type { ProbeName } from "../../experiment/names.js";
import { failureOf, type Outcome } from "./judge.js";

/** The clock and timers of a schedule. Tests replace them. */
export interface Timers {
  /** Monotonic, ms. */
  readonly now: () => number;
  readonly setTimeout: (run: () => void, ms: number) => unknown;
  readonly clearTimeout: (timer: unknown) => void;
}

export const systemTimers: Timers = {
  now: () => performance.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

interface Rate {
  readonly firstMs: number;
  readonly intervalMs: number;
  readonly clock: Timers;
}

/**
 * Calls `onTick` at firstMs + k·intervalMs for every future k, without drift: each tick is computed from the first one,
 * not from the previous one. If a tick still waits when the next one is due, it is missed: `onLate` gets the time at
 * which it was due.
 *
 * @returns a function that stops it
 */
export function startFixedRate({
  firstMs,
  intervalMs,
  clock,
  onTick,
  onLate,
}: Rate & { readonly onTick: () => void; readonly onLate: (dueMs: number) => void }): () => void {
  let next = Math.max(0, Math.ceil((clock.now() - firstMs) / intervalMs));
  const due = (k: number): number => firstMs + k * intervalMs;
  let stopped = false;
  let timer: unknown;
  // Rounded up: Node truncates the delay, so the timer would fire just before the tick.
  const arm = (): void => {
    timer = clock.setTimeout(wake, Math.max(0, Math.ceil(due(next) - clock.now())));
  };
  function wake(): void {
    const now = clock.now();
    while (due(next + 1) <= now) {
      onLate(due(next));
      next += 1;
    }
    if (due(next) <= now) {
      next += 1;
      onTick();
    }
    if (!stopped) arm();
  }
  arm();
  return () => {
    stopped = true;
    clock.clearTimeout(timer);
  };
}

/** Maximum number of samples of one probe in progress: as many as can time out together, plus a margin. */
export function maxInFlight(timeoutMs: number, intervalMs: number): number {
  return Math.ceil(timeoutMs / intervalMs) + 4;
}

/** Measures once. undefined: nothing to judge yet. */
export type Measure = () => Promise<Outcome | undefined>;

/** Takes one sample. An error of `measure` becomes a failed line. */
export async function sampleOnce(
  probe: ProbeName,
  measure: Measure,
  now: () => number,
): Promise<SampleLine | undefined> {
  const started = now();
  let outcome: Outcome | undefined;
  try {
    outcome = await measure();
  } catch (error) {
    outcome = failureOf(error);
  }
  if (outcome === undefined) return undefined;
  const t = round(started);
  if ("missed" in outcome) return { probe, t, missed: outcome.missed };
  return { probe, t, d: round(now() - started), ...outcome };
}

/** The ticks of one probe. */
export interface RunningProbe {
  /** Stops the ticks and waits for the samples in progress. */
  stop(): Promise<void>;
}

/**
 * Measures one probe at a fixed rate. Samples overlap: a slow one does not delay the next one, up to `limit()` samples in
 * progress. Ticks beyond that are missed as `busy`. `emit` must not throw.
 */
export function startProbe({
  probe,
  limit,
  measure,
  emit,
  ...rate
}: Rate & {
  readonly probe: ProbeName;
  readonly limit: () => number;
  readonly measure: Measure;
  readonly emit: (line: SampleLine) => void;
}): RunningProbe {
  const inFlight = new Set<Promise<void>>();
  const { now } = rate.clock;
  const onTick = (): void => {
    if (inFlight.size >= limit()) {
      emit({ probe, t: round(now()), missed: "busy" });
      return;
    }
    const sample = sampleOnce(probe, measure, now).then((line) => {
      inFlight.delete(sample);
      if (line !== undefined) emit(line);
    });
    inFlight.add(sample);
  };
  const onLate = (dueMs: number): void => emit({ probe, t: round(dueMs), missed: "late" });
  const stopTicks = startFixedRate({ ...rate, onTick, onLate });
  return {
    async stop() {
      stopTicks();
      await Promise.all(inFlight);
    },
  };
}

/** Rounds to microseconds, to keep the lines short. */
export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
