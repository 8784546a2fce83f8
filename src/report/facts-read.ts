/** Reads `run.json`. It may be cut, or of something else: everything that a report cannot do without is checked. */
import * as z from "zod";
import type { RunFacts } from "../evidence/facts.js";

const text = z.string();
const number = z.number();
const object = z.looseObject({ kind: text, name: text });

/** The keys that every version has written. Other keys have a default where they are read. */
const shape = z.looseObject({
  runId: text,
  startedAt: z.iso.datetime(),
  toolVersion: text,
  experiment: z.looseObject({
    name: text,
    title: text,
    file: text,
    attack: z.looseObject({ type: text }),
    phases: z.looseObject({ baseline: number, window: number, recovery: number }),
    probes: z.looseObject({ interval: number, goodInARow: number }),
    thresholds: z.looseObject({
      baselineAvailability: number,
      outageBelow: number,
      degradedBelow: number,
      slowFactor: number,
      suppression: number,
    }),
  }),
  cluster: z.looseObject({
    provider: text,
    context: text,
    version: text,
    nodes: z.array(
      z.looseObject({ name: text, role: text, kubelet: text, runtime: text, os: text, kernel: text }),
    ),
  }),
  environment: z
    .looseObject({
      kubernetes: text,
      platform: text.nullable(),
      cni: text.nullable(),
      serviceProxy: text.nullable(),
      dns: text.nullable(),
      kernels: z.array(text),
      runtimes: z.array(text),
      osImages: z.array(text),
      architectures: z.array(text),
      cgroups: z.array(text),
      ipFamilies: z.array(text),
      nodes: number,
      apiServers: number.nullable(),
      notRead: z.array(text),
    })
    .optional(),
  application: z
    .looseObject({ kind: text, name: text, write: text.optional(), read: text.optional() })
    .optional(),
  guestbook: z.looseObject({ differences: z.array(text) }).optional(),
  target: z
    .looseObject({
      component: text.nullable(),
      nodes: z.array(text).optional(),
      object,
      type: text,
      count: number,
      images: z.array(text),
      ownerChain: z.array(text),
      services: z.array(object),
    })
    .optional(),
  functionProbes: z.array(text),
  functionProbe: z.looseObject({ name: text, means: text, deadlineMs: number }).nullish(),
  study: z
    .looseObject({
      name: text,
      type: text,
      count: number,
      behaviour: z.looseObject({ en: text, ja: text }),
      impact: text,
    })
    .nullable(),
  sources: z.array(text),
  sampling: z.looseObject({ workers: number, of: number, intervalMs: number, askedMs: number }).optional(),
  notMeasured: z.array(z.looseObject({ probe: text, reason: text })),
  standIns: z.array(z.looseObject({ image: text, description: text })),
});

/** Never throws. A text that is not a run's gives a problem, in words for the user. */
export function factsFromJson(json: string): { readonly facts: RunFacts } | { readonly problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { problem: "it is not JSON, or cut off" };
  }
  const parsed = shape.safeParse(value);
  // The value itself is used, because the parsed one would have another order of keys.
  if (parsed.success) return { facts: value as RunFacts };
  const [issue] = parsed.error.issues;
  const key = issue?.path.join(".") ?? "";
  return { problem: `${key === "" ? "it" : `its ${key}`} is missing or not valid` };
}
