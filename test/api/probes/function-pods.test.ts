/** Canary pods: nodes run them, the scheduler places them, the controller creates them. */
import test from "ava";
import type { Pod } from "../../../src/kube/objects.js";
import { hasEnded } from "../../../src/kube/pod-state.js";
import { Leftovers } from "../../../src/probes/functions/canary.js";
import { functionProbes } from "../../../src/probes/functions/all-function-checks.js";
import { isOwn } from "../../../src/own/manifest.js";
import { checkOnce, NAMESPACE, PODS, World } from "../../helpers/function-fixtures.js";

const nodeRunsPods = functionProbes["node-runs-pods"];

const pods = (world: World): Pod[] => world.server.objects(PODS) as unknown as Pod[];
const alive = (world: World): string[] =>
  pods(world)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata }) => metadata.name);

test("without its kubelet a node neither starts nor ends pods; afterwards it does both", async (t) => {
  const world = await World.start(t);
  const ready = await nodeRunsPods.prepare(world.context);
  world.dead.add("worker");
  const first = await checkOnce(world, ready);
  t.false(first.present);
  t.regex(first.evidence, /worker: pod \S+-0003 did not run after 12\.\d s \(no phase/);
  t.regex(
    first.evidence,
    /-0001, deleted, has not ended after 12\.\d s \(Terminating, its container is reported as running/,
  );
  t.regex(first.evidence, /worker2: pod \S+-0004 ran after \S+ s, pod \S+-0002, deleted, ended after/);
  t.true(first.tookMs <= nodeRunsPods.deadlineMs + 1_000);
  // The pod that did not run is deleted; the other node's pod is kept for the next check.
  t.deepEqual(
    alive(world).map((name) => name.slice(-4)),
    ["0004"],
  );

  const second = await checkOnce(world, ready);
  t.false(second.present);
  t.regex(second.evidence, /-0001, deleted before, has not ended/);

  world.dead.clear();
  for (const { metadata } of pods(world))
    if (metadata.deletionTimestamp !== undefined) world.server.remove(`${PODS}/${metadata.name}`);
  const third = await checkOnce(world, ready);
  t.true(third.present, third.evidence);
  t.regex(third.evidence, /-0001, deleted before, ended/);
  const fourth = await checkOnce(world, ready);
  t.true(fourth.present);
  t.notRegex(fourth.evidence, /before|no running pod/);
});

test("without a running pod to delete, only the start counts, and the evidence says so", async (t) => {
  const world = await World.start(t, ["worker"]);
  const ready = await nodeRunsPods.prepare(world.context);
  world.dead.add("worker");
  await checkOnce(world, ready);
  // The container of the deleted pod ended (containerd works), and no new one has started.
  world.server.remove(`${PODS}/${pods(world)[0]?.metadata.name}`);
  await checkOnce(world, ready);
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /did not run .* there was no running pod to delete/);
});

test("a cancelled check leaves a running pod for the next one", async (t) => {
  const world = await World.start(t, ["worker"]);
  const ready = await nodeRunsPods.prepare(world.context);
  const controller = new AbortController();
  world.clock.after(300, () => controller.abort());
  await checkOnce(world, ready, controller.signal);
  world.clock.pass(world.clock.now() + 5_000);
  world.dead.add("worker");
  const seen = await checkOnce(world, ready);
  t.regex(seen.evidence, /-0003 did not run .* pod \S+-0002, deleted, has not ended/);
});

test("a pod has ended when its container has, even if its object remains", (t) => {
  const pod = (deleted: boolean, state: object | undefined): Pod =>
    ({
      metadata: { name: "p", uid: "u", resourceVersion: "1", ...(deleted ? { deletionTimestamp: "x" } : {}) },
      status: { containerStatuses: state === undefined ? [] : [{ name: "canary", state }] },
    }) as unknown as Pod;
  t.true(hasEnded(pod(true, { terminated: {} })));
  t.true(hasEnded(pod(true, { waiting: {} })));
  t.false(hasEnded(pod(true, { running: {} })));
  t.false(hasEnded(pod(true, undefined)), "its node has not said anything");
  t.false(hasEnded(pod(false, { terminated: {} })));
});

test("every canary has the label of this tool, ends quickly, and uses an image that the node has", async (t) => {
  const world = await World.start(t, ["worker"]);
  await nodeRunsPods.prepare(world.context);
  const [pod] = pods(world);
  t.true(pod !== undefined && isOwn(pod));
  t.like(pod?.spec, {
    nodeName: "worker",
    terminationGracePeriodSeconds: 1,
    tolerations: [{ operator: "Exists" }],
    automountServiceAccountToken: false,
  });
  t.is(pod?.spec?.containers[0]?.imagePullPolicy, "IfNotPresent");
});

test("setup waits for the service account of a new namespace", async (t) => {
  const world = await World.start(t, ["worker"]);
  world.server.fault({
    kind: "status",
    status: 403,
    method: "POST",
    path: "/pods",
    message: 'error looking up service account x/default: serviceaccount "default" not found',
    times: 3,
  });
  const ready = await nodeRunsPods.prepare(world.context);
  t.true((await checkOnce(world, ready)).present);
});

test("without the scheduler the pod has no node, and it is deleted", async (t) => {
  const world = await World.start(t);
  const ready = await functionProbes["pods-are-scheduled"].prepare(world.context);
  world.works.scheduler = false;
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /^pod chaos-pod-\S+-0001 had no node after 5\.0 s: /);
  t.true(seen.tookMs <= 6_000);
  t.deepEqual(pods(world), []);
  world.works.scheduler = true;
  t.true((await checkOnce(world, ready)).present);
  t.deepEqual(alive(world), []);
});

