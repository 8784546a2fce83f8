/** Checks of components that correct a value: the check sets it wrong, and the component must correct it. */
import { isDeepStrictEqual } from "node:util";
import { type CallOptions, type Gvr, list, resourcePath, selectorString } from "../../kube/api.js";
import type { KubeObject, ManagedFields } from "../../kube/objects.js";
import type { Need } from "../../kube/permission.js";
import { ApiError } from "../../kube/transport.js";
import { MANAGED_BY } from "../../own/manifest.js";
import { attempt, CheckTime, preparation, seconds, type Seen } from "./attempt.js";
import { made } from "./canary.js";
import {
  checkNeeds,
  type FunctionContext,
  type Observation,
  type ReadyFunctionCheck,
} from "./function-check.js";

const NAMESPACE = "kube-system";
const EVERY_MS = 500;
/** How long undoing the change may delay the end of a check, ms. */
const UNDO_MS = 900;

/** One value that a check sets wrong for a while. */
export interface Correction {
  /** "replicas of Deployment coredns". */
  readonly what: string;
  readonly right: string;
  readonly wrong: string;
  setWrong(options: CallOptions): Promise<void>;
  /** Who corrected it if it is right again; otherwise its current value. */
  isRight(options: CallOptions): Promise<Seen<string>>;
  /** Sets the original value if the current one is still the wrong one. @returns the current one otherwise. */
  setRight(options: CallOptions): Promise<string | undefined>;
}

/** Limit for the list of objects, ms. */
const FIND_MS = 10_000;

/**
 * The objects of kube-system that may have the value.
 *
 * @param what "the list of the cluster's DNS".
 */
export async function candidates<T extends KubeObject>(
  context: FunctionContext,
  what: string,
  resource: Gvr,
  labels: Readonly<Record<string, string>>,
): Promise<readonly T[]> {
  const options = {
    ...preparation(context, FIND_MS).call(FIND_MS),
    labelSelector: selectorString(labels),
  };
  return (await made(what, list<T>(context.transport, resourcePath(resource, NAMESPACE), options))).items;
}

/** The check that sets the value wrong at each look. */
export function correcting(
  { clock }: FunctionContext,
  deadlineMs: number,
  correction: Correction,
): ReadyFunctionCheck {
  return {
    look: async (signal) => await checkCorrection(new CheckTime(clock, deadlineMs, signal), correction),
  };
}

/** Sets the value wrong and waits for its correction. Otherwise the check undoes its change, also when cancelled. */
async function checkCorrection(check: CheckTime, correction: Correction): Promise<Observation> {
  const { what, right, wrong } = correction;
  const set = await attempt(correction.setWrong(check.call()));
  if ("not" in set) {
    // The request may have succeeded even though its response was lost.
    const end = await undo(correction);
    return {
      present: false,
      evidence: `${what} could not be set from ${right} to ${wrong}: ${set.not}; ${end}`,
    };
  }
  const setMs = check.tookMs;
  const seen = await check.until(EVERY_MS, async () => await correction.isRight(check.call()));
  const since = `after ${seconds(check.tookMs - setMs)}`;
  if (!("not" in seen))
    return {
      present: true,
      evidence: `${what} set from ${right} to ${wrong}: ${right} again ${since}, by ${seen.done}`,
    };
  const end = await undo(correction);
  return {
    present: false,
    evidence: `${what} set from ${right} to ${wrong}: ${seen.not} ${since}; ${end}`,
  };
}

async function undo(correction: Correction): Promise<string> {
  // Without the check's signal: a cancelled check must undo its change, too.
  const done = await attempt(correction.setRight({ timeoutMs: UNDO_MS, retry: false }));
  if ("not" in done) return `the check could not undo its change (${done.not}); the run undoes it at its end`;
  return done.done === undefined
    ? "the check undid its change"
    : `nothing to undo: someone else has set ${done.done}`;
}

/** Tries to change an object that its controller also writes. */
const TRIES = 5;

/** Changes an object whose resourceVersion keeps a foreign change from being lost: again when someone else was faster. */
export async function unlessInBetween<T>(change: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await change();
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409) || tried >= TRIES) throw error;
    }
  }
}

/**
 * Who wrote certain fields of an object since an earlier version, according to its managed fields. Not every API server
 * records writes through subresources.
 *
 * @param concerns whether the fields of an entry are the ones to check.
 */
export function writerSince(
  before: KubeObject,
  now: KubeObject,
  concerns: (fields: object) => boolean,
): string {
  const known = before.metadata.managedFields ?? [];
  const isNew = (entry: ManagedFields): boolean => !known.some((each) => isDeepStrictEqual(each, entry));
  const writers = (now.metadata.managedFields ?? []).filter(
    (entry) => entry.manager !== MANAGED_BY && concerns(entry.fieldsV1 ?? {}) && isNew(entry),
  );
  return writers.at(-1)?.manager ?? "an unknown field manager";
}

/** Rights to set it wrong and to set it back from the journal. */
export function correctionNeeds(
  resource: string,
  names: readonly string[],
  changed: { readonly subresource?: string } = {},
): Need[] {
  const namespace = NAMESPACE;
  const wrong = "set wrong what the component corrects";
  const back = "undo that change";
  return [
    ...checkNeeds(wrong, ["list"], { resource, namespace }),
    ...checkNeeds(wrong, ["get"], { resource, namespace, names }),
    ...checkNeeds(wrong, ["patch"], { resource, ...changed, namespace, names }),
    ...checkNeeds(back, ["update"], { resource, namespace, names }),
  ];
}
