/**
 * The probers of a run without a run: `doctor --probe` and `heal` measure the cluster with them. They have the lock and the
 * journal of a session, so that `chaos restore` removes them after a crash.
 */
import { isIPv6 } from "node:net";
import { architecturesOf, type OwnPods, ownPods, podSource } from "../../application/own-pods.js";
import type { Clock as SourceClock } from "../../analysis/clocks.js";
import { seriesOf } from "../../analysis/clocks.js";
import { probeResults } from "../../analysis/probe-results.js";
import type { ProbeResult } from "../../analysis/result.js";
import type { ClusterHandle } from "../../clusters/provider.js";
import { type Clock, pollUntil, systemClock } from "../../common/clock.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../../common/errors.js";
import { plural } from "../../common/figures.js";
import { newRunId } from "../../common/run-id.js";
import type { PodSettings } from "../../config/pod-settings.js";
import type { SampleLine } from "../../evidence/sample.js";
import { missingPermissions } from "../../kube/access-review.js";
import { list, NODES, PODS, resourcePath, SERVICES } from "../../kube/api.js";
import type { Connection } from "../../kube/connect.js";
import type { Node, Pod, Service } from "../../kube/objects.js";
import { describePermission, type Permission, rights } from "../../kube/permission.js";
import { chooseWay, routedTransport, type RoutedTransport } from "../../kube/pod-route.js";
import { isReady, isTerminating, schedulableNodes } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { ensure } from "../../own/ensure.js";
import { namespaceManifest } from "../../own/manifest.js";
import { CANARY_NAMESPACE, namespaceState } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { podsOf } from "../../own/pods.js";
import { copyPullSecrets } from "../../own/pull-secrets.js";
import { StartWatch } from "../../own/start.js";
import type { Observation, ReadyFunctionCheck } from "../../probes/functions/function-check.js";
import { servicesFollow } from "../../probes/functions/services-follow.js";
import { PROBER_LABELS, PROBER_PORT, proberManifests } from "../../probes/prober-manifests.js";
import type { ProberPlan } from "../../probes/prober-plan.js";
import { proberPermissions } from "../../rbac/needs.js";
import type { Watchdog } from "../../safety/watchdog.js";
import type { RunView } from "../../ui/base.js";
import { canaryNamespaceOf } from "../measuring/function-checks.js";
import {
  fetchAll,
  findProbers,
  isBoot,
  type Prober,
  readClock,
  sendPlan,
  untilAnswered,
} from "../measuring/probers.js";
import { apply } from "../phases/deploy.js";
import { type Session, withSession } from "../session.js";
import { type LayerName, LAYERS, type LayerState, layerStates } from "./layers.js";

export interface ProbingOptions {
  readonly handle: ClusterHandle;
  readonly view: RunView;
  /** Why it measures: a part of the id, and the words of the last step. */
  readonly purpose: "probe" | "heal";
  /** A name outside the cluster that is looked up, too; false: none. */
  readonly external: string | false;
  readonly podSettings?: PodSettings;
  /** Probes of an application, besides those of the layers. */
  readonly also?: ProberPlan["probes"];
  /** Between two samples of a layer from a node, ms. Default: by the number of nodes. */
  readonly intervalMs?: number;
  /** Rights of the caller's own, checked with those of the probers. */
  readonly permissions?: readonly Permission[];
  /** How long everything may take, ms: the lock lasts so long without being renewed. */
  readonly durationMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  /** Called before a cluster that is not local is changed: whether it was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  readonly interrupted: AbortSignal;
  readonly abandoned?: AbortSignal;
  readonly watchdog?: Watchdog;
  /** Called with the id that `chaos restore` takes, before anything is created. */
  readonly onJournal?: (id: string) => void;
}

/** What was measured in one span of time. */
export interface Measured {
  readonly results: readonly ProbeResult[];
  readonly layers: readonly LayerState[];
}

/** A layer from one node. */
export interface SeriesName {
  readonly layer: LayerName;
  readonly node: string;
}

/** A Service with a pod of its own, and another new one. */
export interface ServicesSeen {
  /** Why the first Service does not answer from every node, or has no pod; undefined: it answers. */
  readonly problem?: string;
  /** Whether its pod runs. */
  readonly runs: boolean;
  /** Whether a new Service can be reached, and the first one follows when its pod is replaced. */
  readonly follows?: Observation;
}

