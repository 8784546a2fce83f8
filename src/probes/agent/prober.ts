import type { SampleLine } from "../../evidence/sample.js";
import { AGENT_PROBES, type AgentProbe, type ProberPlan } from "../prober-plan.js";
import { withClusterDomain } from "./cluster-domain.js";
import { Tokens, type Outcome } from "./judge.js";
import { AppArm, probeHttp } from "./measure-http.js";
import { LongLivedProbe, lookupBy, probeDns, probeTcp, SearchProbe } from "./measure-net.js";
import { maxInFlight, startProbe, systemTimers, type RunningProbe, type Timers } from "./schedule.js";

export interface ProberOptions {
  /** Id of this start of the agent. */
  readonly boot: string;
  readonly clock?: Timers;
  readonly emit: (line: SampleLine) => void;
  /** DNS servers to ask instead of the system's. */
  readonly dnsServers?: readonly string[] | undefined;
  /** Of the cluster's Services. Default `cluster.local`. */
  readonly clusterDomain?: string;
}

/** Measures what the plan says. New targets apply from the next tick; only new intervals restart the schedule. */
export class Prober {
  #plan: ProberPlan | undefined;
  #originMs = 0;
  readonly #running = new Map<AgentProbe, RunningProbe>();
  readonly #longLived = new LongLivedProbe();
  readonly #clock: Timers;
  readonly #emit: (line: SampleLine) => void;
  readonly #measures: Measures;

  constructor(options: ProberOptions) {
    const { clock = systemTimers, emit } = options;
    this.#clock = clock;
    this.#emit = emit;
    this.#measures = measuresOf(clock.now, this.#longLived, options);
  }

  get plan(): ProberPlan | undefined {
    return this.#plan;
  }

  apply(plan: ProberPlan): void {
    const before = this.#plan;
    if (before?.interval !== plan.interval || before.searchInterval !== plan.searchInterval) {
      this.stop();
      this.#originMs = this.#clock.now();
    }
    this.#plan = plan;
    for (const probe of AGENT_PROBES) {
      if (plan.probes[probe] === undefined) this.#end(probe);
      else if (!this.#running.has(probe)) this.#begin(probe, plan);
    }
    if (plan.probes["tcp-long-lived"] === undefined) this.#longLived.close();
  }

  /** Stops the ticks. Samples in progress are still written when they end. */
  stop(): void {
    this.#plan = undefined;
    for (const probe of AGENT_PROBES) this.#end(probe);
    this.#longLived.close();
  }

  #begin(probe: AgentProbe, plan: ProberPlan): void {
    // A probe's position is its phase in the interval, even if other probes are not measured: adding or removing a
    // probe must not shift the rest.
    const phase = AGENT_PROBES.indexOf(probe) / AGENT_PROBES.length;
    const running = startProbe({
      probe,
      firstMs: this.#originMs + phase * plan.interval,
      intervalMs: probe === "dns-search" ? plan.searchInterval : plan.interval,
      clock: this.#clock,
      limit: () => maxInFlight(this.#plan?.timeout ?? 0, plan.interval),
      // The current plan, not the one at the start of the probe.
      measure: async () => this.#plan && this.#measures[probe](this.#plan),
      emit: this.#emit,
    });
    this.#running.set(probe, running);
  }

  #end(probe: AgentProbe): void {
    void this.#running.get(probe)?.stop();
    this.#running.delete(probe);
  }
}

type Measures = Readonly<Record<AgentProbe, (plan: ProberPlan) => Promise<Outcome | undefined>>>;

/** How each probe is measured. A probe that is not in the plan has no target and gives no sample. */
function measuresOf(
  now: () => number,
  longLived: LongLivedProbe,
  { boot, dnsServers, clusterDomain = "cluster.local" }: ProberOptions,
): Measures {
  let tokens = new Tokens("", boot, now);
  /** Tokens of another run show nothing about this one. */
  const of = (runId: string): Tokens =>
    tokens.runId === runId ? tokens : (tokens = new Tokens(runId, boot, now));
  const dnsArm = new AppArm();
  const envArm = new AppArm();
  const search = new SearchProbe();
  const on = async <T>(
    target: T | undefined,
    measure: (target: T) => Promise<Outcome | undefined>,
  ): Promise<Outcome | undefined> => (target === undefined ? undefined : measure(target));
  return {
    "app-write": ({ runId, probes, timeout }) =>
      on(probes["app-write"], (to) => dnsArm.write(to, of(runId), timeout)),
    "app-read": ({ runId, probes, timeout }) =>
      on(probes["app-read"], (to) => dnsArm.read(to, of(runId), timeout)),
    "app-write-env": ({ runId, probes, timeout }) =>
      on(probes["app-write-env"], (to) => envArm.write(to, of(runId), timeout)),
    "app-read-env": ({ runId, probes, timeout }) =>
      on(probes["app-read-env"], (to) => envArm.read(to, of(runId), timeout)),
    "http-service": ({ probes, timeout }) => on(probes["http-service"], (to) => probeHttp(to, timeout)),
    "dns-internal": ({ probes, timeout }) =>
      on(probes["dns-internal"], (to) =>
        probeDns(withClusterDomain(to.name, clusterDomain), timeout, dnsServers, to.family),
      ),
    "dns-external": ({ probes, timeout }) =>
      on(probes["dns-external"], (to) => probeDns(to.name, timeout, dnsServers, to.family)),
    "dns-search": ({ probes }) =>
      on(probes["dns-search"], (to) => search.measure(to.name, undefined, lookupBy(to.family))),
    "tcp-service": ({ probes, tcpTimeout }) => on(probes["tcp-service"], (to) => probeTcp(to, tcpTimeout)),
    "tcp-pod": ({ probes, tcpTimeout }) => on(probes["tcp-pod"], (to) => probeTcp(to, tcpTimeout)),
    "tcp-long-lived": ({ probes, timeout, tcpTimeout }) =>
      on(probes["tcp-long-lived"], (to) => longLived.measure(to, timeout, tcpTimeout)),
  };
}
