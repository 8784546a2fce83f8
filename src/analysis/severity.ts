/** The severity of a run, from measurements only. */
import { duration, percent, plural, threshold } from "../common/figures.js";
import { PROBES, type ProbeName, type Severity } from "../experiment/names.js";
import type { Thresholds } from "../experiment/schema.js";
import { RUNNER_SOURCE } from "../evidence/sample.js";
import {
  explainedText,
  judgedShares,
  lossesUnder,
  lossText,
  sharesOf,
  type JudgedShare,
  type Share,
} from "./losses.js";
import { FEWEST_ALONE, slowBeyondNoise, slowSamples, type Latency } from "./noise.js";
import type { PhaseStats, ProbeResult } from "./result.js";
import { quantile } from "./statistics.js";

/** A component's own function counts as lost if fewer than half of its probe's samples succeed. */
export const FUNCTION_LOST_BELOW = 0.5;

export interface SeverityFinding {
  readonly severity: Exclude<Severity, "inconclusive">;
  /** One sentence with the figures behind it. */
  readonly because: string;
}

export interface FunctionFinding {
  /** null: the component has no function probe, or none was measured in the window. */
  readonly lost: boolean | null;
  /** The figures behind it, as the end of a sentence. */
  readonly because: string;
}

/** Probes that represent the application. Writes are the main measure: reads go to followers. */
const WORDS: Readonly<Partial<Record<ProbeName, string>>> = {
  "app-write": "app → DB writes",
  "app-read": "app → DB reads",
};

const APPLICATION: readonly ProbeName[] = ["app-write", "app-read"];

/** The result with the lowest availability in the window; undefined: none was measured in it. */
export function worstInWindow(
  results: readonly ProbeResult[],
  probes: readonly ProbeName[],
): ProbeResult | undefined {
  let worst: ProbeResult | undefined;
  for (const result of results) {
    if (!probes.includes(result.probe) || result.phases.window.availability === null) continue;
    const least = worst?.phases.window.availability ?? Infinity;
    if (result.phases.window.availability < least) worst = result;
  }
  return worst;
}

/** How many times slower the p95 of good samples was than at the baseline; null: one of them is unknown. */
function slowdown({ phases }: ProbeResult): number | null {
  const before = phases.baseline.p95Ms;
  const during = phases.window.p95Ms;
  return before === null || during === null || before === 0 ? null : during / before;
}

interface Slowed {
  readonly result: ProbeResult;
  readonly factor: number;
}

/** The results whose p95 is above the limits, the slowest first. Noise may explain it. */
function slowedOf(results: readonly ProbeResult[], thresholds: Thresholds): Slowed[] {
  return results
    .map((result) => ({ result, factor: slowdown(result) ?? 0 }))
    .filter(({ result, factor }) => {
      return factor > thresholds.slowFactor && (result.phases.window.p95Ms ?? 0) >= thresholds.slowFrom;
    })
    .sort((a, b) => b.factor - a.factor);
}

/** How many comparisons the severity makes: the losses of the application, and slowness of each series and of all. */
const comparisonsOf = (results: readonly ProbeResult[], shares: readonly Share[]): number =>
  shares.length + results.length + 1;

/**
 * The result that slowed down most, among those that count as slow: on their own, or all together. undefined: none does.
 */
export function slowestOf(results: readonly ProbeResult[], thresholds: Thresholds): Slowed | undefined {
  const slow = slowedOf(results, thresholds)
    .map((slowed) => {
      const window = latencyOf(slowed.result.phases.window);
      return { slowed, slow: slowSamples(window, usualP95(results, slowed.result), thresholds) };
    })
    .filter((one) => one.slow > 0);
  if (slow.length === 0) return undefined;
  const comparisons = comparisonsOf(results, sharesOf(results, APPLICATION, "window"));
  const good = (some: readonly ProbeResult[]): number =>
    sum(some.map(({ phases }) => phases.window.timed ?? phases.window.good));
  const alone = slow.find((one) => {
    const samples = good([one.slowed.result]);
    return samples >= FEWEST_ALONE && slowBeyondNoise(one.slow, samples, comparisons);
  });
  if (alone !== undefined) return alone.slowed;
  const all = sum(slow.map((one) => one.slow));
  return slowBeyondNoise(all, good(results), comparisons) ? slow[0]?.slowed : undefined;
}