/** Samples per second from all nodes, at most: as for runs (src/probes/sampling.ts). */
const MOST_IN_ALL = 400;
/** The layers that are sampled at every interval. */
const LAYERS_OF_NODE = 6;
const SHORTEST_INTERVAL_MS = 250;
const LONGEST_INTERVAL_MS = 2_000;
/** The defaults of experiments. */
const TIMEOUT_MS = 2_000;
const TCP_TIMEOUT_MS = 900;
const SEARCH_INTERVAL_MS = 1_000;
const GOOD_IN_A_ROW = 3;

/** A name that every cluster has: the API server's Service. */
const INSIDE = "kubernetes.default";
const CANARY_PORT = 8080;
const START_LIMIT_MS = 5 * 60_000;
const CLOCK_READINGS = 5;

/** The interval at which all nodes together take no more samples than a cluster can bear, ms. Pure. */
function intervalFor(nodes: number): number {
  const ms = Math.ceil((nodes * LAYERS_OF_NODE * 1_000) / MOST_IN_ALL);
  return Math.min(LONGEST_INTERVAL_MS, Math.max(SHORTEST_INTERVAL_MS, ms));
}

/**
 * Deploys a prober on every schedulable node, and a Service with a pod; measures; removes all of it again.
 *
 * @param connection stays open.
 * @throws RefusedError before anything is created; ChaosError (exit 5) when something could not be removed, (130) when
 * interrupted, (6) when no prober starts; the errors of `work`.
 */
export async function withProbers<T>(
  connection: Connection,
  options: ProbingOptions,
  work: (probing: Probing) => Promise<T>,
): Promise<T> {
  const transport = routedTransport(connection.transport);
  const clock = systemClock();
  const ground = await groundOf(transport);
  const problem = await probingProblem(transport, options.permissions, ground);
  if (problem !== undefined) throw new RefusedError(`${problem}. Nothing was changed`);
  const { canaries, nodes, names } = ground;
  const pods = ownPods(options.podSettings ?? {}, architecturesOf(nodes));
  const purpose = { name: options.purpose, removing: "remove the probers" };
  return await withSession(
    { ...options, namespaces: [canaries.name], purpose },
    options.onJournal,
    async (session) => {
      const parts = { transport, clock, options, session, pods, canaries: canaries.name, names };
      const probing = new Probing(parts);
      await probing.start();
      return await work(probing);
    },
  );
}

/**
 * Throws when interrupted: what was created is then removed. Also when someone else holds the lock, who may use the cluster:
 * then nothing more may be created.
 */
export function stopIfEnded(interrupted: AbortSignal, lost: AbortSignal): void {
  if (interrupted.aborted)
    throw new ChaosError("interrupted while measuring. The probers were removed", {
      exitCode: ExitCode.interrupted,
    });
  if (lost.aborted)
    throw new ChaosError(
      `stopped while measuring: the lock was lost (its holder now: ${String(lost.reason)}). Repeat it when that has ended`,
    );
}

interface Canaries {
  readonly name: string;
  readonly prepared: boolean;
}

async function canariesIn(transport: Transport): Promise<Canaries> {
  const prepared = (await namespaceState(transport, CANARY_NAMESPACE)) === "prepared";
  return prepared
    ? { name: CANARY_NAMESPACE, prepared }
    : { name: canaryNamespaceOf(newRunId(new Date(), "canary")), prepared };
}

/** What is known before anything is created. */
interface Ground {
  readonly canaries: Canaries;
  readonly nodes: readonly Node[];
  /** The schedulable nodes. */
  readonly names: readonly string[];
}

async function groundOf(transport: Transport): Promise<Ground> {
  const [canaries, { items: nodes }] = await Promise.all([
    canariesIn(transport),
    list<Node>(transport, resourcePath(NODES)),
  ]);
  return { canaries, nodes, names: schedulableNodes(nodes).map(({ metadata }) => metadata.name) };
}

/**
 * Why the probers would be refused, as far as it is known without creating anything; undefined: nothing is known.
 *
 * @param permissions rights of the caller's own.
 */
