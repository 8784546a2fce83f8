/** Which of several measurements a summary shows, and the names of runs. */
import { RUNNER_SOURCE } from "../analysis/clocks.js";
import type { ProbeResult, RunResult } from "../analysis/result.js";
import { worstInWindow } from "../analysis/severity.js";
import type { ProbeName } from "../experiment/names.js";

/** The workers' results of some probes. */
export function onWorkers(result: RunResult, ...probes: readonly ProbeName[]): ProbeResult[] {
  return result.probes.filter(({ probe, source }) => probes.includes(probe) && source !== RUNNER_SOURCE);
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

/** The display name of a run: the study's, else the component's, the object's or the experiment's. */
export function rowName({ facts }: RunResult): string {
  return facts.study?.name ?? facts.target?.component ?? facts.target?.object.name ?? facts.experiment.name;
}

/** Only the state of the component's own function is unknown. The application's result is known. */
export function functionAloneUnknown({ reasons }: Pick<RunResult, "reasons">): boolean {
  return reasons.length > 0 && reasons.every(({ code }) => code === "function-not-measured");
}
