import type { Stopwatch } from "../../common/clock.js";
import type { FunctionFacts, FunctionCheckName } from "../../components/functions.js";
import type { RunEventBody } from "../../evidence/events.js";
import type { OneField } from "../../kube/field-path.js";
import { type Need, type Objects, rights } from "../../kube/permission.js";
import type { Transport } from "../../kube/transport.js";
import type { PodSource } from "../../own/pod-spec.js";

/** The result of one function check. */
export interface Observation {
  /** Whether the function fully worked before the deadline. */
  readonly present: boolean;
  /** What was measured: the canary pod's conditions, the log line's id and delay, the HPA's message. */
  readonly evidence: string;
  /**
   * Something that may still arrive after its deadline (a log line, an Event). After the recovery there is a second
   * check for it: `late` if it arrived, `lost` if not.
   */
  readonly pendingId?: string;
}

/** What a function check gets. It creates objects only in `namespace` and journals every other change. */
export interface FunctionContext {
  readonly transport: Transport;
  readonly clock: Stopwatch;
  /** Short and unique for the run; used in names and ids. */
  readonly runId: string;
  /** Where the image of canary pods comes from. */
  readonly pods: PodSource;
  /** Namespace for canaries. It exists, and is removed after the run. */
  readonly namespace: string;
  /** The attacked nodes if the component runs on nodes (kubelet); otherwise every schedulable node. */
  readonly nodes: readonly string[];
  /** The nodes whose probers may be asked; undefined: all of them. */
  readonly sources?: readonly string[];
  /** The component's own workload, if it has one. */
  readonly component: { readonly namespace: string; readonly name: string } | undefined;
  readonly emit: (body: RunEventBody) => void;
  /**
   * Must be called before an object outside `namespace` is changed. Records the field that the check changes in the
   * journal, so that the run sets it back at its end if the check did not, and nobody else has set it.
   *
   * @param path URL path of the object in the API. @param collection URL path of its collection.
   */
  readonly record: (path: string, collection: string, onlyField: OneField) => Promise<void>;
  /** Aborted when the run is interrupted: a waiting preparation then stops. */
  readonly interrupted?: AbortSignal;
}

/** A function check that is set up: its canaries exist. */
export interface ReadyFunctionCheck {
  /**
   * One check. Resolves within `deadlineMs` plus one second, even if nothing answers. Never rejects because of what the
   * component's absence causes (a refused connection, a 503): that is what it measures.
   *
   * @param signal aborted when the phase ends: the check is then cancelled (its result is not used).
   */
  look(signal: AbortSignal): Promise<Observation>;
  /** After the recovery: whether something that was missing has arrived. */
  followUp?(pendingId: string): Promise<{ readonly arrived: boolean; readonly evidence: string }>;
}

/** A check of one component's own function. */
export interface FunctionCheck extends FunctionFacts {
  readonly name: FunctionCheckName;
  /**
   * Its rights, besides those of every run and those to empty or remove the canaries' namespace. Pure.
   *
   * @param canaries namespace of its canaries. @param corrected names of the workload that the check sets wrong.
   */
  readonly needs: (canaries: string, corrected: readonly string[]) => readonly Need[];
  /** Creates the canaries and waits for them. @throws ChaosError if that fails. */
  prepare(context: FunctionContext): Promise<ReadyFunctionCheck>;
}

/** Rights of a function check. @param what the check does with them. */
export function checkNeeds(what: string, verbs: readonly string[], objects: Objects): Need[] {
  return rights(`the check of the component's own function: ${what}`, verbs, objects);
}
