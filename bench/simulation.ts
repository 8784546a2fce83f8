/**
 * Simulated runs for `bench/verdict.ts`: what the probers of a run would have counted, drawn from a stated truth, and the
 * product's own verdict on it. The same seed always gives the same runs. Counts and quantiles are drawn directly, as their
 * distributions have them: a run of 100 workers has 200,000 samples.
 */
import { reasonsOf } from "../src/analysis/reasons.js";
import type { MeasuredPhase, PhaseStats, ProbeResult } from "../src/analysis/result.js";
import { severityOf, type SeverityFinding } from "../src/analysis/severity.js";
import type { ProbeName } from "../src/experiment/names.js";
import { API_VERSION, experimentSchema } from "../src/experiment/schema.js";
import { samplingOf } from "../src/probes/sampling.js";
import { factsWith } from "../test/helpers/synthetic-run.js";

/** The defaults of every experiment. */
const experiment = experimentSchema.parse({
  apiVersion: API_VERSION,
  kind: "Experiment",
  metadata: { name: "simulated" },
  target: { component: "kube-dns" },
  attack: { type: "none" },
});

/** The probes that a baseline needs, for a component whose function one layer shows. */
const PROBES: readonly ProbeName[] = ["app-write", "app-read", "app-write-env", "dns-internal"];
const APPLICATION: readonly ProbeName[] = ["app-write", "app-read"];

/** How long good samples take: log-logistic, and a share of samples that are slow for another reason. */
interface Latencies {
  readonly p95Ms: number;
  readonly slowShare: number;
  readonly slowMs: readonly [number, number];
}

/** A healthy cluster: 1 of 1,000 samples fails, 3 of 1,000 wait for a segment that TCP sends again. */
const NOISE = 0.001;
const HEALTHY: Latencies = { p95Ms: 60, slowShare: 0.003, slowMs: [200, 1000] };

/** What is true of a run. The rest is healthy. */
export interface Truth {
  /** Share of samples of every probe that fail at the baseline. */
  readonly baselineLoss?: number;
  /** Share of reads and writes that are lost in the window, beside the noise. */
  readonly windowLoss?: number;
  /** Only the first worker loses them. */
  readonly onOneWorker?: boolean;
  /** All good reads and writes of the window take this many times as long. */
  readonly slower?: number;
  /** This share of the window's samples waits 300 to 800 ms for the prober itself, which measures that. */
  readonly stalled?: number;
  /** The same for the machine: nobody measures that. */
  readonly paused?: number;
  /** Default: the experiment's. */
  readonly windowMs?: number;
}

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

