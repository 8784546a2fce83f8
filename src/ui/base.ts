import type { PhaseName } from "../evidence/events.js";
import { wholeSeconds } from "./width.js";
import type { LiveState, Timers, ViewStream } from "./view.js";

/** What every view is made with. */
export interface ViewBase {
  readonly stream: ViewStream;
  readonly out: NodeJS.WritableStream;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly timers: Timers;
}

/** A phase that is going on. */
export interface RunningPhase {
  readonly name: PhaseName;
  readonly startMs: number;
  readonly totalMs: number | undefined;
  live: LiveState | undefined;
}

/** `41 s left · app→DB ok 12 / failing 148 · kills 6 · endpoints 0`; the time gone where the end is not known. */
export function phaseStatus(phase: RunningPhase, nowMs: number): string {
  const elapsedMs = nowMs - phase.startMs;
  const time =
    phase.totalMs === undefined ? wholeSeconds(elapsedMs) : `${wholeSeconds(phase.totalMs - elapsedMs)} left`;
  return [time, ...liveParts(phase.live)].join(" · ");
}

/** The counts of a phase, for its live line and for its last. */
export function liveParts(live: LiveState | undefined): string[] {
  if (live === undefined) return [];
  const parts = [`app→DB ok ${live.ok} / failing ${live.failing}`, `kills ${live.kills}`];
  if (live.endpointsReady !== undefined) parts.push(`endpoints ${live.endpointsReady}`);
  if (live.note !== undefined && live.note !== "") parts.push(live.note);
  return parts;
}
