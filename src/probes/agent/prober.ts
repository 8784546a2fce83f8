import type { SampleLine } from "../../evidence/sample.js";
import { AGENT_PROBES, type AgentProbe, type ProberPlan } from "../prober-plan.js";
import { withClusterDomain } from "./cluster-domain.js";
import { Tokens, type Outcome } from "./judge.js";
import { AppArm, probeHttp, ReusedHttpProbe } from "./measure-http.js";
import { LongLivedProbe, lookupBy, probeDns, probeTcp, resolveName, SearchProbe } from "./measure-net.js";
import { OwnArm } from "./measure-own.js";
import { SameSocketProbe } from "./measure-same-socket.js";
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
  /** The probes that keep a connection or a socket, which ends with them. */
  readonly #kept: Kept;
  readonly #clock: Timers;
  readonly #emit: (line: SampleLine) => void;
  readonly #measures: Measures;

  constructor(options: ProberOptions) {
    const { clock = systemTimers, emit, dnsServers } = options;
    this.#clock = clock;
    this.#emit = emit;
    this.#kept = {
      "http-service-reused": new ReusedHttpProbe(),
      "dns-same-socket": new SameSocketProbe(dnsServers === undefined ? undefined : () => dnsServers[0]),
      "tcp-long-lived": new LongLivedProbe(),
    };
    this.#measures = measuresOf(clock.now, this.#kept, options);
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
  }

  /** Stops the ticks. Samples in progress are still written when they end. */
  stop(): void {
    this.#plan = undefined;
    for (const probe of AGENT_PROBES) this.#end(probe);
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
    if (probe in this.#kept) this.#kept[probe as keyof Kept].close();
  }
}

interface Kept {
  readonly "http-service-reused": ReusedHttpProbe;
  readonly "dns-same-socket": SameSocketProbe;
  readonly "tcp-long-lived": LongLivedProbe;
}

type Measures = Readonly<Record<AgentProbe, (plan: ProberPlan) => Promise<Outcome | undefined>>>;

/** How each probe is measured. A probe that is not in the plan has no target and gives no sample. */
function measuresOf(
  now: () => number,
  kept: Kept,
  { boot, dnsServers, clusterDomain = "cluster.local" }: ProberOptions,
): Measures {
  let tokens = new Tokens("", boot, now);
  /** Tokens of another run show nothing about this one. */
  const of = (runId: string): Tokens =>
    tokens.runId === runId ? tokens : (tokens = new Tokens(runId, boot, now));
  const dnsArm = new AppArm();
  const envArm = new AppArm();
  const own = new OwnArm(
    async (name, timeoutMs, family) =>
      await resolveName(withClusterDomain(name, clusterDomain), timeoutMs, dnsServers, family),
  );
  const search = new SearchProbe();
  const on = async <T>(
    target: T | undefined,
    measure: (target: T) => Promise<Outcome | undefined>,
  ): Promise<Outcome | undefined> => (target === undefined ? undefined : measure(target));
  return {
    "app-write": ({ runId, probes, ...times }) =>
      on(probes["app-write"], (to) =>
        "endpoints" in to ? own.write(to, of(runId), times) : dnsArm.write(to, of(runId), times.timeout),
      ),
    "app-read": ({ runId, probes, ...times }) =>
      on(probes["app-read"], (to) =>
        "endpoints" in to ? own.read(to, of(runId), times) : dnsArm.read(to, of(runId), times.timeout),
      ),
    "app-write-env": ({ runId, probes, timeout }) =>
      on(probes["app-write-env"], (to) => envArm.write(to, of(runId), timeout)),
    "app-read-env": ({ runId, probes, timeout }) =>
      on(probes["app-read-env"], (to) => envArm.read(to, of(runId), timeout)),
    "http-service": ({ probes, timeout }) => on(probes["http-service"], (to) => probeHttp(to, timeout)),
    "http-service-reused": ({ probes, timeout }) =>
      on(probes["http-service-reused"], (to) => kept["http-service-reused"].measure(to, timeout)),
    "dns-internal": ({ probes, timeout }) =>
      on(probes["dns-internal"], (to) =>
        probeDns(withClusterDomain(to.name, clusterDomain), timeout, dnsServers, to.family),
      ),
    "dns-same-socket": ({ probes, timeout }) =>
      on(probes["dns-same-socket"], (to) =>
        kept["dns-same-socket"].measure(withClusterDomain(to.name, clusterDomain), timeout, to.family),
      ),
    "dns-external": ({ probes, timeout }) =>
      on(probes["dns-external"], (to) => probeDns(to.name, timeout, dnsServers, to.family)),
    "dns-search": ({ probes }) =>
      on(probes["dns-search"], (to) => search.measure(to.name, undefined, lookupBy(to.family))),
    "tcp-service": ({ probes, tcpTimeout }) => on(probes["tcp-service"], (to) => probeTcp(to, tcpTimeout)),
    "tcp-pod": ({ probes, tcpTimeout }) => on(probes["tcp-pod"], (to) => probeTcp(to, tcpTimeout)),
    "tcp-long-lived": ({ probes, timeout, tcpTimeout }) =>
      on(probes["tcp-long-lived"], (to) => kept["tcp-long-lived"].measure(to, timeout, tcpTimeout)),
  };
}
