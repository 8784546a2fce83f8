/** Facts of a healthy cluster with three nodes, for the conditions of `chaos doctor`, and what goes wrong there. */
import { CONDITIONS } from "../../src/doctor/all-conditions.js";
import { judgeAll } from "../../src/doctor/condition.js";
import type { ClusterFacts, Parts } from "../../src/doctor/facts.js";
import type { Finding } from "../../src/doctor/finding.js";
import { folded } from "../../src/doctor/fold.js";
import type { DaemonSet, Deployment, Lease, Node, Pod, ReplicaSet, Service } from "../../src/kube/objects.js";
import { environmentOf } from "../../src/targets/environment.js";
import { platformOf } from "../../src/targets/platform.js";

export const NOW_MS = Date.parse("2026-11-30T12:00:00Z");
const MINUTE = 60_000;

/** RFC 3339, so many ms ago. */
export const ago = (ms: number): string => new Date(NOW_MS - ms).toISOString();
const LONG_AGO = ago(3 * 24 * 60 * MINUTE);

type Change = Readonly<Record<string, unknown>>;

const meta = (kind: string, name: string, more: Change = {}): Pod["metadata"] => ({
  name,
  namespace: "kube-system",
  uid: `${kind} ${name}`,
  resourceVersion: "1",
  creationTimestamp: LONG_AGO,
  generation: 1,
  ...more,
});

const owned = (kind: string, name: string): Change => ({
  ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: `${kind} ${name}`, controller: true }],
});

export function node(
  name: string,
  more: { readonly ready?: boolean; readonly since?: string } & Change = {},
): Node {
  const { ready = true, since = LONG_AGO, ...rest } = more;
  const status = ready ? "True" : "Unknown";
  const reason = ready ? "KubeletReady" : "NodeStatusUnknown";
  return {
    metadata: { ...meta("Node", name), namespace: undefined },
    spec: { providerID: `kind://docker/test/${name}` },
    status: {
      conditions: [
        {
          type: "Ready",
          status,
          reason,
          message: "Kubelet stopped posting node status.",
          lastTransitionTime: since,
        },
      ],
      nodeInfo: { kubeletVersion: "v1.36.3" },
    },
    ...rest,
  } as unknown as Node;
}

export interface PodOptions {
  readonly on?: string;
  readonly owner?: readonly [kind: string, name: string];
  readonly labels?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly since?: string;
  /** Fields of its only container's status. */
  readonly container?: Change;
  readonly spec?: Change;
  readonly metadata?: Change;
  readonly status?: Change;
}

export function pod(name: string, options: PodOptions = {}): Pod {
  const {
    owner: [kind, of] = ["Node", options.on ?? "worker"],
    on,
    labels = {},
    image = "registry/x:v1",
  } = options;
  const container = {
    name: "main",
    image,
    ready: true,
    restartCount: 0,
    started: true,
    state: { running: { startedAt: LONG_AGO } },
    lastState: {},
    ...options.container,
  };
  return {
    metadata: meta("Pod", name, { labels, ...owned(kind, of), ...options.metadata }),
    spec: { nodeName: on, containers: [{ name: "main", image }], ...options.spec },
    status: {
      phase: "Running",
      conditions: [
        { type: "PodScheduled", status: "True" },
        {
          type: "Ready",
          status: container.ready ? "True" : "False",
          lastTransitionTime: options.since ?? LONG_AGO,
        },
      ],
      containerStatuses: [container],
      ...options.status,
    },
  } as unknown as Pod;
}

/** A container that crashes again and again. */
export const CRASHING = {
  ready: false,
  restartCount: 7,
  started: false,
  state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 5m0s restarting failed container" } },
  lastState: { terminated: { exitCode: 137, reason: "OOMKilled", finishedAt: ago(MINUTE) } },
} as const;

export const DNS = { "k8s-app": "kube-dns" };
const PROXY = { "k8s-app": "kube-proxy" };

export function deployment(name: string, labels: Readonly<Record<string, string>>, replicas = 2): Deployment {
  return {
    metadata: meta("Deployment", name, { labels }),
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "main" }] } },
    },
    status: {
      observedGeneration: 1,
      replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
      updatedReplicas: replicas,
    },
  };
}

