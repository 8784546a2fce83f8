import type { ExecutionContext } from "ava";
import test from "ava";
import { guestbookManifests } from "../../../src/application/guestbook.js";
import { createAttack } from "../../../src/attacks/all-attacks.js";
import { after, systemClock } from "../../../src/common/clock.js";
import type { Attack } from "../../../src/experiment/schema.js";
import { missingPermissions } from "../../../src/kube/access-review.js";
import { list, NAMESPACES, NODES, resourcePath } from "../../../src/kube/api.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import { describePermission, type Permission } from "../../../src/kube/permission.js";
import { schedulableNodes } from "../../../src/kube/pod-state.js";
import { pathsOf } from "../../../src/kube/api.js";
import { ensure } from "../../../src/own/ensure.js";
import type { Manifest } from "../../../src/own/manifest.js";
import { kindsMadeIn, namespaceState } from "../../../src/own/namespaces.js";
import { ownPods, podSource } from "../../../src/application/own-pods.js";
import { proberManifests } from "../../../src/probes/prober-manifests.js";
import { neededPermissions, type PermissionScope } from "../../../src/rbac/needs.js";
import type { RunContext } from "../../../src/run/context.js";
import { touchedSubstituteImages } from "../../../src/run/initial-facts.js";
import { ApplicationWatch, deployedObjects } from "../../../src/run/measuring/application-watch.js";
import { watchStory } from "../../../src/run/measuring/cluster-story.js";
import {
  fetchSamples,
  findAddresses,
  findProbers,
  proberPlan,
  sendPlan,
} from "../../../src/run/measuring/probers.js";
import { ClusterCopy, copiesInCluster, copyPath } from "../../../src/safety/journal/cluster-copy.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { acquireLock, LOCK_PATH, lockHolder } from "../../../src/safety/lock/lease.js";
import { undo } from "../../../src/safety/restore/undo-entries.js";
import { TargetWatch } from "../../../src/targets/target-watch.js";
import type { WorkloadKind } from "../../../src/targets/find-workload.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { permissionOf } from "../../helpers/rbac-fixtures.js";
import {
  DAEMONSETS,
  owner,
  pod,
  PODS,
  putKubeDns,
  serve,
  targetOf,
  type Served,
} from "../../helpers/target-fixtures.js";

const APPLICATION = {
  namespace: "guestbook",
  frontendReplicas: 1,
  followerReplicas: 1,
  controlReplicas: 1,
  nodePort: 30080,
};
const OWN_PODS = ownPods({}, ["amd64"]);

const OWN = { "app.kubernetes.io/managed-by": "kube-system-chaos" };

/** A run against a workload named `name`, found by its component's labels or by that name. */
function scopeOf(
  kind: WorkloadKind,
  change: Partial<PermissionScope> & { readonly prepared?: boolean; readonly namespace?: string } = {},
): PermissionScope {
  const { prepared = false, namespace = "kube-system", ...rest } = change;
  const name = kind === "Deployment" ? "kube-dns" : "agent";
  return {
    targets: [{ kind, namespace, names: [name] }],
    places: [kind === "Deployment" ? { kind, namespace } : { kind, namespace, name }],
    companions: [],
    application: { name: "guestbook", prepared },
    probers: { name: "kube-system-chaos", prepared },
    ...rest,
  };
}

const needed = (attack: Attack["type"], scope: PermissionScope): string[] =>
  neededPermissions(attack, scope).map(describePermission);

/** The rights that allow a request: for all objects, and for this one. */
function allowedBy({ name, ...rest }: Permission): string[] {
  return [describePermission(rest), ...(name === undefined ? [] : [describePermission({ ...rest, name })])];
}

/** As if an older version had created it: `ensure` must then replace it. */
function putOld(server: FakeApiServer, manifests: readonly Manifest[]): void {
  for (const manifest of manifests) {
    server.put(pathsOf(manifest).collection, { metadata: { ...manifest.metadata } });
  }
}

/** A watched window with an attack, then everything gone and restored, and restored only in part. */
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
    runId: "run-1",
    now: () => 0,
    after: () => undefined,
  });
  await running.stop();
  controller.abort();
  await done;
  if (spec.type === "none") return;
  await transport.json({ method: "GET", path: target.path }).catch(() => undefined);
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

