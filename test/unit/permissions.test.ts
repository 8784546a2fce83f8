import test from "ava";
import type { ExecutionContext } from "ava";
import { guestbookManifests } from "../../src/application/guestbook.js";
import type { Manifest } from "../../src/application/manifest.js";
import { createAttack } from "../../src/attacks/index.js";
import { discover, list, NAMESPACES, NODES, resourcePath } from "../../src/cluster/api.js";
import type { KubeObject } from "../../src/cluster/objects.js";
import type { Attack } from "../../src/experiment/schema.js";
import { proberManifests } from "../../src/probes/prober-manifests.js";
import { ensure, manifestPaths } from "../../src/run/ensure.js";
import { touchedStandIns } from "../../src/run/facts.js";
import type { Undo } from "../../src/run/journal.js";
import { acquireLock, lockHolder, LOCK_PATH } from "../../src/run/lock.js";
import {
  describePermission,
  missingPermissions,
  neededPermissions,
  type Permission,
} from "../../src/run/permissions.js";
import { fetchSamples, findAddresses, findProbers, proberPlan, sendPlan } from "../../src/run/probers.js";
import { undo } from "../../src/run/restore.js";
import { schedulableNodes } from "../../src/run/preflight.js";
import type { RunContext } from "../../src/run/context.js";
import { watchStory } from "../../src/run/story.js";
import { TargetWatch } from "../../src/target/target-watch.js";
import type { WorkloadKind } from "../../src/target/target.js";
import type { FakeApiServer } from "../api/fake-api-server.js";
import {
  DAEMONSETS,
  owner,
  pod,
  PODS,
  putKubeDns,
  rightOf,
  type Served,
  serve,
  targetOf,
} from "../api/target-fixtures.js";

const APPLICATION = {
  namespace: "guestbook",
  frontendReplicas: 1,
  followerReplicas: 1,
  controlReplicas: 1,
  nodePort: 30080,
};

const CANARIES = "kube-system-chaos-canary-3f9a";

const needed = (attack: Attack["type"], kind: WorkloadKind, target = "kube-system"): string[] =>
  neededPermissions(attack, {
    kind,
    target,
    application: "guestbook",
    probers: "kube-system-chaos",
    canaries: CANARIES,
    functionProbe: undefined,
  }).map(describePermission);

/** As if it had been made by an older version: what `ensure` then has to do. */
function putOld(server: FakeApiServer, manifests: readonly Manifest[]): void {
  for (const manifest of manifests) {
    server.put(manifestPaths(manifest).collection, { metadata: { ...manifest.metadata } });
  }
}