export async function probingProblem(
  transport: Transport,
  permissions: readonly Permission[] = [],
  ground?: Ground,
): Promise<string | undefined> {
  const { canaries, names } = ground ?? (await groundOf(transport));
  const state = await namespaceState(transport, PROBER_NAMESPACE);
  if (state === "foreign")
    return `namespace ${PROBER_NAMESPACE} already exists and was not created by this tool. The probers need this name. Delete the namespace if it is not in use`;
  if (names.length === 0)
    return "no node is schedulable (all are tainted, cordoned or not ready): the probers cannot run";
  const needed = [
    ...proberPermissions({
      probers: { name: PROBER_NAMESPACE, prepared: state === "prepared" },
      functionProbe: { name: "services-follow", canaries, corrected: [] },
    }),
    ...rights("finding the Service that is probed", ["list"], {
      resource: "services",
      namespace: canaries.name,
    }),
    ...permissions,
  ];
  const missing = await missingPermissions(transport, needed);
  if (missing.length === 0) return undefined;
  return `permissions: missing: ${[...new Set(missing.map(describePermission))].join("; ")}. docs/heal.md has a Role`;
}

interface Parts {
  readonly transport: RoutedTransport;
  readonly clock: Clock;
  readonly options: ProbingOptions;
  readonly session: Session;
  readonly pods: OwnPods;
  /** The namespace of the Service and its pod. */
  readonly canaries: string;
  /** The schedulable nodes. */
  readonly names: readonly string[];
}

