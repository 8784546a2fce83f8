import type { ExecutionContext } from "ava";
import test from "ava";
import { components } from "../../../src/components/all-components.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import { ApiError } from "../../../src/kube/transport.js";
import { creatorOf } from "../../../src/kube/written-by.js";
import { TargetWatch } from "../../../src/targets/target-watch.js";
import { ownerChain } from "../../../src/targets/owners.js";
import { findTarget } from "../../../src/targets/target.js";
import type { Draft, FakeApiServer } from "../../helpers/fake-api-server.js";
import {
  DAEMONSETS,
  deployment,
  DEPLOYMENTS,
  LABELS,
  owner,
  pod,
  PODS,
  putKubeDns,
  REPLICASET,
  replicaSet,
  REPLICASETS,
  serve,
  SERVICES,
  slice,
  SLICES,
  targetOf,
  until,
  type Watched,
  watching,
} from "../../helpers/target-fixtures.js";

async function kubeDns(t: ExecutionContext): Promise<Watched> {
  const served = await serve(t);
  putKubeDns(served.server);
  return await watching(t, served);
}

/** An endpoint with conditions; none: an older controller, or an unknown state. */
const endpoint = (ip: string, conditions?: Draft): Draft => ({
  addresses: [ip],
  ...(conditions === undefined ? {} : { conditions }),
});

const endpointsOf = (w: Watched): { ready: number; servingTerminating: number }[] =>
  w.of("endpoints").map(({ ready, servingTerminating }) => ({ ready, servingTerminating }));

test("found by the component's label, whatever its name; as it was", async (t) => {
  const { server, transport } = await serve(t);
  putKubeDns(server);
  server.remove(`${DEPLOYMENTS}/kube-dns`);
  const stored = server.put(DEPLOYMENTS, deployment("coredns"));
  server.put(SERVICES, { metadata: { name: "other" }, spec: { selector: { "k8s-app": "other" } } });
  server.put(SERVICES, { metadata: { name: "narrower" }, spec: { selector: { ...LABELS, more: "1" } } });
  server.put(SERVICES, { metadata: { name: "by-hand" }, spec: {} });
  const target = await targetOf(transport);
  t.like(target, {
    kind: "Deployment",
    namespace: "kube-system",
    name: "coredns",
    uid: stored.metadata.uid,
    path: `${DEPLOYMENTS}/coredns`,
    collection: DEPLOYMENTS,
    labels: LABELS,
    count: 2,
    images: ["registry.k8s.io/coredns/coredns:v1.12.1"],
    ownerChain: ["Pod", "ReplicaSet", "Deployment coredns"],
  });
  t.deepEqual(target.object, stored, "kind and apiVersion, too, which a list leaves out");
  t.deepEqual(
    target.services.map(({ kind, name }) => `${kind} ${name}`),
    ["Service kube-dns"],
    "a Service without a selector, or with a narrower one, is not the target's",
  );
});

test("found by kind and name; a DaemonSet's count is what it wants", async (t) => {
  const { server, transport } = await serve(t);
  server.put(DAEMONSETS, {
    metadata: { name: "kube-proxy" },
    spec: { selector: { matchLabels: { "k8s-app": "kube-proxy" } }, template: { spec: { containers: [] } } },
    status: { desiredNumberScheduled: 3, numberReady: 1 },
  });
  const target = await targetOf(transport, {
    kind: "DaemonSet",
    namespace: "kube-system",
    name: "kube-proxy",
  });
  t.like(target, { kind: "DaemonSet", count: 3, services: [], path: `${DAEMONSETS}/kube-proxy` });
  t.like(target.object, { kind: "DaemonSet", apiVersion: "apps/v1" });
});

test("not found: the problem says what was looked for; more than one: which, and how to choose", async (t) => {
  const { server, transport } = await serve(t);
  const find = async (spec: Parameters<typeof findTarget>[1]): Promise<string> => {
    const found = await findTarget(transport, spec, components["kube-dns"]);
    return "problem" in found ? found.problem : "found";
  };
  t.regex(
    await find({ component: "kube-dns" }),
    /Deployment with k8s-app=kube-dns or .*, or called kube-dns or coredns.*, in kube-system; found none/,
  );
  t.is(
    await find({ kind: "DaemonSet", namespace: "ns", name: "x" }),
    "DaemonSet ns/x does not exist in the cluster. Correct kind, namespace or name of the target",
  );
  server.put(DEPLOYMENTS, deployment("kube-dns"));
  server.put(DEPLOYMENTS, deployment("coredns"));
  t.regex(
    await find({ component: "kube-dns" }),
    /several workloads of kube-dns run: Deployment coredns \(2 wanted\), Deployment kube-dns .*target\.name/,
  );
});

