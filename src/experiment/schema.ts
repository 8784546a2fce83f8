/**
 * The experiment file: one source for the types, the validation and the JSON Schema that editors complete
 * from. Every key is documented by `.describe()`; every key but the target has a default.
 */
import * as z from "zod";
import type { ProbeName } from "./names.js";
import { COMPONENTS } from "./names.js";

/** "250ms", "30s", "5m", "1h" → milliseconds. */
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Milliseconds of a duration such as `250ms`, `30s`, `1.5m`.
 *
 * @returns undefined when the text is no duration.
 */
export function parseDurationMs(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? Number.NaN));
}

/** Text of a duration (ms), in the largest unit of which there are two or more: 60000 → `60s`, 180000 → `3m`. */
export function formatDurationMs(ms: number): string {
  for (const [unit, size] of Object.entries(UNIT_MS).reverse()) {
    const count = ms / size;
    if (Number.isInteger(count) && (count >= 2 || (unit === "s" && count !== 0))) return `${count}${unit}`;
  }
  return ms === 0 ? "0s" : `${ms}ms`;
}

const NOT_A_DURATION = "must be a duration such as 250ms, 30s, 5m";

/** What is allowed beside the bounds of a duration. */
interface DurationRules {
  readonly example: string;
  /** For times that Kubernetes counts in seconds: a fraction would be cut off unseen. */
  readonly wholeSeconds?: boolean;
}

/** A duration between two bounds (ms, inclusive), written as text and read as milliseconds. */
function duration(
  minMs: number,
  maxMs: number,
  { example, wholeSeconds = false }: DurationRules,
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  return z
    .string(NOT_A_DURATION)
    .regex(DURATION, NOT_A_DURATION)
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
          message: `must be whole seconds (for example ${example}): Kubernetes knows no smaller grace period`,
        });
        return z.NEVER;
      }
      return ms;
    });
}

/** RFC 1123 label: what Kubernetes accepts for most names, and what is safe as a folder's name. */
const dnsLabel = z
  .string()
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    "must be lower-case letters, digits and '-', not at its ends (RFC 1123 label)",
  );

/** RFC 1123 subdomain. */
const dnsSubdomain = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    "must be lower-case letters, digits, '-' and '.' (RFC 1123 subdomain)",
  );

const metadata = z
  .strictObject({
    name: dnsLabel.describe("Short name: names the report's folder and the row's link."),
    title: z.string().min(1).max(200).optional().describe("One line for people. Default: the name."),
  })
  .describe("Names of the experiment.");

const target = z
  .union([
    z.strictObject({
      component: z
        .enum(COMPONENTS)
        .describe("A component that this tool knows: how to find it, who restores it, what it is for."),
    }),
    z.strictObject({
      namespace: dnsLabel.default("kube-system").describe("Namespace of the workload."),
      kind: z.enum(["Deployment", "DaemonSet"]).describe("Kind of the workload."),
      name: dnsSubdomain.describe("Name of the workload."),
    }),
  ])
  .describe("What is taken down: a known component, or a workload by kind and name.");

const every = duration(2000, 600_000, { example: "10s" })
  .optional()
  .describe(
    "Flapping instead of down: taken down each so often, and back in between (by its controller, or by the runner after half of that time).",
  );

const nodes = z
  .union([z.enum(["one", "all"]), z.array(dnsSubdomain).min(1).max(100)])
  .default("one")
  .describe(
    "On which nodes: one (the node that runs the application's database, so the worst one), all where the component runs, or a list of names.",
  );

const attack = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("none").describe("Does nothing: the control run."),
    }),
    z.strictObject({
      type: z.literal("delete-pods").describe("Deletes the target's pods, and each new one as it appears."),
      gracePeriod: duration(0, 300_000, { example: "1s", wholeSeconds: true })
        .prefault("1s")
        .describe(
          "Grace period of each deletion, whole seconds. 0s removes the object at once, and the kubelet then gives the container the pod's own grace period, unseen.",
        ),
      delay: duration(0, 60_000, { example: "500ms" })
        .prefault("0s")
        .describe("How long a new pod is let live before it is deleted. 0s: before it is even scheduled."),
      every,
    }),
    z.strictObject({
      type: z
        .literal("delete-workload")
        .describe(
          "Deletes the workload, sweeps its ReplicaSets and pods, and does so again each time it re-appears.",
        ),
      gracePeriod: duration(0, 300_000, { example: "1s", wholeSeconds: true })
        .prefault("1s")
        .describe("Grace period of the pods that are swept, whole seconds."),
      every,
    }),
    z.strictObject({
      type: z
        .literal("scale-to-zero")
        .describe(
          "Sets the Deployment's replicas to 0, after whatever would scale it up again, and does so again each time anybody changes that.",
        ),
      every,
    }),
    z.strictObject({
      type: z
        .literal("static-pod")
        .describe(
          "Moves the static pod's manifest out of the kubelet's folder, and back afterwards. Needs access to the node.",
        ),
      nodes,
      every,
    }),
    z.strictObject({
      type: z
        .literal("systemd-unit")
        .describe(
          "Stops the component's systemd unit; a timer on the node that starts it again is set first. Needs access to the node.",
        ),
      nodes,
      every,
    }),
  ])
  .optional()
  .describe("How it is taken down and kept down. Default: the component's own attack.");

