/** Reads `impact-matrix.json` of an accepted matrix, which may be of another version or not created by this tool. */
import * as z from "zod";
import { CLIENT_CLASSES } from "../analysis/result.js";
import { SEVERITIES } from "../experiment/names.js";
import type { ComparedRun } from "./compare.js";
import { FUNCTION_WORDS, VERDICT_WORDS } from "./words.js";

const number = z.number();
const maybe = number.nullable();
const text = z.string();
const texts = z.array(text);
const words = <K extends string>(of: Readonly<Record<K, unknown>>): z.ZodType<K> =>
  z.enum(Object.keys(of) as K[]);

const environment = z.looseObject({
  kubernetes: text,
  platform: text.nullable(),
  cni: text.nullable(),
  serviceProxy: text.nullable(),
  dns: text.nullable(),
  kernels: texts,
  runtimes: texts,
  osImages: texts,
  architectures: texts,
  cgroups: texts,
  ipFamilies: texts,
  nodes: number,
  apiServers: maybe,
  notRead: texts,
});

const run = z.looseObject({
  windowMs: number,
  environment: environment.optional(),
  cluster: z.looseObject({ provider: text, version: text, nodes: number, runtimes: texts }),
  row: z.looseObject({
    runId: text,
    startedAt: text,
    experiment: text,
    name: text,
    application: text.optional(),
    attack: z.looseObject({ type: text, everyMs: maybe }),
    severity: z.enum(SEVERITIES),
    verdict: words(VERDICT_WORDS),
    writeAvailability: maybe,
    longestOutageMs: maybe,
    intermittentMs: number,
    client: z.looseObject({ class: z.enum(CLIENT_CLASSES) }).nullable(),
    recoveryMs: maybe,
    functionState: words(FUNCTION_WORDS),
    functionBackMs: maybe,
    onStandIn: z.boolean(),
  }),
});

const matrix = z.looseObject({
  schemaVersion: z.literal(1),
  groups: z.array(z.looseObject({ main: run.nullable(), variants: z.array(run) })),
});

export type ReadAccepted = { readonly runs: readonly ComparedRun[] } | { readonly problem: string };

/** Never throws. A text that is no matrix gives a problem, in words for the user. */
export function acceptedFromJson(json: string): ReadAccepted {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { problem: "it is not JSON, or cut off" };
  }
  const parsed = matrix.safeParse(value);
  if (!parsed.success) {
    const at = parsed.error.issues[0]?.path.join(".") ?? "";
    return { problem: `it is not a matrix of this version${at === "" ? "" : ` (${at})`}` };
  }
  const runs = parsed.data.groups.flatMap(({ main, variants }) => [
    ...(main === null ? [] : [main]),
    ...variants,
  ]);
  return { runs: runs as readonly ComparedRun[] };
}