for (const [what, selector] of [
  ["expressions only", { matchExpressions: [{ key: "k8s-app", operator: "Exists" }] }],
  ["labels and expressions", { matchLabels: LABELS, matchExpressions: [{ key: "a", operator: "Exists" }] }],
  ["no labels", { matchLabels: {} }],
] as const) {
  test(`a workload that selects its pods by ${what} is a problem`, async (t) => {
    const { server, transport } = await serve(t);
    const { spec } = deployment() as { spec: object };
    server.put(DEPLOYMENTS, deployment("kube-dns", { spec: { ...spec, selector } }));
    const byName = { kind: "Deployment", namespace: "kube-system", name: "kube-dns" } as const;
    for (const wanted of [byName, { component: "kube-dns" }] as const) {
      const found = await findTarget(transport, wanted, components["kube-dns"]);
      t.regex(
        "problem" in found ? found.problem : "",
        /^Deployment kube-dns selects its pods by matchExpressions/,
      );
    }
  });
}

test("an empty list of expressions is no problem", async (t) => {
  const { server, transport } = await serve(t);
  const { spec } = deployment() as { spec: object };
  const selector = { matchLabels: LABELS, matchExpressions: [] };
  server.put(DEPLOYMENTS, deployment("kube-dns", { spec: { ...spec, selector } }));
  t.deepEqual((await targetOf(transport)).labels, LABELS);
});

test("the owner chain goes up to addon-manager", (t) => {
  const object = {
    metadata: {
      name: "kube-dns",
      labels: { "addonmanager.kubernetes.io/mode": "Reconcile" },
      ownerReferences: [{ kind: "HelmChart", name: "dns" }],
    },
  } as unknown as KubeObject;
  t.deepEqual(ownerChain("Deployment", object), [
    "Pod",
    "ReplicaSet",
    "Deployment kube-dns",
    "HelmChart dns",
    "addon-manager, mode Reconcile (within about 60 s by default; from label addonmanager.kubernetes.io/mode)",
  ]);
  t.deepEqual(ownerChain("DaemonSet", { metadata: { name: "a" } } as KubeObject), ["Pod", "DaemonSet a"]);
});

test("who created an object: the earliest manager", (t) => {
  const by = (managedFields?: object[]): string | undefined =>
    creatorOf({ metadata: { managedFields } } as unknown as KubeObject);
  t.is(by(), undefined);
  t.is(by([]), undefined);
  t.is(
    by([
      { manager: "kube-controller-manager", time: "2026-08-01T12:00:02Z" },
      { manager: "kubectl", time: "2026-08-01T12:00:01Z" },
    ]),
    "kubectl",
  );
});

test("synced: everything that exists is known and recorded", async (t) => {
  const w = await kubeDns(t);
  t.is(w.watch.current("Deployment").length, 1);
  t.is(w.watch.current("ReplicaSet").length, 1);
  t.is(w.watch.current("Pod").length, 2);
  t.true(w.watch.isTargetReady());
  t.is(w.watch.endpointsReady, 2);
  t.deepEqual(endpointsOf(w), [{ ready: 2, servingTerminating: 0 }]);
  t.is(w.of("instance").length, 2);
  t.like(w.of("instance")[0], { node: "worker-1", podPhase: "Running", ready: true, terminating: false });
  t.deepEqual(w.of("recreated"), [], "nothing is re-created before the attack");
});

