/** Each condition of `chaos doctor` on small snapshots: what it finds, and what it does not. */
import test from "ava";
import type { Parts } from "../../../src/doctor/facts.js";
import type { Pod } from "../../../src/kube/objects.js";
import {
  ago,
  codesOf,
  CRASHING,
  daemonSet,
  deployment,
  DNS,
  dnsOn,
  findingsOf,
  healthy,
  lease,
  node,
  NOW_MS,
  pod,
  proxyOn,
  replicaSet,
  service,
} from "../../helpers/doctor-facts.js";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const { pods = [], nodes = [], deployments = [] } = healthy();
const others = (name: string): Pod[] => pods.filter(({ metadata }) => !metadata.name.startsWith(name));
const evidenceOf = (facts: ReturnType<typeof healthy>): string =>
  findingsOf(facts)
    .flatMap(({ title, evidence, cure }) => [title, ...evidence, cure])
    .join("\n");

test("a healthy cluster has no findings, not even advice", (t) => {
  t.deepEqual(findingsOf(healthy()), []);
});

test("a restart long ago, one after a reboot, and a single recent one are no findings", (t) => {
  const restarted = (finishedAt: string, restartCount: number, reason = "Error"): Pod =>
    pod("kindnet-1", {
      on: "worker",
      container: { restartCount, lastState: { terminated: { exitCode: 255, reason, finishedAt } } },
    });
  t.deepEqual(codesOf(healthy({ pods: [...pods, restarted(ago(2 * DAY), 9)] })), []);
  t.deepEqual(codesOf(healthy({ pods: [...pods, restarted(ago(MINUTE), 9, "Unknown")] })), []);
  t.deepEqual(codesOf(healthy({ pods: [...pods, restarted(ago(MINUTE), 2)] })), []);
  const rebooted = nodes.map((each) =>
    each.metadata.name === "worker" ? node("worker", { since: ago(30_000) }) : each,
  );
  t.deepEqual(codesOf(healthy({ nodes: rebooted, pods: [...pods, restarted(ago(2 * MINUTE), 9)] })), []);
  t.deepEqual(codesOf(healthy({ pods: [...pods, restarted(ago(MINUTE), 3)] })), ["warning restarts"]);
  t.deepEqual(codesOf(healthy({ pods: [...pods, restarted(ago(5 * 60 * MINUTE), 3)] })), ["info restarts"]);
});

test("restarts are named with the last reason and exit code", (t) => {
  const terminated = { exitCode: 137, reason: "OOMKilled", finishedAt: ago(5 * MINUTE) };
  const grown = proxyOn("worker", { container: { restartCount: 4, lastState: { terminated } } });
  const facts = healthy({ pods: [...others("kube-proxy-worker"), proxyOn("worker2"), grown] });
  t.deepEqual(codesOf(facts), ["warning restarts"]);
  t.regex(evidenceOf(facts), /restarted 4 times; last end, 5m ago: OOMKilled, exit code 137/);
});

test("a crash loop explains its Deployment and the API behind it", (t) => {
  const labels = { "k8s-app": "metrics-server" };
  const short = {
    ...deployment("metrics-server", labels, 1),
    status: { observedGeneration: 1, replicas: 1 },
  };
  const unavailable = {
    metadata: { name: "v1beta1.metrics.k8s.io" },
    spec: { service: { namespace: "kube-system", name: "metrics-server" } },
    status: {
      conditions: [
        { type: "Available", status: "False", reason: "MissingEndpoints", message: "no addresses" },
      ],
    },
  };
  const facts = healthy({
    pods: [
      ...pods,
      pod("metrics-server-1", {
        on: "worker",
        owner: ["ReplicaSet", "metrics-server-1"],
        labels,
        container: CRASHING,
      }),
    ],
    deployments: [...deployments, short],
    replicaSets: [replicaSet("coredns"), replicaSet("metrics-server")],
    services: [service("kube-dns", DNS), service("metrics-server", labels)],
    apiServices: [unavailable] as unknown as Parts["apiServices"],
  });
  const [finding, ...rest] = findingsOf(facts);
  t.deepEqual(rest, []);
  t.like(finding, { code: "crash-loop", severity: "error", component: "metrics-server" });
  t.true(finding?.evidence.some((line) => /7 times; last end, 60s ago: OOMKilled, exit code 137/.test(line)));
  t.true(
    finding?.evidence.includes("therefore: Deployment kube-system/metrics-server has 0 of 1 pods ready"),
  );
  t.true(finding?.evidence.includes("therefore: the API v1beta1.metrics.k8s.io is not available"));
  t.regex(finding?.cure ?? "", /logs metrics-server-1 --previous/);
});

