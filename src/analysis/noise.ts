/**
 * What noise explains, and what it does not. Even in a healthy cluster a sample fails or is slow now and then, so a run
 * judges no single one: what it counts must be more than noise would produce, with a stated rate of false alarms for the
 * whole run, however many workers and probes it has. Pure.
 */

/** At most this share of runs is called degraded by noise alone, and of baselines refused: 1 in 1,000. */
export const FALSE_ALARMS_PER_RUN = 1 / 1000;

/** The share of samples that fail at random in a healthy cluster. Noise is at least this, whatever the baseline showed. */
export const NOISE_RATE = 1 / 1000;

/** Fewer failures than this are noise, however few samples there are. */
export const FEWEST_FAILURES = 3;

/** As `NOISE_RATE`, of slow samples: a pause of a machine or a segment that TCP sends again. They are more frequent. */
const SLOW_NOISE_RATE = 1 / 200;

/** Fewer slow samples than this are noise: a machine that pauses once makes two or three samples in a row slow. */
const FEWEST_SLOW = 5;

export interface Counts {
  readonly failed: number;
  /** Good or failed; a missed tick is no sample. */
  readonly samples: number;
}

/** Good samples of one series in one phase. */
export interface Latency {
  readonly samples: number;
  /** Nearest rank; null: no good sample. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
}

export interface SlowLimits {
  readonly slowFactor: number;
  /** ms */
  readonly slowFrom: number;
}

/** Stirling's series for ln(n!): exact to 1e-9 from 10 on. */
function lnFactorial(n: number): number {
  if (n < 10) {
    let product = 1;
    for (let factor = 2; factor <= n; factor += 1) product *= factor;
    return Math.log(product);
  }
  return n * Math.log(n) - n + Math.log(2 * Math.PI * n) / 2 + 1 / (12 * n) - 1 / (360 * n ** 3);
}

/**
 * P(at least `k` of `n`) if each has the probability `p`: the exact tail of the binomial distribution above its mean.
 * At or below the mean: 1, which is enough here, because noise explains its own mean.
 */
export function binomialTail(k: number, n: number, p: number): number {
  if (k <= n * p) return 1;
  if (k > n || p <= 0) return 0;
  let term = Math.exp(
    lnFactorial(n) - lnFactorial(k) - lnFactorial(n - k) + k * Math.log(p) + (n - k) * Math.log1p(-p),
  );
  let sum = 0;
  for (let i = k; i <= n && term > sum * 1e-16; i += 1) {
    sum += term;
    term *= ((n - i) / (i + 1)) * (p / (1 - p));
  }
  return Math.min(1, sum);
}

/** The most of `samples` that noise of this rate explains, if `comparisons` series are judged together. */
function mostExplained(samples: number, rate: number, comparisons: number): number {
  const rarest = FALSE_ALARMS_PER_RUN / Math.max(1, comparisons);
  let [low, high] = [0, samples];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (binomialTail(middle + 1, samples, rate) <= rarest) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A single failure at the baseline says nothing of the rate; from two on it may be the cluster's own. */
function noiseRate({ failed, samples }: Counts): number {
  return failed < 2 ? NOISE_RATE : Math.max(NOISE_RATE, failed / samples);
}

/** Of two baselines the one with the higher rate of noise. */
export const noisier = (a: Counts, b: Counts): Counts => (noiseRate(b) > noiseRate(a) ? b : a);

/**
 * The most failures of the window that noise explains: an exact binomial test against the rate of the baseline, at least
 * `NOISE_RATE`.
 *
 * @param comparisons how many series are judged together in the run (Bonferroni): the rate of false alarms is the run's.
 */
export function noiseExplains(samples: number, baseline: Counts, comparisons: number): number {
  return Math.max(FEWEST_FAILURES - 1, mostExplained(samples, noiseRate(baseline), comparisons));
}

/** Whether the window lost more than noise explains; see `noiseExplains`. */
export function lossBeyondNoise(window: Counts, baseline: Counts, comparisons: number): boolean {
  return window.failed > noiseExplains(window.samples, baseline, comparisons);
}

/** How many samples were above the limit, at least: all that the quantiles show. */
function slowAtLeast({ samples, p50Ms, p95Ms }: Latency, limitMs: number): number {
  const from = (q: number): number => samples - Math.ceil(q * samples) + 1;
  if (samples > 0 && p50Ms !== null && p50Ms > limitMs) return from(0.5);
  return samples > 0 && p95Ms !== null && p95Ms > limitMs ? from(0.95) : 0;
}

/**
 * Whether the window was slower than noise explains: its p95, without the prober's own delay, is above `slowFactor` times
 * the baseline's p95 and above `slowFrom`, and enough samples are. If only the p95 is above the limit, that takes 80 samples
 * (up to three workers) or 100 (twelve); if the median is, 8.
 *
 * @param ownDelayMs what the prober itself added to a sample, measured by the prober.
 */
export function slowBeyondNoise(
  window: Latency,
  baseline: Latency,
  comparisons: number,
  { slowFactor, slowFrom }: SlowLimits,
  ownDelayMs = 0,
): boolean {
  if (baseline.p95Ms === null) return false;
  const limitMs = Math.max(slowFactor * baseline.p95Ms, slowFrom) + ownDelayMs;
  const slow = slowAtLeast(window, limitMs);
  return slow >= FEWEST_SLOW && slow > mostExplained(window.samples, SLOW_NOISE_RATE, comparisons);
}