test("a pod's life: an instance event for each change that matters, and none for the others", async (t) => {
  const w = await kubeDns(t);
  const path = `${PODS}/${REPLICASET}-new`;
  w.server.put(PODS, pod(`${REPLICASET}-new`, { node: undefined }));
  w.server.update(path, { metadata: { annotations: { seen: "1" } } });
  w.server.update(path, { spec: { nodeName: "worker-2" } });
  w.server.update(path, { status: { phase: "Running", podIP: "10.244.1.9" } });
  w.server.update(path, { status: { conditions: [{ type: "Ready", status: "True" }] } });
  w.server.update(path, { metadata: { deletionTimestamp: "2026-08-01T12:00:00Z" } });
  w.server.remove(path);
  await until("it is gone", () => w.of("gone").length === 1);
  t.deepEqual(
    w
      .of("instance")
      .filter(({ object }) => object.name === `${REPLICASET}-new`)
      .map(({ podPhase, ready, terminating, node }) => [podPhase, ready, terminating, node]),
    [
      ["Pending", false, false, undefined],
      ["Pending", false, false, "worker-2"],
      ["Running", false, false, "worker-2"],
      ["Running", true, false, "worker-2"],
      ["Running", true, true, "worker-2"],
    ],
  );
  t.like(w.of("gone")[0]?.object, { kind: "Pod", namespace: "kube-system", name: `${REPLICASET}-new` });
});

test("only the target's own workload, pods and ReplicaSets are watched", async (t) => {
  const w = await kubeDns(t);
  w.server.put(DEPLOYMENTS, deployment("kube-dns-autoscaler"));
  w.server.put(PODS, pod("stranger", { labels: { app: "other" } }));
  w.server.put(REPLICASETS, { metadata: { name: "stranger", labels: { app: "other" } } });
  w.server.put(PODS, pod("last"));
  await until("the last is seen", () => w.watch.current("Pod").length === 3);
  t.deepEqual(
    w.watch.current("Deployment").map(({ metadata }) => metadata.name),
    ["kube-dns"],
  );
  t.is(w.watch.current("ReplicaSet").length, 1);
});

test("another workload's pods and ReplicaSets with the same labels do not count for the target", async (t) => {
  const served = await serve(t);
  putKubeDns(served.server);
  const strangers = (round: number): void => {
    served.server.put(REPLICASETS, replicaSet(`kube-dns-autoscaler-${round}`, "kube-dns-autoscaler"));
    served.server.put(REPLICASETS, { metadata: { name: `of-nobody-${round}`, labels: LABELS } });
    const of = owner("ReplicaSet", `kube-dns-autoscaler-${round}`);
    served.server.put(PODS, pod(`kube-dns-autoscaler-${round}-x`, { of }));
    served.server.put(PODS, pod(`of-nobody-${round}`, { of: {} }));
  };
  strangers(1);
  const w = await watching(t, served);
  w.watch.listener = () => undefined;
  strangers(2);
  served.server.update(`${PODS}/of-nobody-1`, { status: { phase: "Failed" } });
  served.server.remove(`${PODS}/of-nobody-1`);
  served.server.remove(`${REPLICASETS}/of-nobody-1`);
  // The target's own objects at the end of each watch: every earlier event has been handled.
  served.server.put(REPLICASETS, replicaSet("kube-dns-last"));
  served.server.put(PODS, pod(`${REPLICASET}-last`));
  await until("the last are seen", () => w.of("recreated").length === 2);
  const names = (kind: "ReplicaSet" | "Pod"): string[] =>
    w.watch.current(kind).map(({ metadata }) => metadata.name);
  t.deepEqual(names("ReplicaSet"), [REPLICASET, "kube-dns-last"]);
  t.deepEqual(names("Pod"), [`${REPLICASET}-a`, `${REPLICASET}-b`, `${REPLICASET}-last`]);
  t.deepEqual(
    w
      .of("recreated")
      .map(({ object }) => object.name)
      .sort(),
    [`${REPLICASET}-last`, "kube-dns-last"],
  );
  t.deepEqual(w.of("gone"), []);
  t.deepEqual(
    w.of("instance").map(({ object }) => object.name),
    names("Pod"),
  );
});

