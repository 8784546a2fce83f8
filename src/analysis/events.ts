/**
 * What the runner did and saw, in its own monotonic clock, in the order in which it was known (a deletion is
 * written down when it is answered, with the time at which it was sent). `events.ndjson` of a run; with the raw
 * samples it is all that the analysis needs, so that `result.json` can be computed again from files alone.
 */

export const PHASES = [
  "preflight",
  "lock",
  "deploy",
  "baseline",
  "record",
  "window",
  "release",
  "recovery",
  "teardown",
] as const;
export type PhaseName = (typeof PHASES)[number];

/** An object of the API, named. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
}

export type RunEventBody =
  | { readonly type: "phase"; readonly phase: PhaseName; readonly state: "start" | "end" }
  | { readonly type: "check"; readonly name: string; readonly ok: boolean; readonly detail: string }
  /** A measured clock: runnerMs = agentMs + offsetMs, right within ± uncertaintyMs. */
  | {
      readonly type: "clock";
      readonly source: string;
      readonly boot: string;
      readonly offsetMs: number;
      readonly uncertaintyMs: number;
    }
  /**
   * A deletion that the attack asked for; one that failed is asked for again, and is another event. `status` is
   * the API server's answer (404, 409: already gone), 0 when there was none.
   */
  | {
      readonly type: "kill";
      readonly object: ObjectRef;
      /** initial: was there when the attack began; swept: left behind by its owner; recreated: came back. */
      readonly reason: "initial" | "swept" | "recreated";
      readonly status: number;
      /** From the request to the answer, ms. `tMs` of the event is the request. */
      readonly tookMs: number;
    }
  /** An object of the target appeared after the attack began. `by`: the field manager that made it, if known. */
  | { readonly type: "recreated"; readonly object: ObjectRef; readonly by?: string }
  /** An object of the target that the runner had seen is gone from the API, or is the target's no more. */
  | { readonly type: "gone"; readonly object: ObjectRef }
  /** A change of one pod of the target. `ready`: its Ready condition; `terminating`: has a deletionTimestamp. */
  | {
      readonly type: "instance";
      readonly object: ObjectRef;
      readonly node?: string;
      readonly podPhase: string;
      readonly ready: boolean;
      readonly terminating: boolean;
    }
  /** Endpoints of a Service of the target: how many addresses are ready; how many serve while terminating. */
  | {
      readonly type: "endpoints";
      readonly service: ObjectRef;
      readonly ready: number;
      readonly servingTerminating: number;
    }
  /** The runtime of a node was asked which containers of the target run. `error`: it could not be asked. */
  | {
      readonly type: "runtime";
      readonly node: string;
      readonly running: readonly string[];
      readonly error?: string;
    }
  /** Something was put back, or was found put back. */
  | {
      readonly type: "restored";
      readonly object: ObjectRef;
      readonly how: "created" | "patched" | "found";
      /** "runner", or who did it (a field manager: addon-manager's kubectl, say). */
      readonly by: string;
    }
  /** Target ready again: all wanted replicas ready, endpoints present. */
  | { readonly type: "target-ready" }
  /** Every probe that worked at baseline has succeeded K times in a row. */
  | { readonly type: "healthy" }
  /** A watch ended, stalled or was refused, and what was done. */
  | { readonly type: "watch"; readonly resource: string; readonly what: string }
  | { readonly type: "signal"; readonly signal: string }
  | { readonly type: "warning"; readonly text: string }
  /** The run could not go on; `code` is one of the reasons of an inconclusive run. */
  | { readonly type: "stopped"; readonly code: string; readonly message: string };

/** `tMs`: milliseconds since the run began, monotonic. */
export type RunEvent = RunEventBody & { readonly tMs: number };