test("a container that crashed a moment ago and runs again is in a loop; one that ended well is not", (t) => {
  const running = (exitCode: number): Pod =>
    pod("node-cache-1", {
      on: "worker",
      container: {
        ready: false,
        restartCount: 1,
        lastState: { terminated: { exitCode, reason: "Error", finishedAt: ago(20_000) } },
      },
      since: ago(20_000),
    });
  t.deepEqual(codesOf(healthy({ pods: [...pods, running(1)] })), ["error crash-loop"]);
  t.deepEqual(codesOf(healthy({ pods: [...pods, running(0)] })), []);
});

test("one cause on many nodes is one finding", (t) => {
  const crashing = ["control-plane", "worker", "worker2"].map((on) =>
    pod(`kindnet-${on}`, { on, owner: ["DaemonSet", "kindnet"], container: CRASHING }),
  );
  const kindnet = daemonSet("kindnet", { app: "kindnet" }, { numberReady: 0, numberAvailable: 0 });
  const facts = healthy({
    pods: [...pods, ...crashing],
    daemonSets: [...(healthy().daemonSets ?? []), kindnet],
  });
  const [finding, ...rest] = findingsOf(facts);
  t.deepEqual(rest, []);
  t.is(finding?.title, "3 pods of DaemonSet kube-system/kindnet crash again and again");
});

test("a single kube-dns: a warning, advice on a single node, an error without a ready pod", (t) => {
  const one = {
    pods: [...others("coredns"), dnsOn("worker", 1)],
    deployments: [deployment("coredns", DNS, 1)],
  };
  t.deepEqual(codesOf(healthy(one)), ["warning kube-dns-few-ready"]);
  t.regex(evidenceOf(healthy(one)), /scale deployment coredns --replicas=2/);
  const small = { ...one, nodes: [node("worker")] };
  t.deepEqual(codesOf(healthy(small)), ["info kube-dns-few-ready"]);
  const zero = { pods: others("coredns"), deployments: [deployment("coredns", DNS, 0)] };
  t.deepEqual(codesOf(healthy(zero)), ["error kube-dns-few-ready"]);
  t.regex(evidenceOf(healthy(zero)), /Deployment coredns is scaled to 0/);
  const gone = { pods: others("coredns"), deployments: [], replicaSets: [] };
  t.deepEqual(codesOf(healthy(gone)), ["error kube-dns-few-ready"]);
  t.regex(evidenceOf(healthy(gone)), /no workload has its labels/);
});

test("a roll-out of kube-dns is no finding", (t) => {
  const unready = dnsOn("worker2", 2, { container: { ready: false, started: false }, since: ago(10_000) });
  t.deepEqual(codesOf(healthy({ pods: [...others("coredns-2"), unready] })), []);
});

test("kube-dns in one place and without a budget: advice", (t) => {
  const together = { pods: [...others("coredns"), dnsOn("worker", 1), dnsOn("worker", 2)] };
  t.deepEqual(codesOf(healthy(together)), ["info kube-dns-one-place"]);
  t.deepEqual(codesOf(healthy({ ...together, nodes: [node("worker")], kubelets: [] })), []);
  const zoned = ["a", "b", "b"].map((zone, index) =>
    node(["control-plane", "worker", "worker2"][index] ?? "", {
      metadata: {
        name: ["control-plane", "worker", "worker2"][index],
        labels: { "topology.kubernetes.io/zone": zone },
      },
    }),
  );
  t.regex(evidenceOf(healthy({ nodes: zoned })), /all 2 ready kube-dns pods run in zone b/);
  t.deepEqual(codesOf(healthy({ budgets: [] })), ["info kube-dns-no-budget"]);
});

