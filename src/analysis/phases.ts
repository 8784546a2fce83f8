/** The times of a run's phases, from its events. Milliseconds since the run began. */
import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { MeasuredPhase } from "./result.js";

interface Span {
  readonly fromMs: number;
  /** null: no end was recorded. */
  readonly toMs: number | null;
}

/** A closed interval of time: [fromMs, toMs). */
export interface ClosedSpan {
  readonly fromMs: number;
  readonly toMs: number;
}

export type PhaseSpans = Readonly<Partial<Record<PhaseName, Span>>>;
export type MeasuredSpans = Readonly<Record<MeasuredPhase, ClosedSpan | null>>;

/** The last start of each phase, with its end: of a baseline that was repeated, the last one counts. */
export function phaseSpans(events: readonly RunEvent[]): PhaseSpans {
  const spans: Partial<Record<PhaseName, Span>> = {};
  for (const event of events) {
    if (event.type !== "phase") continue;
    const span = spans[event.phase];
    if (event.state === "end") spans[event.phase] = { fromMs: span?.fromMs ?? event.tMs, toMs: event.tMs };
    else spans[event.phase] = { fromMs: event.tMs, toMs: null };
  }
  return spans;
}

/**
 * Start of the release. If a run has no release: the end of the last phase in which the target was down.
 * null: neither was reached.
 */
export function releaseOf(spans: PhaseSpans): number | null {
  return spans.release?.fromMs ?? (spans.function ?? spans.window)?.toMs ?? null;
}

const LATER: Readonly<Record<MeasuredPhase, readonly PhaseName[]>> = {
  baseline: ["record", "window", "function", "release", "recovery", "teardown"],
  window: ["function", "release", "recovery", "teardown"],
  recovery: ["teardown"],
};

/**
 * The three measured intervals. A phase without an end (an interrupted run) ends where a later phase begins, or with
 * the run.
 *
 * @param endMs time of the run's last event.
 */
export function measuredSpans(spans: PhaseSpans, endMs: number): MeasuredSpans {
  const close = (phase: MeasuredPhase, fromMs: number | null | undefined): ClosedSpan | null => {
    if (fromMs === null || fromMs === undefined) return null;
    const later = LATER[phase].flatMap((name) => spans[name]?.fromMs ?? []).filter((ms) => ms >= fromMs);
    return { fromMs, toMs: Math.max(fromMs, Math.min(spans[phase]?.toMs ?? endMs, ...later)) };
  };
  const recovers = spans.release !== undefined || spans.recovery !== undefined;
  return {
    baseline: close("baseline", spans.baseline?.fromMs),
    window: close("window", spans.window?.fromMs),
    recovery: recovers ? close("recovery", releaseOf(spans) ?? spans.recovery?.fromMs) : null,
  };
}

/**
 * The time after the application's window in which the component is still kept down and function checks run that may
 * disturb the application: from the window's end to the release. null: the run has no such phase.
 */
export function functionSpan(spans: PhaseSpans, endMs: number): ClosedSpan | null {
  const { window } = measuredSpans(spans, endMs);
  if (spans.function === undefined || window === null) return null;
  const toMs = spans.release?.fromMs ?? spans.function.toMs ?? endMs;
  return { fromMs: window.toMs, toMs: Math.max(window.toMs, toMs) };
}
