/** A kube-dns on the fake API server, what restores it there, and a TargetWatch for it. */
import type { ExecutionContext } from "ava";
import type { RunEventBody } from "../../src/evidence/events.js";
import type { KubeObject } from "../../src/kube/objects.js";
import { type ApiRequest, createTransport, type Transport } from "../../src/kube/transport.js";
import { components } from "../../src/components/all-components.js";
import { TargetWatch } from "../../src/targets/target-watch.js";
import { findTarget, isNodeTarget, type Target } from "../../src/targets/target.js";
import { type Draft, FakeApiServer, type FakeOptions, type LoggedRequest } from "./fake-api-server.js";

export const PODS = "/api/v1/namespaces/kube-system/pods";
export const SERVICES = "/api/v1/namespaces/kube-system/services";
export const DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments";
export const DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets";
export const REPLICASETS = "/apis/apps/v1/namespaces/kube-system/replicasets";
export const SLICES = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
export const LABELS = { "k8s-app": "kube-dns" } as const;
export const REPLICASET = "kube-dns-7f9c6b7d5";
const IMAGE = "registry.k8s.io/coredns/coredns:v1.12.1";

/** Waits until a condition is true, at most 15 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`timed out after 15 s waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface Served {
  readonly server: FakeApiServer;
  readonly transport: Transport;
}

export async function serve(t: ExecutionContext, options: FakeOptions = {}): Promise<Served> {
  const server = await FakeApiServer.start(options);
  const transport = createTransport({ server: server.url, userAgent: "chaos-test/1" });
  t.teardown(async () => {
    transport.close();
    await server.close();
  });
  return { server, transport };
}

export const owner = (kind: string, name: string): Draft => ({
  ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: `uid-of-${name}`, controller: true }],
});

export function deployment(name = "kube-dns", change: Draft = {}): Draft {
  return {
    metadata: {
      name,
      labels: { ...LABELS, "kubernetes.io/cluster-service": "true" },
      annotations: { note: "kept", "deployment.kubernetes.io/revision": "3" },
      generation: 3,
      managedFields: [{ manager: "kubeadm", operation: "Update", time: "2026-01-01T00:00:00Z" }],
    },
    spec: {
      replicas: 2,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: { containers: [{ name: "dns", image: IMAGE }] },
      },
    },
    status: { replicas: 2, readyReplicas: 2 },
    ...change,
  };
}

export const replicaSet = (name: string, of = "kube-dns"): Draft => ({
  metadata: { name, labels: { ...LABELS, "pod-template-hash": "x" }, ...owner("Deployment", of) },
});

/** A running pod; with `node: undefined`, one that is not scheduled yet. */
export function pod(
  name: string,
  options: { of?: Draft; node?: string | undefined; ready?: boolean; labels?: Record<string, string> } = {},
): Draft {
  const { of = owner("ReplicaSet", REPLICASET), ready = true, labels = LABELS } = options;
  const node = "node" in options ? options.node : "worker-1";
  return {
    metadata: { name, labels, ...of },
    spec: {
      terminationGracePeriodSeconds: 30,
      containers: [{ name: "dns", image: IMAGE }],
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: {
      phase: node === undefined ? "Pending" : "Running",
      conditions: [{ type: "Ready", status: ready && node !== undefined ? "True" : "False" }],
    },
  };
}

export const slice = (name: string, ready: number, service = "kube-dns"): Draft => ({
  metadata: { name, labels: { "kubernetes.io/service-name": service } },
  addressType: "IPv4",
  endpoints: Array.from({ length: ready }, (_, index) => ({
    addresses: [`10.244.0.${index + 1}`],
    conditions: { ready: true, serving: true, terminating: false },
  })),
});

/** Deployment, ReplicaSet, two ready pods, Service and its endpoints. */
export function putKubeDns(server: FakeApiServer): void {
  server.put(DEPLOYMENTS, deployment());
  server.put(REPLICASETS, replicaSet(REPLICASET));
  for (const name of ["a", "b"]) server.put(PODS, pod(`${REPLICASET}-${name}`));
  server.put(SERVICES, {
    metadata: { name: "kube-dns" },
    spec: { selector: LABELS, clusterIP: "10.96.0.10" },
  });
  server.put(SLICES, slice("kube-dns-1", 2));
}

export async function targetOf(
  transport: Transport,
  spec: Parameters<typeof findTarget>[1] = { component: "kube-dns" },
): Promise<Target> {
  const found = await findTarget(transport, spec, components["kube-dns"]);
  if ("problem" in found) throw new Error(found.problem);
  if (isNodeTarget(found)) throw new Error(`${found.name} is not a workload`);
  return found;
}

export interface Watched extends Served {
  readonly target: Target;
  readonly watch: TargetWatch;
  readonly events: RunEventBody[];
  readonly emit: (body: RunEventBody, tMs?: number) => void;
  /** Events of one type. */
  of<T extends RunEventBody["type"]>(type: T): Extract<RunEventBody, { type: T }>[];
}

/** The target with a TargetWatch that has listed once. */
export async function watching(
  t: ExecutionContext,
  served: Served,
  options: { target?: Target; resyncMs?: number } = {},
): Promise<Watched> {
  const { transport } = served;
  const target = options.target ?? (await targetOf(transport));
  const controller = new AbortController();
  const events: RunEventBody[] = [];
  const emit = (body: RunEventBody): void => void events.push(body);
  const watch = new TargetWatch({
    transport,
    target,
    emit,
    signal: controller.signal,
    resyncMs: options.resyncMs ?? 0,
  });
  const { synced, done } = watch.start();
  t.teardown(async () => {
    controller.abort();
    await done;
  });
  await synced;
  return {
    ...served,
    target,
    watch,
    events,
    emit,
    of: (type) => events.filter((event) => event.type === type) as never,
  };
}

/** The transport, and its requests in the order of the calls (sockets may change the order later). */
export function recording(transport: Transport): { transport: Transport; sent: ApiRequest[] } {
  const sent: ApiRequest[] = [];
  const wrapped: Transport = {
    request: async (request) => {
      sent.push(request);
      return await transport.request(request);
    },
    json: async (request) => {
      sent.push(request);
      return await transport.json(request);
    },
    stream: async (request) => await transport.stream(request),
    webSocket: async (request, protocol) => await transport.webSocket(request, protocol),
    warm: async (sockets) => await transport.warm(sockets),
    requestCounts: transport.requestCounts,
    close: () => transport.close(),
  };
  return { transport: wrapped, sent };
}

export const isDying = (object: KubeObject): boolean => object.metadata.deletionTimestamp !== undefined;

/** Requests that change something. */
export function writes(server: FakeApiServer): LoggedRequest[] {
  return server.requests.filter(
    ({ method, path, query }) =>
      method !== "GET" && !path.endsWith("/selfsubjectaccessreviews") && query.get("dryRun") !== "All",
  );
}
