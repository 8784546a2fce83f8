import type { ExecutionContext } from "ava";
import test from "ava";
import { components } from "../../../src/components/all-components.js";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { ComponentName } from "../../../src/experiment/names.js";
import { runningContainers } from "../../../src/nodes/runtime.js";
import type { NodeAccess } from "../../../src/nodes/spec.js";
import { NodeTargetWatch } from "../../../src/targets/node-target-watch.js";
import { nodeRef, type NodeTarget } from "../../../src/targets/node-target.js";
import { type AnyTarget, findTarget, isNodeTarget, type NoTarget } from "../../../src/targets/target.js";
import type { Draft, FakeApiServer } from "../../helpers/fake-api-server.js";
import {
  DAEMONSETS,
  deployment,
  PODS,
  putKubeDns,
  serve,
  type Served,
  until,
} from "../../helpers/target-fixtures.js";

const NODES = ["a", "b", "c"].map((name) => ({ metadata: { name, uid: name, resourceVersion: "1" } }));
const MANIFESTS = "/etc/kubernetes/manifests";

const PROCESS_OF: Readonly<Record<string, string>> = {
  "kubelet.service": "kubelet",
  "containerd.service": "containerd",
  "crio.service": "crio",
};
const KUBELET_RUNS = `process=kubelet kubelet.service\narg=kubelet\narg=--pod-manifest-path=${MANIFESTS}`;

/** The manifest of a static pod. */
const podText = (name: string): string =>
  JSON.stringify({ kind: "Pod", metadata: { name, namespace: "kube-system" } });

/** Fake nodes that answer in JavaScript. */
class AskedNodes {
  /** Units by node. An absent unit is not found. */
  readonly units = new Map<string, Record<string, string>>();
  /** Manifests by node: path and text. */
  readonly manifests = new Map<string, Record<string, string>>();
  /** What the node's processes print; default: a kubelet with kubeadm's folder. */
  readonly processes = new Map<string, string>();
  /** Running containers by node, as the runtime lists them; an Error: it cannot be asked. */
  readonly running = new Map<string, string[] | Error>();
  readonly asked: { node: string; argv: readonly string[] }[] = [];
  readonly access: NodeAccess = {
    how: "asked",
    spec: { type: "engine", command: "docker", env: {} },
    exec: async (node, argv) => {
      this.asked.push({ node, argv });
      return await Promise.resolve(this.#answer(node, argv));
    },
  };

  /** The answers to the scripts of src/nodes/look.ts; undefined: another script. */
  #look(node: string, argv: readonly string[]): string | undefined {
    const script = argv[3];
    if (script === "look-at-processes") {
      const units = Object.keys(this.units.get(node) ?? {});
      const own = units.map((unit) => `process=${PROCESS_OF[unit] ?? unit} ${unit}`).join("\n");
      return this.processes.get(node) ?? (own === "" ? KUBELET_RUNS : own);
    }
    if (script === "look-at-configuration") return "";
    if (script === "look-at-manifests") {
      return Object.entries(this.manifests.get(node) ?? {})
        .filter(([path]) => path.startsWith(`${argv[4] ?? ""}/`))
        .map(([path, text]) => `file=${Buffer.from(text).toString("base64")} ${path}`)
        .join("\n");
    }
    return undefined;
  }

  #answer(node: string, argv: readonly string[]): string {
    if (argv[0] === "systemctl") {
      const state = this.units.get(node)?.[argv.at(-1) ?? ""];
      if (state === "broken") throw new Error("the node does not answer");
      if (argv.includes("--value")) return state ?? "inactive";
      const loaded = state === undefined ? "not-found" : "loaded";
      return `Restart=always\nLoadState=${loaded}\nActiveState=${state ?? "inactive"}`;
    }
    const looked = this.#look(node, argv);
    if (looked !== undefined) return looked;
    const running = this.running.get(node) ?? [];
    if (running instanceof Error) throw running;
    return running.join("\n");
  }
}

