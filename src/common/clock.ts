import { performance } from "node:perf_hooks";
import { ChaosError } from "./errors.js";

/** Resolves after `ms`, or early when the signal aborts: what comes next sees the signal. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Calls `work` after `ms`, unless what it returns is called before. */
export function after(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms);
  return () => clearTimeout(timer);
}

/** The machine's clock; its zero is the moment of this call. */
export function systemClock(): Clock {
  const zero = performance.now();
  return { now: () => performance.now() - zero, wall: () => new Date(), sleep, after };
}

/**
 * Asks again and again until the answer is there.
 *
 * @param options `everyMs` between two questions; `limitMs` in all.
 * @returns the answer, or undefined when the time was up or the signal came.
 */
export async function pollUntil<T>(
  clock: Stopwatch,
  options: { readonly everyMs: number; readonly limitMs: number; readonly signal?: AbortSignal },
  ask: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const end = clock.now() + options.limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (options.signal?.aborted === true || clock.now() >= end) return undefined;
    await clock.sleep(Math.min(options.everyMs, Math.max(0, end - clock.now())), options.signal);
  }
}

/**
 * Waits for something that has no limit of its own (a watch's first list, say).
 *
 * @returns what it gives; undefined when the signal came first.
 * @throws ChaosError when it did not come within `limitMs` (`what` says what did not); what `work` rejects with.
 */
export async function within<T>(
  clock: Stopwatch,
  options: { readonly limitMs: number; readonly what: string; readonly signal?: never },
  work: Promise<T>,
): Promise<T>;
export async function within<T>(
  clock: Stopwatch,
  options: { readonly limitMs: number; readonly what: string; readonly signal: AbortSignal },
  work: Promise<T>,
): Promise<T | undefined>;
export async function within<T>(
  clock: Stopwatch,
  options: { readonly limitMs: number; readonly what: string; readonly signal?: AbortSignal | undefined },
  work: Promise<T>,
): Promise<T | undefined> {
  const { limitMs, what, signal } = options;
  const over = new AbortController();
  const ends = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const late = clock.sleep(limitMs, ends).then(() => {
    if (ends.aborted) return undefined;
    throw new ChaosError(`${what} within ${limitMs / 1000} s`);
  });
  // Only the loser of the race is left: its end is of no interest.
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}

/** Time, so that tests are exact. */
export interface Stopwatch {
  /** Monotonic, ms since the run began. */
  readonly now: () => number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Clock extends Stopwatch {
  /** Wall clock, for people and for the lock. */
  wall(): Date;
  /** Calls `work` after `ms`, unless what it returns is called before. */
  readonly after: (ms: number, work: () => void) => () => void;
}
