/** Namespaces that an administrator has prepared: recorded, used, emptied and kept. */
import { after } from "../../../src/common/clock.js";
import type { ExecutionContext } from "ava";
import test from "ava";
import { guestbookManifests } from "../../../src/application/guestbook.js";
import type { Clock } from "../../../src/common/clock.js";
import { components } from "../../../src/components/all-components.js";
import { AUTOSCALERS, EVENTS, type Gvr, resourcePath } from "../../../src/kube/api.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import { ensure } from "../../../src/own/ensure.js";
import { CANARY_NAMESPACE, removedNamespaces } from "../../../src/own/namespaces.js";
import { canaryPod } from "../../../src/probes/functions/canary.js";
import { ownPods } from "../../../src/application/own-pods.js";
import { PUBLIC_PODS } from "../../../src/own/pod-spec.js";
import { proberManifests } from "../../../src/probes/prober-manifests.js";
import type { RunContext } from "../../../src/run/context.js";
import { FunctionChecks } from "../../../src/run/measuring/function-checks.js";
import { ClusterCopy } from "../../../src/safety/journal/cluster-copy.js";
import { recordNamespace } from "../../../src/safety/journal/entries.js";
import type { PendingUndo, Undo } from "../../../src/safety/journal/journal.js";
import { emptyNamespace } from "../../../src/safety/restore/empty-namespace.js";
import { namespacesOf } from "../../../src/safety/restore/order.js";
import { undo } from "../../../src/safety/restore/undo-entries.js";
import type { AnyTarget } from "../../../src/targets/target.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { serve, type Served } from "../../helpers/target-fixtures.js";

const NAMESPACES = "/api/v1/namespaces";
const OWN = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
const PREPARED = { ...OWN, "kube-system-chaos/prepared": "true" };

type Empty = Extract<Undo, { action: "empty" }>;

const emptying = (name: string): Empty => ({
  action: "empty",
  path: `${NAMESPACES}/${name}`,
  object: { kind: "Namespace", name },
  labels: OWN,
});