test("no kube-proxy on a node, and the short DaemonSet is part of the same finding", (t) => {
  const without = { pods: others("kube-proxy-worker").concat(proxyOn("worker2")) };
  const wants2 = daemonSet(
    "kube-proxy",
    { "k8s-app": "kube-proxy" },
    { desiredNumberScheduled: 2, numberReady: 2 },
  );
  const excluded = healthy({ ...without, daemonSets: [wants2] });
  t.deepEqual(codesOf(excluded), ["error kube-proxy-missing"]);
  t.regex(evidenceOf(excluded), /no kube-proxy works on 1 of 3 nodes: worker\n/);
  const short = daemonSet(
    "kube-proxy",
    { "k8s-app": "kube-proxy" },
    { numberReady: 2, currentNumberScheduled: 2 },
  );
  t.deepEqual(codesOf(healthy({ ...without, daemonSets: [short] })), ["error kube-proxy-missing"]);
  const crashing = [
    ...others("kube-proxy-worker"),
    proxyOn("worker2"),
    proxyOn("worker", { container: CRASHING }),
  ];
  t.deepEqual(codesOf(healthy({ pods: crashing, daemonSets: [short] })), ["error kube-proxy-missing"]);
});

test("a replaced, an embedded and a starting kube-proxy are not missing", (t) => {
  const none = { pods: others("kube-proxy"), daemonSets: [] };
  t.deepEqual(codesOf(healthy(none)), ["error kube-proxy-missing"]);
  const cilium = ["control-plane", "worker", "worker2"].map((on) =>
    pod(`cilium-${on}`, { on, owner: ["DaemonSet", "cilium"] }),
  );
  t.deepEqual(codesOf(healthy({ ...none, pods: [...none.pods, ...cilium] })), []);
  t.deepEqual(codesOf(healthy({ ...none, platform: { name: "k3s", because: "" } })), []);
  const starting = proxyOn("worker", { container: { ready: false, started: false }, since: ago(5_000) });
  t.deepEqual(codesOf(healthy({ pods: [...others("kube-proxy-worker"), proxyOn("worker2"), starting] })), []);
  const fargate = node("fargate-1", {
    metadata: { name: "fargate-1", labels: { "eks.amazonaws.com/compute-type": "fargate" } },
  });
  t.deepEqual(codesOf(healthy({ nodes: [...nodes, fargate] })), []);
});

test("a node that is not ready explains its pods, also kube-proxy there", (t) => {
  const bad = nodes.map((each) =>
    each.metadata.name === "worker" ? node("worker", { ready: false, since: ago(5 * MINUTE) }) : each,
  );
  const lost = { ready: false, since: ago(4 * MINUTE) };
  const facts = healthy({
    nodes: bad,
    pods: [
      ...others("kube-proxy-worker").filter(({ metadata }) => metadata.name !== "coredns-1"),
      proxyOn("worker2"),
      proxyOn("worker", { container: { ready: false }, since: lost.since }),
      dnsOn("worker", 1, { container: { ready: false }, since: lost.since }),
    ],
    daemonSets: [daemonSet("kube-proxy", { "k8s-app": "kube-proxy" }, { numberReady: 2 })],
    deployments: [
      {
        ...deployment("coredns", DNS),
        status: { observedGeneration: 1, replicas: 2, readyReplicas: 1 },
      },
    ],
  });
  const [finding, ...rest] = findingsOf(facts);
  t.deepEqual(rest, []);
  t.like(finding, { code: "node-not-ready", component: "kubelet" });
  t.true(finding?.evidence.includes("therefore: only 1 kube-dns pod is ready"));
  t.true(finding?.evidence.some((line) => /^worker: Ready is Unknown for 5m: NodeStatusUnknown/.test(line)));
});