test("without the controller-manager the ReplicaSet has no pod, and it is deleted", async (t) => {
  const world = await World.start(t);
  const ready = await functionProbes["replicas-are-made"].prepare(world.context);
  const sets = `/apis/apps/v1/namespaces/${NAMESPACE}/replicasets`;
  world.works.controllers = false;
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /^ReplicaSet chaos-set-\S+-0001 after 5\.0 s: it has no pod$/);
  t.deepEqual(world.server.objects(sets), []);
  world.works.controllers = true;
  t.true((await checkOnce(world, ready)).present);
  t.deepEqual([...world.server.objects(sets), ...alive(world)], []);
  // The pod never runs: no scheduler handles it.
  t.true(
    world.server
      .requestsOf("POST", "/replicasets")
      .every(({ body }) => JSON.stringify(body).includes("chaos-none")),
  );
});

test("an object that the API refuses to delete is deleted later", async (t) => {
  const world = await World.start(t);
  const leftovers = new Leftovers(world.context.transport);
  world.server.put(PODS, { metadata: { name: "left" } });
  leftovers.add(`${PODS}/left`);
  leftovers.add(`${PODS}/never-made`);
  world.api = "refuses";
  await leftovers.sweep();
  t.is(leftovers.size, 2);
  world.api = "answers";
  await leftovers.sweep();
  t.is(leftovers.size, 0);
  t.deepEqual(pods(world), []);
});

const apiStores = functionProbes["api-stores"];
const CONFIGMAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`;

test("a failing store means absent, with the error; a dead connection does not", async (t) => {
  const world = await World.start(t);
  const ready = await apiStores.prepare(world.context);
  const heal = world.server.fault({
    kind: "status",
    status: 500,
    message: "etcdserver: request timed out",
    times: Infinity,
  });
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.is(seen.evidence, "the write failed: HTTP 500 etcdserver: request timed out");
  heal();
  world.server.fault({ kind: "status", status: 504, method: "GET", path: "/configmaps/" });
  t.regex((await checkOnce(world, ready)).evidence, /^the read failed: HTTP 504/);
  // The server closes the kept-alive connection just as it is used; the second request succeeds.
  world.server.fault({ kind: "reset", method: "POST", path: "/configmaps" });
  t.true((await checkOnce(world, ready)).present);
  t.deepEqual(world.server.objects(CONFIGMAPS), []);
});

test("a write whose response is lost is not repeated, and its object is deleted", async (t) => {
  const world = await World.start(t);
  const ready = await apiStores.prepare(world.context);
  world.server.fault({ kind: "reset", method: "POST", path: "/configmaps" });
  world.server.store.onEvent(() => undefined);
  // The object of the lost request is found by its name.
  world.server.handle("POST", /\/configmaps$/, ({ body }) => {
    const draft = body as { metadata: { name: string } };
    if (world.server.object(`${CONFIGMAPS}/${draft.metadata.name}`) === undefined)
      world.server.put(CONFIGMAPS, draft);
    return undefined;
  });
  const seen = await checkOnce(world, ready);
  t.true(seen.present, seen.evidence);
  t.deepEqual(world.server.objects(CONFIGMAPS), []);
});
