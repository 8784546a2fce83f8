/** The phases of a run as the crash test counts them, and which one a signal hit. Pure. */

import { type PhaseName, PHASES as RUN_PHASES } from "../../src/evidence/events.js";

/** The function check after the window counts as a part of it; the report emits no marks. */
export type Phase = Exclude<PhaseName, "function"> | "report";
export const PHASES: readonly Phase[] = [...RUN_PHASES.filter((phase) => phase !== "function"), "report"];

/** When a signal arrived: in a phase, before the first one, or after the run had ended. */
export type Hit = Phase | "start" | "over";

/** Start or end of a phase, as the JSON lines report it. */
export interface PhaseMark {
  readonly phase: string;
  readonly state: "start" | "end";
}

/** The mark in a line of `chaos --json`; undefined for any other line, or one that the kill has cut. */
export function markIn(line: string): PhaseMark | undefined {
  if (!line.startsWith('{"type":"event"') || !line.includes('"phase"')) return undefined;
  let parsed: { event?: { type?: string; phase?: string; state?: string } };
  try {
    parsed = JSON.parse(line) as typeof parsed;
  } catch {
    return undefined;
  }
  const { type, phase, state } = parsed.event ?? {};
  if (type !== "phase" || phase === undefined || (state !== "start" && state !== "end")) return undefined;
  return { phase, state };
}

/** The mark from which a phase's delay counts. The report has no mark: it follows the tear-down. */
export function triggerOf(phase: Phase): PhaseMark {
  return phase === "report" ? { phase: "teardown", state: "end" } : { phase, state: "start" };
}

/**
 * The phase that was hit, by the last mark before the signal. The time between two phases belongs to the first of
 * them, with two exceptions: after preflight the run opens the journal and takes the lock; after the tear-down it
 * writes the report. Between lock and deploy nothing happens.
 */
export function phaseHit(last: PhaseMark | undefined): Hit {
  if (last === undefined) return "start";
  const { phase, state } = last;
  if (state === "end") {
    if (phase === "preflight") return "lock";
    if (phase === "lock") return "deploy";
    if (phase === "teardown") return "report";
  }
  if (phase === "function") return "window";
  const known = PHASES.find((each) => each === phase);
  if (known === undefined) throw new Error(`unknown phase: ${phase}. Add it to test/crash/phases.ts`);
  return known;
}
