/** Random draws for simulated runs: the same seed always gives the same ones. */
import type { PhaseStats } from "../src/analysis/result.js";

/** How long good samples take: log-logistic, and a share of samples that are slow for another reason. */
export interface Latencies {
  readonly p95Ms: number;
  readonly slowShare: number;
  readonly slowMs: readonly [number, number];
}

/** A healthy cluster: 1 of 1,000 samples fails, 3 of 1,000 wait for a segment that TCP sends again. */
export const NOISE = 0.001;
export const HEALTHY: Latencies = { p95Ms: 60, slowShare: 0.003, slowMs: [200, 1000] };

/** Mulberry32: small, fast, and good enough to draw samples. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Which of `n` happen, each with the probability `p`: from one that happens to the next. */
export function* happening(random: () => number, n: number, p: number): Generator<number> {
  const next = (): number =>
    p >= 1 ? 1 : p <= 0 ? Infinity : Math.floor(Math.log(1 - random()) / Math.log1p(-p)) + 1;
  for (let at = next(); at <= n; at += next()) yield at - 1;
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Gamma with the shape `a` ≥ 1 (Marsaglia and Tsang, 2000). */
function gamma(random: () => number, a: number): number {
  const d = a - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < x ** 2 / 2 + d * (1 - v + Math.log(v))) return d * v;
  }
}

/** The rank `k` of `n` numbers between 0 and 1. */
function rankOf(random: () => number, k: number, n: number): number {
  const [low, high] = [gamma(random, k), gamma(random, n + 1 - k)];
  return low / (low + high);
}

/** Half of a log-logistic sample's spread is between its median and 2.4 times the median (its p95). */
const SPREAD = 0.3;
const P95_OVER_MEDIAN = 19 ** SPREAD;

export function latencyAt(
  u: number,
  { p95Ms, slowShare, slowMs: [from, to] }: Latencies,
  slower: number,
): number {
  if (u > 1 - slowShare) return from + ((u - 1 + slowShare) / slowShare) * (to - from);
  const within = Math.min(u / (1 - slowShare), 1 - 1e-12);
  return (p95Ms / P95_OVER_MEDIAN) * (within / (1 - within)) ** SPREAD * slower;
}

export function drawn(
  random: () => number,
  samples: number,
  loss: number,
  like: Latencies,
  slower = 1,
): PhaseStats {
  const good = samples - [...happening(random, samples, loss)].length;
  const [k95, k50] = [Math.ceil(0.95 * good), Math.ceil(0.5 * good)];
  const u95 = rankOf(random, k95, good);
  const u50 = k50 < k95 ? u95 * rankOf(random, k50, k95 - 1) : u95;
  return {
    samples,
    good,
    missed: 0,
    availability: good / samples,
    p50Ms: latencyAt(u50, like, slower),
    p95Ms: latencyAt(u95, like, slower),
    failures: {},
  };
}
