import test from "ava";
import type { Manifest } from "../../../src/own/manifest.js";
import { namespaceManifest, serviceManifest, workloadManifest } from "../../../src/own/manifest.js";
import { RefusedError } from "../../../src/common/errors.js";
import { pathsOf } from "../../../src/kube/api.js";
import { ensure } from "../../../src/own/ensure.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

const labels = { app: "redis" };
const workload = (replicas: number): Manifest =>
  workloadManifest({
    kind: "Deployment",
    namespace: "guestbook",
    name: "leader",
    labels,
    replicas,
    podSpec: { containers: [] },
  });
const LEADER = "/apis/apps/v1/namespaces/guestbook/deployments/leader";
const COLLECTION = "/apis/apps/v1/namespaces/guestbook/deployments";

test("paths of created objects", (t) => {
  t.deepEqual(pathsOf(workload(1)), { path: LEADER, collection: COLLECTION });
  t.deepEqual(pathsOf(namespaceManifest("guestbook")), {
    path: "/api/v1/namespaces/guestbook",
    collection: "/api/v1/namespaces",
  });
  const service = serviceManifest({ namespace: "guestbook", name: "redis", labels, port: 6379 });
  t.is(pathsOf(service).path, "/api/v1/namespaces/guestbook/services/redis");
  t.throws(() => pathsOf({ ...workload(1), kind: "CronJob" }), { message: /CronJob/ });
});

test("does not exist: created, with the managed-by label", async (t) => {
  const { server, transport } = await serve(t);
  await ensure(transport, workload(1));
  t.like(server.object(LEADER), {
    spec: { replicas: 1 },
    metadata: { labels: { app: "redis", "app.kubernetes.io/managed-by": "kube-system-chaos" } },
  });
});

test("exists and is equal: unchanged, whatever its status and defaults", async (t) => {
  const { server, transport } = await serve(t);
  await ensure(transport, workload(1));
  const made = server.update(LEADER, { spec: { progressDeadlineSeconds: 600 }, status: { replicas: 1 } });
  await ensure(transport, workload(1));
  t.deepEqual(server.object(LEADER), made);
  t.deepEqual(
    writes(server).map(({ method, status }) => `${method} ${status}`),
    ["POST 201", "POST 409"],
  );
});

test("own and different: recreated; the old one is deleted by uid", async (t) => {
  const { server, transport } = await serve(t);
  await ensure(transport, workload(1));
  const old = server.object(LEADER);
  await ensure(transport, workload(2));
  t.like(server.object(LEADER), { spec: { replicas: 2 } });
  t.not(server.object(LEADER)?.metadata.uid, old?.metadata.uid);
  const [deletion] = server.requestsOf("DELETE");
  t.like(deletion?.body, {
    propagationPolicy: "Background",
    preconditions: { uid: old?.metadata.uid },
  });
  await ensure(transport, workload(2));
  t.is(server.requestsOf("DELETE").length, 1, "now it is equal");
});

test("own, from a version that wrote no hash: recreated", async (t) => {
  const { server, transport } = await serve(t);
  const { metadata, ...rest } = workload(1);
  server.put(COLLECTION, { ...rest, metadata: { ...metadata } });
  await ensure(transport, workload(1));
  t.is(server.requestsOf("DELETE").length, 1);
});

for (const theirs of [{}, { "app.kubernetes.io/managed-by": "Helm" }]) {
  test(`foreign (${JSON.stringify(theirs)}): refused and unchanged`, async (t) => {
    const { server, transport } = await serve(t);
    const before = server.put(COLLECTION, { metadata: { name: "leader", labels: theirs } });
    await t.throwsAsync(ensure(transport, workload(1)), {
      instanceOf: RefusedError,
      message: /Deployment leader already exists and was not created by this tool/,
    });
    t.deepEqual(server.object(LEADER), before);
    t.deepEqual(server.requestsOf("DELETE"), []);
  });
}

test("gone between the conflict and the read: created", async (t) => {
  const { server, transport } = await serve(t);
  await ensure(transport, workload(1));
  server.handle("GET", /leader$/, () => void server.remove(LEADER));
  await ensure(transport, workload(1));
  t.not(server.object(LEADER), undefined);
});

test("an error other than a conflict is passed on", async (t) => {
  const { server, transport } = await serve(t);
  server.fault({ kind: "status", status: 403, method: "POST" });
  await t.throwsAsync(ensure(transport, workload(1)), { message: /403/ });
  t.is(server.requests.length, 1);
});

test("a prepared namespace is used as it is, without any write", async (t) => {
  const { server, transport } = await serve(t);
  const labels = {
    "app.kubernetes.io/managed-by": "kube-system-chaos",
    "kube-system-chaos/prepared": "true",
    team: "sre",
  };
  const before = server.put("/api/v1/namespaces", { metadata: { name: "guestbook", labels } });
  await ensure(transport, namespaceManifest("guestbook"));
  t.deepEqual(server.object("/api/v1/namespaces/guestbook"), before);
  t.deepEqual(writes(server), []);
});

test("an own namespace of an older version stays, with what is in it", async (t) => {
  const { server, transport } = await serve(t);
  const labels = { "app.kubernetes.io/managed-by": "kube-system-chaos", "kube-system-chaos/prepared": "no" };
  const before = server.put("/api/v1/namespaces", { metadata: { name: "guestbook", labels } });
  await ensure(transport, namespaceManifest("guestbook"));
  t.is(server.object("/api/v1/namespaces/guestbook")?.metadata.uid, before.metadata.uid);
  t.deepEqual(writes(server), []);
});