test("pressure on a node is a warning", (t) => {
  const [first, ...rest] = nodes;
  const conditions = [
    ...(first?.status?.conditions ?? []),
    { type: "MemoryPressure", status: "True", reason: "KubeletHasInsufficientMemory" },
  ];
  const pressed = { ...first, status: { ...first?.status, conditions } } as typeof first;
  t.deepEqual(codesOf(healthy({ nodes: [...(pressed === undefined ? [] : [pressed]), ...rest] })), [
    "warning node-under-pressure",
  ]);
});

test("an image that cannot be pulled is named with its reason; one that is being pulled is not", (t) => {
  const labels = { "k8s-app": "event-exporter" };
  const short = {
    ...deployment("event-exporter", labels, 1),
    status: { observedGeneration: 1, replicas: 1 },
  };
  const waiting = (reason: string, since: string): ReturnType<typeof healthy> =>
    healthy({
      pods: [
        ...pods,
        pod("event-exporter-1", {
          on: "worker",
          owner: ["ReplicaSet", "event-exporter-1"],
          labels,
          since,
          container: { ready: false, started: false, state: { waiting: { reason, message: "not found" } } },
        }),
      ],
      deployments: [...deployments, short],
      replicaSets: [replicaSet("coredns"), replicaSet("event-exporter")],
    });
  const failed = waiting("ImagePullBackOff", ago(2 * MINUTE));
  t.deepEqual(codesOf(failed), ["error not-ready"]);
  t.regex(evidenceOf(failed), /ImagePullBackOff: .*not found; not ready for 2m/);
  t.deepEqual(codesOf(waiting("ContainerCreating", ago(2 * MINUTE))), []);
  t.deepEqual(codesOf(waiting("ContainerCreating", ago(10 * MINUTE))), ["error not-ready"]);
});

test("finished Jobs are not unready", (t) => {
  const done = pod("helm-install-1", {
    owner: ["Job", "helm-install"],
    status: { phase: "Succeeded", conditions: [{ type: "Ready", status: "False" }] },
    container: {
      ready: false,
      state: { terminated: { exitCode: 0, reason: "Completed", finishedAt: ago(DAY) } },
    },
  });
  t.deepEqual(codesOf(healthy({ pods: [...pods, done] })), []);
});

test("a leader that nobody renews, and one that is renewed but does nothing", (t) => {
  const stale = [lease("kube-scheduler", ago(5 * MINUTE)), lease("kube-controller-manager")];
  t.deepEqual(codesOf(healthy({ leases: stale })), ["error no-leader"]);
  const ignored = {
    ...pod("web-1", { owner: ["ReplicaSet", "web"] }),
    spec: { containers: [] },
    status: { phase: "Pending" },
  } as unknown as Pod;
  const old = {
    ...ignored,
    metadata: { ...ignored.metadata, namespace: "shop", creationTimestamp: ago(3 * MINUTE) },
  };
  t.deepEqual(codesOf(healthy({ unscheduled: [old] })), ["error leader-idle"]);
  t.regex(evidenceOf(healthy({ unscheduled: [old] })), /its Lease was renewed 2s ago by kube-scheduler_1/);
  t.deepEqual(codesOf(healthy({ unscheduled: [old], leases: stale })), ["error no-leader"]);
  const tried = {
    ...old,
    status: { conditions: [{ type: "PodScheduled", status: "False" }] },
  } as unknown as Pod;
  const gated = { ...old, spec: { schedulingGates: [{ name: "queue" }], containers: [] } } as unknown as Pod;
  const young = { ...old, metadata: { ...old.metadata, creationTimestamp: ago(10_000) } };
  t.deepEqual(codesOf(healthy({ unscheduled: [tried, gated, young] })), []);
});