test("orphaned: gone for the target; adopted: recreated", async (t) => {
  const w = await kubeDns(t);
  const path = `${PODS}/${REPLICASET}-a`;
  w.watch.listener = () => undefined;
  w.server.update(path, { metadata: { ownerReferences: null } });
  await until("it is recorded", () => w.of("gone").length === 1);
  t.is(w.of("gone")[0]?.object.name, `${REPLICASET}-a`);
  t.is(w.watch.current("Pod").length, 1);
  t.false(w.watch.isTargetReady());
  w.server.update(path, { metadata: owner("ReplicaSet", REPLICASET) });
  await until("it is recorded, too", () => w.of("recreated").length === 1);
  t.true(w.watch.isTargetReady());
  w.server.update(path, { metadata: { ownerReferences: null } });
  w.server.remove(path);
  w.server.remove(`${PODS}/${REPLICASET}-b`);
  await until("the last is gone", () => w.watch.current("Pod").length === 0);
  t.deepEqual(
    w.of("gone").map(({ object }) => object.name),
    [`${REPLICASET}-a`, `${REPLICASET}-a`, `${REPLICASET}-b`],
  );
});

test("recreated: new objects after the attack began, and by whom; not changed objects", async (t) => {
  const w = await kubeDns(t);
  const heard: string[] = [];
  w.watch.listener = (kind, { type }) => {
    heard.push(`${type} ${kind}`);
    // The attack's listener comes before any record.
    t.is(w.of("recreated").length, 0);
  };
  w.server.update(`${DEPLOYMENTS}/kube-dns`, { status: { replicas: 1 } });
  await until("its change is heard", () => heard.length === 1);
  w.server.put(REPLICASETS, {
    ...replicaSet("kube-dns-b"),
    metadata: {
      ...replicaSet("kube-dns-b").metadata,
      managedFields: [{ manager: "kube-controller-manager", time: "2026-08-01T12:00:01Z" }],
    },
  });
  await until("it is recorded", () => w.of("recreated").length === 1);
  t.deepEqual(heard, ["MODIFIED Deployment", "ADDED ReplicaSet"]);
  t.like(w.of("recreated")[0], { object: { kind: "ReplicaSet" }, by: "kube-controller-manager" });
  w.watch.listener = undefined;
  w.server.put(PODS, pod("late"));
  await until("what comes after the attack's end is still recorded", () => w.of("recreated").length === 2);
  t.false("by" in (w.of("recreated")[1] ?? {}));
});

test("endpoints: several slices, every condition", async (t) => {
  const w = await kubeDns(t);
  const last = (): unknown => endpointsOf(w).at(-1);
  t.deepEqual(last(), { ready: 2, servingTerminating: 0 });
  w.server.put(SLICES, {
    ...slice("kube-dns-2", 0),
    endpoints: [
      endpoint("10.244.0.3"),
      endpoint("10.244.0.4", {}),
      endpoint("10.244.0.5", { ready: false }),
      endpoint("10.244.0.6", { ready: false, serving: true, terminating: true }),
      endpoint("10.244.0.7", { ready: false, serving: false, terminating: true }),
      endpoint("10.244.0.8", { ready: false, serving: true }),
    ],
  });
  await until("the second slice counts", () => endpointsOf(w).length === 2);
  t.deepEqual(last(), { ready: 4, servingTerminating: 1 }, "a missing condition reads as ready");
  w.server.put(SLICES, slice("kube-dns-2", 2, "another-service"));
  await until("a slice that becomes another Service's", () => endpointsOf(w).length === 3);
  t.deepEqual(last(), { ready: 2, servingTerminating: 0 });
  w.server.put(SLICES, { ...slice("kube-dns-1", 0), endpoints: null });
  await until("none", () => w.watch.endpointsReady === 0);
  w.server.update(`${SLICES}/kube-dns-1`, { metadata: { annotations: { x: "1" } } });
  w.server.put(SLICES, slice("kube-dns-1", 1));
  await until("one", () => w.watch.endpointsReady === 1);
  t.is(endpointsOf(w).length, 5, "the same again is no event");
  w.server.remove(`${SLICES}/kube-dns-1`);
  await until("the slice is gone", () => w.watch.endpointsReady === 0);
  t.deepEqual(w.of("endpoints").at(-1)?.service.name, "kube-dns");
});

