/**
 * What the runner did and observed, in its monotonic clock, in the order in which it was recorded (a deletion is recorded
 * after its response, with the time of its request). This is `events.ndjson` of a run. With the raw samples it is all that
 * the analysis needs, so that `result.json` can be computed again from the files.
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
 * `function`: the application's window is over, and the component is still kept down. Function checks that would disturb
 * the application (one changes the cluster's DNS) run now.
 */

/** An object of the API, by name; or a unit or static pod of a node, as "NAME on NODE". */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
}

export type RunEventBody =
  | { readonly type: "phase"; readonly phase: PhaseName; readonly state: "start" | "end" }
  | {
      readonly type: "check";
      readonly name: string;
      readonly ok: boolean;
      readonly detail: string;
      /** Nothing was looked at: the detail is assumed. A later check has what was found. */
      readonly assumed?: true;
    }
  /** A measured clock offset: runnerMs = agentMs + offsetMs ± uncertaintyMs. */
  | {
      readonly type: "clock";
      readonly source: string;
      readonly boot: string;
      readonly offsetMs: number;
      readonly uncertaintyMs: number;
    }
  /**
   * What the attack did to one object. A failed kill is retried, which is another event. `status`: the API server's status
   * (404, 409: already deleted), 0 without a response; on a node 200: done, 0: failed.
   */
  | {
      readonly type: "kill";
      readonly object: ObjectRef;
      /** initial: existed at the start of the attack; swept: left behind by its owner; recreated: created again. */
      readonly reason: "initial" | "swept" | "recreated";
      /** Default: deleted. */
      readonly action?: "deleted" | KillAction;
      readonly status: number;
      /** From the request to the response, ms. `tMs` is the time of the request. */
      readonly tookMs: number;
    }
  /** An object of the target was created during the attack. `by`: the field manager that created it, if known. */
  | { readonly type: "recreated"; readonly object: ObjectRef; readonly by?: string }
  /** A known object of the target was deleted from the API, or does not belong to the target any more. */
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
  /** Endpoints of a Service of the target: the number of ready addresses, and of those serving while terminating. */
  | {
      readonly type: "endpoints";
      readonly service: ObjectRef;
      readonly ready: number;
      readonly servingTerminating: number;
    }
  /** The running containers of the target on a node, from its container runtime. `error`: the query failed. */
  | {
      readonly type: "runtime";
      readonly node: string;
      readonly running: readonly string[];
      readonly error?: string;
    }
  /** Whether a systemd unit of the target is active on a node. `error`: the query failed. */
  | {
      readonly type: "unit";
      readonly node: string;
      readonly unit: string;
      readonly active: boolean;
      readonly error?: string;
    }
  /** The attack itself restored the target between two kills (flapping). */
  | { readonly type: "let-up"; readonly object: ObjectRef }
  /** The Ready condition of a node: "True", "False", "Unknown". */
  | { readonly type: "node-ready"; readonly node: string; readonly ready: string; readonly reason?: string }
  /** Ready addresses of a Service of the application. */
  | { readonly type: "app-endpoints"; readonly service: string; readonly ready: number }
  /** The front-end pods that the probers ask from now on, and their nodes. */
  | {
      readonly type: "front-ends";
      readonly pods: readonly { readonly name: string; readonly node: string }[];
    }
  /** The application's database pod was replaced. `tookMs`: until the old pod was deleted. */
  | {
      readonly type: "churn";
      readonly object: ObjectRef;
      readonly rehearsal: boolean;
      readonly ok: boolean;
      readonly tookMs: number;
      readonly detail: string;
    }
  /** One check of the component's own function. `tMs`: its start. */
  | {
      readonly type: "function";
      readonly probe: FunctionCheckName;
      readonly look: number;
      readonly present: boolean;
      readonly tookMs: number;
      readonly evidence: string;
      readonly pendingId?: string;
    }
  /** Whether something that was missing at its deadline has arrived, checked after the recovery. */
  | {
      readonly type: "function-late";
      readonly probe: FunctionCheckName;
      readonly look: number;
      readonly outcome: "late" | "lost";
      readonly evidence: string;
    }
  /** The state of the Service of an abort condition, on each change (it starts as good). */
  | {
      readonly type: "condition";
      /** "GET shop/web:80/healthz". */
      readonly asked: string;
      /** not known: the request did not reach the Service. */
      readonly state: "good" | "failing" | "not known";
      /** Why it is not good. */
      readonly detail: string;
    }
  /** Something was restored, or was found restored. */
  | {
      readonly type: "restored";
      readonly object: ObjectRef;
      readonly how: "created" | "patched" | "found" | "started" | "returned";
      /** "runner", or the field manager that did it (for example addon-manager's kubectl). */
      readonly by: string;
    }
  /** The target is ready again: all replicas are ready, and its endpoints exist. */
  | { readonly type: "target-ready" }
  /** Every probe that worked in the baseline has succeeded K times in a row. */
  | { readonly type: "healthy" }
  /** A watch ended, stalled or was refused. `what`: what happened and what the runner did. */
  | { readonly type: "watch"; readonly resource: string; readonly what: string }
  /** What interrupted the run: "SIGINT", or "the caller" of the API. */
  | { readonly type: "signal"; readonly signal: string }
  | { readonly type: "warning"; readonly text: string }
  /** The run could not continue. `code`: a reason code of an inconclusive run. */
  | { readonly type: "stopped"; readonly code: string; readonly message: string };

/** `tMs`: milliseconds since the start of the run, monotonic. */
export type RunEvent = RunEventBody & { readonly tMs: number };

/** At most this many objects are remembered: far more than a fight has at a time. */
const REMEMBERED_OBJECTS = 2_000;

/**
 * Events of one object share one description of it: a fight over many pods has several events of each, and its
 * description is most of an event's size.
 *
 * @returns a function that returns the event with the shared description.
 */
export function sharedObjects(): (event: RunEvent) => RunEvent {
  const known = new Map<string, ObjectRef>();
  return (event) => {
    if (!("object" in event) || event.object.uid === undefined) return event;
    const { kind, namespace, name, uid } = event.object;
    const before = known.get(uid);
    if (before?.kind === kind && before.namespace === namespace && before.name === name)
      return { ...event, object: before };
    known.set(uid, event.object);
    for (const oldest of known.keys()) {
      if (known.size <= REMEMBERED_OBJECTS) break;
      known.delete(oldest);
    }
    return event;
  };
}