/** The p95 at the baseline, ms: its own or the median of all sources, because the p95 of few samples may be low by chance. */
function usualP95(results: readonly ProbeResult[], { probe, phases }: ProbeResult): number {
  const all = results
    .filter((result) => result.probe === probe)
    .map((result) => result.phases.baseline.p95Ms ?? 0);
  return Math.max(phases.baseline.p95Ms ?? 0, quantile(all, 0.5) ?? 0);
}

const latencyOf = ({ good, timed = good, p50Ms, p95Ms }: PhaseStats): Latency => ({
  samples: timed,
  p50Ms,
  p95Ms,
});
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Whether the component's own function was lost, from any source. */
export function functionOf(results: readonly ProbeResult[], probes: readonly ProbeName[]): FunctionFinding {
  if (probes.length === 0) return { lost: null, because: "the component has no function probe." };
  const worst = worstInWindow(results, probes);
  if (worst === undefined) {
    return { lost: null, because: `no sample of ${probes.join(", ")} in the window.` };
  }
  const [lost] = functionLosses(results, probes, FUNCTION_LOST_BELOW).filter(({ source }) => source !== null);
  const found =
    results.find(({ probe, source }) => probe === lost?.probes[0] && source === lost.source) ?? worst;
  const { availability, samples } = found.phases.window;
  const figures = `${found.probe} from ${found.source}: ${percent(availability)} good in the window`;
  const limit = threshold(FUNCTION_LOST_BELOW);
  if (lost === undefined && (availability ?? 0) < FUNCTION_LOST_BELOW) {
    return { lost: null, because: `${figures}, of only ${plural(samples, "sample")}.` };
  }
  return {
    lost: lost !== undefined,
    because: `${figures}${lost === undefined ? ", the worst source" : ""} (lost: under ${limit}).`,
  };
}

/** The losses of the component's own function under the limit that noise does not explain, the worst first. */
export function functionLosses(
  results: readonly ProbeResult[],
  probes: readonly ProbeName[],
  limit: number,
): JudgedShare[] {
  const shares = sharesOf(results, probes, "window");
  return lossesUnder(judgedShares(shares, shares.length), limit);
}

/** The workers' reads and writes, and their shares of failures. */
function judgedApplication(results: readonly ProbeResult[]): {
  workers: readonly ProbeResult[];
  judged: readonly JudgedShare[];
} {
  const workers = results.filter((result) => result.source !== RUNNER_SOURCE && result.probe in WORDS);
  const shares = sharesOf(workers, APPLICATION, "window");
  return { workers, judged: judgedShares(shares, comparisonsOf(workers, shares)) };
}

/**
 * The probes that lost more in the window than the limit allows and noise explains, from one source or from all together.
 * The application and the component's own function are judged as in the severity; the others together.
 */
export function affectedProbes(
  results: readonly ProbeResult[],
  functionProbes: readonly ProbeName[],
  limit: number,
): ReadonlySet<ProbeName> {
  const own = functionProbes.filter((probe) => !APPLICATION.includes(probe));
  const others = PROBES.filter((probe) => !APPLICATION.includes(probe) && !own.includes(probe));
  const losses = [
    ...lossesUnder(judgedApplication(results).judged, limit),
    ...functionLosses(results, own, limit),
    ...functionLosses(results, others, limit),
  ];
  const worst = (probe: ProbeName): number =>
    worstInWindow(results, [probe])?.phases.window.availability ?? 1;
  return new Set(losses.flatMap(({ probes }) => probes).filter((probe) => worst(probe) < limit));
}

const wordsOf = (probes: readonly ProbeName[]): string =>
  probes.length > 1 ? "app → DB writes and reads" : (WORDS[probes[0] ?? "app-write"] ?? "");