test("changes that kube-controller-manager does not follow", (t) => {
  const changed = (time: string): ReturnType<typeof deployment> => {
    const { metadata, ...rest } = deployment("coredns", DNS);
    const managedFields = [{ manager: "kubectl", operation: "Update", time }];
    return { ...rest, metadata: { ...metadata, generation: 2, managedFields } };
  };
  t.deepEqual(codesOf(healthy({ deployments: [changed(ago(10_000))] })), []);
  t.deepEqual(codesOf(healthy({ deployments: [changed(ago(10 * MINUTE))] })), ["error leader-idle"]);
  const namespace = {
    metadata: { name: "shop", uid: "1", resourceVersion: "1", deletionTimestamp: ago(10 * MINUTE) },
    status: {},
  };
  t.deepEqual(codesOf(healthy({ namespaces: [namespace] })), ["error leader-idle"]);
  const told = {
    ...namespace,
    status: { conditions: [{ type: "NamespaceContentRemaining", status: "True" }] },
  };
  t.deepEqual(codesOf(healthy({ namespaces: [told] as unknown as Parts["namespaces"] })), []);
});

test("webhooks: fail-closed without an endpoint; what guards kube-system is advice", (t) => {
  const webhook = {
    kind: "ValidatingWebhookConfiguration",
    configuration: "policies",
    name: "pods.policies.example",
    failurePolicy: "Fail",
    service: { namespace: "policies", name: "webhook" },
    rules: ["CREATE pods"],
    guardsKubeSystem: true,
    endpoints: 0,
  } as const;
  const facts = healthy({ webhooks: [webhook] });
  t.deepEqual(codesOf(facts), ["error webhook-without-endpoint"]);
  t.regex(evidenceOf(facts), /none that is lost there can be replaced/);
  t.deepEqual(codesOf(healthy({ webhooks: [{ ...webhook, failurePolicy: "Ignore" }] })), []);
  t.deepEqual(codesOf(healthy({ webhooks: [{ ...webhook, endpoints: 2 }] })), [
    "info webhook-guards-kube-system",
  ]);
  t.deepEqual(codesOf(healthy({ webhooks: [{ ...webhook, endpoints: 2, guardsKubeSystem: false }] })), []);
});

test("certificates near their end, by their own life", (t) => {
  const of = (days: number, left: number): { readonly fromMs: number; readonly toMs: number } => ({
    fromMs: NOW_MS - (days - left) * DAY,
    toMs: NOW_MS + left * DAY,
  });
  const serving = (days: number, left: number): string[] =>
    codesOf(healthy({ certificates: { serving: of(days, left), notRead: [] } }));
  t.deepEqual(serving(365, 31), []);
  t.deepEqual(serving(365, 29), ["warning certificate-near-end"]);
  t.deepEqual(serving(365, -1), ["error certificate-near-end"]);
  t.deepEqual(serving(1, 0.5), [], "half of a certificate for a day is left");
});

test("kubelets' certificates, by the flag of kube-controller-manager, else by two days", (t) => {
  const kubelets = [{ node: "worker", clientTtl: 20 * 86_400, renewErrors: 2 }];
  t.deepEqual(codesOf(healthy({ kubelets })), ["warning kubelet-certificate-near-end"]);
  t.deepEqual(codesOf(healthy({ kubelets, pods: others("kube-controller-manager") })), []);
  const ended = [{ node: "worker", servingTtl: -60, renewErrors: 0 }];
  t.deepEqual(codesOf(healthy({ kubelets: ended })), ["error kubelet-certificate-near-end"]);
});

test("certificate requests that wait", (t) => {
  const request = (
    minutes: number,
    signerName = "kubernetes.io/kubelet-serving",
  ): Parts["signingRequests"][number] => ({
    metadata: { name: "csr-1", uid: "1", resourceVersion: "1", creationTimestamp: ago(minutes * MINUTE) },
    spec: { signerName, username: "system:node:worker" },
  });
  t.deepEqual(codesOf(healthy({ signingRequests: [request(5)] })), ["warning certificate-request-waiting"]);
  t.deepEqual(codesOf(healthy({ signingRequests: [request(0.5), request(5, "example.com/other")] })), []);
});

