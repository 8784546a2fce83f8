/**
 * What a prober measures: the body of `PUT /plan`, and its check. A probe that is not in the plan is not measured. Every
 * address is an IP: with a name, the sample would also depend on DNS. Only the requests to an own application may have a
 * name, because its clients have one.
 */
import type { ProbeName } from "../experiment/names.js";
import {
  DNS_NAME,
  eitherOf,
  ENDPOINT,
  IDENTIFIER,
  listOf,
  mapOf,
  objectOf,
  oneOf,
  PLAIN_PATH,
  refuse,
  text,
  wholeNumber,
  type Checked,
} from "./agent/body.js";

/** A front-end pod. Its name becomes the sample's `target`. */
const frontEnd = objectOf({ name: IDENTIFIER, ...ENDPOINT });

const appTarget = objectOf({
  /** Asked in turn. If the list is empty, each tick is a failure of kind `no-target`. */
  frontends: listOf(frontEnd),
  /** Path of the guestbook's script, without query: `/guestbook.php`. */
  path: PLAIN_PATH,
});

const anyText = text(/^[^]{0,10000}$/, "a text of at most 10000 characters");
const status = wholeNumber(200, 599);
/** Anything that JSON has. */
const jsonValue = (value: unknown): unknown => value;

/** What an own application is asked over HTTP, with "{token}" where the token belongs. */
const ownHttp = objectOf(
  {
    method: text<"GET" | "HEAD" | "POST" | "PUT" | "PATCH">(/^(GET|HEAD|POST|PUT|PATCH)$/, "a method"),
    path: text(/^\/[\x21-\x7e]{0,1000}$/, "a path that starts with '/', with an optional query"),
    headers: mapOf(text(/^[\x20-\x7e]{0,4000}$/, "printable ASCII characters")),
    good: objectOf(
      { status: objectOf({ from: status, to: status }) },
      { contains: anyText, json: objectOf({ pointer: anyText }, { equals: jsonValue }) },
    ),
  },
  { body: anyText },
);

/** A request to an own application. */
const ownTarget = objectOf(
  {
    /** Asked in turn: pods, or the Service's address alone. With `host` unused. */
    endpoints: listOf(frontEnd),
  },
  {
    /** Looked up for each sample. A name in `.svc` gets the cluster's domain. */
    host: objectOf({ name: DNS_NAME, port: wholeNumber(1, 65535) }, { family: oneOf(4, 6) }),
    http: ownHttp,
    tcp: objectOf({}, { send: anyText, expect: anyText }),
  },
);

const anApplication = eitherOf("endpoints", ownTarget, appTarget);

/** An address inside the cluster: a pod's or a Service's. */
const endpoint = objectOf(ENDPOINT);

/** `http`: what an own application is asked instead of the path. It has no token. */
const httpTarget = objectOf({ ...ENDPOINT, path: PLAIN_PATH }, { http: ownHttp });

/** `family` 6: AAAA records are asked for. Default 4: A records. */
const nameTarget = objectOf({ name: DNS_NAME }, { family: oneOf(4, 6) });

/**
 * The probes of a prober and their targets. Reads need the writes of the same arm. A probe's position here is its phase in
 * the interval.
 */
const PROBE_TARGETS = {
  "app-write": anApplication,
  "app-read": anApplication,
  "app-write-env": appTarget,
  "app-read-env": appTarget,
  /** On a new connection each time. */
  "http-service": httpTarget,
  /** On a connection that is kept. */
  "http-service-reused": httpTarget,
  /** A fully qualified name, with or without the trailing dot; the agent adds the cluster's domain to one in `.svc`. */
  "dns-internal": nameTarget,
  /** As dns-internal, on one socket that stays open: to the first name server of the pod. */
  "dns-same-socket": nameTarget,
  /** A fully qualified name, with or without the trailing dot. */
  "dns-external": nameTarget,
  /** A short name, resolved through the search path as applications do. */
  "dns-search": nameTarget,
  "tcp-service": endpoint,
  "tcp-pod": endpoint,
  /** A Redis that gets PINGs over one long-lived connection. */
  "tcp-long-lived": endpoint,
} satisfies Record<AgentProbe, unknown>;

const proberPlan = objectOf({
  /** In every token: a value of another run is no good read. */
  runId: IDENTIFIER,
  /** Interval of the samples of each probe, ms. */
  interval: wholeNumber(50, 60_000),
  /** Time-out of HTTP, DNS and PING samples, ms. */
  timeout: wholeNumber(100, 30_000),
  /** Time-out of TCP connects, ms. */
  tcpTimeout: wholeNumber(50, 999),
  /** Interval of the look-ups through the search path, ms. */
  searchInterval: wholeNumber(1000, 60_000),
  probes: objectOf({}, PROBE_TARGETS),
});

export type Endpoint = Checked<typeof endpoint>;
export type FrontEnd = Checked<typeof frontEnd>;
export type AppTarget = Checked<typeof appTarget>;
export type OwnTarget = Checked<typeof ownTarget>;
export type HttpTarget = Checked<typeof httpTarget>;
export type ProberPlan = Checked<typeof proberPlan>;

/** A probe of the prober: every probe except the one from outside, which the runner measures. */
export type AgentProbe = Exclude<ProbeName, "outside">;

/** The probes of the agent, in the order of their phases. */
export const AGENT_PROBES = Object.keys(PROBE_TARGETS) as readonly AgentProbe[];

/**
 * @param value anything
 * @returns the same value
 * @throws BodyError with the path and the reason
 */
export function validatePlan(value: unknown): ProberPlan {
  const plan = proberPlan(value, "plan");
  for (const arm of ["", "-env"] as const) {
    // Reads are judged by what this agent wrote: without writes there would silently be no samples.
    if (plan.probes[`app-read${arm}`] !== undefined && plan.probes[`app-write${arm}`] === undefined)
      refuse(`plan.probes.app-read${arm}`, `needs app-write${arm}`);
  }
  return plan;
}
