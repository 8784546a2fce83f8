/** The phases of a run as the proof by killing counts them, and which one a signal really hit. Pure. */

import { type PhaseName, PHASES as RUN_PHASES } from "../../src/evidence/events.js";

/** The look at the function after the window is a part of it; the report has no marks of its own. */
export type Phase = Exclude<PhaseName, "function"> | "report";
export const PHASES: readonly Phase[] = [...RUN_PHASES.filter((phase) => phase !== "function"), "report"];

/** Where a signal came: a phase, before the first, or after the run had ended. */
export type Hit = Phase | "start" | "over";

/** A phase's start or end, as the JSON lines say it. */
export interface PhaseMark {
  readonly phase: string;
  readonly state: "start" | "end";
}

/** The mark in a line of `chaos --json`; undefined: another line, or one that the kill has cut. */
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

/** The mark after which a phase's delay counts. The report has none of its own: it follows the tear-down. */
export function triggerOf(phase: Phase): PhaseMark {
  return phase === "report" ? { phase: "teardown", state: "end" } : { phase, state: "start" };
}

/**
 * The phase that was hit, by the last mark before the signal. What lies between two phases counts to the first of
 * them, but for two: after preflight the journal is opened and the lock is taken, after the tear-down the report is
 * written. Between lock and deploy there is nothing.
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
  if (known === undefined) throw new Error(`a phase that the proof does not know: ${phase}`);
  return known;
}