test("an instance that is in several slices counts once: dual stack", async (t) => {
  const w = await kubeDns(t);
  const dual = (family: "IPv4" | "IPv6", endpoints: readonly Draft[]): void => {
    w.server.put(SLICES, { ...slice(`kube-dns-${family}`, 0), addressType: family, endpoints });
  };
  const of = (uid: string, ip: string, conditions: Draft): Draft => ({
    ...endpoint(ip, conditions),
    targetRef: { kind: "Pod", name: uid, uid },
  });
  const ready = { ready: true, serving: true, terminating: false };
  const ending = { ready: false, serving: true, terminating: true };
  w.server.remove(`${SLICES}/kube-dns-1`);
  await until("none", () => w.watch.endpointsReady === 0);
  dual("IPv4", [of("a", "10.244.0.1", ready), of("b", "10.244.0.2", ready), of("c", "10.244.0.3", ending)]);
  await until("IPv4 counts", () => w.watch.endpointsReady === 2);
  dual("IPv6", [of("a", "fd00::1", ready), of("b", "fd00::2", ready), of("c", "fd00::3", ending)]);
  // The same again is no event; one more by its address only, in both, is one.
  const alone = { ...endpoint("192.0.2.1", ready) };
  dual("IPv4", [
    of("a", "10.244.0.1", ready),
    of("b", "10.244.0.2", ready),
    of("c", "10.244.0.3", ending),
    alone,
  ]);
  await until("the one without a pod counts", () => w.watch.endpointsReady === 3);
  dual("IPv6", [of("a", "fd00::1", ready), of("c", "fd00::3", ending), alone]);
  dual("IPv4", [of("a", "10.244.0.1", ready)]);
  await until("one is left in neither", () => w.watch.endpointsReady === 2);
  w.server.remove(`${SLICES}/kube-dns-IPv6`);
  await until("IPv4 is left", () => w.watch.endpointsReady === 1);
  t.deepEqual(endpointsOf(w), [
    { ready: 2, servingTerminating: 0 },
    { ready: 0, servingTerminating: 0 },
    { ready: 2, servingTerminating: 1 },
    { ready: 3, servingTerminating: 1 },
    { ready: 2, servingTerminating: 1 },
    { ready: 1, servingTerminating: 0 },
  ]);
});

test("a target without a Service has no endpoints to count", async (t) => {
  const served = await serve(t);
  putKubeDns(served.server);
  served.server.remove(`${SERVICES}/kube-dns`);
  const w = await watching(t, served);
  t.is(w.watch.endpointsReady, undefined);
  t.true(w.watch.isTargetReady());
});

/** Changes of the cluster, and whether the target is ready after each. */
const READINESS: Readonly<Record<string, readonly [boolean, (server: FakeApiServer) => void]>> = {
  "everything exists": [true, () => undefined],
  "the workload is gone": [false, (s) => void s.remove(`${DEPLOYMENTS}/kube-dns`)],
  "the workload is terminating": [
    false,
    (s) =>
      void s.update(`${DEPLOYMENTS}/kube-dns`, { metadata: { deletionTimestamp: "2026-08-01T12:00:00Z" } }),
  ],
  "the workload was recreated": [
    true,
    (s) => {
      s.remove(`${DEPLOYMENTS}/kube-dns`);
      s.put(DEPLOYMENTS, deployment());
    },
  ],
  "a pod is gone": [false, (s) => void s.remove(`${PODS}/${REPLICASET}-a`)],
  "a pod is not ready": [
    false,
    (s) =>
      void s.update(`${PODS}/${REPLICASET}-a`, {
        status: { conditions: [{ type: "Ready", status: "False" }] },
      }),
  ],
  "a pod has no conditions": [
    false,
    (s) => void s.update(`${PODS}/${REPLICASET}-a`, { status: { conditions: null } }),
  ],
  "a ready pod is terminating": [
    false,
    (s) =>
      void s.update(`${PODS}/${REPLICASET}-a`, { metadata: { deletionTimestamp: "2026-08-01T12:00:00Z" } }),
  ],
  "a third pod is not ready": [true, (s) => void s.put(PODS, pod("third", { ready: false }))],
  "an endpoint is missing": [false, (s) => void s.put(SLICES, slice("kube-dns-1", 1))],
  "there are no endpoints": [false, (s) => void s.remove(`${SLICES}/kube-dns-1`)],
  "another slice has the endpoint": [
    true,
    (s) => {
      s.put(SLICES, slice("kube-dns-1", 1));
      s.put(SLICES, { ...slice("kube-dns-2", 0), endpoints: [endpoint("10.244.0.2", { ready: true })] });
    },
  ],
  "another slice has the same endpoint again": [
    false,
    (s) => {
      s.put(SLICES, slice("kube-dns-1", 1));
      s.put(SLICES, slice("kube-dns-2", 1));
    },
  ],
  "a pod of another workload has the place of one": [
    false,
    (s) => {
      s.remove(`${PODS}/${REPLICASET}-a`);
      s.put(PODS, pod("kube-dns-autoscaler-x1-a", { of: owner("ReplicaSet", "kube-dns-autoscaler-x1") }));
    },
  ],
  "a pod of another workload is not ready": [
    true,
    (s) => void s.put(PODS, pod("of-nobody", { of: {}, ready: false })),
  ],
};