/** Probers that sample all the time, from `start` to the end of the work. */
export class Probing {
  readonly intervalMs: number;
  readonly #parts: Parts;
  #probers: readonly Prober[] = [];
  #notProbed: readonly { readonly node: string; readonly why: string }[] = [];
  #check: ReadyFunctionCheck | undefined;
  #services: ServicesSeen = { runs: false };
  readonly #lines = new Map<string, SampleLine[]>();
  readonly #offsets = new Map<string, number>();
  readonly #clocks: SourceClock[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.intervalMs = parts.options.intervalMs ?? intervalFor(parts.names.length);
  }

  /** The nodes that are sampled. */
  get nodes(): readonly string[] {
    return this.#probers.map(({ node }) => node);
  }

  /** Schedulable nodes without a running prober, and why. */
  get notProbed(): readonly { readonly node: string; readonly why: string }[] {
    return this.#notProbed;
  }

  /** @throws ChaosError when no prober starts or can be reached, or when interrupted. */
  async start(): Promise<void> {
    const { options, clock, transport } = this.#parts;
    const { view, interrupted } = options;
    await view.step("deploy the probers", async (note) => await this.#deploy(note));
    this.#stopIfEnded();
    const pods = this.#probers.map(({ pod }) => ({ namespace: PROBER_NAMESPACE, pod, port: PROBER_PORT }));
    const problem = await chooseWay(transport, pods, { clock, signal: interrupted });
    if (problem !== undefined)
      view.warn(
        `the API server cannot reach pods (${problem}): their kubelets' port-forward is used instead`,
      );
    await view.step("deploy a Service with a pod", async () => await this.#prepareServices());
    this.#stopIfEnded();
    const patience = { clock, signal: interrupted };
    await untilAnswered(patience, async () => {
      await Promise.all(this.#probers.map(async (prober) => await this.#readClock(prober)));
      await this.#sendPlan();
    });
  }

  /**
   * Measures for a time, and fetches what was measured. Samples that began shortly before the end may last longer: they are
   * waited for.
   */
  async measure(forMs: number): Promise<Measured> {
    const { clock, options } = this.#parts;
    const { interrupted, view } = options;
    this.#stopIfEnded();
    const fromMs = clock.now();
    await view.step(
      `measure from ${plural(this.#probers.length, "node")} for ${Math.round(forMs / 1000)} s`,
      async () => {
        await clock.sleep(forMs, interrupted);
      },
    );
    this.#stopIfEnded();
    return await this.since(fromMs);
  }

  /** The clock of {@link since} and {@link notGoodSince}. */
  get clock(): Clock {
    return this.#parts.clock;
  }

  /** What was measured from a time on until now. */
  async since(fromMs: number): Promise<Measured> {
    const { clock } = this.#parts;
    const toMs = clock.now();
    await clock.sleep(TIMEOUT_MS + this.intervalMs);
    await this.fetch();
    const samples = [...this.#lines].map(([source, lines]) => ({ source, lines }));
    const { series } = seriesOf(samples, this.#clocks);
    const results = probeResults(series, {
      spans: { baseline: { fromMs, toMs }, window: null, recovery: null },
      firstKillMs: null,
      releaseMs: null,
      goodInARow: GOOD_IN_A_ROW,
      intervalMs: this.intervalMs,
      leftOut: null,
    });
    return { results, layers: layerStates(results) };
  }

  /** Fetches all samples written so far. A prober that does not answer is asked again the next time. */
  async fetch(): Promise<void> {
    await Promise.all(
      this.#probers.map(async (prober) => {
        try {
          await this.#fetchFrom(prober);
        } catch (error) {
          this.#complain(prober.node, error);
        }
      }),
    );
  }

  /** Of some series, those whose last K samples that began after a time were not all good: "names inside … from NODE". */
  async notGoodSince(fromMs: number, series: readonly SeriesName[]): Promise<string[]> {
    await this.fetch();
    return series
      .filter(({ layer, node }) => {
        const offsetMs = this.#clocks.findLast(({ source }) => source === node)?.offsetMs ?? 0;
        const last = (this.#lines.get(node) ?? [])
          .filter((line) => "ok" in line && line.probe === layer && line.t + offsetMs >= fromMs)
          .slice(-GOOD_IN_A_ROW);
        return last.length < GOOD_IN_A_ROW || last.some((line) => "ok" in line && !line.ok);
      })
      .map(({ layer, node }) => `${LAYERS[layer].what} from ${node}`);
  }

  /** Creates another Service and replaces the pod of the first one: whether kube-proxy follows, from every node. */
  async services(): Promise<ServicesSeen> {
    const { options } = this.#parts;
    const check = this.#check;
    if (check === undefined) return this.#services;
    this.#stopIfEnded();
    const follows = await options.view.step(
      "create a new Service and replace a pod, and ask from every node",
      async () => await check.look(options.interrupted),
    );
    this.#stopIfEnded();
    // The pod has another address now.
    await this.#sendPlan();
    return { ...this.#services, follows };
  }

  /** Aborted when someone else has taken the lock: then nothing more may be changed. */
  get lost(): AbortSignal {
    return this.#parts.session.lock.lost;
  }

  #stopIfEnded(): void {
    stopIfEnded(this.#parts.options.interrupted, this.lost);
  }

  async #deploy(note: (text: string) => void): Promise<void> {
    const { transport, clock, pods, options, names } = this.#parts;
    const manifests = await proberManifests(podSource(pods));
    await apply({ transport, clock, pods }, manifests);
    const watch = new StartWatch({ transport, clock, failed: "cannot start the probers" }, manifests);
    let problem: unknown;
    const poll = { everyMs: 300, limitMs: START_LIMIT_MS, signal: options.interrupted };
    await pollUntil(clock, poll, async () => {
      this.#probers = await this.#readyProbers();
      if (this.#probers.length >= names.length) return true;
      try {
        await watch.look();
      } catch (error) {
        if (!(error instanceof ChaosError)) throw error;
        problem = error;
        return true;
      }
      note([`${this.#probers.length} of ${names.length} ready`, watch.words].filter(Boolean).join("; "));
      return undefined;
    });
    this.#stopIfEnded();
    const why =
      problem === undefined ? `not ready after ${START_LIMIT_MS / 60_000} minutes` : messageOf(problem);
    if (this.#probers.length === 0)
      throw new ChaosError(`cannot measure: no prober is running: ${why}`, { cause: problem });
    const missing = names.filter((name) => !this.#probers.some(({ node }) => node === name));
    this.#notProbed = missing.map((node) => ({ node, why }));
    if (missing.length > 0) options.view.warn(`no prober runs on ${missing.join(", ")}: ${why}`);
  }

  async #readyProbers(): Promise<Prober[]> {
    const { transport, names: schedulable } = this.#parts;
    const ready = (await podsOf(transport, PROBER_NAMESPACE, PROBER_LABELS)).filter(
      (pod) => isReady(pod) && !isTerminating(pod),
    );
    const names = new Set(ready.map(({ metadata }) => metadata.name));
    return (await findProbers(transport)).filter(
      ({ pod, node }) => names.has(pod) && schedulable.includes(node),
    );
  }

  /** The Service and its pod, as the check of kube-proxy's own function makes them. */
  async #prepareServices(): Promise<void> {
    const { transport, clock, pods, canaries, session, names, options } = this.#parts;
    await ensure(transport, namespaceManifest(canaries));
    await copyPullSecrets(transport, canaries, pods.pullSecrets);
    try {
      this.#check = await servicesFollow.prepare({
        transport,
        clock,
        runId: session.id,
        pods: podSource(pods),
        namespace: canaries,
        nodes: names,
        component: undefined,
        emit: () => undefined,
        // It changes nothing outside its namespace.
        record: async () => await Promise.reject(new Error("services-follow recorded a change")),
        interrupted: options.interrupted,
      });
      this.#services = { runs: true };
    } catch (error) {
      if (!(error instanceof ChaosError)) throw error;
      const { pod } = await this.#canary();
      this.#services = { problem: messageOf(error), runs: pod !== undefined && isReady(pod) };
    }
  }

  async #canary(): Promise<{ readonly pod?: Pod; readonly service?: Service }> {
    const { transport, canaries } = this.#parts;
    const [pods, services] = await Promise.all([
      list<Pod>(transport, resourcePath(PODS, canaries)),
      list<Service>(transport, resourcePath(SERVICES, canaries)),
    ]);
    const pod = pods.items.find((each) => !isTerminating(each) && (each.status?.podIP ?? "") !== "");
    const [service] = services.items;
    return { ...(pod === undefined ? {} : { pod }), ...(service === undefined ? {} : { service }) };
  }

  async #sendPlan(): Promise<void> {
    const plan = await this.#plan();
    const { transport } = this.#parts;
    await Promise.all(this.#probers.map(async (prober) => await sendPlan(transport, prober, plan)));
  }

  async #plan(): Promise<ProberPlan> {
    const { session, options } = this.#parts;
    const { pod, service } = await this.#canary();
    // With IPv6 alone, or first, a Service has AAAA records and no A record.
    const family = isIPv6(service?.spec?.clusterIP ?? "") ? { family: 6 as const } : {};
    const inside = { name: `${INSIDE}.svc`, ...family };
    const podIp = pod?.status?.podIP ?? "";
    const serviceIp = pod === undefined ? "" : (service?.spec?.clusterIP ?? "");
    return {
      runId: session.id,
      interval: this.intervalMs,
      timeout: TIMEOUT_MS,
      tcpTimeout: TCP_TIMEOUT_MS,
      searchInterval: Math.max(SEARCH_INTERVAL_MS, this.intervalMs),
      probes: {
        ...(serviceIp === ""
          ? {}
          : {
              "http-service": { ip: serviceIp, port: CANARY_PORT, path: "/" },
              "tcp-service": { ip: serviceIp, port: CANARY_PORT },
            }),
        ...(podIp === "" ? {} : { "tcp-pod": { ip: podIp, port: CANARY_PORT } }),
        "dns-internal": inside,
        "dns-same-socket": inside,
        ...(options.external === false ? {} : { "dns-external": { name: options.external } }),
        "dns-search": { name: INSIDE, ...family },
        ...options.also,
      },
    };
  }

  async #fetchFrom(prober: Prober): Promise<void> {
    const from = this.#offsets.get(prober.node) ?? 0;
    await fetchAll(this.#parts.transport, prober, from, async ({ lines, nextOffset }) => {
      const known = (boot: string): boolean => this.#clocks.some((each) => each.boot === boot);
      if (lines.some((line) => isBoot(line) && !known(line.boot))) await this.#readClock(prober);
      this.#offsets.set(prober.node, nextOffset);
      const all = this.#lines.get(prober.node) ?? [];
      this.#lines.set(prober.node, all);
      for (const line of lines) all.push(line);
    });
  }

  async #readClock(prober: Prober): Promise<void> {
    const { transport, clock } = this.#parts;
    const reading = await readClock(transport, prober, clock.now, CLOCK_READINGS);
    if (reading === undefined) throw new ChaosError(`cannot read the clock of the prober on ${prober.node}`);
    this.#clocks.push({ source: prober.node, ...reading });
  }

  #complain(node: string, error: unknown): void {
    this.#parts.options.view.warn(`cannot fetch samples of ${node}: ${messageOf(error)}`);
  }
}
