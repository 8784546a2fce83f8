import { performance } from "node:perf_hooks";
import { ChaosError } from "./errors.js";
import { anySignal } from "./signals.js";

/** Resolves after `ms`, or early when the signal aborts. The caller checks the signal. */
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

/** The machine's clock. Its zero is the time of this call. */
export function systemClock(): Clock {
  const zero = performance.now();
  return { now: () => performance.now() - zero, wall: () => new Date(), sleep, after };
}

/**
 * Polls until there is an answer.
 *
 * @param options `everyMs`: interval; `limitMs`: time limit.
 * @returns the answer, or undefined at the limit or when the signal aborts.
 */
export async function pollUntil<T>(
  clock: Stopwatch,
  options: {
    readonly everyMs: number;
    readonly limitMs: number;
    readonly signal?: AbortSignal | undefined;
  },
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
 * Adds a time limit to `work` (for example to a watch's first list).
 *
 * @returns the result of `work`; undefined if the signal aborted first.
 * @throws ChaosError at the limit, with the message `WHAT within N s`; the error of `work`.
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
  const ends = anySignal(signal, over.signal);
  const late = clock.sleep(limitMs, ends).then(() => {
    if (ends.aborted) return undefined;
    throw new ChaosError(`${what} within ${limitMs / 1000} s`);
  });
  // Ignore it if it loses the race.
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}

/** A monotonic clock. Tests replace it. */
export interface Stopwatch {
  /** Monotonic, ms since the run began. */
  readonly now: () => number;
  /** Resolves after `ms`, or immediately when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Clock extends Stopwatch {
  /** Wall clock, for people and for the lock. */
  wall(): Date;
  /** Calls `work` after `ms`, unless what it returns is called before. */
  readonly after: (ms: number, work: () => void) => () => void;
}
