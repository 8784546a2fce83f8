import test from "ava";
import type { ExecutionContext } from "ava";
import {
  create,
  DEPLOYMENTS,
  get,
  getOrUndefined,
  LEASES,
  list,
  NAMESPACES,
  NODES,
  patch,
  PODS,
  preferredVersion,
  remove,
  replace,
  resourcePath,
  selectorString,
  serverVersion,
} from "../../../src/kube/api.js";
import type { Deployment, KubeObject, Pod } from "../../../src/kube/objects.js";
import { podProxy, podProxyPath } from "../../../src/kube/pod-proxy.js";
import { ApiError, createTransport } from "../../../src/kube/transport.js";
import type { Transport } from "../../../src/kube/transport.js";
import { FakeApiServer } from "../../helpers/fake-api-server.js";
import type { FakeOptions } from "../../helpers/fake-api-server.js";

const COLLECTION = resourcePath(PODS, "kube-system");
const POD = resourcePath(PODS, "kube-system", "a");

async function setUp(
  t: ExecutionContext,
  options: FakeOptions = {},
): Promise<{ server: FakeApiServer; transport: Transport }> {
  const server = await FakeApiServer.start(options);
  const transport = createTransport({ server: server.url, userAgent: "chaos-test/1" });
  t.teardown(async () => {
    transport.close();
    await server.close();
  });
  return { server, transport };
}

const running = (name: string): { metadata: { name: string }; spec: object } => ({
  metadata: { name },
  spec: { nodeName: "node-1" },
});

test("paths", (t) => {
  t.is(COLLECTION, "/api/v1/namespaces/kube-system/pods");
  t.is(resourcePath(NODES, undefined, "n"), "/api/v1/nodes/n");
  t.is(resourcePath(NAMESPACES, undefined, "kube-system"), "/api/v1/namespaces/kube-system");
  t.is(
    resourcePath(DEPLOYMENTS, "kube-system", "coredns", "scale"),
    "/apis/apps/v1/namespaces/kube-system/deployments/coredns/scale",
  );
  t.is(resourcePath(LEASES, "a/b", "x?y"), "/apis/coordination.k8s.io/v1/namespaces/a%2Fb/leases/x%3Fy");
});

test("selectors", (t) => {
  t.is(selectorString({ "k8s-app": "kube-dns", tier: "" }), "k8s-app=kube-dns,tier=");
});

test("the server's version, and the version of a group that it prefers", async (t) => {
  const { server, transport } = await setUp(t);
  t.is(await serverVersion(transport), "v1.36.3");
  t.is(await preferredVersion(transport, "autoscaling"), "v2");
  t.is(await preferredVersion(transport, "metrics.k8s.io"), undefined);
  server.groups.set("metrics.k8s.io", ["v1", "v1beta1"]);
  t.is(await preferredVersion(transport, "metrics.k8s.io"), "v1");
  server.fault({ kind: "status", status: 403 });
  await t.throwsAsync(preferredVersion(transport, "apps"), { instanceOf: ApiError });
});

test("get, getOrUndefined", async (t) => {
  const { server, transport } = await setUp(t);
  t.is(await getOrUndefined(transport, POD), undefined);
  await t.throwsAsync(get(transport, POD), { instanceOf: ApiError });
  server.put(COLLECTION, running("a"));
  t.is((await get<Pod>(transport, POD)).spec?.nodeName, "node-1");
  server.fault({ kind: "status", status: 403 });
  await t.throwsAsync(getOrUndefined(transport, POD), { instanceOf: ApiError });
});

test("a list is read in pages, and its items get their kind", async (t) => {
  const { server, transport } = await setUp(t);
  for (let n = 0; n < 1201; n++) server.put(COLLECTION, running(`p${n}`));
  const all = await list<Pod>(transport, COLLECTION);
  t.is(all.items.length, 1201);
  t.is(new Set(all.items.map((item) => item.metadata.uid)).size, 1201);
  t.is(all.resourceVersion, "1301");
  t.is(server.requests.length, 3);
  t.is(server.requests[0]?.query.get("limit"), "500");
  t.like(all.items[1200], { kind: "Pod", apiVersion: "v1" });
  const one = await list<Pod>(transport, COLLECTION, { fieldSelector: "metadata.name=p7" });
  t.deepEqual(
    one.items.map((item) => item.metadata.name),
    ["p7"],
  );
});

test("a list whose snapshot expires between two pages is read again without pages", async (t) => {
  const { server, transport } = await setUp(t);
  for (let n = 0; n < 700; n++) server.put(COLLECTION, running(`p${n}`));
  server.handle("GET", /pods$/, (r) => (r.query.has("continue") ? { status: 410, body: {} } : undefined));
  t.is((await list<KubeObject>(transport, COLLECTION)).items.length, 700);
  t.is(server.requests.at(-1)?.query.has("limit"), false);
});

