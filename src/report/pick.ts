/** Which of several measurements a summary shows, and the names of runs. */
import { RUNNER_SOURCE } from "../evidence/sample.js";
import type { ProbeResult, RunResult } from "../analysis/result.js";
import { worstInWindow } from "../analysis/severity.js";
import type { ProbeName } from "../experiment/names.js";

/** The workers' results of some probes. */
export function onWorkers(result: RunResult, ...probes: readonly ProbeName[]): ProbeResult[] {
  return result.probes.filter(({ probe, source }) => probes.includes(probe) && source !== RUNNER_SOURCE);
}

/** With more sources than this of a probe, only the worst ones are shown each on their own. */
const MOST_SOURCES = 6;
const WORST_SHOWN = 3;

/** The results of one probe that are shown, in their order, and those that are not: none of these is worse. */
export interface Picked {
  readonly shown: readonly ProbeResult[];
  readonly others: readonly ProbeResult[];
}

/**
 * The results by probe. Of many sources the worst are shown: by the availability in the window, then by the longest
 * outage.
 */
export function pickedByProbe(results: readonly ProbeResult[]): Picked[] {
  const byProbe = new Map<ProbeName, ProbeResult[]>();
  for (const result of results) {
    const known = byProbe.get(result.probe);
    if (known === undefined) byProbe.set(result.probe, [result]);
    else known.push(result);
  }
  return [...byProbe.values()].map((all) => {
    if (all.length <= MOST_SOURCES) return { shown: all, others: [] };
    const share = ({ phases }: ProbeResult): number => phases.window.availability ?? 1;
    const worst = new Set(
      [...all]
        .sort((a, b) => share(a) - share(b) || b.longestOutageMs - a.longestOutageMs)
        .slice(0, WORST_SHOWN),
    );
    return {
      shown: all.filter((one) => worst.has(one)),
      others: all.filter((one) => !worst.has(one)),
    };
  });
}

/** The worker with the lowest availability of app → DB writes in the window. */
export function worstWrites(result: RunResult): ProbeResult | undefined {
  return worstInWindow(onWorkers(result, "app-write"), ["app-write"]);
}

/** The worker on which writes failed first; undefined: they never failed. */
export function firstImpact(result: RunResult): ProbeResult | undefined {
  return onWorkers(result, "app-write")
    .filter(({ timeToImpactMs }) => timeToImpactMs !== null)
    .sort((a, b) => (a.timeToImpactMs ?? 0) - (b.timeToImpactMs ?? 0))[0];
}

/** The worker with the longest outage of writes. */
export function longestOutage(result: RunResult): ProbeResult | undefined {
  return onWorkers(result, "app-write").sort((a, b) => b.longestOutageMs - a.longestOutageMs)[0];
}

/** The longest time in which writes failed intermittently from one worker, ms; open ones: at least. 0: none. */
export function longestIntermittentMs(result: RunResult): number {
  return Math.max(
    0,
    ...onWorkers(result, "app-write").map(({ totalIntermittentMs = 0 }) => totalIntermittentMs),
  );
}

/** The display name of a run: the study's, else the component's, the object's or the experiment's. */
export function rowName({ facts }: RunResult): string {
  return facts.study?.name ?? facts.target?.component ?? facts.target?.object.name ?? facts.experiment.name;
}

/** Only the state of the component's own function is unknown. The application's result is known: there was an attack. */
export function functionAloneUnknown({
  reasons,
  phases,
}: Pick<RunResult, "reasons"> & Partial<Pick<RunResult, "phases">>): boolean {
  if (phases !== undefined && phases.window === undefined) return false;
  return reasons.length > 0 && reasons.every(({ code }) => code === "function-not-measured");
}