/** Each wait ends at once, and so does the time limit in the end. */
function quick(): Clock {
  let now = 0;
  return {
    now: () => now,
    after,
    wall: () => new Date(0),
    sleep: async (ms) => {
      now += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

async function prepared(t: ExecutionContext, ...names: string[]): Promise<Served> {
  const served = await serve(t);
  for (const name of names) served.server.put(NAMESPACES, { metadata: { name, labels: PREPARED } });
  return served;
}

const names = (server: FakeApiServer, namespace: string, gvrs: readonly Gvr[]): string[] =>
  gvrs.flatMap((gvr) =>
    server
      .objects(resourcePath(gvr, namespace))
      .map(({ metadata }) => `${gvr.resource} ${metadata.name}`)
      .sort(),
  );

const core = (resource: string): Gvr => ({ group: "", version: "v1", resource });
const apps = (resource: string): Gvr => ({ group: "apps", version: "v1", resource });
const ALL = [
  ...["deployments", "daemonsets", "replicasets"].map(apps),
  ...["pods", "services", "configmaps", "secrets"].map(core),
  AUTOSCALERS,
  EVENTS,
];

test("the kind of a namespace decides how it is cleaned up, and the journal has it first", async (t) => {
  const { server, transport } = await prepared(t, "prepared");
  server.put(NAMESPACES, { metadata: { name: "own", labels: OWN } });
  server.put(NAMESPACES, { metadata: { name: "claims", labels: { "kube-system-chaos/prepared": "true" } } });
  const intents: Undo[] = [];
  const journal = { intent: async (entry: Undo) => await Promise.resolve(intents.push(entry)) };
  const made: PendingUndo[] = [];
  for (const name of ["prepared", "own", "claims", "absent"])
    await recordNamespace({ transport, journal, made }, name);
  t.deepEqual(
    intents.map(({ action }) => action),
    ["empty", "remove", "remove", "remove"],
  );
  t.deepEqual(intents[0], emptying("prepared"));
  t.deepEqual(
    made.map((each) => each.undo),
    intents,
  );
  t.deepEqual(namespacesOf(made), ["own", "claims", "absent"], "a namespace that stays is not waited for");
});

test("the guestbook and the probers: created in prepared namespaces, gone after emptying; the namespaces stay", async (t) => {
  const { server, transport } = await prepared(t, "guestbook", "kube-system-chaos");
  const options = { frontendReplicas: 1, followerReplicas: 1, controlReplicas: 1, nodePort: 30080 };
  const manifests = [
    ...guestbookManifests({ namespace: "guestbook", ...options }, ownPods({}, ["amd64"]), ""),
    ...(await proberManifests(PUBLIC_PODS)),
  ];
  for (const manifest of manifests) await ensure(transport, manifest);
  const before = server.objects(NAMESPACES);
  t.true(names(server, "guestbook", ALL).length >= 7);
  for (const name of ["guestbook", "kube-system-chaos"]) {
    t.deepEqual(await undo(transport, emptying(name)), {
      object: { kind: "Namespace", name },
      how: "emptied",
      by: "runner",
    });
    t.deepEqual(names(server, name, ALL), []);
  }
  t.deepEqual(server.objects(NAMESPACES), before);
  t.deepEqual(
    server.requestsOf("DELETE").filter(({ path }) => /namespaces\/[^/]+$/.test(path)),
    [],
  );
});

test("objects of others stay, and so does the copy of a journal", async (t) => {
  const { server, transport } = await prepared(t, CANARY_NAMESPACE, "kube-system-chaos");
  const theirs = { metadata: { name: "theirs", labels: { app: "chaos-canary" } } };
  const own = { metadata: { name: "own", labels: { ...OWN, app: "chaos-canary" } } };
  for (const namespace of [CANARY_NAMESPACE, "kube-system-chaos"]) {
    for (const gvr of ALL) {
      server.put(resourcePath(gvr, namespace), theirs);
      server.put(resourcePath(gvr, namespace), own);
    }
  }
  await new ClusterCopy(transport, "run-1").write("text");
  const kept = (namespace: string): string[] =>
    names(server, namespace, ALL).filter((name) => !name.endsWith(" theirs"));
  await emptyNamespace(transport, emptying(CANARY_NAMESPACE));
  await emptyNamespace(transport, emptying("kube-system-chaos"));
  for (const namespace of [CANARY_NAMESPACE, "kube-system-chaos"])
    t.is(names(server, namespace, ALL).filter((name) => name.endsWith(" theirs")).length, ALL.length);
  // Kinds that no run creates there are not even listed.
  t.deepEqual(kept(CANARY_NAMESPACE), ["daemonsets own", "secrets own"]);
  t.deepEqual(kept("kube-system-chaos"), [
    "deployments own",
    "replicasets own",
    "services own",
    "secrets journal-run-1",
    "horizontalpodautoscalers own",
    "events own",
  ]);
});

const ownedBy = ({ metadata: { uid, name }, kind = "" }: KubeObject): object => ({
  ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid, controller: true }],
});

test("dependents of own objects are own too, by the uid: ReplicaSets and pods have the labels of a template", async (t) => {
  const { server, transport } = await prepared(t, "guestbook");
  const put = (resource: string, group: "" | "apps", name: string, metadata: object): KubeObject =>
    server.put(resourcePath({ group, version: "v1", resource }, "guestbook"), {
      metadata: { name, ...metadata },
    });
  const own = put("deployments", "apps", "frontend", { labels: OWN });
  const set = put("replicasets", "apps", "frontend-1", ownedBy(own));
  const ownPod = put("pods", "", "frontend-1-a", ownedBy(set));
  const theirs = put("deployments", "apps", "shop", {});
  const theirSet = put("replicasets", "apps", "shop-1", ownedBy(theirs));
  put("pods", "", "shop-1-a", ownedBy(theirSet));
  // Its owner has the same name as the own ReplicaSet, but another uid.
  put("pods", "", "frontend-1-b", ownedBy({ ...set, metadata: { ...set.metadata, uid: "another" } }));
  await emptyNamespace(transport, emptying("guestbook"));
  t.deepEqual(names(server, "guestbook", ALL), [
    "deployments shop",
    "replicasets shop-1",
    "pods frontend-1-b",
    "pods shop-1-a",
  ]);
  t.deepEqual(
    server
      .requestsOf("DELETE")
      .map(({ path, body }) => [
        path.split("/").at(-1),
        (body as { preconditions: { uid: string } }).preconditions.uid,
      ]),
    [own, set, ownPod].map(({ metadata }) => [metadata.name, metadata.uid]),
    "from the top down, each by its uid",
  );
});

test("a pod that a terminating owner created meanwhile is deleted, too", async (t) => {
  const { server, transport } = await prepared(t, "guestbook");
  const deployment = server.put("/apis/apps/v1/namespaces/guestbook/deployments", {
    metadata: { name: "frontend", labels: OWN },
  });
  const pods = "/api/v1/namespaces/guestbook/pods";
  let late = 1;
  server.onDelete = (object) => {
    if (object.metadata.name === deployment.metadata.name && late-- > 0)
      queueMicrotask(() =>
        server.handle("GET", /services$/, () => {
          if (late-- === 0) server.put(pods, { metadata: { name: "late", ...ownedBy(deployment) } });
          return undefined;
        }),
      );
  };
  server.put(pods, { metadata: { name: "early", ...ownedBy(deployment) } });
  await emptyNamespace(transport, emptying("guestbook"), { clock: quick() });
  t.deepEqual(names(server, "guestbook", ALL), []);
  t.true(server.requestsOf("DELETE", "pods/late").length === 1);
});

test("waits for pods to end; a pod whose containers have ended is removed at once", async (t) => {
  const { server, transport } = await prepared(t, CANARY_NAMESPACE);
  const pods = `${NAMESPACES}/${CANARY_NAMESPACE}/pods`;
  const { metadata, spec } = canaryPod({
    namespace: CANARY_NAMESPACE,
    pods: PUBLIC_PODS,
    name: "canary",
    node: "worker-1",
  });
  server.put(pods, { metadata: { ...metadata }, spec });
  let looks = 0;
  server.handle("GET", /\/pods$/, () => {
    looks += 1;
    // Its kubelet ends the container and keeps the object for a while.
    if (looks === 4)
      server.update(`${pods}/canary`, { status: { containerStatuses: [{ state: { terminated: {} } }] } });
    return undefined;
  });
  await emptyNamespace(transport, emptying(CANARY_NAMESPACE), { clock: quick() });
  t.deepEqual(server.objects(pods), []);
  t.deepEqual(
    server
      .requestsOf("DELETE")
      .map(({ body }) => (body as { gracePeriodSeconds?: number }).gracePeriodSeconds),
    [undefined, 0],
    "asked once, and then without any grace",
  );
});

test("a timeout names what is left, and the entry is not done", async (t) => {
  const { server, transport } = await prepared(t, "guestbook");
  const pods = "/api/v1/namespaces/guestbook/pods";
  for (const name of ["a", "b", "c", "d", "e", "f"])
    server.put(pods, { metadata: { name, labels: OWN }, spec: { nodeName: "worker-1" } });
  await t.throwsAsync(emptyNamespace(transport, emptying("guestbook"), { clock: quick(), limitMs: 3_000 }), {
    message:
      "timed out after 3 s waiting for namespace guestbook to become empty: " +
      `${["a", "b", "c", "d", "e"].map((name) => `Pod ${name}, which is terminating on worker-1`).join(", ")} and 1 more. ` +
      "Check their finalizers, and the kubelets of their nodes",
  });
});

test("a namespace that someone has deleted needs no emptying; one that is forbidden to read is an error", async (t) => {
  const { server, transport } = await prepared(t);
  const { how } = await emptyNamespace(transport, emptying("guestbook"));
  t.is(how, "emptied");
  t.is(server.requests.length, 1);
  server.put(NAMESPACES, { metadata: { name: "guestbook", labels: PREPARED } });
  server.fault({ kind: "status", status: 403, reason: "Forbidden", path: "/services" });
  await t.throwsAsync(emptyNamespace(transport, emptying("guestbook")), { message: /403/ });
});

test("a namespace that was prepared meanwhile is not waited for", async (t) => {
  const { transport } = await prepared(t, "guestbook");
  await t.notThrowsAsync(removedNamespaces(transport, quick(), ["guestbook"]));
});

test("canaries are created in the prepared namespace, which is recorded to be emptied", async (t) => {
  const { server, transport } = await prepared(t, CANARY_NAMESPACE);
  const intents: Undo[] = [];
  const clock = quick();
  const looks = await FunctionChecks.prepare(
    {
      runId: "20260101t000000z-x-3f9a",
      resolved: { component: components["kube-apiserver"] },
      transport,
      nodes: [],
      pods: ownPods({}, []),
      recorder: { emit: () => undefined },
      clock,
      journal: { intent: async (entry: Undo) => await Promise.resolve(intents.push(entry)) },
      made: [],
      changed: [],
      interrupted: new AbortController().signal,
    } as unknown as RunContext,
    {
      kind: "StaticPod",
      name: "kube-apiserver",
      namespace: "kube-system",
      nodes: ["a"],
    } as unknown as AnyTarget,
    ["a"],
  );
  t.deepEqual(intents, [emptying(CANARY_NAMESPACE)]);
  await looks?.another(100_000, new AbortController().signal);
  await looks?.end();
  t.true(server.requestsOf("POST", `/namespaces/${CANARY_NAMESPACE}/configmaps`).length > 0);
  t.deepEqual(
    server.requestsOf("POST").filter(({ path }) => path === NAMESPACES),
    [],
  );
});