test("create, replace and patch", async (t) => {
  const { server, transport } = await setUp(t);
  const deployments = resourcePath(DEPLOYMENTS, "kube-system");
  const path = resourcePath(DEPLOYMENTS, "kube-system", "coredns");
  const draft = { metadata: { name: "coredns" }, spec: { replicas: 2, paused: true } };
  const dry = await create<Deployment>(transport, deployments, draft, { dryRun: "All" });
  t.is(dry.metadata.name, "coredns");
  t.is(server.objects(deployments).length, 0);

  const made = await create<Deployment>(transport, deployments, draft, { fieldManager: "chaos" });
  t.is(made.metadata.managedFields?.[0]?.manager, "chaos");
  const again = await t.throwsAsync(create(transport, deployments, draft), { instanceOf: ApiError });
  t.like(again, { status: 409, reason: "AlreadyExists" });

  const patched = await patch<Deployment>(transport, path, { spec: { replicas: 0, paused: null } });
  t.deepEqual(patched.spec as object, { replicas: 0 });
  t.is(server.requests.at(-1)?.headers["content-type"], "application/merge-patch+json");
  t.is(patched.metadata.uid, made.metadata.uid);

  const stale = await t.throwsAsync(replace(transport, path, made), { instanceOf: ApiError });
  t.is(stale?.status, 409);
  const replaced = await replace<Deployment>(transport, path, { ...patched, spec: { replicas: 5 } });
  t.is((replaced.spec as { replicas: number }).replicas, 5);
});

test("remove sends DeleteOptions with kind and apiVersion: grace 0 takes effect", async (t) => {
  const { server, transport } = await setUp(t);
  const { uid } = server.put(COLLECTION, running("a")).metadata;
  const options = { uid, gracePeriodSeconds: 0, propagationPolicy: "Background" } as const;
  t.deepEqual(await remove(transport, POD, options), { status: 200 });
  t.deepEqual(server.requests.at(-1)?.body, {
    kind: "DeleteOptions",
    apiVersion: "v1",
    gracePeriodSeconds: 0,
    propagationPolicy: "Background",
    preconditions: { uid },
  });
  t.is(server.object(POD), undefined);
});

test("remove: 404 and 409 (another uid) resolve, a refusal rejects", async (t) => {
  const { server, transport } = await setUp(t);
  t.deepEqual(await remove(transport, POD, { uid: "x" }), { status: 404 });
  server.put(COLLECTION, running("a"));
  t.deepEqual(await remove(transport, POD, { uid: "x", gracePeriodSeconds: 0, lane: "fast" }), {
    status: 409,
  });
  t.truthy(server.object(POD));
  server.fault({ kind: "status", status: 403, reason: "Forbidden" });
  t.like(await t.throwsAsync(remove(transport, POD)), { status: 403, reason: "Forbidden" });
});

test("the fake is as strict as the real server: without kind and apiVersion a pod gets its grace period", async (t) => {
  const { server, transport } = await setUp(t);
  server.put(COLLECTION, running("a"));
  await transport.request({ method: "DELETE", path: POD, body: { gracePeriodSeconds: 0 } });
  t.is(server.object(POD)?.metadata.deletionGracePeriodSeconds, 30);
  server.finishDeletions(COLLECTION);
  t.is(server.object(POD), undefined);
  server.put(COLLECTION, { metadata: { name: "a" } });
  await transport.request({ method: "DELETE", path: POD });
  t.is(server.object(POD), undefined, "a pod without a node is removed at once");
});

test("the fake's onDelete can act as a controller", async (t) => {
  const { server, transport } = await setUp(t);
  let made = 0;
  server.onDelete = ({ kind }, self) => {
    if (kind === "Pod") self.put(COLLECTION, running(`again-${++made}`));
  };
  server.put(COLLECTION, running("a"));
  await remove(transport, POD, { gracePeriodSeconds: 0 });
  t.deepEqual(
    server.objects(COLLECTION).map((object) => object.metadata.name),
    ["again-1"],
  );
});

test("pod proxy: keeps slashes, also a trailing one", (t) => {
  t.is(podProxyPath("ns", "agent", 8080, "/a/b/"), "/api/v1/namespaces/ns/pods/agent:8080/proxy/a/b/");
  t.is(podProxyPath("ns", "agent", 8080, "a"), "/api/v1/namespaces/ns/pods/agent:8080/proxy/a");
});

test("pod proxy: method, body, query; the pod's own 503 is an answer", async (t) => {
  const { server, transport } = await setUp(t);
  server.handle("POST", /pods\/agent:8080\/proxy\/samples$/, (request) => ({
    status: 503,
    body: { got: request.body, from: request.query.get("from") },
  }));
  const answer = await podProxy(transport, {
    namespace: "ns",
    pod: "agent",
    port: 8080,
    path: "/samples",
    method: "POST",
    body: { a: 1 },
    query: { from: 5 },
  });
  t.is(answer.status, 503);
  t.deepEqual(JSON.parse(answer.body.toString()), { got: { a: 1 }, from: "5" });
  server.handle("GET", /proxy/, () => ({ status: 503 }));
  t.is((await podProxy(transport, { namespace: "ns", pod: "agent", port: 8080, path: "/" })).status, 503);
  t.is(server.requestsOf("GET").length, 1);
});
