/**
 * Simulated runs for `bench/verdict.ts`: what the probers of a run would have counted, drawn from a stated truth, and the
 * product's own verdict on it. The same seed always gives the same runs. Counts and quantiles are drawn directly, as their
 * distributions have them: a run of 100 workers has 200,000 samples. Only where the times of samples matter (the prober's
 * own delays, the time to impact) there are samples.
 */
import { reasonsOf } from "../src/analysis/reasons.js";
import type { MeasuredPhase, PhaseStats, ProbeResult } from "../src/analysis/result.js";
import { severityOf, type SeverityFinding } from "../src/analysis/severity.js";
import type { ProbeName } from "../src/experiment/names.js";
import { API_VERSION, experimentSchema } from "../src/experiment/schema.js";
import { samplingOf } from "../src/probes/sampling.js";
import { factsWith } from "../test/helpers/synthetic-run.js";
import { drawn, HEALTHY, NOISE, randomOf } from "./draws.js";
import { ImpactRuns, type Sampled, stalledRun } from "./samples.js";

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
  /** Each prober stands still for 15 % of the window, and notices it or not. */
  readonly stalls?: "noticed" | "unnoticed";
  /** This share of the window's samples waits 300 to 800 ms for something that nobody measures. */
  readonly paused?: number;
  /** These probes fail for 20 s, at some time after the first kill. */
  readonly failing?: readonly ProbeName[];
  /** Default: the experiment's. */
  readonly windowMs?: number;
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
const PAUSE_MS = [300, 800] as const;

export class Simulation {
  readonly #sampled: Sampled;
  #impacts: ImpactRuns | undefined;

  /** @param workers all are sampled, at the interval of a cluster of that size. */
  constructor(seed: number, workers: number) {
    this.#sampled = {
      random: randomOf(seed),
      experiment,
      workers: Array.from({ length: workers }, (_, index) => `worker-${index + 1}`),
      intervalMs: samplingOf(experiment, workers)?.intervalMs ?? experiment.probes.interval,
    };
  }

  /** Samples of one series in a phase. */
  samplesIn(ms: number): number {
    return Math.floor(ms / this.#sampled.intervalMs);
  }

  #series(truth: Truth, probe: ProbeName, source: string): ProbeResult {
    const random = this.#sampled.random;
    const { windowLoss = 0, baselineLoss = NOISE, paused = 0 } = truth;
    const windowMs = truth.windowMs ?? experiment.phases.window;
    const affected = APPLICATION.includes(probe);
    const loses = affected && (truth.onOneWorker !== true || source === this.#sampled.workers[0]);
    const loss = loses ? NOISE + windowLoss : NOISE;
    const like = paused > 0 ? { ...HEALTHY, slowShare: paused, slowMs: PAUSE_MS } : HEALTHY;
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
    return this.#sampled.workers.flatMap((source) =>
      PROBES.map((probe) => this.#series(truth, probe, source)),
    );
  }

  /** What the product calls the window of one run. */
  severity(truth: Truth): SeverityFinding {
    // The severity is made of reads and writes alone.
    const probes =
      truth.stalls === undefined
        ? this.#sampled.workers.flatMap((source) =>
            APPLICATION.map((probe) => this.#series(truth, probe, source)),
          )
        : stalledRun(this.#sampled, APPLICATION, truth.stalls === "noticed");
    return severityOf(probes, experiment.thresholds, { lost: false, because: "" });
  }

  /** Whether the product names a stray failure as the time to impact of any probe of one run. */
  hasWrongImpact({ failing = [] }: Truth): boolean {
    this.#impacts ??= new ImpactRuns(this.#sampled, PROBES);
    return this.#impacts.isWrong(failing);
  }

  /** Why the product refuses the baseline of one run; undefined: it does not. */
  refusal(truth: Truth): string | undefined {
    const { thresholds, phases } = experiment;
    const probes = this.probes(truth);
    const attack = { type: "none" } as const;
    const facts = factsWith(
      { thresholds, phases, attack, probes: { ...experiment.probes, interval: this.#sampled.intervalMs } },
      { sources: this.#sampled.workers, functionProbes: ["dns-internal"], notMeasured: [] },
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
  readonly is: "degraded" | "refused" | "wrong impact";
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
    name: "each prober stands still for 15 % of the window: called degraded",
    truth: { stalls: "noticed" },
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
  {
    name: "0.1 % random failures: any probe has a time to impact",
    truth: { failing: [] },
    is: "wrong impact",
    atMost: 0.001,
  },
  {
    name: "and an outage of reads and writes for 20 s: a wrong time to impact of any probe",
    truth: { failing: APPLICATION },
    is: "wrong impact",
    atMost: 0.001,
  },
];

const FOUND: Readonly<Record<Goal["is"], (simulation: Simulation, truth: Truth) => boolean>> = {
  refused: (simulation, truth) => simulation.refusal(truth) !== undefined,
  degraded: (simulation, truth) => simulation.severity(truth).severity !== "none",
  "wrong impact": (simulation, truth) => simulation.hasWrongImpact(truth),
};

/** How many of these runs are what the goal asks about. */
export function countOf({ is, truth }: Goal, seed: number, workers: number, runs: number): number {
  const simulation = new Simulation(seed, workers);
  let count = 0;
  for (let run = 0; run < runs; run += 1) if (FOUND[is](simulation, truth)) count += 1;
  return count;
}

export const isMissed = ({ atLeast = 0, atMost = 1 }: Goal, share: number): boolean =>
  share > atMost || share < atLeast;
