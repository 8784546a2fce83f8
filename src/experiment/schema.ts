/**
 * The experiment file: one source for the types, the validation and the JSON Schema for editors. `.describe()` documents
 * every key. Every key except the target has a default.
 */
import * as z from "zod";
import type { ProbeName } from "./names.js";
import { COMPONENTS } from "./names.js";
import { existing } from "./own-application.js";
import { dnsLabel, goodStatus, servicePort } from "./values.js";

/** "250ms", "30s", "1m30s", "1h2m3.5s" → milliseconds: the durations of Go with the units that are of use here. */
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/;
const PART = /([\d.]+)([a-z]+)/g;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Milliseconds of a duration such as `250ms`, `30s`, `1.5m`, `1m30s`.
 *
 * @returns undefined if the text is not a duration.
 */
export function parseDurationMs(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  const parts = [...text.matchAll(PART)].map(
    ([, count, unit]) => Number(count) * (UNIT_MS[unit ?? ""] ?? NaN),
  );
  return Math.round(parts.reduce((sum, part) => sum + part));
}

/** Text of a duration (ms), in the largest unit with a whole count of at least 2: 60000 → `60s`, 180000 → `3m`. */
export function formatDurationMs(ms: number): string {
  for (const [unit, size] of Object.entries(UNIT_MS).reverse()) {
    const count = ms / size;
    if (Number.isInteger(count) && (count >= 2 || (unit === "s" && count !== 0))) return `${count}${unit}`;
  }
  return ms === 0 ? "0s" : `${ms}ms`;
}

/** Why it is not a duration here, although Go's time.ParseDuration or a person may read it as one; first match. */
const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^-/, "it is negative"],
  [/^\+/, "write it without +"],
  [/^\d+(\.\d+)?$/, "the unit is missing"],
  [/\d(ns|us|\u00b5s|\u03bcs)/, "the smallest unit is ms"],
  [/\d(d|w)/, "the largest unit is h"],
  [/(^|\D)\.\d|\d\.(\D|$)/, "write digits on both sides of the point"],
  [/^(\d+:)+\d+$/, "write units, such as 1m30s"],
  [/^P(T?\d|\d)/i, "write it as 1m30s, not as ISO 8601"],
  [/^\d[\d.]*\s*(ms|s|m|h)/i, "units are ms, s, m and h, in lower case and without spaces"],
];

function notADuration({ input }: { readonly input?: unknown }): string {
  const must = "must be a duration such as 250ms, 30s, 5m";
  const text = typeof input === "string" || typeof input === "number" ? String(input) : undefined;
  const reason = text === undefined ? undefined : REASONS.find(([pattern]) => pattern.test(text))?.[1];
  return reason === undefined ? must : `${must}: ${reason}`;
}

/** Rules for a duration besides its bounds. */
interface DurationRules {
  readonly example: string;
  /** For times that Kubernetes counts in seconds: it would silently cut off a fraction. */
  readonly wholeSeconds?: boolean;
}

/** A duration between two bounds (ms, inclusive): text in the file, milliseconds in the program. */
function duration(
  minMs: number,
  maxMs: number,
  { example, wholeSeconds = false }: DurationRules,
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  return z
    .string({ error: notADuration })
    .regex(DURATION, { error: notADuration })
    .transform((text, context) => {
      const ms = parseDurationMs(text) ?? Number.NaN;
      if (!(ms >= minMs && ms <= maxMs)) {
        const bounds = `${formatDurationMs(minMs)} and ${formatDurationMs(maxMs)}`;
        context.addIssue({ code: "custom", message: `must be between ${bounds} (for example ${example})` });
        return z.NEVER;
      }
      if (wholeSeconds && ms % 1000 !== 0) {
        context.addIssue({
          code: "custom",
          message: `must be whole seconds (for example ${example}): Kubernetes counts grace periods in seconds`,
        });
        return z.NEVER;
      }
      return ms;
    });
}