for (const [what, [ready, change]] of Object.entries(READINESS)) {
  test(`ready? ${what}: ${ready ? "yes" : "no"}`, async (t) => {
    const served = await serve(t);
    putKubeDns(served.server);
    const target = await targetOf(served.transport);
    change(served.server);
    const w = await watching(t, served, { target });
    t.is(w.watch.isTargetReady(), ready);
  });

  test(`ready? ${what}, while it is watched: ${ready ? "yes" : "no"}`, async (t) => {
    const w = await kubeDns(t);
    t.true(w.watch.isTargetReady());
    await until("all watches are open", () => w.server.watchCount() === 4);
    change(w.server);
    if (!ready) return await t.notThrowsAsync(until("it is not", () => !w.watch.isTargetReady()));
    // A mark on each resource: every earlier event has been handled.
    const mark = { metadata: { annotations: { mark: "1" } } };
    w.server.update(`${DEPLOYMENTS}/kube-dns`, mark);
    await until("the mark is there", () => {
      return w.watch.current("Deployment")[0]?.metadata.annotations?.["mark"] === "1";
    });
    await until("it is", () => w.watch.isTargetReady());
    t.pass();
  });
}

test("a refused watch ends it with an error at once", async (t) => {
  const served = await serve(t);
  putKubeDns(served.server);
  const target = await targetOf(served.transport);
  served.server.fault({ kind: "status", status: 403, path: "replicasets", times: Infinity });
  const controller = new AbortController();
  t.teardown(() => controller.abort());
  const { synced, done } = new TargetWatch({
    transport: served.transport,
    target,
    emit: () => undefined,
    signal: controller.signal,
    resyncMs: 0,
  }).start();
  await t.throwsAsync(synced, { instanceOf: ApiError, message: /403/ });
  await t.throwsAsync(done, { instanceOf: ApiError });
});

test("a broken watch is an event, by its resource", async (t) => {
  const w = await kubeDns(t);
  await until("all watches are open", () => w.server.watchCount() === 4);
  w.server.endWatches();
  await until("each is recorded", () => w.of("watch").length === 4);
  t.deepEqual(
    w
      .of("watch")
      .map(({ resource }) => resource)
      .sort(),
    ["deployments", "endpointslices", "pods", "replicasets"],
  );
});

test("a DaemonSet with a pod on a node that is not ready: ready again with as many pods as before", async (t) => {
  const served = await serve(t);
  const { server, transport } = served;
  server.put(DAEMONSETS, {
    metadata: { name: "agent", generation: 1 },
    spec: {
      selector: { matchLabels: { app: "agent" } },
      template: { metadata: { labels: { app: "agent" } }, spec: { containers: [] } },
    },
    status: { observedGeneration: 1, desiredNumberScheduled: 2, numberReady: 1 },
  });
  const labels = { app: "agent" };
  const of = owner("DaemonSet", "agent");
  server.put(PODS, pod("agent-a", { of, labels }));
  server.put(PODS, pod("agent-b", { of, labels, ready: false }));
  const target = await targetOf(transport, { kind: "DaemonSet", namespace: "kube-system", name: "agent" });
  const { watch } = await watching(t, served, { target });
  t.true(watch.isTargetReady());
  server.put(PODS, pod("agent-a", { of, labels, ready: false }));
  await until("it is not ready", () => !watch.isTargetReady());
});
