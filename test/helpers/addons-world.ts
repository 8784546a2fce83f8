/** A cluster on the fake API server with what the study's add-ons need: controllers and addon-manager. */
import { after } from "../../src/common/clock.js";
import type { ExecutionContext } from "ava";
import { parseAllDocuments } from "yaml";
import { type Manifest } from "../../src/own/manifest.js";
import { pathsOf } from "../../src/kube/api.js";
import type { Clock } from "../../src/common/clock.js";
import { type Progress, silentProgress } from "../../src/common/progress.js";
import { sanitised } from "../../src/kube/declared.js";
import type { KubeObject } from "../../src/kube/objects.js";
import type { Transport } from "../../src/kube/transport.js";
import { type Draft, FakeApiServer } from "./fake-api-server.js";
import { DAEMONSETS, deployment, DEPLOYMENTS, PODS, serve } from "./target-fixtures.js";

export const CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps";

export const API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";

const COLLECTIONS = [
  "/api/v1/namespaces",
  "/api/v1/configmaps",
  "/api/v1/services",
  "/api/v1/serviceaccounts",
  "/apis/apps/v1/deployments",
  "/apis/apps/v1/daemonsets",
  `${RBAC}/roles`,
  `${RBAC}/rolebindings`,
  `${RBAC}/clusterroles`,
  `${RBAC}/clusterrolebindings`,
  API_SERVICES,
];

export const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** addon-manager's interval, ms of the world's clock. */
const PASS_EVERY_MS = 60_000;

export interface World {
  readonly server: FakeApiServer;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly warnings: string[];
  /** What installAddons and removeAddons take. */
  readonly options: { readonly transport: Transport; readonly clock: Clock; readonly progress: Progress };
  /** Whether addon-manager applies its files. */
  managerWorks: boolean;
  /** Called at each tick: what else happens in the cluster. */
  meanwhile: () => void;
  /** Every object except pods, as its owner declared it. */
  declared(): Record<string, unknown>;
  /** How many requests changed something. */
  writes(): number;
}

/**
 * How many installations run at a time. Each is a second of work in the tests' process, and a request has 10 s: all 28 at
 * once, on a busy machine, end with requests that nobody was free to answer.
 */
const AT_ONCE = 4;
let running = 0;
const waiting: (() => void)[] = [];

/** Waits for a turn, which ends with the test. */
async function turn(t: ExecutionContext): Promise<void> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  t.teardown(() => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  });
}

/** One control-plane node, CoreDNS with two replicas, and its Service, as kubeadm creates them. */
export async function world(t: ExecutionContext): Promise<World> {
  await turn(t);
  const { server, transport } = await serve(t);
  server.put("/api/v1/nodes", {
    metadata: { name: "cp", labels: { "node-role.kubernetes.io/control-plane": "" } },
    spec: { providerID: "kind://docker/x/cp" },
  });
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  server.put(DEPLOYMENTS, deployment("coredns"));
  server.put("/api/v1/namespaces/kube-system/services", {
    metadata: { name: "kube-dns", labels: { "kubernetes.io/cluster-service": "true" } },
  });
  server.onDelete = (object) => {
    if (object.kind === "Namespace") sweep(server, object.metadata.name);
  };
  let now = 0;
  let nextPass = 0;
  const warnings: string[] = [];
  const self: World = {
    server,
    transport,
    warnings,
    managerWorks: true,
    meanwhile: () => undefined,
    clock: {
      now: () => now,
      after,
      wall: () => new Date(1_700_000_000_000 + now),
      sleep: async (ms) => {
        now += ms;
        self.meanwhile();
        nextPass = managerTick(server, self.managerWorks, { now, nextPass });
        controllers(server);
        await Promise.resolve();
      },
    },
    options: {
      transport,
      get clock() {
        return self.clock;
      },
      progress: { ...silentProgress, warn: (text) => void warnings.push(text) },
    },
    declared: () => declared(server),
    writes: () => server.requests.filter(({ method }) => method !== "GET").length,
  };
  return self;
}