const guestbook = z
  .strictObject({
    namespace: dnsLabel
      .default("guestbook")
      .describe("Namespace that is made for the guestbook and removed afterwards."),
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
        "Replicas of the control arm: the front end that finds Redis by environment variables, without DNS.",
      ),
    nodePort: z
      .int()
      .min(1)
      .max(65535)
      .default(30080)
      .describe("NodePort of the front end (kind-config.yaml maps it to the host)."),
  })
  .prefault({});

const application = z
  .strictObject({
    guestbook: guestbook.describe("The study's application: the guestbook sample with its Redis."),
  })
  .prefault({})
  .describe("The application whose fate is measured.");

const probes = z
  .strictObject({
    interval: duration(50, 60_000, { example: "250ms" })
      .prefault("250ms")
      .describe("A sample of every layer each so often, at a fixed rate."),
    timeout: duration(100, 30_000, { example: "2s" })
      .prefault("2s")
      .describe("Time-out of HTTP and DNS samples."),
    tcpTimeout: duration(50, 999, { example: "900ms" })
      .prefault("900ms")
      .describe("Time-out of TCP connects: under a second, or a short loss hides behind the SYN's retry."),
    searchInterval: duration(1000, 60_000, { example: "2s" })
      .prefault("2s")
      .describe("How often a name is looked up through the search path, as applications do."),
    external: z
      .union([z.literal(false), dnsSubdomain], "must be a host name such as example.com, or false")
      .default("example.com")
      .describe(
        "A name outside the cluster to resolve; false where there is none (an air-gapped cluster): not measured.",
      ),
    outside: z
      .boolean()
      .default(true)
      .describe(
        "Also measure from outside, as a browser would: HTTP on the NodePort from where the runner is. Not measured where it cannot be reached.",
      ),
    goodInARow: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe("K: so many good samples in a row end an outage."),
  })
  .prefault({})
  .describe("How it is measured.");

const phases = z
  .strictObject({
    baseline: duration(2000, 3_600_000, { example: "15s" })
      .prefault("15s")
      .describe("How long the healthy system is measured first."),
    window: duration(2000, 3_600_000, { example: "60s" })
      .prefault("60s")
      .describe("How long the component is kept down."),
    recovery: duration(5000, 3_600_000, { example: "3m" })
      .prefault("3m")
      .describe("The longest time that recovery may take; it ends as soon as all is well again."),
  })
  .prefault({})
  .describe("Durations of the phases.");

const churn = z
  .strictObject({
    after: duration(1000, 3_600_000, { example: "20s" })
      .prefault("20s")
      .describe("So long after the window began."),
  })
  .optional()
  .describe(
    "Replaces the application's database pod in the window (a rolling restart: the new one is there before the old one goes). The same is done before the baseline, where it must be harmless. Default: nothing of the application changes.",
  );

/** Probes of the application itself, of which an abort condition may speak; the others show what lies under it. */
const APPLICATION_PROBES = [
  "app-write",
  "app-read",
  "app-write-env",
  "app-read-env",
  "outside",
  "http-service",
] as const satisfies readonly ProbeName[];

/** More conditions than this would be asked about more than the run is worth. */
export const MAX_ABORT_CONDITIONS = 10;

/**
 * What is wrong with a path that is asked through the API server's service proxy, or undefined. The path is
 * percent-encoded when it is asked, so what an encoded character could mean to one of the servers on the way
 * (a slash, a dot, an end of the path) is refused where it is written.
 */