export const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** RFC 1123 subdomain. */
const dnsSubdomain = z
  .string()
  .max(253)
  .regex(SUBDOMAIN, "must be lower-case letters, digits, '-' and '.' (RFC 1123 subdomain)");

/** Words for "not measured" and "measured". YAML 1.1 reads most of them as booleans, YAML 1.2 as text. */
const NO_WORDS = "n|no|off|false|none|never|null|disabled?";
const YES_WORDS = "y|yes|on|true|enabled?";

/** A host name. A word for yes or no is none, also in quotes: it would be looked up as a name. */
const hostName = z
  .string()
  .max(253)
  .regex(new RegExp(`^(?!(?:${NO_WORDS}|${YES_WORDS})$)${SUBDOMAIN.source.slice(1)}`), {
    error: notAHostName,
  });

function notAHostName({ input }: { readonly input?: unknown }): string {
  const must = "must be a host name such as example.com, or false";
  if (input === true) return `${must}, not true: write the name`;
  if (input === null) return `${must}, not empty`;
  if (typeof input !== "string") return must;
  const is = (words: string): boolean => new RegExp(`^(${words})$`, "i").test(input);
  if (is(NO_WORDS)) return `${must}: "${input}" is text in YAML 1.2. Write false`;
  return is(YES_WORDS) ? `${must}: "${input}" is text in YAML 1.2. Write the name` : must;
}

const metadata = z
  .strictObject({
    name: dnsLabel.describe("Short name, used in the name of the report's folder and in links."),
    title: z.string().min(1).max(200).optional().describe("Title in reports, one line. Default: the name."),
  })
  .describe("Names of the experiment.");

const target = z
  .union([
    z
      .strictObject({
        component: z
          .enum(COMPONENTS)
          .describe("A component that this tool knows: it finds it, restores it and checks its function."),
        name: dnsSubdomain
          .optional()
          .describe("Name of the component's workload, if several run or it has a name of its own."),
        kind: z.enum(["Deployment", "DaemonSet"]).optional().describe("Kind of that workload."),
        namespace: dnsLabel.optional().describe("Namespace of that workload."),
      })
      .superRefine(({ name, kind, namespace }, context) => {
        for (const [key, value] of Object.entries({ kind, namespace }))
          if (name === undefined && value !== undefined)
            context.addIssue({ code: "custom", path: [key], message: "needs name: the workload's name" });
      }),
    z.strictObject({
      namespace: dnsLabel.default("kube-system").describe("Namespace of the workload."),
      kind: z.enum(["Deployment", "DaemonSet"]).describe("Kind of the workload."),
      name: dnsSubdomain.describe("Name of the workload."),
    }),
  ])
  .describe("What is attacked: a known component, or a workload by kind and name.");

const every = duration(2000, 600_000, { example: "10s" })
  .optional()
  .describe(
    "Flapping instead of keeping down: the interval between two kills. In between, the controller restores the target, or the runner does after half of the interval.",
  );

const nodes = z
  .union([z.enum(["one", "all"]), z.array(dnsSubdomain).min(1).max(100)])
  .default("one")
  .describe(
    "Which nodes: one (the node of the application's database, or the one with most pods of an existing application: the worst case), all (every node with the component), or a list of names.",
  );

