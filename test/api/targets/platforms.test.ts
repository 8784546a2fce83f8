/** The table "Inventories" of real platforms: is the component found, does it run, and what is said if not. */
import { experiment } from "../../helpers/experiments.js";
import test from "ava";
import type { ExecutionContext } from "ava";
import { components } from "../../../src/components/all-components.js";
import type { ComponentName } from "../../../src/experiment/names.js";
import type { Experiment, ExperimentFile } from "../../../src/experiment/schema.js";
import { findCompanions } from "../../../src/targets/find-companions.js";
import { type AnyTarget, findTarget, type NoTarget } from "../../../src/targets/target.js";
import { inventory, planOn, putInventory } from "../../helpers/inventories.js";
import { DAEMONSETS, DEPLOYMENTS, deployment, serve, type Served } from "../../helpers/target-fixtures.js";

interface Platform extends Served {
  readonly find: (target: ComponentName | Experiment["target"]) => Promise<AnyTarget | NoTarget>;
  /** The problem of a component that is not found. */
  readonly why: (target: ComponentName | Experiment["target"]) => Promise<string>;
}

async function on(t: ExecutionContext, name: string): Promise<Platform> {
  const served = await serve(t);
  const { nodes, objects } = inventory(name);
  putInventory(served.server, { nodes, objects });
  const find: Platform["find"] = async (wanted) => {
    const target = typeof wanted === "string" ? { component: wanted } : wanted;
    const component = "component" in target ? components[target.component] : undefined;
    return await findTarget(served.transport, target, component, { nodes });
  };
  const why: Platform["why"] = async (wanted) => {
    const found = await find(wanted);
    return "problem" in found ? found.problem : `found ${found.kind} ${found.name}`;
  };
  return { ...served, find, why };
}

const FOUND: readonly [string, ComponentName, object][] = [
  ["gke", "kube-proxy", { kind: "StaticPod", count: 3, labels: { component: "kube-proxy" } }],
  ["gke", "fluentd", { kind: "DaemonSet", name: "fluentbit-gke", count: 3 }],
  ["gke", "heapster", { kind: "DaemonSet", name: "gke-metrics-agent", count: 3 }],
  ["gke", "event-exporter", { name: "event-exporter-gke" }],
  ["gke", "metrics-server", { name: "metrics-server-v0.5.2" }],
  ["aks", "kube-proxy", { kind: "DaemonSet", name: "kube-proxy", count: 3 }],
  ["aks", "kube-dns-autoscaler", { kind: "Deployment", name: "coredns-autoscaler" }],
  ["eks", "metrics-server", { kind: "Deployment", name: "metrics-server", count: 2 }],
  ["eks", "kube-proxy", { kind: "DaemonSet", count: 2 }],
  ["kops", "kube-dns-autoscaler", { name: "coredns-autoscaler" }],
  [
    "kops",
    "kube-scheduler",
    {
      kind: "StaticPod",
      labels: { "k8s-app": "kube-scheduler" },
      manifest: "/etc/kubernetes/manifests/kube-scheduler.manifest",
    },
  ],
  ["kops", "etcd", { kind: "StaticPod", labels: { "k8s-app": "etcd-manager-main" } }],
  ["kops", "kube-proxy", { kind: "StaticPod", count: 2 }],
  ["synthetic-rke2", "kube-dns", { name: "rke2-coredns-rke2-coredns", count: 2 }],
  ["synthetic-rke2", "kube-dns-autoscaler", { name: "rke2-coredns-rke2-coredns-autoscaler" }],
  ["synthetic-rke2", "metrics-server", { name: "rke2-metrics-server" }],
  [
    "synthetic-rke2",
    "kube-proxy",
    { kind: "StaticPod", manifest: "/var/lib/rancher/rke2/agent/pod-manifests/kube-proxy.yaml" },
  ],
  ["synthetic-k3s", "kube-dns", { name: "coredns" }],
  ["synthetic-k3s", "metrics-server", { name: "metrics-server" }],
  ["synthetic-microk8s", "container-runtime", { unit: "snap.microk8s.daemon-containerd.service" }],
  ["synthetic-openshift", "kube-dns", { kind: "DaemonSet", namespace: "openshift-dns", name: "dns-default" }],
  ["synthetic-openshift", "metrics-server", { namespace: "openshift-monitoring", name: "metrics-server" }],
  ["synthetic-openshift", "kube-scheduler", { namespace: "openshift-kube-scheduler", count: 3 }],
  ["synthetic-openshift", "etcd", { namespace: "openshift-etcd", count: 3 }],
  ["synthetic-openshift", "container-runtime", { unit: "crio.service", count: 5 }],
  ["synthetic-kubeadm", "kube-proxy", { kind: "DaemonSet", count: 3 }],
  ["synthetic-kind", "etcd", { kind: "StaticPod", manifest: "/etc/kubernetes/manifests/etcd.yaml" }],
];

