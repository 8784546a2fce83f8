/**
 * A cluster for the function checks: the fake API server with the parts of a scheduler, controllers, kubelets,
 * kube-proxy, probers and a sink that the checks need. Each can be switched off. A test clock moves only by sleeps, so
 * tests need no waiting.
 */
import type { ExecutionContext } from "ava";
import type { FunctionCheckName } from "../../src/components/functions.js";
import type { KubeObject, Pod, Service } from "../../src/kube/objects.js";
import {
  type ApiRequest,
  ApiUnreachableError,
  createTransport,
  type Transport,
} from "../../src/kube/transport.js";
import type { Check, Checked } from "../../src/probes/functions/from-probers.js";
import type { Stopwatch } from "../../src/common/clock.js";
import { PUBLIC_PODS } from "../../src/own/pod-spec.js";
import type { FunctionContext } from "../../src/probes/functions/function-check.js";
import { type Draft, FakeApiServer, type LoggedRequest } from "./fake-api-server.js";

export const NAMESPACE = "kube-system-chaos-canary-ab12";

export const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;

export const SERVICES = `/api/v1/namespaces/${NAMESPACE}/services`;

export const SYSTEM_DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments";

export const SYSTEM_DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets";

export const HPAS = `/apis/autoscaling/v2/namespaces/${NAMESPACE}/horizontalpodautoscalers`;
const PROBER_PODS = "/api/v1/namespaces/kube-system-chaos/pods";
const SINK_PODS = "/api/v1/namespaces/kube-system-chaos-sink/pods";
const PROXIED = /\/pods\/(?<pod>[^/:]+):8080\/proxy(?<path>\/.*)$/;

/** A clock that only sleeps move; timers that are due fire during the sleep. */
class TestClock implements Stopwatch {
  #now = 5_000;
  #due: { readonly at: number; readonly run: () => void }[] = [];

  now = (): number => this.#now;

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const wake = this.#now + ms;
    // Other pending work runs before the time moves.
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted !== true) this.pass(wake);
  }

  /** Moves the clock to this time and runs every timer that is due. */
  pass(until: number): void {
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due = this.#due.filter((each) => each !== next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = Math.max(this.#now, until);
  }

  after(ms: number, run: () => void): void {
    this.#due.push({ at: this.#now + ms, run });
  }
}

export interface SentRequest extends ApiRequest {
  /** Time on the test clock. */
  readonly at: number;
}

type PodDraft = Pod & { spec: { schedulerName?: string } };

export class World {
  readonly clock = new TestClock();
  /** What works, and how long it takes, ms. */
  readonly works = {
    scheduler: true,
    controllers: true,
    kubelet: true,
    kubeProxy: true,
    fluentd: true,
    eventExporter: true,
    heapster: true,
    defaultBackend: true,
  };
  /** The whole API; with `hangs`, every request uses up its time limit. */
  api: "answers" | "hangs" | "refuses" = "answers";
  /** Nodes without a kubelet. */
  readonly dead = new Set<string>();
  /** Probers that cannot be reached, by node. */
  readonly silent = new Set<string>();
  /** What probers printed, with the node. */
  readonly printed: string[] = [];
  readonly records: string[] = [];
  readonly sent: SentRequest[] = [];
  readonly sink = { logs: [] as Draft[], events: [] as Draft[], metrics: {} as Record<string, Draft> };
  context!: FunctionContext;
  server!: FakeApiServer;
  /** kube-proxy's rules: cluster IP → the pod behind it. */
  readonly #rules = new Map<string, string | undefined>();
  #count = 0;

  static async start(t: ExecutionContext, nodes: readonly string[] = ["worker", "worker2"]): Promise<World> {
    const world = new World();
    world.server = await FakeApiServer.start();
    const transport = createTransport({ server: world.server.url, userAgent: "kube-system-chaos/1" });
    t.teardown(async () => {
      transport.close();
      await world.server.close();
    });
    for (const node of nodes)
      world.server.put(PROBER_PODS, pod(`prober-${node}`, node, { app: "chaos-prober" }));
    world.server.store.onEvent(({ object, type }) => {
      if (type !== "DELETED") world.#react(object);
      if (object.kind === "Pod") world.#syncRules();
      if (type === "DELETED" && object.kind === "Pod") world.#replace(object);
    });
    world.#answerProbers();
    world.context = {
      transport: world.#wrap(transport),
      clock: world.clock,
      runId: "20260101T000000Z-function-test-ab12",
      pods: PUBLIC_PODS,
      namespace: NAMESPACE,
      nodes,
      component: undefined,
      emit: () => undefined,
      record: async (path) => {
        world.records.push(path);
        return Promise.resolve();
      },
    };
    return world;
  }