const attack = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("none").describe("Attacks nothing: a control run."),
    }),
    z.strictObject({
      type: z.literal("delete-pods").describe("Deletes the target's pods, and each new pod when it appears."),
      gracePeriod: duration(0, 300_000, { example: "1s", wholeSeconds: true })
        .prefault("1s")
        .describe(
          "Grace period of each deletion, whole seconds. With 0s the object disappears immediately, while the kubelet still gives the container the pod's own grace period.",
        ),
      delay: duration(0, 60_000, { example: "500ms" })
        .prefault("0s")
        .describe(
          "Wait before each new pod is deleted. With 0s it is deleted as soon as it appears, before it is ready.",
        ),
      every,
    }),
    z.strictObject({
      type: z
        .literal("delete-workload")
        .describe("Deletes the workload with its ReplicaSets and pods, and again each time it is recreated."),
      gracePeriod: duration(0, 300_000, { example: "1s", wholeSeconds: true })
        .prefault("1s")
        .describe("Grace period for the pods of the deleted workload, whole seconds."),
      every,
    }),
    z.strictObject({
      type: z
        .literal("scale-to-zero")
        .describe(
          "Scales the Deployment to 0 replicas, after the workloads that would scale it up, and again each time someone changes its replicas.",
        ),
      every,
    }),
    z.strictObject({
      type: z
        .literal("static-pod")
        .describe(
          "Moves the static pod's manifest out of the kubelet's folder; the release moves it back. Needs access to the node.",
        ),
      nodes,
      every,
    }),
    z.strictObject({
      type: z
        .literal("systemd-unit")
        .describe(
          "Stops the component's systemd unit, after setting a timer on the node that starts it again. Needs access to the node.",
        ),
      nodes,
      every,
    }),
  ])
  .optional()
  .describe("How the target is attacked. Default: the component's own attack.");

const guestbook = z.strictObject({
  namespace: dnsLabel
    .default("guestbook")
    .describe("Namespace of the guestbook. The run creates it and removes it afterwards."),
  frontendReplicas: z
    .int()
    .min(1)
    .max(20)
    .default(3)
    .describe("Replicas of the front end (the sample has 3)."),
  followerReplicas: z
    .int()
    .min(1)
    .max(20)
    .default(2)
    .describe("Replicas of the Redis follower (the sample has 2)."),
  controlReplicas: z
    .int()
    .min(1)
    .max(20)
    .default(1)
    .describe(
      "Replicas of the control arm: a front end that finds Redis through environment variables, without DNS.",
    ),
  nodePort: z
    .int()
    .min(1)
    .max(65535)
    .default(30080)
    .describe("NodePort of the front end (kind-config.yaml maps it to the host)."),
});

const application = z
  .strictObject({
    guestbook: guestbook
      .optional()
      .describe(
        "The study's application: the guestbook sample with its Redis. Default, unless existing is there.",
      ),
    existing: existing.optional(),
  })
  .superRefine((given, context) => {
    if (given.guestbook !== undefined && given.existing !== undefined)
      context.addIssue({
        code: "custom",
        path: ["guestbook"],
        message: "cannot be combined with existing: a run measures one application",
      });
  })
  // Whatever reads one of the two must say what it does with the other.
  .transform(({ guestbook: options, existing: own }) =>
    own === undefined ? { guestbook: options ?? guestbook.parse({}) } : { existing: own },
  )
  .prefault({})
  .describe("The application whose availability is measured.");

const probes = z
  .strictObject({
    interval: duration(50, 60_000, { example: "250ms" })
      .prefault("250ms")
      .describe("Interval of the samples of every layer, at a fixed rate."),
    timeout: duration(100, 30_000, { example: "2s" })
      .prefault("2s")
      .describe("Time-out of HTTP and DNS samples."),
    tcpTimeout: duration(50, 999, { example: "900ms" })
      .prefault("900ms")
      .describe(
        "Time-out of TCP connects. Under 1 s: after it the kernel resends a lost SYN, which hides a short outage.",
      ),
    searchInterval: duration(1000, 60_000, { example: "2s" })
      .prefault("2s")
      .describe("Interval of the look-ups through the search path, as applications do them."),
    external: z
      .union([z.literal(false), hostName], { error: notAHostName })
      .default("example.com")
      .describe("A name outside the cluster to resolve, or false: not measured (for an air-gapped cluster)."),
    outside: z
      .boolean()
      .default(true)
      .describe(
        "Also measure the guestbook from outside, as a browser would: HTTP to the NodePort from the runner's machine. Not measured if the NodePort cannot be reached.",
      ),
    goodInARow: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe("Number of consecutive good samples that end an outage."),
  })
  .prefault({})
  .describe("How the application is measured.");