export const replicaSet = (of: string): ReplicaSet =>
  ({
    metadata: meta("ReplicaSet", `${of}-1`, owned("Deployment", of)),
    spec: {},
    status: {},
  }) as unknown as ReplicaSet;

export function daemonSet(
  name: string,
  labels: Readonly<Record<string, string>>,
  counts: Change = {},
): DaemonSet {
  return {
    metadata: meta("DaemonSet", name, { labels }),
    spec: { selector: { matchLabels: labels } },
    status: {
      observedGeneration: 1,
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      numberReady: 3,
      numberAvailable: 3,
      ...counts,
    },
  } as unknown as DaemonSet;
}

export function service(name: string, selector: Readonly<Record<string, string>>): Service {
  return { metadata: meta("Service", name), spec: { selector } };
}

export function lease(name: string, renewed = ago(2_000), more: Change = {}): Lease {
  return {
    metadata: meta("Lease", name, more),
    spec: { holderIdentity: `${name}_1`, leaseDurationSeconds: 15, renewTime: renewed },
  };
}

const NODES = ["control-plane", "worker", "worker2"];

export const proxyOn = (name: string, options: PodOptions = {}): Pod =>
  pod(`kube-proxy-${name}`, {
    on: name,
    owner: ["DaemonSet", "kube-proxy"],
    labels: PROXY,
    image: "registry.k8s.io/kube-proxy:v1.36.3",
    ...options,
  });

export const dnsOn = (name: string, number: number, options: PodOptions = {}): Pod =>
  pod(`coredns-${number}`, { on: name, owner: ["ReplicaSet", "coredns-1"], labels: DNS, ...options });

const staticPod = (name: string): Pod =>
  pod(`${name}-control-plane`, {
    on: "control-plane",
    labels: { component: name, tier: "control-plane" },
    image: `registry.k8s.io/${name}:v1.36.3`,
  });

/** Everything is read, and everything works. */
export function healthy(change: Partial<Parts & ClusterFacts> = {}): ClusterFacts {
  const day = 24 * 60 * MINUTE;
  const year = { fromMs: NOW_MS - 10 * day, toMs: NOW_MS + 355 * day };
  const nodes = NODES.map((name) => node(name));
  const pods = [
    ...NODES.map((name) => proxyOn(name)),
    dnsOn("worker", 1),
    dnsOn("worker2", 2),
    ...["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].map(staticPod),
  ];
  const facts: ClusterFacts = {
    nowMs: NOW_MS,
    version: "v1.36.3",
    platform: platformOf(nodes),
    place: { context: "kind-test" },
    environment: environmentOf({ version: "v1.36.3", nodes, pods, proxyConfig: null, apiServers: null }, []),
    notRead: {},
    nodes,
    pods,
    deployments: [deployment("coredns", DNS)],
    daemonSets: [daemonSet("kube-proxy", PROXY)],
    replicaSets: [replicaSet("coredns")],
    services: [service("kube-dns", DNS)],
    events: [],
    budgets: [{ metadata: meta("PodDisruptionBudget", "coredns"), spec: { selector: { matchLabels: DNS } } }],
    leases: [lease("kube-scheduler"), lease("kube-controller-manager")],
    namespaces: [],
    unscheduled: [],
    apiServices: [],
    webhooks: [],
    signingRequests: [],
    podMetrics: [],
    kubelets: NODES.map((name) => ({ node: name, clientTtl: 355 * 86_400, renewErrors: 0 })),
    certificates: { serving: year, authority: year, client: year, notRead: [] },
    readiness: { ready: true, failing: [] },
    unfinished: { runs: [], unreadable: [] },
    deadMan: [],
  };
  return { ...facts, ...change };
}

export function findingsOf(facts: ClusterFacts): Finding[] {
  return folded(judgeAll(CONDITIONS, facts).found);
}

/** "error crash-loop", … */
export function codesOf(facts: ClusterFacts): string[] {
  return findingsOf(facts).map(({ severity, code }) => `${severity} ${code}`);
}