  /** Creates the sink's pod and its answers. */
  startSink(): void {
    this.server.put(SINK_PODS, pod("chaos-sink-1", "control-plane", { app: "chaos-sink" }));
    const answer = (path: RegExp, body: (contains: string) => object): void =>
      this.server.handle("GET", path, ({ query }) => ({
        body: { now: this.clock.now() + 1e6, ...body(query.get("contains") ?? "") },
      }));
    const containing = (entries: readonly Draft[], text: string): object => ({
      entries: entries.filter((entry) => JSON.stringify(entry).includes(text)),
    });
    answer(/chaos-sink-1:8080\/proxy\/logs$/, (text) => containing(this.sink.logs, text));
    answer(/chaos-sink-1:8080\/proxy\/events$/, (text) => containing(this.sink.events, text));
    answer(/chaos-sink-1:8080\/proxy\/metrics\/latest$/, () => ({ count: 1, byNode: this.sink.metrics }));
    this.server.store.onEvent(({ object, type }) => {
      if (object.kind !== "Event" || type !== "ADDED" || !this.works.eventExporter) return;
      const { name } = object.metadata;
      const { message } = object as unknown as { message: string };
      this.clock.after(700, () => this.sink.events.push({ receivedAt: this.sinkNow(), name, message }));
    });
  }

  sinkNow(): number {
    return this.clock.now() + 1e6;
  }

  /** Sends a metric point of each node every `everyMs`, as long as heapster works. */
  sendPoints(nodes: readonly string[], everyMs: number): void {
    if (this.works.heapster)
      for (const node of nodes) this.sink.metrics[node] = { receivedAt: this.sinkNow(), time: "x" };
    this.clock.after(everyMs, () => this.sendPoints(nodes, everyMs));
  }

  /** Requests of the function checks that change something, as "METHOD /path". */
  changes(): string[] {
    return this.sent
      .filter(({ method, path }) => method !== "GET" && !path.includes("/proxy/"))
      .filter(({ query }) => query?.dryRun === undefined)
      .map(({ method, path }) => `${method} ${path}`);
  }