/** How many of `n` happen, each with the probability `p`: from one that happens to the next. */
function binomial(random: () => number, n: number, p: number): number {
  if (p >= 1) return n;
  let count = -1;
  for (let at = 0; at <= n; count += 1) {
    at += p <= 0 ? Infinity : Math.floor(Math.log(1 - random()) / Math.log1p(-p)) + 1;
  }
  return count;
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

function latencyAt(u: number, { p95Ms, slowShare, slowMs: [from, to] }: Latencies, slower: number): number {
  if (u > 1 - slowShare) return from + ((u - 1 + slowShare) / slowShare) * (to - from);
  const within = Math.min(u / (1 - slowShare), 1 - 1e-12);
  return (p95Ms / P95_OVER_MEDIAN) * (within / (1 - within)) ** SPREAD * slower;
}

function drawn(random: () => number, samples: number, loss: number, like: Latencies, slower = 1): PhaseStats {
  const good = samples - binomial(random, samples, loss);
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

const NOT_REACHED: PhaseStats = {
  samples: 0,
  good: 0,
  missed: 0,
  availability: null,
  p50Ms: null,
  p95Ms: null,
  failures: {},
};

/** What a pause adds to a sample, ms. */
const STALL_MS = [300, 800] as const;

export class Simulation {
  readonly #random: () => number;
  readonly #workers: readonly string[];
  readonly #intervalMs: number;

  /** @param workers all are sampled, at the interval of a cluster of that size. */
  constructor(seed: number, workers: number) {
    this.#random = randomOf(seed);
    this.#workers = Array.from({ length: workers }, (_, index) => `worker-${index + 1}`);
    this.#intervalMs = samplingOf(experiment, workers)?.intervalMs ?? experiment.probes.interval;
  }

  /** Samples of one series in a phase. */
  samplesIn(ms: number): number {
    return Math.floor(ms / this.#intervalMs);
  }

  #series(truth: Truth, probe: ProbeName, source: string): ProbeResult {
    const random = this.#random;
    const { windowLoss = 0, baselineLoss = NOISE, stalled = 0, paused = 0 } = truth;
    const windowMs = truth.windowMs ?? experiment.phases.window;
    const affected = APPLICATION.includes(probe);
    const loses = affected && (truth.onOneWorker !== true || source === this.#workers[0]);
    const loss = loses ? NOISE + windowLoss : NOISE;
    const waits = Math.max(HEALTHY.slowShare, stalled, paused);
    const like = waits > HEALTHY.slowShare ? { ...HEALTHY, slowShare: waits, slowMs: STALL_MS } : HEALTHY;
    const phases: Record<MeasuredPhase, PhaseStats> = {
      baseline: drawn(random, this.samplesIn(experiment.phases.baseline), baselineLoss, HEALTHY),
      window: drawn(random, this.samplesIn(windowMs), loss, like, affected ? truth.slower : 1),
      recovery: NOT_REACHED,
    };
    return {
      probe,
      source,
      phases,
      outages: [],
      longestOutageMs: 0,
      totalOutageMs: 0,
      timeToImpactMs: null,
      timeToRecoverMs: null,
      clockUncertaintyMs: 1,
    };
  }

  /** What the probers of one run counted. */
  probes(truth: Truth): ProbeResult[] {
    return this.#workers.flatMap((source) => PROBES.map((probe) => this.#series(truth, probe, source)));
  }

  /** What the product calls the window of one run. */
  severity(truth: Truth): SeverityFinding {
    // The severity is made of reads and writes alone.
    const probes = this.#workers.flatMap((source) =>
      APPLICATION.map((probe) => this.#series(truth, probe, source)),
    );
    const ownDelays = new Map(
      truth.stalled === undefined ? [] : this.#workers.map((source) => [source, STALL_MS[1]]),
    );
    const ownFunction = { lost: false, because: "" };
    return severityOf(probes, experiment.thresholds, ownFunction, "every worker", ownDelays);
  }

  /** Why the product refuses the baseline of one run; undefined: it does not. */
  refusal(truth: Truth): string | undefined {
    const { thresholds, phases } = experiment;
    const probes = this.probes(truth);
    const attack = { type: "none" } as const;
    const facts = factsWith(
      { thresholds, phases, attack, probes: { ...experiment.probes, interval: this.#intervalMs } },
      { sources: this.#workers, functionProbes: ["dns-internal"], notMeasured: [] },
    );
    // As the runner asks: after the baseline, before the window.
    const spans = { baseline: { fromMs: 0, toMs: phases.baseline }, window: null, recovery: null };
    const reasons = reasonsOf({
      facts,
      events: [],
      probes,
      spans,
      suppression: null,
      downMs: null,
      disturbed: [],
    });
    return reasons.find(({ code }) => code === "baseline-unhealthy" || code === "control-arm-failed")
      ?.message;
  }
}

/** A row of the table: what is true, what must be said of it, and how often. */
export interface Goal {
  readonly name: string;
  readonly truth: Truth;
  readonly is: "degraded" | "refused";
  /** At least this share of runs, or at most. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

export const GOALS: readonly Goal[] = [
  { name: "0.1 % random failures: called degraded", truth: {}, is: "degraded", atMost: 0.001 },
  { name: "0.1 % random failures: baseline refused", truth: {}, is: "refused", atMost: 0.001 },
  {
    name: "reads and writes lose 3 % over the window: found",
    truth: { windowLoss: 0.03 },
    is: "degraded",
    atLeast: 0.95,
  },
  {
    name: "one worker loses 10 %: found",
    truth: { windowLoss: 0.1, onOneWorker: true },
    is: "degraded",
    atLeast: 0.95,
  },
  { name: "the p95 triples, from 60 to 180 ms: found", truth: { slower: 3 }, is: "degraded", atLeast: 0.95 },
  {
    name: "15 % of samples wait 0.3 to 0.8 s for the prober itself: called degraded",
    truth: { stalled: 0.15 },
    is: "degraded",
    atMost: 0.001,
  },
  {
    name: "a window of 5 s, 8 % of samples wait 0.3 to 0.8 s for the machine: called degraded",
    truth: { paused: 0.08, windowMs: 5000 },
    is: "degraded",
    atMost: 0.001,
  },
  {
    name: "every probe loses 5 % at the baseline: refused",
    truth: { baselineLoss: 0.05 },
    is: "refused",
    atLeast: 0.95,
  },
];

/** How many of these runs are what the goal asks about. */
export function countOf({ is, truth }: Goal, seed: number, workers: number, runs: number): number {
  const simulation = new Simulation(seed, workers);
  let count = 0;
  for (let run = 0; run < runs; run += 1) {
    const found =
      is === "refused"
        ? simulation.refusal(truth) !== undefined
        : simulation.severity(truth).severity !== "none";
    if (found) count += 1;
  }
  return count;
}

export const isMissed = ({ atLeast = 0, atMost = 1 }: Goal, share: number): boolean =>
  share > atMost || share < atLeast;