/** A watched window with an attack in it, then everything gone and put back, and brought back by halves. */
async function harm({ server, transport }: Served, spec: Attack, kind: WorkloadKind): Promise<void> {
  const target = await targetOf(
    transport,
    kind === "Deployment" ? { component: "kube-dns" } : { kind, namespace: "kube-system", name: "agent" },
  );
  const controller = new AbortController();
  const watches = (): number => server.requests.filter((request) => request.watch).length;
  const others = watches();
  const watch = new TargetWatch({
    transport,
    discovery: await discover(transport),
    target,
    emit: () => undefined,
    signal: controller.signal,
    resyncMs: 0,
  });
  const { synced, done } = watch.start();
  await synced;
  // The watches themselves follow the lists.
  while (watches() - others < (kind === "Deployment" ? 4 : 3)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const running = createAttack(spec).start({
    transport,
    target,
    watch,
    emit: () => undefined,
    now: () => 0,
    setTimeout: () => undefined,
  });
  await running.stop();
  controller.abort();
  await done;
  await transport.json({ method: "GET", path: target.path }).catch(() => undefined);
  if (spec.type === "none") return;
  const back: Undo = {
    action: "restore-workload",
    path: target.path,
    collection: target.collection,
    object: target.object,
  };
  server.remove(target.path);
  await undo(transport, back);
  server.update(target.path, { spec: { minReadySeconds: 1 } });
  await undo(transport, back);
}

/** Everything else that a run asks of the API server. */
async function surround(t: ExecutionContext, { server, transport }: Served): Promise<void> {
  await lockHolder(transport);
  const lock = await acquireLock(transport, {
    runId: "r",
    durationMs: 1,
    // The first sleep is over at once, the second lasts until the end.
    clock: {
      now: () => 0,
      wall: () => new Date(0),
      sleep: async (_ms, signal) => {
        if (server.requestsOf("PUT", "leases").length === 0) return;
        await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
      },
    },
    warn: t.log,
    onLost: t.log,
  });
  while (server.requestsOf("PUT", "leases").length === 0) await list(transport, resourcePath(NODES));
  await lock.stopRenewing();
  await touchedStandIns(transport, undefined);
  const over = new AbortController();
  const story = watchStory(
    {
      transport,
      recorder: { emit: () => undefined },
      resolved: { experiment: { application: { guestbook: APPLICATION } } },
    } as unknown as RunContext,
    over.signal,
  );
  const watched = (): number =>
    server.requests.map(rightOf).filter((right) => /^watch (nodes|endpoints in guestbook)$/.test(right))
      .length;
  while (watched() < 2) await list(transport, resourcePath(NODES));
  over.abort();
  await story;
  const manifests = [...guestbookManifests(APPLICATION), ...(await proberManifests())];
  putOld(server, manifests);
  for (const manifest of manifests) await ensure(transport, manifest);
  for (const namespace of ["guestbook", "kube-system-chaos"]) {
    for (const resource of ["deployments", "daemonsets", "replicasets"]) {
      server.put(`/apis/apps/v1/namespaces/${namespace}/${resource}`, { metadata: { name: "left" } });
    }
  }
  for (const [namespace, labels] of [
    ["guestbook", { app: "guestbook", tier: "frontend" }],
    ["guestbook", { app: "guestbook", tier: "frontend-env" }],
    ["guestbook", { app: "redis", role: "leader", tier: "backend" }],
    ["kube-system-chaos", { app: "chaos-prober" }],
  ] as const) {
    const name = Object.values(labels).join("-");
    server.put(`/api/v1/namespaces/${namespace}/pods`, {
      ...pod(name, { labels, node: undefined }),
      status: { podIP: "10.1.1.1" },
    });
  }
  for (const name of ["frontend", "redis-leader"]) {
    server.update(`/api/v1/namespaces/guestbook/services/${name}`, { spec: { clusterIP: "10.96.0.1" } });
  }
  const addresses = await findAddresses(transport, "guestbook");
  const [prober] = await findProbers(transport);
  if (prober === undefined) return t.fail();
  const experiment = { probes: {}, application: { guestbook: APPLICATION } };
  server.handle("GET", /samples$/, () => ({ headers: { "X-Next-Offset": "0" }, body: "" }));
  server.handle("POST", /plan$/, () => ({ status: 204 }));
  await sendPlan(transport, prober, proberPlan("r", "n", experiment as never, addresses));
  await fetchSamples(transport, prober, 0);
  await undo(transport, {
    action: "remove",
    path: LOCK_PATH,
    object: { kind: "Lease", name: "l" },
    labels: {},
  });
  for (const name of ["guestbook", "kube-system-chaos"]) {
    const path = resourcePath(NAMESPACES, undefined, name);
    await undo(transport, { action: "remove", path, object: { kind: "Namespace", name }, labels: {} });
  }
}

const ATTACKS: readonly Attack[] = [
  { type: "none" },
  { type: "delete-pods", gracePeriod: 1000, delay: 0 },
  { type: "delete-workload", gracePeriod: 1000 },
];

for (const spec of ATTACKS) {
  for (const kind of ["Deployment", "DaemonSet"] as const) {
    test(`${spec.type} of a ${kind}: the rights that are asked for are those that are used, each`, async (t) => {
      const served = await serve(t);
      const { server } = served;
      putKubeDns(server);
      const labels = { app: "agent" };
      const template = { metadata: { labels }, spec: { containers: [] } };
      server.put(DAEMONSETS, {
        metadata: { name: "agent" },
        spec: { selector: { matchLabels: labels }, template },
      });
      server.put(PODS, pod("agent-1", { labels, of: owner("DaemonSet", "agent") }));
      server.put("/api/v1/namespaces/kube-system/services", {
        metadata: { name: "agent" },
        spec: { selector: labels },
      });
      await surround(t, served);
      await harm(served, spec, kind);
      const used = new Set(
        server.requests.filter(({ path }) => path !== "/version" && path !== "/apis").map(rightOf),
      );
      const asked = new Set(needed(spec.type, kind));
      t.deepEqual([...used].filter((right) => !asked.has(right)).sort(), [], "used, not asked for");
      // A component's workload is found by its label, one that is named by its name; both are asked for.
      const found = kind === "Deployment" ? [] : ["list apps/daemonsets in kube-system"];
      t.deepEqual(
        [...asked].filter((right) => !used.has(right) && !found.includes(right)).sort(),
        [],
        "asked for, not used",
      );
    });
  }
}

test("rights are asked for where they are used: the lock is not in the target's namespace", (t) => {
  const rights = needed("delete-workload", "DaemonSet", "monitoring");
  t.true(rights.includes("delete apps/daemonsets in monitoring"));
  t.true(rights.includes("create apps/daemonsets in monitoring"));
  t.true(rights.includes("update coordination.k8s.io/leases in kube-system"));
  t.deepEqual(
    rights.filter((right) => /in kube-system$/.test(right) && !right.includes("leases")),
    [],
  );
});

test("the control run needs no right to harm", (t) => {
  for (const kind of ["Deployment", "DaemonSet"] as const) {
    const rights = needed("none", kind).filter((right) => right.endsWith("in kube-system"));
    const harmful = rights.filter(
      (right) => /^(create|update|patch|delete)/.test(right) && !/leases/.test(right),
    );
    t.deepEqual(harmful, []);
  }
});

test("no right is asked for twice", (t) => {
  for (const { type } of ATTACKS) {
    const rights = needed(type, "Deployment");
    t.is(new Set(rights).size, rights.length);
  }
});

test("how a right is said", (t) => {
  const say = (permission: Permission): string => describePermission(permission);
  t.is(say({ verb: "list", group: "", resource: "nodes" }), "list nodes");
  t.is(
    say({ verb: "get", group: "", resource: "pods", subresource: "proxy", namespace: "n" }),
    "get pods/proxy in n",
  );
  t.is(
    say({ verb: "delete", group: "apps", resource: "deployments", namespace: "kube-system" }),
    "delete apps/deployments in kube-system",
  );
});

test("each right is asked for once, as it is; what is not allowed is missing", async (t) => {
  const { server, transport } = await serve(t);
  const wanted = neededPermissions("delete-workload", {
    kind: "Deployment",
    target: "kube-system",
    application: "guestbook",
    probers: "kube-system-chaos",
    canaries: CANARIES,
    functionProbe: undefined,
  });
  let open = 0;
  let most = 0;
  server.handle("POST", /selfsubjectaccessreviews$/, async ({ body }) => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setImmediate(resolve));
    open -= 1;
    const { verb } = (body as { spec: { resourceAttributes: Permission } }).spec.resourceAttributes;
    // What is neither allowed nor denied says so by saying nothing.
    return {
      status: 201,
      body: verb === "delete" ? { status: {} } : { status: { allowed: verb !== "create" } },
    };
  });
  const missing = await missingPermissions(transport, wanted);
  const sorted = (some: readonly Permission[]): string[] => some.map(describePermission).sort();
  t.deepEqual(sorted(missing), sorted(wanted.filter(({ verb }) => verb === "delete" || verb === "create")));
  const asked = server.requests.map(
    ({ body }) => (body as { spec: { resourceAttributes: Permission } }).spec.resourceAttributes,
  );
  t.deepEqual(sorted(asked), sorted(wanted));
  t.true(most <= 8);
});

test("nodes that take pods", (t) => {
  const node = (name: string, change: { spec?: object; ready?: string } = {}): never =>
    ({
      metadata: { name } as KubeObject["metadata"],
      spec: change.spec ?? {},
      status: { conditions: [{ type: "Ready", status: change.ready ?? "True" }] },
    }) as never;
  const taint = (effect: string): object => ({ taints: [{ key: "k", effect }] });
  const nodes = [
    node("plain"),
    node("preferred-not", { spec: taint("PreferNoSchedule") }),
    node("control-plane", { spec: taint("NoSchedule") }),
    node("draining", { spec: taint("NoExecute") }),
    node("cordoned", { spec: { unschedulable: true } }),
    node("not-ready", { ready: "False" }),
    node("unknown", { ready: "Unknown" }),
    { metadata: { name: "new" } } as never,
  ];
  t.deepEqual(
    schedulableNodes(nodes).map(({ metadata }) => metadata.name),
    ["plain", "preferred-not"],
  );
  t.deepEqual(schedulableNodes([]), []);
});
