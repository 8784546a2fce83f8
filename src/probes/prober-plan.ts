/**
 * What the runner tells a prober to measure: the body of `PUT /plan`, with its check. A probe that is left out is not
 * measured. Every address is an IP: a prober that needed DNS or a Service to reach its target would measure those
 * instead of it.
 */
import type { ProbeName } from "../experiment/names.js";
import {
  DNS_NAME,
  ENDPOINT,
  IDENTIFIER,
  listOf,
  objectOf,
  PLAIN_PATH,
  refuse,
  wholeNumber,
  type Checked,
} from "./agent/body.js";

/** A front-end pod; its name becomes the sample's `target`. */
const frontEnd = objectOf({ name: IDENTIFIER, ...ENDPOINT });

const appTarget = objectOf({
  /** Asked in turn. None at all is allowed: each tick is then a failure of kind `no-target`. */
  frontends: listOf(frontEnd),
  /** Path of the guestbook's script, without query: `/guestbook.php`. */
  path: PLAIN_PATH,
  /** Redis key; one for each arm and prober, the same for its writes and its reads. */
  key: IDENTIFIER,
});

/** An address inside the cluster: a pod's or a Service's. */
const endpoint = objectOf(ENDPOINT);

const httpTarget = objectOf({ ...ENDPOINT, path: PLAIN_PATH });

const nameTarget = objectOf({ name: DNS_NAME });

/**
 * The probes that a prober measures, and what each of them asks. Reads need the writes of the same arm. A probe's place
 * here is its phase in the interval.
 */
const PROBE_TARGETS = {
  "app-write": appTarget,
  "app-read": appTarget,
  "app-write-env": appTarget,
  "app-read-env": appTarget,
  "http-service": httpTarget,
  /** A fully qualified name, with or without its last dot. */
  "dns-internal": nameTarget,
  /** A fully qualified name, with or without its last dot. */
  "dns-external": nameTarget,
  /** A short name, looked up through the search path as applications do. */
  "dns-search": nameTarget,
  "tcp-service": endpoint,
  "tcp-pod": endpoint,
  /** A Redis that is sent PING over one lasting connection. */
  "tcp-long-lived": endpoint,
} satisfies Record<AgentProbe, unknown>;

const proberPlan = objectOf({
  runId: IDENTIFIER,
  /** A sample of each probe every so many ms. */
  interval: wholeNumber(50, 60_000),
  /** Time-out of HTTP, DNS and PING samples, ms. */
  timeout: wholeNumber(100, 30_000),
  /** Time-out of TCP connects, ms. */
  tcpTimeout: wholeNumber(50, 999),
  /** A look-up through the search path every so many ms. */
  searchInterval: wholeNumber(1000, 60_000),
  probes: objectOf({}, PROBE_TARGETS),
});

export type Endpoint = Checked<typeof endpoint>;
export type FrontEnd = Checked<typeof frontEnd>;
export type AppTarget = Checked<typeof appTarget>;
export type HttpTarget = Checked<typeof httpTarget>;
export type ProberPlan = Checked<typeof proberPlan>;

/** A probe of the prober: all but the one from outside, which the runner measures itself. */
export type AgentProbe = Exclude<ProbeName, "outside">;

/** The probes of the agent, in the order of their phases. */
export const AGENT_PROBES = Object.keys(PROBE_TARGETS) as readonly AgentProbe[];

/**
 * @param value anything
 * @returns the same value
 * @throws BodyError with the place and the reason
 */
export function validatePlan(value: unknown): ProberPlan {
  const plan = proberPlan(value, "plan");
  for (const arm of ["", "-env"] as const) {
    const read = plan.probes[`app-read${arm}`];
    // Reads are judged by what this agent wrote: without the writes there would be no sample, silently.
    if (read !== undefined && read.key !== plan.probes[`app-write${arm}`]?.key)
      refuse(`plan.probes.app-read${arm}`, `needs app-write${arm} with the same key`);
  }
  return plan;
}
