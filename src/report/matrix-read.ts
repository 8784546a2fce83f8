/**
 * Reads `result.json`. A file in a folder of reports may be truncated, of another version, or not created by this tool.
 * Everything that the matrix needs is checked before it is used.
 */
import { isRecord } from "../common/is-record.js";
import * as z from "zod";
import { CLIENT_CLASSES, type RunResult } from "../analysis/result.js";
import { RESULT_SCHEMA_VERSION } from "../evidence/facts.js";
import { SEVERITIES } from "../experiment/names.js";
import { matrixRun } from "./matrix-run.js";
import { EVIDENCE_WORDS, FUNCTION_WORDS, STUDY_WORDS, VERDICT_WORDS } from "./words.js";

/** `ofRun`: the file belongs to a run, so it can be recomputed from the run's raw files. */
export type ReadResult =
  { readonly result: RunResult } | { readonly problem: string; readonly ofRun: boolean };

const number = z.number();
const share = number.nullable();
const text = z.string();
const oneOf = (words: Readonly<Record<string, unknown>>): z.ZodType<string> => z.enum(Object.keys(words));

const phase = z.looseObject({ availability: share, p95Ms: number.nullable() });
const probe = z.looseObject({
  probe: text,
  source: text,
  phases: z.looseObject({ baseline: phase, window: phase, recovery: phase }),
  outages: z.array(z.looseObject({ fromMs: number, toMs: number.nullable() })),
  longestOutageMs: number,
  // Results of older versions lack these two, and `client`.
  intermittent: z
    .array(z.looseObject({ fromMs: number, toMs: number.nullable(), share: number, samples: number }))
    .optional(),
  totalIntermittentMs: number.optional(),
  timeToImpactMs: number.nullable(),
  clockUncertaintyMs: number,
});
const client = z.looseObject({
  class: z.enum(CLIENT_CLASSES),
  probe: text,
  share: number,
  fromMs: number.nullable(),
  lastedMs: number,
  open: z.boolean(),
  explainedBy: z
    .looseObject({ what: z.enum(["front end", "worker", "node"]), names: z.array(text), of: number })
    .nullable(),
  because: text,
});
const looks = z.looseObject({ looks: number, present: number }).nullable();
const ownFunction = z.looseObject({
  state: oneOf(FUNCTION_WORDS),
  because: text,
  baseline: looks,
  window: looks,
  recovery: looks,
  backAfterMs: number.nullable(),
  late: number,
  lostForGood: number,
});
const claim = z.looseObject({
  name: text,
  type: text,
  count: number,
  behaviour: z.looseObject({ en: text, ja: text }),
  impact: z.enum(["outage", "none"]),
  impactVerified: z.boolean(),
  functionLost: z.boolean(),
  functionVerified: z.boolean(),
});
const facts = z.looseObject({
  runId: text,
  startedAt: z.iso.datetime(),
  toolVersion: text,
  experiment: z.looseObject({
    name: text,
    title: text,
    attack: z.looseObject({ type: text }),
    phases: z.looseObject({ window: number }),
    probes: z.looseObject({ goodInARow: number }),
    thresholds: z.looseObject({
      baselineAvailability: number,
      outageBelow: number,
      degradedBelow: number,
      slowFactor: number,
      slowFrom: number,
      suppression: number,
    }),
  }),
  cluster: z.looseObject({
    provider: text,
    version: text,
    nodes: z.array(z.looseObject({ name: text, runtime: text })),
  }),
  target: z
    .looseObject({
      component: text.nullable(),
      nodes: z.array(text).optional(),
      object: z.looseObject({ kind: text, namespace: text.optional(), name: text }),
      type: text,
      count: number,
    })
    .optional(),
  functionProbes: z.array(text),
  study: claim.nullable(),
  standIns: z.array(z.looseObject({ image: text, description: text, victim: z.boolean() })),
});
const shape = z.looseObject({
  facts,
  verdict: oneOf(VERDICT_WORDS),
  verdictBecause: text,
  reasons: z.array(z.looseObject({ code: text, message: text })),
  severity: z.enum(SEVERITIES),
  severityBecause: text,
  client: client.nullable().optional(),
  ownFunction: ownFunction,
  functionLost: z.boolean().nullable(),
  functionBecause: text,
  study: z.looseObject({ impact: oneOf(STUDY_WORDS), function: oneOf(STUDY_WORDS), because: text }),
  onStandIn: z.boolean(),
  suppression: z
    .looseObject({ share: number, downAfterMs: number.nullable(), evidence: oneOf(EVIDENCE_WORDS) })
    .nullable(),
  recovery: z.looseObject({ healthyMs: number.nullable() }).nullable(),
  probes: z.array(probe),
});

const notOfRun = (problem: string): ReadResult => ({ problem, ofRun: false });
const damaged = (problem: string): ReadResult => ({ problem, ofRun: true });

/** Never throws. A text that is no result gives a problem, in words for the user. */
export function resultFromJson(json: string): ReadResult {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return damaged("it is not JSON, or cut off");
  }
  if (!isRecord(value) || !("schemaVersion" in value) || !isRecord(value["facts"])) {
    return notOfRun("it is not the result of a run");
  }
  const version = value["schemaVersion"];
  if (version !== RESULT_SCHEMA_VERSION) {
    return damaged(`its schemaVersion is ${JSON.stringify(version)}, not ${RESULT_SCHEMA_VERSION}`);
  }
  const parsed = shape.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return damaged(`its ${issue?.path.join(".") ?? ""} is not valid: ${issue?.message ?? ""}`);
  }
  // The value itself is used, because the parsed one would have another order of keys.
  const result = value as unknown as RunResult;
  return isComplete(result) ? { result } : damaged("it is incomplete");
}

/** The schema above finds common damage. Building a row shows whether everything else is present. */
function isComplete(result: RunResult): boolean {
  try {
    matrixRun({ path: "result.json", result });
    return true;
  } catch {
    return false;
  }
}
