/** Probes of components that put something right: it is set wrong, and somebody must set it right again. */
import { isDeepStrictEqual } from "node:util";
import type { CallOptions } from "../../kube/api.js";
import type { KubeObject, ManagedFields } from "../../kube/objects.js";
import type { Need } from "../../kube/permission.js";
import { MANAGED_BY } from "../../own/manifest.js";
import type { Observation } from "./function-check.js";
import { attempt, type Look, seconds, type Seen } from "./attempt.js";
import { checkNeeds } from "./function-check.js";

const EVERY_MS = 500;
/** Putting it back ourselves may hold up the end of a look for so long, ms. */
const PUT_BACK_MS = 900;

/** One thing that is set wrong for a while. */
export interface Correction {
  /** "replicas of Deployment coredns". */
  readonly what: string;
  readonly right: string;
  readonly wrong: string;
  setWrong(options: CallOptions): Promise<void>;
  /** Whether it is right again, and who did it; else what it is. */
  isRight(options: CallOptions): Promise<Seen<string>>;
  /** As it was before, whatever it is now. */
  setRight(options: CallOptions): Promise<void>;
}

/** Sets it wrong and waits until it is right again. Where nobody does it, the look itself does, also when given up. */
export async function checkCorrection(look: Look, correction: Correction): Promise<Observation> {
  const { what, right, wrong } = correction;
  const set = await attempt(correction.setWrong(look.call()));
  if ("not" in set) {
    // Its answer may have been lost, and not the request.
    const end = await putBack(correction);
    return {
      present: false,
      evidence: `${what} could not be set from ${right} to ${wrong}: ${set.not}; ${end}`,
    };
  }
  const setMs = look.tookMs;
  const seen = await look.until(EVERY_MS, async () => await correction.isRight(look.call()));
  const since = `after ${seconds(look.tookMs - setMs)}`;
  if (!("not" in seen))
    return {
      present: true,
      evidence: `${what} set from ${right} to ${wrong}: ${right} again ${since}, by ${seen.done}`,
    };
  const end = await putBack(correction);
  return {
    present: false,
    evidence: `${what} set from ${right} to ${wrong}: ${seen.not} ${since}; ${end}`,
  };
}

async function putBack(correction: Correction): Promise<string> {
  // Not under the look's signal: a look that was given up has to put it back all the same.
  const done = await attempt(correction.setRight({ timeoutMs: PUT_BACK_MS, retry: false }));
  return "not" in done
    ? `the look could not put it back (${done.not}); the run does at its end`
    : "the look put it back";
}

/**
 * Who wrote certain fields of an object since a version before, as its managed fields say. Not every API server
 * keeps account of subresources.
 *
 * @param concerns whether an entry's fields are the ones in question.
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
  return writers.at(-1)?.manager ?? "somebody whom the API server does not name";
}

/** Set wrong; restored from the journal, by creating it if someone else has deleted it meanwhile. */
export function correctionNeeds(
  resource: string,
  names: readonly string[],
  changed: { readonly subresource?: string } = {},
): Need[] {
  const namespace = "kube-system";
  const wrong = "what it sets right is set wrong";
  const back = "it is put back as it was";
  return [
    ...checkNeeds(wrong, ["list"], { resource, namespace }),
    ...checkNeeds(wrong, ["get"], { resource, namespace, names }),
    ...checkNeeds(wrong, ["patch"], { resource, ...changed, namespace, names }),
    ...checkNeeds(back, ["update"], { resource, namespace, names }),
    ...checkNeeds(back, ["create"], { resource, namespace }),
  ];
}
