import type { Progress } from "../common/progress.js";
import type { PhaseName, RunEvent } from "../evidence/events.js";
import { wholeSeconds } from "../common/figures.js";

/** What every view needs. */
export interface ViewBase {
  readonly stream: ViewStream;
  readonly out: NodeJS.WritableStream;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly timers: Timers;
}

/** A running phase. */
export interface RunningPhase {
  readonly name: PhaseName;
  readonly startMs: number;
  readonly totalMs: number | undefined;
  live: LiveState | undefined;
}

/** `41 s left · app→DB ok 12 / failing 148 · kills 6 · endpoints 0`; the elapsed time if the end is unknown. */
export function phaseStatus(phase: RunningPhase, nowMs: number): string {
  const elapsedMs = nowMs - phase.startMs;
  const time =
    phase.totalMs === undefined ? wholeSeconds(elapsedMs) : `${wholeSeconds(phase.totalMs - elapsedMs)} left`;
  return [time, ...liveParts(phase.live)].join(" · ");
}

/** The counts of a phase, for its live line and its final line. */
export function liveParts(live: LiveState | undefined): string[] {
  if (live === undefined) return [];
  const parts = [`app→DB ok ${live.ok} / failing ${live.failing}`, `kills ${live.kills}`];
  if (live.endpointsReady !== undefined) parts.push(`endpoints ${live.endpointsReady}`);
  if (live.note !== undefined && live.note !== "") parts.push(live.note);
  return parts;
}

/** Where a view writes. */
export type ViewStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

/** The samples of one probe from all workers, for a line of the live view. */
export interface LiveLane {
  readonly probe: string;
  /** Share of failed samples (0 to 1) in each of the last seconds, oldest first; null: no sample. */
  readonly seconds: readonly (number | null)[];
  /** Workers whose newest sample failed, of so many. */
  readonly failing: number;
  readonly sources: number;
}

/** Where a session is. */
export interface SessionPosition {
  /** Number of the experiment, from 1. */
  readonly index: number;
  readonly of: number;
  /** Its name. */
  readonly experiment: string;
  /** Expected time until the end of all experiments, ms. */
  readonly leftMs: number;
}

/** "experiment 2 of 15: kube-dns · about 31 min until the end"; without the number if it is the only one. */
export function sessionStatus({ index, of, experiment, leftMs }: SessionPosition, elapsedMs: number): string {
  const left = leftMs - elapsedMs;
  const minutes = Math.round(left / 60_000);
  const time =
    left < 0
      ? "takes longer than expected"
      : `${minutes < 1 ? "less than a minute" : `about ${minutes} min`} until the end`;
  return `${of === 1 ? "" : `experiment ${index} of ${of}: `}${experiment} · ${time}`;
}

/** What the live line of a phase shows; counts since the phase began. */
export interface LiveState {
  /** Good and failed app → DB samples. */
  readonly ok: number;
  readonly failing: number;
  readonly kills: number;
  /** Ready endpoints of the target's Services; undefined: unknown, or not known yet. */
  readonly endpointsReady: number | undefined;
  readonly note?: string;
  /** What each probe has seen in the last minute. */
  readonly lanes?: readonly LiveLane[];
}

/** Shows a run while it is running. */
export interface RunView extends Progress {
  /** An experiment of a session begins. */
  session(position: SessionPosition): void;
  /** A phase begins. `totalMs`: how long it takes (for the recovery: at most); undefined: unknown. */
  phase(name: PhaseName, totalMs: number | undefined): void;
  /** The newest counts of the phase; cheap, may be called for every sample. */
  live(state: LiveState): void;
  event(event: RunEvent): void;
  /** The phase has ended, if it is the last one begun. */
  phaseEnd(name: PhaseName): void;
  /** Leaves the terminal to `work` (a question to the user). Nothing is redrawn until it is done. */
  suspended<T>(work: () => Promise<T>): Promise<T>;
  /** The run's result: lines for people, an object for programs. Called once, at the end. */
  result(lines: readonly string[], summary: unknown): void;
  /**
   * Leaves the stream clean: no half-drawn line, no running timer. Later messages (for example how to complete an
   * interrupted restore) still appear, as plain lines. May be called again.
   */
  close(): void;
}

/** Timers, replaceable in tests. */
export interface Timers {
  setInterval(callback: () => void, ms: number): unknown;
  clearInterval(handle: unknown): void;
}