const phases = z
  .strictObject({
    baseline: duration(2000, 3_600_000, { example: "15s" })
      .prefault("15s")
      .describe("How long the healthy system is measured before the attack."),
    window: duration(2000, 3_600_000, { example: "60s" })
      .prefault("60s")
      .describe("How long the component is kept down."),
    recovery: duration(5000, 3_600_000, { example: "3m" })
      .prefault("3m")
      .describe("Maximum duration of the recovery. It ends as soon as every probe is good again."),
  })
  .prefault({})
  .describe("Durations of the phases.");

const churn = z
  .strictObject({
    after: duration(1000, 3_600_000, { example: "20s" })
      .prefault("20s")
      .describe("Time after the start of the window."),
  })
  .optional()
  .describe(
    "Replaces the guestbook's database pod in the window (a rolling restart: the new pod is ready before the old one is deleted). A rehearsal before the baseline must be harmless. Default: the application does not change.",
  );

/** Probes of the application itself, for abort conditions. The other probes show the layers below it. */
const APPLICATION_PROBES = [
  "app-write",
  "app-read",
  "app-write-env",
  "app-read-env",
  "outside",
  "http-service",
] as const satisfies readonly ProbeName[];

/** Maximum number of abort conditions: each one costs a request per second. */
export const MAX_ABORT_CONDITIONS = 10;

/**
 * What is wrong with a path for the API server's service proxy, or undefined. The request percent-encodes the path, so
 * this refuses characters that a server on the way could read differently (a slash, a dot, an end of the path).
 */
