/**
 * What noise explains, and what it does not. Even in a healthy cluster a sample fails or is slow now and then, so a run
 * judges no single one: what it counts must be more than noise would produce, with a stated rate of false alarms for the
 * whole run, however many workers and probes it has. Pure.
 */

/** At most this share of runs is called degraded by noise alone, and of baselines refused. */
export const FALSE_ALARMS_PER_RUN = 1 / 2000;

/** The share of samples that fail at random in a healthy cluster. Noise is at least this, whatever the baseline showed. */
export const NOISE_RATE = 1 / 1000;

/** Fewer failures than this are noise, however few samples there are. */
export const FEWEST_FAILURES = 3;

/** As `NOISE_RATE`, of slow samples: a pause of a machine or a segment that TCP sends again. They are more frequent. */
const SLOW_NOISE_RATE = 1 / 200;

/** Fewer slow samples than this are noise: a machine that pauses once makes two or three samples in a row slow. */
const FEWEST_SLOW = 5;

/** A series with fewer samples is never slow on its own: one pause of the machine may be most of them. */
export const FEWEST_ALONE = 20;

export interface Counts {
  readonly failed: number;
  /** Good or failed; a missed tick is no sample. */
  readonly samples: number;
}

/** All of them together. */
export const sumOf = (all: readonly Counts[]): Counts => ({
  failed: all.reduce((total, { failed }) => total + failed, 0),
  samples: all.reduce((total, { samples }) => total + samples, 0),
});

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

/** P(`k` of `n`), if each has the probability `p`: the binomial distribution. */
function probability(k: number, n: number, p: number): number {
  const ways = lnFactorial(n) - lnFactorial(k) - lnFactorial(n - k);
  return Math.exp(ways + k * Math.log(p) + (n - k) * Math.log1p(-p));
}

/**
 * The most of `samples` that noise of this rate explains, if `comparisons` series are judged together: so many or more come
 * by chance in more than the tolerated share of runs. The tail is exact, summed from its far end. Never under the mean.
 */
function mostExplained(samples: number, rate: number, comparisons: number): number {
  if (rate >= 1) return samples;
  const rarest = FALSE_ALARMS_PER_RUN / Math.max(1, comparisons);
  const mean = Math.floor(samples * rate);
  const terms: number[] = [];
  for (let k = mean + 1; k <= samples; k += 1) {
    const term =
      terms.length === 0 ? probability(k, samples, rate) : (terms.at(-1) ?? 0) * step(k, samples, rate);
    terms.push(term);
    if (term < rarest * 1e-9) break;
  }
  let tail = 0;
  for (let index = terms.length - 1; index >= 0; index -= 1) {
    tail += terms[index] ?? 0;
    if (tail > rarest) return mean + 1 + index;
  }
  return mean;
}

/** P(`k` of `n`) / P(`k` − 1 of `n`). */
const step = (k: number, n: number, p: number): number => ((n - k + 1) / k) * (p / (1 - p));

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
 * How many samples of one series were slow, at least: above `slowFactor` times the usual p95 and above `slowFrom`. 0: too
 * few to be more than a pause. Samples of the prober's own delays are not among them. A delay too short to be measured (50
 * ms) stays under `slowFrom` (100 ms, unless the experiment sets less): a sample waits for the prober at most twice.
 *
 * @param usualMs p95 at the baseline.
 */
export function slowSamples(window: Latency, usualMs: number, { slowFactor, slowFrom }: SlowLimits): number {
  const slow = slowAtLeast(window, Math.max(slowFactor * usualMs, slowFrom));
  return slow < FEWEST_SLOW ? 0 : slow;
}

/**
 * Whether so many slow samples are more than noise explains. If the p95 of a series is slow, that takes 80 samples of it
 * (one worker), 100 (three) or 120 (twelve); if its median is, 8.
 */
export function slowBeyondNoise(slow: number, samples: number, comparisons: number): boolean {
  return slow > mostExplained(samples, SLOW_NOISE_RATE, comparisons);
}
