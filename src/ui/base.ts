import type { Progress } from "../common/progress.js";
import type { PhaseName, RunEvent } from "../evidence/events.js";
import { wholeSeconds } from "../common/figures.js";

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

/** Where a view writes. */
export type ViewStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** What the live line of a phase shows; counts since the phase began. */
export interface LiveState {
  /** App → DB samples that were good, and that were not. */
  readonly ok: number;
  readonly failing: number;
  readonly kills: number;
  /** Ready endpoints of the target's Services; undefined: not known (yet). */
  readonly endpointsReady: number | undefined;
  readonly note?: string;
}

/** How a run is shown while it goes on. */
export interface RunView extends Progress {
  /** A phase begins. `totalMs`: how long it will take (of recovery: at most); undefined: not known. */
  phase(name: PhaseName, totalMs: number | undefined): void;
  /** The newest counts of the phase; cheap, may be called for every sample. */
  live(state: LiveState): void;
  event(event: RunEvent): void;
  /** The phase that was begun last is over. */
  phaseEnd(name: PhaseName): void;
  /** Leaves the terminal to `work` (a question to the user): nothing is redrawn over it until it is done. */
  suspended<T>(work: () => Promise<T>): Promise<T>;
  /** What the run came to: lines for people, an object for programs. Once, at the end. */
  result(lines: readonly string[], summary: unknown): void;
  /**
   * Leaves the stream as it was found: no line half drawn, no timer running. What is said afterwards (how to
   * finish an interrupted restore, say) still appears, as plain lines. May be called again.
   */
  close(): void;
}

/** The timers that a view needs. */
export interface Timers {
  setInterval(callback: () => void, ms: number): unknown;
  clearInterval(handle: unknown): void;
}