  #wrap(transport: Transport): Transport {
    const gate = async (request: ApiRequest): Promise<void> => {
      this.sent.push({ ...request, at: this.clock.now() });
      if (request.signal?.aborted === true)
        throw new ApiUnreachableError(request, { cause: new Error("given up"), aborted: true });
      if (this.api === "answers") return;
      if (this.api === "hangs") await this.clock.sleep(request.timeoutMs ?? 10_000);
      const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
      throw new ApiUnreachableError(request, { cause, timedOut: this.api === "hangs" });
    };
    // Real time limits would make tests fail on a busy machine.
    const patient = (request: ApiRequest): ApiRequest => ({ ...request, timeoutMs: 20_000 });
    return {
      ...transport,
      requestCounts: {},
      request: async (request) => {
        await gate(request);
        return await transport.request(patient(request));
      },
      json: async (request) => {
        await gate(request);
        return await transport.json(patient(request));
      },
    };
  }

  #react(object: KubeObject): void {
    const { kind = "", metadata } = object;
    if (kind === "Pod") this.#reactToPod(object as unknown as PodDraft);
    if (kind === "Service") this.#reactToService(object as unknown as Service);
    const makesPods = ["Deployment", "ReplicaSet"].includes(kind) && metadata.namespace === NAMESPACE;
    if (makesPods && this.works.controllers) this.#makePod(object);
  }

  #reactToPod(at: PodDraft): void {
    const { name, namespace, deletionTimestamp } = at.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const works = (): boolean => this.works.kubelet && !this.dead.has(at.spec?.nodeName ?? "");
    const there = (): boolean => this.server.object(path)?.metadata.uid === at.metadata.uid;
    if (deletionTimestamp !== undefined) {
      this.clock.after(400, () => works() && there() && this.server.remove(path));
      return;
    }
    if (at.spec?.nodeName === undefined) {
      if (this.works.scheduler && at.spec?.schedulerName === undefined)
        this.clock.after(50, () => there() && this.server.update(path, { spec: { nodeName: "worker" } }));
      return;
    }
    if (at.status !== undefined) return;
    this.clock.after(900, () => {
      if (works() && there()) this.server.update(path, { status: running(++this.#count) });
    });
  }

  #reactToService({ metadata, spec }: Service): void {
    if (spec?.clusterIP !== undefined) return;
    const clusterIP = `10.96.0.${++this.#count}`;
    const path = `/api/v1/namespaces/${metadata.namespace}/services/${metadata.name}`;
    this.server.update(path, { spec: { clusterIP } });
    this.#syncRules();
  }

  /** Creates the pod of a workload with one replica. */
  #makePod(owner: KubeObject): void {
    const { template } = owner.spec as { template: { metadata: { labels: object }; spec: object } };
    const name = `${owner.metadata.name}-${++this.#count}`;
    const { kind = "", metadata } = owner;
    const reference = {
      apiVersion: "apps/v1",
      kind,
      name: metadata.name,
      uid: metadata.uid,
      controller: true,
    };
    this.server.put(PODS, {
      metadata: { name, labels: template.metadata.labels, ownerReferences: [reference] },
      spec: template.spec,
    });
  }

  /** A Deployment creates a new pod for a deleted one. */
  #replace({ metadata }: KubeObject): void {
    const [owner] = metadata.ownerReferences ?? [];
    if (!this.works.controllers || owner?.kind !== "Deployment") return;
    const live = this.server.object(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${owner.name}`);
    if (live !== undefined) this.#makePod(live);
  }

  #syncRules(): void {
    if (!this.works.kubeProxy) return;
    for (const service of this.server.objects(SERVICES) as unknown as Service[]) {
      const ip = service.spec?.clusterIP;
      if (ip === undefined) continue;
      const selector = Object.entries(service.spec?.selector ?? {});
      const backend = (this.server.objects(PODS) as unknown as Pod[]).find(
        ({ metadata, status }) =>
          metadata.deletionTimestamp === undefined &&
          status?.phase === "Running" &&
          selector.every(([key, value]) => metadata.labels?.[key] === value),
      );
      this.#rules.set(ip, backend?.metadata.name);
    }
  }

  #answerProbers(): void {
    this.server.handle("POST", PROXIED, (request) => {
      const { pod: name = "", path } = PROXIED.exec(request.path)?.groups ?? {};
      const node = name.replace("prober-", "");
      if (this.silent.has(node)) return { status: 503, body: "no route to the pod" };
      if (path === "/log") return this.#print(request, node);
      if (path !== "/check") return undefined;
      return { body: this.#check(request.body as Check) };
    });
  }

  #print(request: LoggedRequest, node: string): { body: object } {
    const { text } = request.body as { text: string };
    this.printed.push(`${node} ${text}`);
    if (this.works.fluentd)
      this.clock.after(600, () => this.sink.logs.push({ receivedAt: this.sinkNow(), node, text }));
    return { body: { boot: "b" } };
  }

  #check(check: Check): Checked {
    if (check.ip === "10.96.1.1") {
      if (this.works.defaultBackend)
        return { ok: true, ms: 1, status: check.kind === "http" ? 404 : 0, body: "default backend - 404" };
      return { ok: false, ms: 1, kind: "refused", message: "connect ECONNREFUSED" };
    }
    const backend = this.#rules.get(check.ip);
    const live = backend === undefined ? undefined : this.server.object(`${PODS}/${backend}`);
    if (live === undefined)
      return { ok: false, ms: 900, kind: "timeout", message: "no answer within 900 ms" };
    return { ok: true, ms: 2, ...(check.kind === "tcp" ? {} : { status: 200, body: live.metadata.name }) };
  }
}

function running(count: number): Draft {
  return {
    phase: "Running",
    podIP: `10.244.1.${count}`,
    containerStatuses: [{ name: "canary", state: { running: {} } }],
  };
}

function pod(name: string, node: string, labels: Record<string, string>): Draft {
  return { metadata: { name, labels }, spec: { nodeName: node }, status: running(1) };
}

/** Runs one function check: its result, and how long it took on the test clock, ms. */
export async function checkOnce(
  world: World,
  probe: { look(signal: AbortSignal): Promise<{ present: boolean; evidence: string; pendingId?: string }> },
  signal: AbortSignal = new AbortController().signal,
): Promise<{ present: boolean; evidence: string; pendingId?: string; tookMs: number }> {
  const began = world.clock.now();
  const seen = await probe.look(signal);
  return { ...seen, tookMs: world.clock.now() - began };
}

/** What some function checks need in addition to the world. */
export const BESIDE_THE_WORLD: Partial<Record<FunctionCheckName, (world: World) => void>> = {
  "logs-arrive": (world) => world.startSink(),
  "events-arrive": (world) => world.startSink(),
  "metric-points-arrive": (world) => {
    world.startSink();
    world.sendPoints(["worker", "worker2"], 7_000);
  },
  "unknown-path-is-answered": (world) =>
    void world.server.put("/api/v1/namespaces/kube-system/services", {
      metadata: { name: "default-http-backend" },
      spec: { selector: { "k8s-app": "glbc" }, clusterIP: "10.96.1.1", ports: [{ port: 80 }] },
    }),
};
