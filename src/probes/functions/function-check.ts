import type { Stopwatch } from "../../common/clock.js";
import type { FunctionFacts, FunctionCheckName } from "../../components/functions.js";
import type { RunEventBody } from "../../evidence/events.js";
import type { Discovery } from "../../kube/api.js";
import { type Need, type Objects, rights } from "../../kube/permission.js";
import type { Transport } from "../../kube/transport.js";

/** What one look at a component's function brought. */
export interface Observation {
  /** Whether the function was there, all of it, before the deadline. */
  readonly present: boolean;
  /** What was seen, with figures: the canary pod's conditions, the log line's id and delay, the HPA's message. */
  readonly evidence: string;
  /**
   * Something that may still arrive after its deadline (a log line, an Event). It is looked for once more after
   * the recovery: `late` when it came, `lost` when not.
   */
  readonly pendingId?: string;
}

/** What a function probe works with. Everything that it makes is in a namespace of ours, or is journalled. */
export interface FunctionContext {
  readonly transport: Transport;
  readonly discovery: Discovery;
  readonly clock: Stopwatch;
  /** Short and unique for the run: for names and ids. */
  readonly runId: string;
  /** Namespace of ours for canaries: it is there, holds the probers, and is removed after the run. */
  readonly namespace: string;
  /** Nodes that are attacked, where the component is one of nodes (kubelet); else every schedulable node. */
  readonly nodes: readonly string[];
  /** The application's labels are not touched; this is the component's own workload, where it is one. */
  readonly component: { readonly namespace: string; readonly name: string } | undefined;
  readonly emit: (body: RunEventBody) => void;
  /**
   * Must be called before an object outside `namespace` is changed: writes into the journal how it is put back
   * as it is now, and puts it back at the end of the run.
   *
   * @param path URL path of the object in the API. @param collection that of its collection.
   */
  readonly record: (path: string, collection: string) => Promise<void>;
  /** Aborted when the run is interrupted: a preparation that waits then gives up. */
  readonly interrupted?: AbortSignal;
}

/** A probe that is set up: its canaries are there. */
export interface ReadyFunctionCheck {
  /**
   * One look. Resolves within `deadlineMs` and a second, also when nothing answers; never rejects for what the
   * component's absence brings (a refused connection, a 503): that is what it measures.
   *
   * @param signal aborted when the phase is over: the look is then given up (its result is not used).
   */
  look(signal: AbortSignal): Promise<Observation>;
  /** After the recovery: what became of what had not arrived. */
  followUp?(pendingId: string): Promise<{ readonly arrived: boolean; readonly evidence: string }>;
}

/** A way of asking whether a component does its job. */
export interface FunctionCheck extends FunctionFacts {
  readonly name: FunctionCheckName;
  /**
   * Its rights, beside those that every run has and those to empty or remove the canaries' namespace. Pure.
   *
   * @param canaries namespace of its canaries. @param corrected names of the workload that it sets wrong.
   */
  readonly needs: (canaries: string, corrected: readonly string[]) => readonly Need[];
  /** Makes the canaries and waits until they are there. @throws ChaosError when they cannot be made. */
  prepare(context: FunctionContext): Promise<ReadyFunctionCheck>;
}

/** Rights of a function check. @param what it does with them. */
export function checkNeeds(what: string, verbs: readonly string[], objects: Objects): Need[] {
  return rights(`the look at the component's own function: ${what}`, verbs, objects);
}