export function servicePathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return 'must begin with "/": a path in the Service, no URL and no host';
  if (/[\p{C}\p{Z}]/u.test(path))
    return "must have no spaces, control characters or characters that are not seen";
  if (/[%\\#]/.test(path)) return "must have no %, # or \\: characters are encoded when the path is asked";
  const [before = "", ...queries] = path.split("?");
  if (queries.length > 1) return 'must have at most one "?"';
  if (before.includes("//")) return 'must have no "//": it would name a host';
  if (before.split("/").some((part) => part === "." || part.includes(".."))) {
    return 'must have no part "." or with "..": it would lead out of the Service';
  }
  const names = (queries[0] ?? "").split("&").map((pair) => pair.split("=")[0]);
  return new Set(names).size === names.length ? undefined : "must have each name of its query only once";
}

const servicePath = z
  .string()
  .min(1)
  .max(1000)
  .superRefine((path, context) => {
    const problem = servicePathProblem(path);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

const NOT_A_STATUS = "must be a status such as 200, or a range such as 200-399";

/** "200-399" or 200 → the lowest and the highest good status. */
const goodStatus = z
  .union([z.int().min(200).max(599), z.string().regex(/^[2-5]\d\d-[2-5]\d\d$/, NOT_A_STATUS)], NOT_A_STATUS)
  .transform((status, context) => {
    const [from = 0, to = from] = String(status).split("-").map(Number);
    if (from > to) {
      context.addIssue({ code: "custom", message: `must not begin (${from}) above its end (${to})` });
      return z.NEVER;
    }
    return { from, to };
  });

const askedService = z
  .strictObject({
    namespace: dnsLabel.describe("Namespace of the Service."),
    service: dnsLabel.describe("Name of the Service."),
    port: z
      .union([z.int().min(1).max(65535), dnsLabel], "must be a port's number (1 to 65535) or its name")
      .describe("Port of the Service (not of its pods): its number or its name. It speaks HTTP, not HTTPS."),
    path: servicePath
      .prefault("/")
      .describe(
        "Path that is asked, with its query where it has one, as it is read: it is percent-encoded when it is asked.",
      ),
    status: goodStatus
      .prefault("200-399")
      .describe("Statuses that are good: one, or a range. No redirect is followed."),
  })
  .describe(
    "A Service in the cluster, asked with GET each second through the API server's service proxy, which goes to a pod of the Service itself: neither kube-proxy nor DNS is on that way. Good is a good status within 2 s.",
  );

const abortCondition = z
  .strictObject({
    failsFor: duration(1000, 600_000, { example: "10s" }).describe(
      "The run is aborted when it has failed for so long, without a good answer in between. While it is not known (the API server does not answer), the time stands still.",
    ),
    probe: z
      .enum(APPLICATION_PROBES)
      .optional()
      .describe("A probe of the guestbook: every sample of it from one worker fails."),
    http: askedService.optional(),
  })
  .superRefine(({ probe, http }, context) => {
    if (probe === undefined && http === undefined) {
      context.addIssue({ code: "custom", message: "needs probe or http: what must not fail for so long" });
    }
    if (probe !== undefined && http !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["http"],
        message: "not beside probe: each condition has one of the two",
      });
    }
  });

const abortWhen = z
  .array(abortCondition)
  .max(MAX_ABORT_CONDITIONS, `must have at most ${MAX_ABORT_CONDITIONS} conditions`)
  .optional()
  .describe(
    "Conditions that end the outage early: the attack is switched off, everything is put back, and the run is inconclusive. One that is not good at the end of the baseline stops the run before any harm. Default: none.",
  );

const thresholds = z
  .strictObject({
    baselineAvailability: z
      .number()
      .min(0)
      .max(1)
      .default(0.99)
      .describe("Baseline must be at least this good, or the run is inconclusive."),
    outageBelow: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe("Write availability from any worker below this is an outage."),
    degradedBelow: z.number().min(0).max(1).default(0.99).describe("Below this it is degraded."),
    slowFactor: z
      .number()
      .min(1)
      .max(1000)
      .default(3)
      .describe("A p95 over so many times the baseline's is degraded."),
    slowFrom: duration(0, 60_000, { example: "100ms" })
      .default(100)
      .describe(
        "A p95 below this is never called slow, whatever the baseline's: three times a few milliseconds is a busy machine, not a degraded application.",
      ),
    suppression: z
      .number()
      .min(0)
      .max(1)
      .default(0.9)
      .describe(
        "The target must have been without a serving instance for this share of the window, or the run is inconclusive.",
      ),
  })
  .prefault({})
  .describe("Where severities begin. They are repeated in the report.");

const expectation = z
  .strictObject({
    impact: z
      .enum(["outage", "degraded", "function lost", "none"])
      .describe("The severity that is expected."),
  })
  .optional()
  .describe(
    "What is expected; a run that measures something else exits with 1. Default: the component's own.",
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
  .describe(
    "An experiment: one kube-system component, taken down and kept down, and what the application sees of it.",
  );

/** As written in the file: durations are text, defaults are absent. */
export type ExperimentFile = z.input<typeof experimentSchema>;

/** As the runner uses it: durations in milliseconds, every default filled in. */
export type Experiment = z.output<typeof experimentSchema>;

export type Attack = NonNullable<Experiment["attack"]>;

export type Thresholds = Experiment["thresholds"];

export type AbortCondition = NonNullable<Experiment["abortWhen"]>[number];

/** A Service as an abort condition names it. */
export type AskedService = NonNullable<AbortCondition["http"]>;