export function servicePathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return 'must begin with "/": a path of the Service, without scheme and host';
  if (/[\p{C}\p{Z}]/u.test(path))
    return "must not contain spaces, control characters or invisible characters";
  if (/[%\\#]/.test(path)) return "must not contain %, # or \\: the request encodes the path itself";
  const [before = "", ...queries] = path.split("?");
  if (queries.length > 1) return 'must have at most one "?"';
  if (before.includes("//")) return 'must not contain "//": it would name a host';
  if (before.split("/").some((part) => part === "." || part.includes(".."))) {
    return 'must not contain the segment "." or a segment with "..": it would leave the Service';
  }
  const names = (queries[0] ?? "").split("&").map((pair) => pair.split("=")[0]);
  return new Set(names).size === names.length ? undefined : "must not repeat a name in its query";
}

const servicePath = z
  .string()
  .min(1)
  .max(1000)
  .superRefine((path, context) => {
    const problem = servicePathProblem(path);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

const askedService = z
  .strictObject({
    namespace: dnsLabel.describe("Namespace of the Service."),
    service: dnsLabel.describe("Name of the Service."),
    port: servicePort.describe(
      "Port of the Service (not of its pods): number or name. It must serve HTTP, not HTTPS.",
    ),
    path: servicePath
      .prefault("/")
      .describe("Path of the request, with an optional query. Not percent-encoded: the request encodes it."),
    status: goodStatus
      .prefault("200-399")
      .describe("Good statuses: one status or a range. Redirects are not followed."),
  })
  .describe(
    "A Service in the cluster. It gets a GET every second through the API server's service proxy, which connects to a pod directly, without kube-proxy and DNS. It is good if it answers with a good status within 2 s.",
  );

const abortCondition = z
  .strictObject({
    failsFor: duration(1000, 600_000, { example: "10s" }).describe(
      "The run is aborted after it has failed for this time without a good answer. The time stops while the state is unknown (the API server does not answer).",
    ),
    probe: z
      .enum(APPLICATION_PROBES)
      .optional()
      .describe("A probe of the application. It fails while all of its samples from one worker fail."),
    http: askedService.optional(),
  })
  .superRefine(({ probe, http }, context) => {
    if (probe === undefined && http === undefined) {
      context.addIssue({ code: "custom", message: "needs probe or http: what must not fail" });
    }
    if (probe !== undefined && http !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["http"],
        message: "cannot be combined with probe: each condition has one of the two",
      });
    }
  });

const abortWhen = z
  .array(abortCondition)
  .max(MAX_ABORT_CONDITIONS, `must have at most ${MAX_ABORT_CONDITIONS} conditions`)
  .optional()
  .describe(
    "Conditions that end the attack early: the run releases the target, restores everything and is inconclusive. A condition that is not good at the end of the baseline stops the run before the attack. Default: none.",
  );

const thresholds = z
  .strictObject({
    baselineAvailability: z
      .number()
      .min(0)
      .max(1)
      .default(0.99)
      .describe(
        "Minimum availability of each probe at the baseline. Below it, the run is inconclusive, unless noise explains the failures: 1 of 1,000 samples may fail at random, or a few more by chance. By chance alone, at most 1 in 2,000 baselines is refused, however many workers there are.",
      ),
    outageBelow: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe(
        "Write availability from any worker below this is an outage. Fewer than 3 failed samples never are.",
      ),
    degradedBelow: z
      .number()
      .min(0)
      .max(1)
      .default(0.99)
      .describe(
        "Availability of writes or reads below this is degraded, from one worker or from all together, if noise does not explain the failures: they must be at least 3, and more than the baseline's rate of failures (at least 1 of 1,000) would give by chance in 1 of 2,000 runs. 1: every loss that noise does not explain is degraded.",
      ),
    slowFactor: z
      .number()
      .min(1)
      .max(1000)
      .default(2.5)
      .describe(
        "A p95 above this multiple of the baseline's p95 is degraded, if enough samples are that slow: at least 5, and more than noise explains. Samples during the prober's own delays are left out. With a median below the limit this takes about 100 samples of a series. The p95 of a minute is measured to about 20 %, so that 2.5 finds one that tripled.",
      ),
    slowFrom: duration(0, 60_000, { example: "100ms" })
      .default(100)
      .describe(
        "A p95 below this is never slow, whatever the baseline's p95: some times a few milliseconds is a busy machine, not a degraded application. Below 100ms, delays of the prober that are too short to be noticed may count.",
      ),
    suppression: z
      .number()
      .min(0)
      .max(1)
      .default(0.9)
      .describe(
        "Minimum share of the time, from the first moment down to the release, without a serving instance of the target. Below it the run is inconclusive.",
      ),
  })
  .prefault({})
  .describe("Limits of the severities. The report repeats them.");

const expectation = z
  .strictObject({
    impact: z.enum(["outage", "degraded", "function lost", "none"]).describe("The expected severity."),
  })
  .optional()
  .describe(
    "The expected result. A run with another result exits with 1. Default: the component's own expectation.",
  );

export const API_VERSION = "kube-system-chaos/v1";

export const experimentSchema = z
  .strictObject({
    apiVersion: z.literal(API_VERSION).describe("Version of this file's format."),
    kind: z.literal("Experiment").describe("Kind of this file."),
    metadata,
    target,
    attack,
    churn,
    application,
    probes,
    phases,
    abortWhen,
    thresholds,
    expectation,
  })
  .describe("An experiment: attacks one kube-system component and measures the effect on the application.");

/** As in the file: durations are text, defaults are absent. */
export type ExperimentFile = z.input<typeof experimentSchema>;

/** As the runner uses it: durations in milliseconds, with all defaults. */
export type Experiment = z.output<typeof experimentSchema>;

export type Attack = NonNullable<Experiment["attack"]>;

export type Thresholds = Experiment["thresholds"];

export type AbortCondition = NonNullable<Experiment["abortWhen"]>[number];

/** The Service of an abort condition. */
export type AskedService = NonNullable<AbortCondition["http"]>;

/** The application that is measured: one of the two. */
export type Application = Experiment["application"];