function mirror(name: string, node: string, options: { ready?: boolean; component?: string } = {}): Draft {
  const { ready = true, component = "kube-scheduler" } = options;
  return {
    metadata: {
      name,
      labels: { component, tier: "control-plane" },
      annotations: { "kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file" },
    },
    spec: {
      nodeName: node,
      containers: [{ name: component, image: `registry.k8s.io/${component}:v1.34.0` }],
    },
    status: { phase: "Running", conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

const find = async (
  { transport }: Served,
  component: ComponentName,
  access?: NodeAccess,
): Promise<AnyTarget | NoTarget> =>
  await findTarget(transport, { component }, components[component], {
    nodes: NODES,
    ...(access === undefined ? {} : { access }),
  });

test("a unit: on the nodes where it is active, and who restarts it; the others are named", async (t) => {
  const served = await serve(t);
  const nodes = new AskedNodes();
  for (const name of ["c", "a"]) nodes.units.set(name, { "kubelet.service": "active" });
  nodes.units.set("b", { "kubelet.service": "inactive" });
  nodes.processes.set("b", "");
  t.deepEqual(await find(served, "kubelet", nodes.access), {
    kind: "SystemdUnit",
    name: "kubelet",
    namespace: "",
    unit: "kubelet.service",
    on: { a: "kubelet.service", c: "kubelet.service" },
    labels: {},
    nodes: ["a", "c"],
    count: 2,
    images: [],
    services: [],
    ownerChain: ["kubelet.service", "systemd (Restart=always)"],
    remarks: ["kubelet was not found on b: looked for a systemd unit kubelet.service on a, b, c"],
  });
});

test("a unit: the one that really runs the process, whatever its name, on each node", async (t) => {
  const served = await serve(t);
  const nodes = new AskedNodes();
  const unit = "snap.kubelet.daemon.service";
  nodes.units.set("a", { [unit]: "active" });
  nodes.processes.set("a", `process=kubelet ${unit}`);
  for (const name of ["b", "c"]) nodes.units.set(name, { "kubelet.service": "active" });
  const found = await find(served, "kubelet", nodes.access);
  t.like(found, { unit: "kubelet.service", nodes: ["a", "b", "c"] });
  t.deepEqual("on" in found ? found.on : undefined, {
    a: unit,
    b: "kubelet.service",
    c: "kubelet.service",
  });
});

test("a unit that runs several components cannot be taken down alone", async (t) => {
  const served = await serve(t);
  const nodes = new AskedNodes();
  const unit = "rke2-server.service";
  for (const { metadata } of NODES) nodes.units.set(metadata.name, { [unit]: "active" });
  for (const { metadata } of NODES)
    nodes.processes.set(
      metadata.name,
      `process=rke2 ${unit}\nprocess=kubelet ${unit}\nprocess=containerd ${unit}`,
    );
  const found = await find(served, "kubelet", nodes.access);
  t.regex(
    "problem" in found ? found.problem : "",
    /^kubelet cannot be taken down alone: it is in rke2-server\.service on a, and it runs RKE2, with the kubelet and containerd; it is in /,
  );
});

test("a unit: the runtime of the node, and not another one on it", async (t) => {
  const served = await serve(t);
  const nodes = new AskedNodes();
  for (const { metadata } of NODES)
    nodes.units.set(metadata.name, { "crio.service": "active", "containerd.service": "active" });
  const runtime = (containerRuntimeVersion: string): typeof NODES =>
    NODES.map((node) => ({ ...node, status: { nodeInfo: { containerRuntimeVersion } } }));
  const of = async (on: typeof NODES): Promise<AnyTarget | NoTarget> =>
    await findTarget(served.transport, { component: "container-runtime" }, components["container-runtime"], {
      nodes: on,
      access: nodes.access,
    });
  t.like(await of(runtime("cri-o://1.34.1")), { unit: "crio.service", count: 3 });
  t.like(await of(runtime("containerd://2.3.4")), { unit: "containerd.service", count: 3 });
});

test("a unit on no node: the problem lists everything that was looked for", async (t) => {
  const served = await serve(t);
  const nodes = new AskedNodes();
  nodes.units.set("a", { "containerd.service": "failed" });
  const found = await find(served, "container-runtime", nodes.access);
  t.deepEqual(found, {
    problem:
      "looked for a systemd unit containerd.service or crio.service or docker.service on a, b, c; found none",
  });
});

test("a unit: without access every node is assumed to have the most common one, and the finding says so", async (t) => {
  const found = await find(await serve(t), "container-runtime");
  t.like(found, {
    unit: "containerd.service",
    assumed: true,
    nodes: ["a", "b", "c"],
    ownerChain: ["containerd.service", "systemd"],
  });
});

test("static pods: by their mirrors, and the manifest that each of their nodes has", async (t) => {
  const served = await serve(t);
  const { server } = served;
  server.put(PODS, mirror("kube-scheduler-b", "b"));
  server.put(PODS, mirror("kube-scheduler-a", "a"));
  server.put(PODS, mirror("etcd-a", "a", { component: "etcd" }));
  // An ordinary pod with the same label is not a static pod.
  server.put(PODS, {
    metadata: { name: "stranger", labels: { component: "kube-scheduler" } },
    spec: { nodeName: "c" },
  });
  const manifest = `${MANIFESTS}/kube-scheduler.yaml`;
  const nodes = new AskedNodes();
  for (const name of ["a", "b"])
    nodes.manifests.set(name, {
      [`${MANIFESTS}/etcd.yaml`]: podText("etcd"),
      [manifest]: podText("kube-scheduler"),
    });
  t.deepEqual(await find(served, "kube-scheduler", nodes.access), {
    kind: "StaticPod",
    name: "kube-scheduler",
    namespace: "kube-system",
    manifest,
    on: { a: manifest, b: manifest },
    labels: { component: "kube-scheduler" },
    nodes: ["a", "b"],
    count: 2,
    images: ["registry.k8s.io/kube-scheduler:v1.34.0"],
    services: [],
    ownerChain: ["Pod", `kubelet of each node (manifest ${manifest})`],
  });
  t.deepEqual(new Set(nodes.asked.map(({ node }) => node)), new Set(["a", "b"]));
  const unasked = await find(served, "kube-scheduler");
  t.like(unasked, { kind: "StaticPod", nodes: ["a", "b"], manifest, assumed: true });
});

test("static pods: folder and file name are those of each node (kops, RKE2), never assumed", async (t) => {
  const served = await serve(t);
  const rke2 = "/var/lib/rancher/rke2/agent/pod-manifests";
  served.server.put(PODS, mirror("kube-scheduler-a", "a"));
  served.server.put(PODS, mirror("kube-scheduler-b", "b"));
  const nodes = new AskedNodes();
  const kops = `${MANIFESTS}/kube-scheduler.manifest`;
  nodes.manifests.set("a", { [kops]: podText("kube-scheduler") });
  nodes.processes.set("b", `process=kubelet rke2-server.service\narg=--pod-manifest-path\narg=${rke2}`);
  nodes.manifests.set("b", {
    [`${MANIFESTS}/kube-scheduler.yaml`]: podText("kube-scheduler"),
    [`${rke2}/x.yaml`]: podText("kube-scheduler"),
  });
  const found = await find(served, "kube-scheduler", nodes.access);
  t.deepEqual("on" in found ? found.on : found, { a: kops, b: `${rke2}/x.yaml` });
});

test("static pods: a manifest that is not found is a problem, with the place", async (t) => {
  const served = await serve(t);
  served.server.put(PODS, mirror("kube-scheduler-a", "a"));
  const nodes = new AskedNodes();
  nodes.manifests.set("a", { [`${MANIFESTS}/kube-scheduler.yaml`]: podText("another") });
  t.deepEqual(await find(served, "kube-scheduler", nodes.access), {
    problem: `cannot find the manifest: no file in ${MANIFESTS} on a defines the pod kube-scheduler-a`,
  });
});

test("static pods: those on nodes that are left out are named, and not asked about", async (t) => {
  const served = await serve(t);
  const nodes = new AskedNodes();
  served.server.put(PODS, mirror("kube-scheduler-z", "z"));
  const none = await find(served, "kube-scheduler", nodes.access);
  t.regex("problem" in none ? none.problem : "", /, which run only on nodes that are left out;.*found none/);
  served.server.put(PODS, mirror("kube-scheduler-a", "a"));
  nodes.manifests.set("a", { [`${MANIFESTS}/kube-scheduler.yaml`]: podText("kube-scheduler") });
  t.like(await find(served, "kube-scheduler", nodes.access), {
    nodes: ["a"],
    remarks: ["kube-scheduler also runs on z, which is left out"],
  });
  t.true(nodes.asked.every(({ node }) => node === "a"));
});

test("kube-proxy: a DaemonSet where there is one, else a static pod; neither: the problem lists both", async (t) => {
  const served = await serve(t);
  const neither = await find(served, "kube-proxy");
  const message = "problem" in neither ? neither.problem : "";
  t.regex(
    message,
    /^looked for a DaemonSet with k8s-app=kube-proxy or .*, or called kube-proxy, in kube-system; for static pods/,
  );
  t.regex(message, /component=kube-proxy in kube-system \(kube-proxy-NODE\); .*found none$/);
  served.server.put(PODS, mirror("kube-proxy-a", "a", { component: "kube-proxy" }));
  t.like(await find(served, "kube-proxy"), { kind: "StaticPod", nodes: ["a"] });
  const labels = { "k8s-app": "kube-proxy" };
  const draft = deployment("kube-proxy") as { metadata: object; spec: { template: object } };
  served.server.put(DAEMONSETS, {
    metadata: { ...draft.metadata, labels },
    spec: { selector: { matchLabels: labels }, template: { ...draft.spec.template, metadata: { labels } } },
    status: { desiredNumberScheduled: 3 },
  });
  const found = await find(served, "kube-proxy");
  t.like(found, { kind: "DaemonSet", count: 3 });
  t.false("problem" in found || isNodeTarget(found));
});

test("several workloads with the label are a problem, whatever other form the component may have", async (t) => {
  const served = await serve(t);
  putKubeDns(served.server);
  served.server.put("/apis/apps/v1/namespaces/kube-system/deployments", deployment("coredns"));
  const found = await find(served, "kube-dns");
  t.regex(
    "problem" in found ? found.problem : "",
    /^several workloads of kube-dns run: .*\. Choose one with target\.name/,
  );
});

test("a node target by its node", (t) => {
  t.deepEqual(nodeRef({ kind: "SystemdUnit", name: "kubelet" }, "a"), {
    kind: "SystemdUnit",
    name: "kubelet on a",
  });
});

const UNIT: NodeTarget = {
  kind: "SystemdUnit",
  name: "kubelet",
  namespace: "",
  unit: "kubelet.service",
  labels: {},
  nodes: ["a", "b"],
  count: 2,
  images: [],
  services: [],
  ownerChain: [],
};
const STATIC_POD: NodeTarget = {
  ...UNIT,
  kind: "StaticPod",
  name: "kube-scheduler",
  namespace: "kube-system",
  manifest: `${MANIFESTS}/kube-scheduler.yaml`,
  labels: { component: "kube-scheduler" },
};

interface Watching {
  readonly watch: NodeTargetWatch;
  readonly nodes: AskedNodes;
  readonly events: RunEventBody[];
  readonly server: FakeApiServer;
  end(): Promise<void>;
}

async function watching(
  t: ExecutionContext,
  target: NodeTarget,
  prepare: (nodes: AskedNodes, server: FakeApiServer) => void,
  change: { attacked?: readonly string[]; access?: undefined } = {},
): Promise<Watching> {
  const { server, transport } = await serve(t);
  const nodes = new AskedNodes();
  prepare(nodes, server);
  const controller = new AbortController();
  const events: RunEventBody[] = [];
  const watch = new NodeTargetWatch({
    transport,
    target,
    attacked: change.attacked ?? ["a", "b"],
    access: "access" in change ? undefined : nodes.access,
    emit: (body) => events.push(body),
    signal: controller.signal,
    everyMs: 10,
  });
  const { synced, done } = watch.start();
  const end = async (): Promise<void> => {
    controller.abort();
    await done;
  };
  t.teardown(end);
  await synced;
  return { watch, nodes, events, server, end };
}

test("a unit is watched on the attacked nodes; each change is recorded once", async (t) => {
  const w = await watching(
    t,
    UNIT,
    (nodes) => {
      for (const name of ["a", "b"]) nodes.units.set(name, { "kubelet.service": "active" });
    },
    { attacked: ["a"] },
  );
  t.deepEqual(w.watch.attacked, ["a"]);
  t.is(w.watch.endpointsReady, undefined);
  t.true(w.watch.isTargetReady());
  t.deepEqual(w.events, [{ type: "unit", node: "a", unit: "kubelet.service", active: true }]);
  await until("it was asked often", () => w.nodes.asked.length > 5);
  t.is(w.events.length, 1);
  const expected: [string, object][] = [
    ["inactive", { active: false }],
    ["broken", { active: false, error: "the node does not answer" }],
    ["active", { active: true }],
    // It still has its processes and is about to end them: neither down nor ready.
    ["deactivating", { active: true }],
    ["activating", { active: false }],
    ["reloading", { active: true }],
    ["failed", { active: false }],
  ];
  for (const [state, told] of expected) {
    const before = w.events.length;
    w.nodes.units.set("a", { "kubelet.service": state });
    await until(`${state} is recorded`, () => w.events.length > before);
    t.like(w.events.at(-1), told, state);
    t.is(w.watch.isTargetReady(), state === "active", state);
  }
  t.deepEqual(new Set(w.nodes.asked.map(({ node }) => node)), new Set(["a"]));
});

test("a unit is ready when it is on every attacked node", async (t) => {
  const w = await watching(t, UNIT, (nodes) => nodes.units.set("a", { "kubelet.service": "active" }));
  t.false(w.watch.isTargetReady());
  w.nodes.units.set("b", { "kubelet.service": "active" });
  await until("it is ready", () => w.watch.isTargetReady());
  t.is(w.server.requestsOf("GET").length, 0, "a unit needs no request to the API");
});

test("static pods: the containers in the runtimes, and the mirror pods in the API", async (t) => {
  const w = await watching(t, STATIC_POD, (nodes, server) => {
    for (const name of ["a", "b"]) {
      nodes.running.set(name, [`kube-scheduler-${name} c0ffee`]);
      server.put(PODS, mirror(`kube-scheduler-${name}`, name));
    }
    server.put(PODS, mirror("kube-scheduler-c", "c", { ready: false }));
  });
  t.true(w.watch.isTargetReady());
  t.deepEqual(
    [...w.events].sort((x, y) => JSON.stringify(x).localeCompare(JSON.stringify(y))),
    [
      { type: "runtime", node: "a", running: ["kube-scheduler-a c0ffee"] },
      { type: "runtime", node: "b", running: ["kube-scheduler-b c0ffee"] },
    ],
  );
  w.nodes.running.set("a", []);
  await until("it is seen not to run", () => !w.watch.isTargetReady());
  t.deepEqual(w.events.at(-1), { type: "runtime", node: "a", running: [] });
  w.nodes.running.set("a", new Error("no runtime"));
  await until("the failed request is recorded", () => w.events.length === 4);
  t.deepEqual(w.events.at(-1), { type: "runtime", node: "a", running: [], error: "no runtime" });
  w.nodes.running.set("a", ["kube-scheduler-a beef"]);
  await until("it runs again", () => w.watch.isTargetReady());
  const unready = { status: { conditions: [{ type: "Ready", status: "False" }] } };
  w.server.update(`${PODS}/kube-scheduler-b`, unready);
  await until("its mirror is not ready", () => !w.watch.isTargetReady());
  w.server.put(PODS, mirror("kube-scheduler-b", "b"));
  await until("and ready again", () => w.watch.isTargetReady());
  w.server.remove(`${PODS}/kube-scheduler-b`);
  await until("its mirror is gone", () => !w.watch.isTargetReady());
});

test("static pods: when the API server does not answer, nothing is ready; the nodes are still asked", async (t) => {
  const w = await watching(
    t,
    STATIC_POD,
    (nodes, server) => {
      nodes.running.set("a", ["kube-scheduler-a c0ffee"]);
      server.put(PODS, mirror("kube-scheduler-a", "a"));
    },
    { attacked: ["a"] },
  );
  t.true(w.watch.isTargetReady());
  const disarm = w.server.fault({ kind: "reset", times: Infinity });
  await until("it is not known to be ready", () => !w.watch.isTargetReady());
  const before = w.nodes.asked.length;
  await until("the node is asked", () => w.nodes.asked.length > before + 3);
  disarm();
  await until("it is ready again", () => w.watch.isTargetReady());
});

test("a control run without access trusts the API, and assumes that a unit is ready", async (t) => {
  const unit = await watching(t, UNIT, () => undefined, { access: undefined });
  t.true(unit.watch.isTargetReady());
  const pods = await watching(
    t,
    STATIC_POD,
    (_nodes, server) => server.put(PODS, mirror("kube-scheduler-a", "a", { ready: false })),
    { access: undefined, attacked: ["a"] },
  );
  t.false(pods.watch.isTargetReady());
  pods.server.put(PODS, mirror("kube-scheduler-a", "a"));
  await until("it is ready", () => pods.watch.isTargetReady());
  t.deepEqual([...unit.events, ...pods.events], []);
});

test("the signal ends it: no request and no event after that", async (t) => {
  const w = await watching(t, UNIT, (nodes) => nodes.units.set("a", { "kubelet.service": "active" }));
  await w.end();
  const asked = w.nodes.asked.length;
  const told = w.events.length;
  w.nodes.units.set("a", { "kubelet.service": "inactive" });
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.is(w.nodes.asked.length, asked);
  t.is(w.events.length, told);
});

test("the runtime's answer: a container that is listed under two sandboxes of its pod counts once", async (t) => {
  const nodes = new AskedNodes();
  nodes.running.set("a", ["etcd-a c0ffee", "etcd-a c0ffee", "", "etcd-a beef"]);
  const running = await runningContainers(
    nodes.access,
    "a",
    { namespace: "kube-system", labels: { x: "y" } },
    1_000,
  );
  t.deepEqual(running, ["etcd-a c0ffee", "etcd-a beef"]);
  const [, , , , filter, ...labels] = nodes.asked[0]?.argv ?? [];
  t.regex(filter ?? "", /pod.namespace"==kube-system,labels."x"==y$/);
  t.deepEqual(labels, ["--label", "io.kubernetes.pod.namespace=kube-system", "--label", "x=y"]);
});

test("the API server is judged by its answers: its process keeps running for the grace period and refuses", async (t) => {
  const target = { ...STATIC_POD, name: "kube-apiserver", labels: { component: "kube-apiserver" } };
  const w = await watching(
    t,
    target,
    (nodes, server) => {
      nodes.running.set("a", ["kube-apiserver-a c0ffee"]);
      const { metadata, ...rest } = mirror("kube-apiserver-a", "a") as { metadata: object };
      server.put(PODS, { ...rest, metadata: { ...metadata, labels: { component: "kube-apiserver" } } });
    },
    { attacked: ["a"] },
  );
  t.is(w.events.length, 1);
  t.like(w.events[0], { type: "unit", node: "a", active: true });
  w.server.fault({ kind: "status", status: 503, method: "GET", path: "version", times: Infinity });
  await until("it is recorded", () => w.events.length > 1);
  t.like(w.events[1], { type: "unit", node: "a", active: false });
  t.false(w.watch.isTargetReady(), "whatever the runtime runs");
  t.deepEqual(w.nodes.asked, [], "the runtime is not asked");
});
