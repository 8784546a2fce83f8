/** The severity of a run, from measurements only. */
import { duration, percent, threshold } from "../common/figures.js";
import type { ProbeName, Severity } from "../experiment/names.js";
import type { Thresholds } from "../experiment/schema.js";
import { RUNNER_SOURCE } from "./clocks.js";
import type { ProbeResult } from "./result.js";

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

/** The result that slowed down most, among those that count as slow; undefined: none does. */
export function slowestOf(
  results: readonly ProbeResult[],
  thresholds: Thresholds,
): { readonly result: ProbeResult; readonly factor: number } | undefined {
  const slow = results
    .map((result) => ({ result, factor: slowdown(result) ?? 0 }))
    .filter(({ result, factor }) => {
      return factor > thresholds.slowFactor && (result.phases.window.p95Ms ?? 0) >= thresholds.slowFrom;
    });
  return slow.sort((a, b) => b.factor - a.factor)[0];
}

/** Whether the component's own function was lost, from any source. */
export function functionOf(results: readonly ProbeResult[], probes: readonly ProbeName[]): FunctionFinding {
  if (probes.length === 0) return { lost: null, because: "the component has no function probe." };
  const worst = worstInWindow(results, probes);
  if (worst === undefined) {
    return { lost: null, because: `no sample of ${probes.join(", ")} in the window.` };
  }
  const availability = worst.phases.window.availability ?? 0;
  const lost = availability < FUNCTION_LOST_BELOW;
  const figures = `${worst.probe} from ${worst.source}: ${percent(availability)} good in the window`;
  const limit = threshold(FUNCTION_LOST_BELOW);
  return {
    lost,
    because: `${figures}${lost ? "" : ", the worst source"} (lost: under ${limit}).`,
  };
}

function degradation(results: readonly ProbeResult[], thresholds: Thresholds): string | null {
  const worst = worstInWindow(results, ["app-write", "app-read"]);
  const availability = worst?.phases.window.availability ?? null;
  if (worst !== undefined && availability !== null && availability < thresholds.degradedBelow) {
    return (
      `Of the ${WORDS[worst.probe] ?? worst.probe} from ${worst.source}, ${percent(availability)} succeeded ` +
      `in the window (degraded: under ${threshold(thresholds.degradedBelow)}).`
    );
  }
  const slow = slowestOf(results, thresholds);
  if (slow === undefined) return null;
  const { result: slowest, factor } = slow;
  return (
    `The p95 of ${WORDS[slowest.probe] ?? slowest.probe} from ${slowest.source} went from ` +
    `${duration(slowest.phases.baseline.p95Ms)} to ${duration(slowest.phases.window.p95Ms)}, ` +
    `${factor.toFixed(1)} times the baseline's (degraded: over ${thresholds.slowFactor} times, and at least ${duration(thresholds.slowFrom)}).`
  );
}

/**
 * The severity of a valid run. The application is judged by its worst worker. If the application is fine, the
 * component is judged by its own function.
 *
 * @param everyWorker the words for all sources: on a large cluster a part of the workers is sampled.
 */
export function severityOf(
  results: readonly ProbeResult[],
  thresholds: Thresholds,
  ownFunction: FunctionFinding,
  everyWorker = "every worker",
): SeverityFinding {
  const workers = results.filter((result) => result.source !== RUNNER_SOURCE && result.probe in WORDS);
  const worst = worstInWindow(workers, ["app-write"]);
  const availability = worst?.phases.window.availability ?? null;
  if (worst === undefined || availability === null) {
    return { severity: "none", because: "No app → DB write was measured in the window." };
  }
  if (availability < thresholds.outageBelow) {
    return {
      severity: "outage",
      because:
        `Of the app → DB writes from ${worst.source}, ${percent(availability)} succeeded in the window ` +
        `(outage: under ${threshold(thresholds.outageBelow)}).`,
    };
  }
  const degraded = degradation(workers, thresholds);
  if (degraded !== null) return { severity: "degraded", because: degraded };
  const share = availability === 1 ? "All" : `At least ${percent(availability)} of the`;
  const fine = `${share} app → DB writes from ${everyWorker} succeeded in the window`;
  if (ownFunction.lost === true) {
    return {
      severity: "function lost",
      because: `${fine}, but its own function was lost: ${ownFunction.because}`,
    };
  }
  return {
    severity: "none",
    because: `${fine}, with a p95 under ${duration(thresholds.slowFrom)} or no more than ${thresholds.slowFactor} times the baseline's.`,
  };
}