test("version skew: kubelet, kube-proxy and the control plane", (t) => {
  const at = (kubeletVersion: string): ReturnType<typeof node> =>
    node("worker", { status: { ...nodes[0]?.status, nodeInfo: { kubeletVersion } } });
  const skew = (kubeletVersion: string): string[] =>
    codesOf(healthy({ nodes: [at(kubeletVersion), node("control-plane"), node("worker2")] }));
  t.deepEqual(skew("v1.33.9-gke.1"), []);
  t.deepEqual(skew("v1.32.0"), ["warning version-skew"]);
  t.deepEqual(skew("v1.37.0"), ["warning version-skew"]);
  const old = proxyOn("worker", { image: "registry.k8s.io/kube-proxy:v1.31.0@sha256:abc" });
  const facts = healthy({ pods: [...others("kube-proxy-worker"), proxyOn("worker2"), old] });
  t.deepEqual(codesOf(facts), ["warning version-skew"]);
  t.regex(evidenceOf(facts), /kube-proxy is too much older than the API server/);
  t.deepEqual(codesOf(healthy({ version: "v0.0.0-master+$Format:%H$" })), []);
});

test("memory near the limit", (t) => {
  const limited = pod("fluentd-1", {
    on: "worker",
    spec: { containers: [{ name: "main", resources: { limits: { memory: "100Mi" } } }] },
  });
  const metrics = (memory: string): Parts["podMetrics"] => [
    { metadata: limited.metadata, containers: [{ name: "main", usage: { memory } }] },
  ];
  t.deepEqual(codesOf(healthy({ pods: [...pods, limited], podMetrics: metrics("95Mi") })), [
    "warning memory-near-limit",
  ]);
  t.deepEqual(codesOf(healthy({ pods: [...pods, limited], podMetrics: metrics("80Mi") })), []);
});

test("a pod that does not end", (t) => {
  const ending = (minutes: number): Pod =>
    pod("kindnet-1", { on: "worker", metadata: { deletionTimestamp: ago(minutes * MINUTE) } });
  t.deepEqual(codesOf(healthy({ pods: [...pods, ending(1)] })), []);
  t.deepEqual(codesOf(healthy({ pods: [...pods, ending(10)] })), ["warning pod-not-ending"]);
});

test("the API server's own checks", (t) => {
  const facts = healthy({ readiness: { ready: false, failing: ["etcd"] } });
  t.like(findingsOf(facts)[0], { code: "api-server-not-ready", component: "etcd" });
});

test("leftovers of this tool: the lock, a namespace, a scaled workload; a run in progress is none", (t) => {
  const labels = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
  const own = (name: string): Parts["namespaces"][number] => ({
    metadata: { name, uid: name, resourceVersion: "1", labels },
  });
  const lock = (renewed: string): Parts["leases"] => [
    ...(healthy().leases ?? []),
    lease("kube-system-chaos", renewed, { labels }),
  ];
  const running = healthy({
    leases: lock(ago(5_000)),
    namespaces: [own("kube-system-chaos"), own("guestbook")],
  });
  t.deepEqual(codesOf(running), ["info run-in-progress"]);
  const stale = healthy({ leases: lock(ago(10 * MINUTE)), namespaces: [own("kube-system-chaos")] });
  t.deepEqual(codesOf(stale), ["warning leftovers"]);
  t.regex(evidenceOf(stale), /chaos restore --all --context kind-test/);
  t.deepEqual(codesOf(healthy({ namespaces: [own("guestbook"), own("kube-system-chaos-sink")] })), [
    "info application-kept",
  ]);
  const { metadata, ...rest } = deployment("coredns", DNS, 0);
  const managedFields = [{ manager: "kube-system-chaos/20261130t1-dns-1/replicas-2", operation: "Update" }];
  const scaled = healthy({
    deployments: [{ ...rest, metadata: { ...metadata, managedFields } }],
    pods: others("coredns"),
  });
  const [finding, ...more] = findingsOf(scaled);
  t.deepEqual(more, []);
  t.like(finding, { code: "leftovers", severity: "error" });
  t.true(finding?.evidence.some((line) => line.includes("run 20261130t1-dns-1 has scaled it down from 2")));
  t.deepEqual(codesOf(healthy({ deadMan: ["ClusterRole chaos-dead-man-x"] })), ["warning leftovers"]);
});