function lossSentence(losses: readonly JudgedShare[], limit: number, everyWorker: string): string | null {
  const [worst] = losses;
  if (worst === undefined) return null;
  const what = `${wordsOf(worst.probes)} from ${worst.source ?? everyWorker}`;
  return `${lossText(worst, what, "degraded", limit)}.`;
}

function slowSentence(slow: Slowed | undefined, thresholds: Thresholds): string | null {
  if (slow === undefined) return null;
  const { result, factor } = slow;
  const { baseline, window } = result.phases;
  return (
    `The p95 of ${wordsOf([result.probe])} from ${result.source} went from ` +
    `${duration(baseline.p95Ms)} to ${duration(window.p95Ms)}, ` +
    `${factor.toFixed(1)} times the baseline's, in more samples than noise explains (degraded: over ` +
    `${thresholds.slowFactor} times, and at least ${duration(thresholds.slowFrom)}).`
  );
}

/** "At least 98.7 % of the … succeeded in the window (3 of 240 failed from kind-worker; noise explains at most 4 …)". */
function fineSentence(worst: JudgedShare | undefined, degradedBelow: number, everyWorker: string): string {
  const availability = worst?.availability ?? 1;
  const share = availability === 1 ? "All" : `At least ${percent(availability)} of the`;
  const fine = `${share} app → DB writes from ${everyWorker} succeeded in the window`;
  if (worst === undefined || availability >= degradedBelow) return fine;
  const { failed, samples } = worst.phase;
  return `${fine} (${failed} of ${samples} from ${worst.source ?? everyWorker} failed; ${explainedText(worst.explained)})`;
}

/**
 * The severity of a valid run. The application is judged by each worker, and by all of them together; what noise explains
 * does not count. If the application is fine, the component is judged by its own function.
 *
 * @param everyWorker the words for all sources: on a large cluster a part of the workers is sampled.
 */
export function severityOf(
  results: readonly ProbeResult[],
  thresholds: Thresholds,
  ownFunction: FunctionFinding,
  everyWorker = "every worker",
): SeverityFinding {
  const { workers, judged } = judgedApplication(results);
  const writes = judged.filter(
    ({ probes, source, availability }) =>
      probes[0] === "app-write" && source !== null && availability !== null,
  );
  const [worst] = [...writes].sort((a, b) => (a.availability ?? 1) - (b.availability ?? 1));
  if (worst === undefined) {
    return { severity: "none", because: "No app → DB write was measured in the window." };
  }
  const [outage] = lossesUnder(writes, thresholds.outageBelow);
  if (outage !== undefined) {
    return {
      severity: "outage",
      because:
        `Of the app → DB writes from ${outage.source ?? everyWorker}, ${percent(outage.availability)} succeeded in the window ` +
        `(outage: under ${threshold(thresholds.outageBelow)}).`,
    };
  }
  const { degradedBelow } = thresholds;
  const degraded =
    lossSentence(lossesUnder(judged, degradedBelow), degradedBelow, everyWorker) ??
    slowSentence(slowestOf(workers, thresholds), thresholds);
  if (degraded !== null) return { severity: "degraded", because: degraded };
  const fine = fineSentence(worst, degradedBelow, everyWorker);
  if (ownFunction.lost === true) {
    return {
      severity: "function lost",
      because: `${fine}, but its own function was lost: ${ownFunction.because}`,
    };
  }
  return { severity: "none", because: `${fine}, ${notSlow(workers, thresholds)}.` };
}

/** Why the application does not count as slow. */
function notSlow(workers: readonly ProbeResult[], thresholds: Thresholds): string {
  const [slowed] = slowedOf(workers, thresholds);
  if (slowed === undefined) {
    return `with a p95 under ${duration(thresholds.slowFrom)} or no more than ${thresholds.slowFactor} times the baseline's`;
  }
  const { source, probe, phases } = slowed.result;
  return (
    `and the p95 of ${wordsOf([probe])} from ${source} rose to ${duration(phases.window.p95Ms)}, but in no more of its ` +
    `${plural(phases.window.good, "good sample")} than noise explains`
  );
}