/** What the namespace controller does. */
function sweep(server: FakeApiServer, namespace: string): void {
  for (const collection of COLLECTIONS.filter((each) => each !== "/api/v1/namespaces")) {
    for (const { kind = "", metadata } of server.objects(collection)) {
      if (metadata.namespace === namespace) server.remove(pathsOf({ kind, metadata }).path);
    }
  }
}

function declared(server: FakeApiServer): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const collection of COLLECTIONS) {
    for (const object of server.objects(collection)) {
      const { metadata, ...rest } = sanitised(object);
      const { namespace, name, labels, annotations = {} } = metadata;
      all[`${collection} ${namespace ?? ""}/${name}`] = { ...rest, labels, annotations };
    }
  }
  return all;
}

/** Keeps addon-manager's pod, and applies its files when that is due. @returns when the next pass is due. */
function managerTick(
  server: FakeApiServer,
  works: boolean,
  time: { readonly now: number; readonly nextPass: number },
): number {
  const manager = server.object(`${DEPLOYMENTS}/kube-addon-manager`);
  const podPath = `${PODS}/kube-addon-manager-1`;
  if (manager === undefined) {
    server.remove(podPath);
    return time.now;
  }
  if (server.object(podPath) === undefined) {
    server.put(PODS, {
      metadata: {
        name: "kube-addon-manager-1",
        labels: { component: "kube-addon-manager" },
        ownerReferences: [
          { apiVersion: "apps/v1", kind: "ReplicaSet", name: "kube-addon-manager-1", uid: "rs" },
        ],
      },
      status: {
        phase: "Running",
        conditions: [{ type: "Ready", status: "True" }],
        containerStatuses: [{ name: "kube-addon-manager", restartCount: 0 }],
      },
    });
  }
  if (!works || time.now < time.nextPass) return time.nextPass;
  const files = server.object(`${CONFIGMAPS}/kube-addon-manager-files`) as
    (KubeObject & { readonly data: Record<string, string> }) | undefined;
  const texts = Object.entries(files?.data ?? {}).filter(([name]) => name.endsWith(".yaml"));
  for (const [, text] of texts) {
    for (const document of parseAllDocuments(text)) apply(server, document.toJS() as Manifest);
  }
  return time.now + PASS_EVERY_MS;
}

/** Close enough to `kubectl apply`. */
function apply(server: FakeApiServer, object: Manifest): void {
  const { path, collection } = pathsOf(object);
  const annotations = { ...object.metadata.annotations, [LAST_APPLIED]: JSON.stringify(object) };
  const wanted = { ...object, metadata: { ...object.metadata, annotations } } as unknown as Draft;
  if (server.object(path) === undefined) server.put(collection, wanted);
  else server.update(path, wanted);
}

/** Controllers: workloads are ready at once. */
function controllers(server: FakeApiServer): void {
  for (const { metadata, spec } of server.objects("/apis/apps/v1/deployments")) {
    const { replicas = 1 } = spec as { replicas?: number };
    server.update(`/apis/apps/v1/namespaces/${metadata.namespace ?? ""}/deployments/${metadata.name}`, {
      status: {
        observedGeneration: metadata.generation ?? 0,
        replicas,
        updatedReplicas: replicas,
        availableReplicas: replicas,
      },
    });
  }
  for (const { metadata, spec } of server.objects(DAEMONSETS)) {
    const { template } = spec as { template: { spec: { containers: object[] } } };
    const containers = template.spec.containers.map((container) => ({
      ...container,
      resources: { requests: { cpu: "10m" } },
    }));
    server.update(`${DAEMONSETS}/${metadata.name}`, {
      spec: { template: { spec: { containers } } },
      status: { desiredNumberScheduled: 1, updatedNumberScheduled: 1, numberAvailable: 1 },
    });
  }
  for (const { metadata } of server.objects(API_SERVICES)) {
    server.update(`${API_SERVICES}/${metadata.name}`, {
      status: { conditions: [{ type: "Available", status: "True" }] },
    });
  }
  if (server.object(`${DEPLOYMENTS}/kube-dns-autoscaler`) !== undefined) {
    if (server.object(`${CONFIGMAPS}/kube-dns-autoscaler`) === undefined)
      server.put(CONFIGMAPS, { metadata: { name: "kube-dns-autoscaler" }, data: { linear: "{}" } });
  }
}
