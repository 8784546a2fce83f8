/**
 * What a view tells, as objects: the lines of `--json`, and what a program that uses the API receives. All times are
 * milliseconds.
 */
import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { LiveState, SessionPosition } from "./base.js";

/** Counts since the phase began, without the lanes: a program has the samples. `endpointsReady`: ready endpoints of the target's Services, null: not known. */
export type LiveCounts = Omit<LiveState, "endpointsReady" | "lanes"> & {
  readonly endpointsReady: number | null;
};

/** @typeParam Result the object of a `result` message. */
export type MessageBody<Result = unknown> =
  /** A step of the work begins. */
  | { readonly type: "step"; readonly title: string; readonly state: "start" }
  /** News of a step that is running. */
  | { readonly type: "step"; readonly title: string; readonly state: "note"; readonly note: string }
  | { readonly type: "step"; readonly title: string; readonly state: "done"; readonly tookMs: number }
  | {
      readonly type: "step";
      readonly title: string;
      readonly state: "failed";
      readonly tookMs: number;
      readonly error: string;
    }
  | { readonly type: "info"; readonly text: string }
  | { readonly type: "warning"; readonly text: string }
  /** An experiment of the session begins. */
  | ({ readonly type: "session" } & SessionPosition)
  /** A phase begins. `totalMs`: how long it takes (the recovery: at most); null: not known. */
  | {
      readonly type: "phase";
      readonly phase: PhaseName;
      readonly state: "start";
      readonly totalMs: number | null;
    }
  /** A phase has ended. `live`: its last counts. */
  | {
      readonly type: "phase";
      readonly phase: PhaseName;
      readonly state: "done" | "not finished";
      readonly tookMs: number;
      readonly live?: LiveCounts;
    }
  /** The newest counts of the phase: at most one message a second. */
  | ({ readonly type: "live"; readonly phase: PhaseName } & LiveCounts)
  /** One line of `events.ndjson`; `event.tMs` counts from the start of that run. */
  | { readonly type: "event"; readonly event: RunEvent }
  | { readonly type: "result"; readonly result: Result };

/** `tMs`: since the command began. */
export type Message<Result = unknown> = MessageBody<Result> & { readonly tMs: number };
