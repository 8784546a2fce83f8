import type { PhaseName } from "../../evidence/events.js";
import type { RunContext } from "../context.js";
import type { RunState } from "../run-state.js";

/** A phase of a run. Its start and end are events. */
export interface Phase {
  readonly name: PhaseName;
  /** Whether the phase runs in the current state. */
  readonly due: (state: RunState) => boolean;
  /** The longest time it takes, ms. A phase without it is not shown while it runs. */
  readonly limitMs?: (state: RunState) => number;
  /** Runs before the start: ends earlier work, or checks whether the phase may start. false: the run is halted. */
  readonly before?: (state: RunState) => Promise<boolean>;
  /** @returns false when the run is halted: from then on the cluster is only restored. */
  readonly run: (state: RunState) => Promise<boolean>;
  /** Code with which the run is halted when the phase fails; undefined: the error ends the run. */
  readonly failure?: "deploy-failed" | "attack-failed";
}

/** Runs one phase after the other, each if it is due. The damage is undone even after a failure. */
export async function runPhases(phases: readonly Phase[], state: RunState): Promise<void> {
  for (const phase of phases) {
    if (!phase.due(state)) continue;
    const attempt = async (
      work: Phase["run"] = async () => await Promise.resolve(true),
    ): Promise<boolean> => {
      try {
        return await work(state);
      } catch (error) {
        if (phase.failure === undefined) throw error;
        state.stopped(phase.failure, error);
        return false;
      }
    };
    const passed =
      (await attempt(phase.before)) &&
      (await inPhase(
        state.context,
        phase.name,
        async () => await attempt(phase.run),
        phase.limitMs?.(state),
      ));
    if (!passed) state.halted = true;
  }
}

/** Does work between a phase's start and end events. @param limitMs undefined: the phase is not shown while it runs. */
export async function inPhase<T>(
  { recorder, view }: Pick<RunContext, "recorder" | "view">,
  phase: PhaseName,
  work: () => Promise<T>,
  limitMs?: number,
): Promise<T> {
  recorder.emit({ type: "phase", phase, state: "start" });
  if (limitMs !== undefined) view.phase(phase, limitMs);
  const result = await work();
  recorder.emit({ type: "phase", phase, state: "end" });
  if (limitMs !== undefined) view.phaseEnd(phase);
  return result;
}
