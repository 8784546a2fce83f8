/**
 * What the runner tells a prober to measure: the body of `PUT /plan` (`agent/agent.mjs` validates it). A probe
 * that is left out is not measured. Every address is an IP: a prober that needed DNS or a Service to reach its
 * target would measure those instead of it.
 */
import type { ProbeName } from "../experiment/names.js";

/** An address inside the cluster: a pod's or a Service's. */
export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

/** A front-end pod; its name becomes the sample's `target`. */
export interface FrontEnd extends Endpoint {
  readonly name: string;
}

/**
 * Front-end pods that are asked in turn. None at all is allowed: each tick is then a failure of kind
 * `no-target`.
 */
export interface AppTarget {
  readonly frontends: readonly FrontEnd[];
  /** Path of the guestbook's script, without query: `/guestbook.php`. */
  readonly path: string;
  /** Redis key; one for each arm and prober, the same for its writes and its reads. */
  readonly key: string;
}

export interface HttpTarget extends Endpoint {
  readonly path: string;
}

export interface NameTarget {
  readonly name: string;
}

/** The probes that a prober measures, and what each of them asks. Reads need the writes of the same arm. */
export interface ProbeTargets {
  readonly "app-write"?: AppTarget;
  readonly "app-read"?: AppTarget;
  readonly "app-write-env"?: AppTarget;
  readonly "app-read-env"?: AppTarget;
  readonly "http-service"?: HttpTarget;
  /** A fully qualified name, with or without its last dot. */
  readonly "dns-internal"?: NameTarget;
  /** A fully qualified name, with or without its last dot. */
  readonly "dns-external"?: NameTarget;
  /** A short name, looked up through the search path as applications do. */
  readonly "dns-search"?: NameTarget;
  readonly "tcp-service"?: Endpoint;
  readonly "tcp-pod"?: Endpoint;
  /** A Redis that is sent PING over one lasting connection. */
  readonly "tcp-long-lived"?: Endpoint;
}

/** A probe of the prober: all but the one from outside, which the runner measures itself. */
export type AgentProbe = Exclude<ProbeName, "outside">;

export interface ProberPlan {
  readonly runId: string;
  /** A sample of each probe every so many ms (50 to 60000). */
  readonly interval: number;
  /** Time-out of HTTP, DNS and PING samples, ms (100 to 30000). */
  readonly timeout: number;
  /** Time-out of TCP connects, ms (50 to 999). */
  readonly tcpTimeout: number;
  /** A look-up through the search path every so many ms (1000 to 60000). */
  readonly searchInterval: number;
  readonly probes: ProbeTargets;
}
