/**
 * What the runner did and saw, in its own monotonic clock, in the order in which it was known (a deletion is
 * written down when it is answered, with the time at which it was sent). `events.ndjson` of a run; with the raw
 * samples it is all that the analysis needs, so that `result.json` can be computed again from files alone.
 */

import type { FunctionCheckName } from "../components/functions.js";
import type { KillAction } from "../experiment/attacks.js";

export const PHASES = [
  "preflight",
  "lock",
  "deploy",
  "baseline",
  "record",
  "window",
  "function",
  "release",
  "recovery",
  "teardown",
] as const;

export type PhaseName = (typeof PHASES)[number];

/**
 * `function`: the application's window is over, the component is still kept down; what would disturb the
 * application (a function probe that changes the cluster's DNS) is looked at now.
 */

/** An object of the API, named; or a unit or a static pod of a node, as "NAME on NODE". */
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
   * What the attack did to one object; one that failed is done again, and is another event. `status` is the API
   * server's answer (404, 409: already gone), 0 when there was none; on a node 200: done, 0: not.
   */
  | {
      readonly type: "kill";
      readonly object: ObjectRef;
      /** initial: was there when the attack began; swept: left behind by its owner; recreated: came back. */
      readonly reason: "initial" | "swept" | "recreated";
      /** Default: deleted. */
      readonly action?: "deleted" | KillAction;
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
  /** Whether a systemd unit of the target runs on a node. `error`: it could not be asked. */
  | {
      readonly type: "unit";
      readonly node: string;
      readonly unit: string;
      readonly active: boolean;
      readonly error?: string;
    }
  /** The attack itself brought the target back between two blows (flapping). */
  | { readonly type: "let-up"; readonly object: ObjectRef }
  /** Whether a node is Ready, as the API says: "True", "False", "Unknown". */
  | { readonly type: "node-ready"; readonly node: string; readonly ready: string; readonly reason?: string }
  /** Ready addresses of a Service of the application. */
  | { readonly type: "app-endpoints"; readonly service: string; readonly ready: number }
  /** The application's database pod was replaced; `tookMs`: until the old one was gone. */
  | {
      readonly type: "churn";
      readonly object: ObjectRef;
      readonly rehearsal: boolean;
      readonly ok: boolean;
      readonly tookMs: number;
      readonly detail: string;
    }
  /** One look at the component's own function; `tMs` is when it began. */
  | {
      readonly type: "function";
      readonly probe: FunctionCheckName;
      readonly look: number;
      readonly present: boolean;
      readonly tookMs: number;
      readonly evidence: string;
      readonly pendingId?: string;
    }
  /** What became of something that had not arrived by its deadline, looked for after the recovery. */
  | {
      readonly type: "function-late";
      readonly probe: FunctionCheckName;
      readonly look: number;
      readonly outcome: "late" | "lost";
      readonly evidence: string;
    }
  /** What the Service of an abort condition answers, each time that this changes (it begins with good). */
  | {
      readonly type: "condition";
      /** "GET shop/web:80/healthz". */
      readonly asked: string;
      /** not known: the question did not reach the Service. */
      readonly state: "good" | "failing" | "not known";
      /** Why it is not good. */
      readonly detail: string;
    }
  /** Something was put back, or was found put back. */
  | {
      readonly type: "restored";
      readonly object: ObjectRef;
      readonly how: "created" | "patched" | "found" | "started" | "returned";
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