for (const [name, component, found] of FOUND) {
  test(`${name}: ${component} is found: ${JSON.stringify(found)}`, async (t) => {
    const platform = await on(t, name);
    t.like(await platform.find(component), found);
  });
}

test("the Services of a target are those that select its pods, whatever they are called", async (t) => {
  for (const [name, service] of [
    ["synthetic-rke2", "rke2-coredns-rke2-coredns"],
    ["synthetic-openshift", "dns-default"],
    ["eks", "kube-dns"],
  ] as const) {
    const found = await (await on(t, name)).find("kube-dns");
    t.deepEqual("problem" in found ? [] : found.services.map((each) => each.name), [service], name);
  }
});

const HIDDEN: readonly [string, ComponentName, RegExp][] = [
  ["synthetic-gke-dataplane-v2", "kube-proxy", /^GKE Dataplane V2 \(DaemonSet anetd\) routes Services/],
  ["synthetic-gke-dataplane-v2", "kube-proxy", /found none that runs: DaemonSet kube-proxy wants 0 pods/],
  ["synthetic-openshift", "kube-proxy", /^OpenShift has none: OVN-Kubernetes/],
  ["synthetic-k3s", "kubelet", /^k3s runs it inside its own process .*\(this is k3s: the kubelets' version/],
  ["gke", "kube-scheduler", /^GKE runs the control plane itself/],
  ["eks", "kube-scheduler", /^no node has .*the control plane runs elsewhere.*\(looked for static pods/],
  [
    "eks",
    "kube-dns-autoscaler",
    /^looked for a Deployment with k8s-app=kube-dns-autoscaler or .*; found none$/,
  ],
];

for (const [name, component, reason] of HIDDEN) {
  test(`${name}: ${component} is not found: ${reason.source}`, async (t) => {
    t.regex(await (await on(t, name)).why(component), reason);
  });
}

test("Cilium in place of kube-proxy is named, unless it does not run", async (t) => {
  const { server, why } = await on(t, "prod-baremetal");
  server.remove(`${DAEMONSETS}/kube-proxy`);
  t.regex(await why("kube-proxy"), /^looked for a DaemonSet/);
  server.put(DAEMONSETS, {
    metadata: { name: "cilium", labels: { "k8s-app": "cilium" } },
    status: { desiredNumberScheduled: 5, numberReady: 5 },
  });
  t.regex(await why("kube-proxy"), /^Cilium \(DaemonSet cilium\) routes Services in its place \(looked for/);
  server.update(`${DAEMONSETS}/cilium`, { status: { desiredNumberScheduled: 0 } });
  t.regex(await why("kube-proxy"), /^looked for a DaemonSet/);
});

test("a component that is scaled to 0 is not found, and the problem names it", async (t) => {
  const { server, why, find } = await on(t, "aks");
  server.update(`${DEPLOYMENTS}/coredns-autoscaler`, { spec: { replicas: 0 } });
  t.regex(
    await why("kube-dns-autoscaler"),
    /found none that runs: Deployment coredns-autoscaler is scaled to 0$/,
  );
  t.regex(
    await why({ component: "kube-dns-autoscaler", name: "coredns-autoscaler" }),
    /^Deployment coredns-autoscaler is scaled to 0: there is nothing to take down$/,
  );
  server.put(DEPLOYMENTS, {
    ...deployment("dns-autoscaler"),
    metadata: { name: "dns-autoscaler", labels: { "k8s-app": "dns-autoscaler" } },
  });
  t.like(await find("kube-dns-autoscaler"), { name: "dns-autoscaler" }, "the next form");
});

test("a workload without the labels is found by its usual name; labels go before names", async (t) => {
  const { server, find } = await on(t, "prod-baremetal");
  server.put(DEPLOYMENTS, {
    ...deployment("metrics-server"),
    metadata: { name: "metrics-server", labels: {} },
  });
  t.like(await find("metrics-server"), { name: "metrics-server" });
  server.put(DEPLOYMENTS, {
    ...deployment("odd-name"),
    metadata: { name: "odd-name", labels: { "app.kubernetes.io/name": "metrics-server" } },
  });
  t.like(await find("metrics-server"), { name: "odd-name" });
});

test("several that run: the user names one, and it stays the component", async (t) => {
  const { server, transport, find, why } = await on(t, "gke");
  server.update(`${DAEMONSETS}/fluentbit-gke-max`, { status: { desiredNumberScheduled: 2, numberReady: 2 } });
  t.is(
    await why("fluentd"),
    "several workloads of fluentd run: DaemonSet fluentbit-gke (3 wanted), DaemonSet fluentbit-gke-max (2 wanted). " +
      "Choose one with target.name, for example target: { component: fluentd, name: fluentbit-gke }",
  );
  const target = { component: "fluentd", name: "fluentbit-gke-max" } as const;
  t.like(await find(target), { kind: "DaemonSet", name: "fluentbit-gke-max", count: 2 });
  const resolved = experiment({ target });
  t.is(resolved.component?.functionProbe, "logs-arrive");
  t.is(resolved.component?.study?.name, "fluentd-gcp");
  const row = await planOn(transport, inventory("gke"), { file: "x.yaml", resolved });
  t.like(row, { target: "fluentd", found: "DaemonSet kube-system/fluentbit-gke-max", why: null });
  t.regex(
    await why({ component: "fluentd", name: "absent" }),
    /^DaemonSet kube-system\/absent does not exist in the cluster\. Correct /,
  );
  t.like(
    await find({ component: "fluentd", kind: "Deployment", name: "kube-dns" }),
    { kind: "Deployment", name: "kube-dns" },
    "kind and namespace lead anywhere",
  );
  t.regex(await why({ component: "kubelet", name: "x" }), /kubelet is no workload/);
});

test("scale-to-zero of kube-dns takes the autoscaler down first, or its plan says that none was found", async (t) => {
  const resolved = experiment({ attack: { type: "scale-to-zero" } });
  for (const [name, autoscaler] of [
    ["aks", "coredns-autoscaler"],
    ["kops", "coredns-autoscaler"],
    ["synthetic-rke2", "rke2-coredns-rke2-coredns-autoscaler"],
  ] as const) {
    const { transport } = await on(t, name);
    const { companions, missing } = await findCompanions(transport, resolved);
    t.deepEqual([companions.map((each) => each.name), missing], [[autoscaler], []], name);
    const row = await planOn(transport, inventory(name), { file: "x.yaml", resolved });
    t.is(row.attack, `scale-to-zero, after ${autoscaler} is scaled to 0`);
  }
  const { transport } = await on(t, "eks");
  const row = await planOn(transport, inventory("eks"), { file: "x.yaml", resolved });
  t.is(row.attack, "scale-to-zero");
  t.regex(row.missing.join(), /^kube-dns-autoscaler: looked for a Deployment with .*; found none$/);
});

test("kube-proxy as a static pod is attacked as one, unless the file names another attack", async (t) => {
  const { transport } = await on(t, "gke");
  const plan = async (change: Partial<ExperimentFile>): ReturnType<typeof planOn> =>
    await planOn(transport, inventory("gke"), {
      file: "x.yaml",
      resolved: experiment({ target: { component: "kube-proxy" }, ...change }),
    });
  t.is((await plan({})).attack, "static-pod on each of its nodes");
  const named = await plan({ attack: { type: "delete-workload" } });
  t.is(named.attack, null);
  t.regex(named.why ?? "", /attack\.type can be static-pod/);
});

test("what only the nodes can tell is assumed, and is not checked off", async (t) => {
  const { transport } = await on(t, "kops");
  for (const [component, assumed] of [
    ["kubelet", true],
    ["kube-scheduler", true],
    ["kube-dns", false],
  ] as const) {
    const resolved = experiment({ target: { component } });
    const row = await planOn(transport, inventory("kops"), { file: "x.yaml", resolved });
    t.is(row.assumed, assumed, component);
  }
});

test("a workload none of whose pods is ready is found, but cannot be taken down", async (t) => {
  const { server, transport } = await on(t, "synthetic-kind");
  server.update(`${DEPLOYMENTS}/coredns`, {
    status: { replicas: 2, readyReplicas: null, unavailableReplicas: 2 },
  });
  const row = await planOn(transport, inventory("synthetic-kind"), {
    file: "x.yaml",
    resolved: experiment({}),
  });
  t.like(row, { found: "Deployment kube-system/coredns", runs: "0 of 2 pods ready", attack: null });
  t.regex(row.why ?? "", /none of its pods is ready/);
});

test("other namespaces than kube-system are read on OpenShift only", async (t) => {
  for (const name of ["gke", "synthetic-kubeadm", "synthetic-openshift"]) {
    const { server, find } = await on(t, name);
    for (const component of Object.values(components)) await find(component.name);
    const namespaces = new Set(
      server.requestsOf("GET").map(({ path }) => /\/namespaces\/([^/]+)\//.exec(path)?.[1] ?? ""),
    );
    t.is(namespaces.size > 1, name === "synthetic-openshift", `${name}: ${[...namespaces].join(", ")}`);
  }
});
