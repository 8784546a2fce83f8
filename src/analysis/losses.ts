/** The shares of samples that a verdict judges, each with what noise explains of it. */
import { percent, threshold } from "../common/figures.js";
import type { ProbeName } from "../experiment/names.js";
import { FALSE_ALARMS_PER_RUN, noiseExplains, noisier, sumOf, type Counts } from "./noise.js";
import type { MeasuredPhase, ProbeResult } from "./result.js";
import { countsOf } from "./statistics.js";

/** The failures of some series in one phase. */
export interface Share {
  /** One probe, or several that are judged together. */
  readonly probes: readonly ProbeName[];
  /** null: all sources together. */
  readonly source: string | null;
  readonly phase: Counts;
  /** What noise is measured by: the same series at the baseline. null: the phase itself is the baseline. */
  readonly baseline: Counts | null;
}

export interface JudgedShare extends Share {
  /** Share of good samples; null: no samples. */
  readonly availability: number | null;
  /** The most failures that noise explains. */
  readonly explained: number;
}

/** The failures of these series together. */
export const countsIn = (results: readonly ProbeResult[], phase: MeasuredPhase): Counts =>
  sumOf(results.map(({ phases }) => countsOf(phases[phase])));

/**
 * Each series of these probes on its own (one source may lose what the others do not), each probe's series together, and
 * all of them together: a small loss that every source has is found only in many samples.
 */
export function sharesOf(
  results: readonly ProbeResult[],
  probes: readonly ProbeName[],
  phase: "baseline" | "window",
): Share[] {
  const share = (some: readonly ProbeResult[], of: readonly ProbeName[], source: string | null): Share => ({
    probes: of,
    source,
    phase: countsIn(some, phase),
    baseline: phase === "baseline" ? null : countsIn(some, "baseline"),
  });
  const groups = probes
    .map((probe) => ({ of: [probe], some: results.filter((result) => result.probe === probe) }))
    .filter(({ some }) => some.length > 0);
  const all = { of: groups.flatMap(({ of }) => of), some: groups.flatMap(({ some }) => some) };
  const together = [...groups.filter(({ some }) => some.length > 1), ...(groups.length > 1 ? [all] : [])];
  return [
    ...groups.flatMap(({ of, some }) => some.map((result) => share([result], of, result.source))),
    ...together.map(({ of, some }) => share(some, of, null)),
  ];
}

/**
 * @param shares all that are judged together; the noise of a series is that of the noisier: itself, or all series.
 * @param comparisons how many comparisons the run makes.
 */
export function judgedShares(shares: readonly Share[], comparisons: number): JudgedShare[] {
  const all = shares.at(-1)?.baseline ?? NO_BASELINE;
  return shares.map((share) => ({
    ...share,
    availability:
      share.phase.samples === 0 ? null : (share.phase.samples - share.phase.failed) / share.phase.samples,
    explained: noiseExplains(share.phase.samples, noisier(share.baseline ?? NO_BASELINE, all), comparisons),
  }));
}

const NO_BASELINE: Counts = { failed: 0, samples: 0 };

/** Whether noise does not explain the failures. */
const isBeyondNoise = ({ phase, explained }: JudgedShare): boolean => phase.failed > explained;

/** The shares under the limit that noise does not explain, the worst first: those of one source before all together. */
export function lossesUnder(shares: readonly JudgedShare[], limit: number): JudgedShare[] {
  return shares
    .filter((share) => isBeyondNoise(share) && (share.availability ?? 1) < limit)
    .sort(
      (a, b) =>
        Number(a.source === null) - Number(b.source === null) ||
        (a.availability ?? 1) - (b.availability ?? 1),
    );
}

/** "12 of 400", or "none of 400". */
const failedOf = ({ failed, samples }: Counts): string => `${failed === 0 ? "none" : failed} of ${samples}`;

/** "noise explains at most 4 (1 false alarm in 2,000 runs)". */
export function explainedText(explained: number): string {
  const runs = Math.round(1 / FALSE_ALARMS_PER_RUN).toLocaleString("en-US");
  return `noise explains at most ${explained} (1 false alarm in ${runs} runs)`;
}

/**
 * "12 of 400 app → DB writes from kind-worker failed in the window (3.0 %; degraded: over 1 %); at the baseline none of
 * 60; noise explains at most 4 (1 false alarm in 2,000 runs)".
 *
 * @param what the samples, in words. @param rule what a loss over the limit is called. @param limit least share of good ones.
 */
export function lossText(share: JudgedShare, what: string, rule: string, limit: number): string {
  const { phase, baseline, explained, availability } = share;
  const before = baseline === null ? "" : `; at the baseline ${failedOf(baseline)}`;
  return (
    `${phase.failed} of ${phase.samples} ${what} failed ${baseline === null ? "at the baseline" : "in the window"} ` +
    `(${percent(1 - (availability ?? 1))}; ${rule}: over ${threshold(1 - limit)})${before}; ${explainedText(explained)}`
  );
}