/** Watches the application for foreign changes until both watches are open. */
async function watchApplication(t: ExecutionContext, { server, transport }: Served): Promise<void> {
  const measured = new AbortController();
  const application = new ApplicationWatch({
    transport,
    clock: systemClock(),
    namespace: "guestbook",
    objects: deployedObjects(APPLICATION),
    signal: measured.signal,
    onChange: t.fail,
  }).start();
  await application.synced;
  const applicationWatched = (): number =>
    server.requests.filter(({ watch, path }) => watch && /guestbook\/(deployments|services)$/.test(path))
      .length;
  while (applicationWatched() < 2) await list(transport, resourcePath(NODES));
  measured.abort();
  await application.done;
}

/** Every other request of a run to the API server. */
async function surround(
  t: ExecutionContext,
  { server, transport }: Served,
  prepared: boolean,
): Promise<void> {
  await namespaceState(transport, "kube-system");
  const prepare = { ...OWN, ...(prepared ? { "kube-system-chaos/prepared": "true" } : {}) };
  if (prepared) {
    for (const name of ["guestbook", "kube-system-chaos"])
      server.put("/api/v1/namespaces", { metadata: { name, labels: prepare } });
  }
  await lockHolder(transport);
  const lock = await acquireLock(transport, {
    runId: "r",
    durationMs: 1,
    // The first sleep is over at once, the second lasts until the end.
    clock: {
      now: () => 0,
      after,
      wall: () => new Date(0),
      sleep: async (_ms, signal) => {
        if (server.requestsOf("PUT", "leases").length === 0) return;
        await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
      },
    },
    warn: t.log,
  });
  while (server.requestsOf("PUT", "leases").length === 0) await list(transport, resourcePath(NODES));
  await lock.stopRenewing();
  await touchedSubstituteImages(transport, undefined, []);
  const over = new AbortController();
  const story = watchStory(
    {
      transport,
      recorder: { emit: () => undefined },
      resolved: { experiment: { application: { guestbook: APPLICATION } } },
    } as unknown as RunContext,
    ["worker-1"],
    over.signal,
  );
  const watched = (): number =>
    server.requests
      .map((request) => describePermission(permissionOf(request)))
      .filter((right) => /^watch (nodes|discovery\.k8s\.io\/endpointslices in guestbook)$/.test(right))
      .length;
  while (watched() < 2) await list(transport, resourcePath(NODES));
  over.abort();
  await story;
  const manifests = [
    ...guestbookManifests(APPLICATION, OWN_PODS, ""),
    ...(await proberManifests(podSource(OWN_PODS))),
  ];
  putOld(
    server,
    manifests.filter(({ kind }) => kind !== "Namespace"),
  );
  for (const manifest of manifests) await ensure(transport, manifest);
  await watchApplication(t, { server, transport });
  const copy = new ClusterCopy(transport, "r");
  await copy.write("first");
  await copy.write("second");
  t.is((await copiesInCluster(transport)).length, 1);
  for (const namespace of ["guestbook", "kube-system-chaos"]) {
    const made = ["deployments", "daemonsets", "replicasets"].map((resource) => ({
      group: "apps",
      version: "v1",
      resource,
    }));
    for (const gvr of prepared ? kindsMadeIn(namespace) : made)
      server.put(resourcePath(gvr, namespace), { metadata: { name: "left", labels: OWN } });
  }
  for (const [namespace, labels] of [
    ["guestbook", { app: "guestbook", tier: "frontend" }],
    ["guestbook", { app: "guestbook", tier: "frontend-env" }],
    ["guestbook", { app: "redis", role: "leader", tier: "backend" }],
    ["kube-system-chaos", { app: "chaos-prober" }],
  ] as const) {
    const name = Object.values(labels).join("-");
    server.put(`/api/v1/namespaces/${namespace}/pods`, {
      ...pod(name, { labels: { ...labels, ...OWN }, node: undefined }),
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
  await sendPlan(transport, prober, proberPlan("r", experiment as never, addresses));
  await fetchSamples(transport, prober, 0);
  await undo(transport, {
    action: "remove",
    path: LOCK_PATH,
    object: { kind: "Lease", name: "l" },
    labels: {},
  });
  await undo(transport, {
    action: "remove",
    path: copyPath("r"),
    object: { kind: "Secret", name: "s" },
    labels: {},
  });
  for (const name of ["guestbook", "kube-system-chaos"]) {
    const path = resourcePath(NAMESPACES, undefined, name);
    const action = prepared ? "empty" : "remove";
    await undo(transport, { action, path, object: { kind: "Namespace", name }, labels: OWN });
  }
}

const ATTACKS: readonly Attack[] = [
  { type: "none" },
  { type: "delete-pods", gracePeriod: 1000, delay: 0 },
  { type: "delete-workload", gracePeriod: 1000 },
  { type: "scale-to-zero" },
];

for (const spec of ATTACKS) {
  for (const kind of ["Deployment", "DaemonSet"] as const) {
    if (spec.type === "scale-to-zero" && kind === "DaemonSet") continue;
    for (const prepared of [false, true]) {
      const where = prepared ? "prepared namespaces" : "namespaces of its own";
      test(`${spec.type} of a ${kind} in ${where}: a run asks for exactly the rights that it uses`, async (t) => {
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
        await surround(t, served, prepared);
        await harm(served, spec, kind);
        const used = server.requests
          .filter(({ path }) => path !== "/version" && path !== "/apis")
          .map((request) => allowedBy(permissionOf(request)));
        const asked = needed(spec.type, scopeOf(kind, { prepared }));
        t.deepEqual(
          [...new Set(used.filter((rights) => !rights.some((right) => asked.includes(right))).flat())].sort(),
          [],
          "used, not asked for",
        );
        t.deepEqual(
          asked.filter((right) => !used.some((rights) => rights.includes(right))).sort(),
          [],
          "asked for, not used",
        );
      });
    }
  }
}

test("rights are asked for where they are used: the lock is not in the target's namespace", (t) => {
  const rights = needed("delete-workload", scopeOf("DaemonSet", { namespace: "monitoring" }));
  t.true(rights.includes("delete apps/daemonsets agent in monitoring"));
  t.true(rights.includes("create apps/daemonsets in monitoring"));
  t.true(rights.includes("update coordination.k8s.io/leases kube-system-chaos in kube-system"));
  t.deepEqual(
    rights.filter((right) => /in kube-system$/.test(right) && !right.includes("leases")),
    [],
  );
});

test("the control run needs no right to change the target", (t) => {
  for (const kind of ["Deployment", "DaemonSet"] as const) {
    const rights = needed("none", scopeOf(kind)).filter((right) => right.endsWith("in kube-system"));
    const harmful = rights.filter(
      (right) => /^(create|update|patch|delete)/.test(right) && !/leases/.test(right),
    );
    t.deepEqual(harmful, []);
  }
});

test("prepared namespaces need no right to create or delete them; any other needs it by its name", (t) => {
  const ofNamespaces = (change: Parameters<typeof scopeOf>[1]): string[] =>
    needed("delete-workload", scopeOf("Deployment", change)).filter((right) =>
      /^(create|delete) namespaces/.test(right),
    );
  t.deepEqual(ofNamespaces({ prepared: true }), []);
  t.deepEqual(ofNamespaces({ prepared: true, application: { name: "shop", prepared: false } }), [
    "create namespaces",
    "delete namespaces shop",
  ]);
});

test("writes are allowed by name: only objects without a name yet, or created by controllers, are allowed for all", (t) => {
  const scope = scopeOf("Deployment", { prepared: true });
  const foreign = neededPermissions("delete-workload", scope).filter(
    ({ namespace, verb }) =>
      ["create", "update", "patch", "delete"].includes(verb) &&
      namespace !== "guestbook" &&
      namespace !== "kube-system-chaos",
  );
  t.deepEqual(
    foreign
      .filter(({ name }) => name === undefined)
      .map(describePermission)
      .sort(),
    [
      "create apps/deployments in kube-system",
      "create coordination.k8s.io/leases in kube-system",
      "delete apps/replicasets in kube-system",
      "delete pods in kube-system",
    ],
  );
});

test("additional rights: only for the runs that need them", (t) => {
  const plain = needed("scale-to-zero", scopeOf("Deployment", { prepared: true }));
  const more = (change: Partial<PermissionScope>): string[] =>
    needed("scale-to-zero", scopeOf("Deployment", { prepared: true, ...change })).filter(
      (right) => !plain.includes(right),
    );
  t.deepEqual(more({ churn: true }), ["patch apps/deployments redis-leader in guestbook"]);
  t.deepEqual(more({ several: true }), [
    "list apps/daemonsets in kube-system",
    "list apiregistration.k8s.io/apiservices",
  ]);
  t.deepEqual(
    more({ companions: [{ kind: "Deployment", namespace: "kube-system", names: ["kube-dns-autoscaler"] }] }),
    ["get", "update", "patch"].map((verb) => `${verb} apps/deployments kube-dns-autoscaler in kube-system`),
  );
  t.deepEqual(more({ asked: [{ namespace: "shop", service: "web", port: "http" }] }), [
    "get services/proxy web:http in shop",
    "get namespaces shop",
  ]);
  const nodePods = { name: "kube-system-chaos-nodes", prepared: false };
  t.deepEqual(
    more({ nodePods })
      .filter((right) => /secrets|daemonsets|proxy/.test(right))
      .sort(),
    [
      "create apps/daemonsets in kube-system-chaos-nodes",
      "create pods/proxy in kube-system-chaos-nodes",
      "create secrets in kube-system-chaos-nodes",
      "delete apps/daemonsets in kube-system-chaos-nodes",
      "get apps/daemonsets in kube-system-chaos-nodes",
      "get pods/proxy in kube-system-chaos-nodes",
      "get secrets in kube-system-chaos-nodes",
      "list apps/daemonsets in kube-system-chaos-nodes",
    ],
  );
  const pullSecrets = [{ namespace: "team", name: "pull" }];
  const copies = more({ pullSecrets });
  t.deepEqual(copies, ["get secrets pull in team"], "prepared namespaces get no copies");
  const unprepared = needed("scale-to-zero", scopeOf("Deployment", { prepared: false, pullSecrets }));
  for (const verb of ["get", "create", "delete"])
    t.true(unprepared.includes(`${verb} secrets in guestbook`), verb);
  t.deepEqual(more({ addonManager: true }), [
    "get apps/deployments kube-addon-manager in kube-system",
    "get configmaps kube-system-chaos-addons in kube-system",
    "get configmaps kube-system-chaos-drift in kube-system",
    "patch configmaps kube-system-chaos-addons in kube-system",
    "patch configmaps kube-system-chaos-drift in kube-system",
  ]);
});

test("no right is asked for twice", (t) => {
  for (const { type } of ATTACKS) {
    const rights = needed(type, scopeOf("Deployment"));
    t.is(new Set(rights).size, rights.length);
  }
});

test("how a right is described", (t) => {
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
  t.is(say({ verb: "get", group: "", resource: "namespaces", name: "shop" }), "get namespaces shop");
});

test("each right is asked for once; what is not allowed is missing", async (t) => {
  const { server, transport } = await serve(t);
  const wanted = neededPermissions("delete-workload", scopeOf("Deployment"));
  let open = 0;
  let most = 0;
  server.handle("POST", /selfsubjectaccessreviews$/, async ({ body }) => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setImmediate(resolve));
    open -= 1;
    const { verb } = (body as { spec: { resourceAttributes: Permission } }).spec.resourceAttributes;
    // An empty status is neither allowed nor denied.
    return {
      status: 201,
      body: verb === "delete" ? { status: {} } : { status: { allowed: verb !== "create" } },
    };
  });
  const missing = await missingPermissions(transport, wanted);
  t.true(wanted.some(({ name }) => name !== undefined));
  const sorted = (some: readonly Permission[]): string[] => some.map(describePermission).sort();
  t.deepEqual(sorted(missing), sorted(wanted.filter(({ verb }) => verb === "delete" || verb === "create")));
  const asked = server.requests.map(
    ({ body }) => (body as { spec: { resourceAttributes: Permission } }).spec.resourceAttributes,
  );
  t.deepEqual(sorted(asked), sorted(wanted));
  t.true(most <= 8);
  t.true(
    asked.every((attributes) => !("why" in attributes)),
    "the API server knows no such field",
  );
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
    { ...(node("windows") as object), metadata: { labels: { "kubernetes.io/os": "windows" } } } as never,
  ];
  t.deepEqual(
    schedulableNodes(nodes).map(({ metadata }) => metadata.name),
    ["plain", "preferred-not"],
  );
  t.deepEqual(schedulableNodes([]), []);
});
