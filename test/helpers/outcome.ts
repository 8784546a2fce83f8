import type { Outcome } from "../../src/probes/agent/judge.js";
import { sampleOnce } from "../../src/probes/agent/schedule.js";

/** The outcome of a measurement, with errors mapped as in the agent. */
export async function outcomeOf(measure: Promise<Outcome | undefined>): Promise<Record<string, unknown>> {
  const line = await sampleOnce(
    "outside",
    () => measure,
    () => 0,
  );
  const { probe, t, d, ...outcome } = (line ?? {}) as Record<string, unknown>;
  void [probe, t, d];
  return outcome;
}
