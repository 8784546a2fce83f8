import type { PhaseName } from "../../evidence/events.js";
import type { RunContext } from "../context.js";
import type { RunState } from "../run-state.js";

/** A part of a run. Its start and end are events. */
export interface Phase {
  readonly name: PhaseName;
  /** Whether it has its turn, as things stand. */
  readonly due: (state: RunState) => boolean;
  /** How long it takes at most, ms; a phase that has none is not shown while it goes on. */
  readonly limitMs?: (state: RunState) => number;
  /** Before its start: ends what went on until now, or asks whether it may begin. false: not, and the run is halted. */
  readonly before?: (state: RunState) => Promise<boolean>;
  /** @returns false when the run is halted: nothing further is done to the cluster than to put it right. */
  readonly run: (state: RunState) => Promise<boolean>;
  /** Why the run is halted when it fails; undefined: the error ends the run. */
  readonly failure?: "deploy-failed" | "attack-failed";
}

/** One phase after the other, each when it is due: also after a failure, what was harmed is put back. */
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
    const goesOn =
      (await attempt(phase.before)) &&
      (await inPhase(
        state.context,
        phase.name,
        async () => await attempt(phase.run),
        phase.limitMs?.(state),
      ));
    if (!goesOn) state.halted = true;
  }
}

/** Work between a phase's start and its end. @param limitMs undefined: the phase is not shown while it goes on. */
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
