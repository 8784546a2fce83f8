import test from "ava";
import type { ExecutionContext } from "ava";
import type { Attack, AttackContext, RunningAttack } from "../../../src/attacks/attack.js";
import { deletePods } from "../../../src/attacks/delete-pods.js";
import { deleteWorkload } from "../../../src/attacks/delete-workload.js";
import { createAttack } from "../../../src/attacks/all-attacks.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import type { ApiRequest } from "../../../src/kube/transport.js";
import type { FakeApiServer, LoggedRequest } from "../../helpers/fake-api-server.js";
import {
  DAEMONSETS,
  DEPLOYMENTS,
  deployment,
  isDying,
  LABELS,
  owner,
  pod,
  PODS,
  putKubeDns,
  recording,
  REPLICASET,
  REPLICASETS,
  replicaSet,
  serve,
  targetOf,
  until,
  type Watched,
  watching,
} from "../../helpers/target-fixtures.js";

const podsAttack = deletePods({ gracePeriod: 1000, delay: 0 });
const workloadAttack = deleteWorkload({ gracePeriod: 1000 });

async function kubeDns(t: ExecutionContext, options: { resyncMs?: number } = {}): Promise<Watched> {
  const served = await serve(t);
  putKubeDns(served.server);
  return await watching(t, served, options);
}

function start(
  t: ExecutionContext,
  w: Watched,
  attack: Attack,
  change: Partial<AttackContext> = {},
): RunningAttack {
  const running = attack.start({
    transport: w.transport,
    target: w.target,
    watch: w.watch,
    emit: w.emit,
    runId: "run-1",
    now: () => performance.now(),
    after: (ms, work) => setTimeout(work, ms),
    ...change,
  });
  t.teardown(async () => await running.stop());
  return running;
}

interface SentOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: string;
  readonly preconditions?: { readonly uid?: string };
}

const optionsOf = ({ body }: { readonly body?: unknown }): SentOptions => body as SentOptions;
const uidOf = (request: { readonly body?: unknown }): string => optionsOf(request).preconditions?.uid ?? "";
const deletions = (server: FakeApiServer): LoggedRequest[] => server.requestsOf("DELETE");

/** Without kind and apiVersion a server ignores the rest; without the uid it deletes any object with the name. */
function assertExact(t: ExecutionContext, server: FakeApiServer): void {
  for (const request of deletions(server)) {
    t.like(request.body, { kind: "DeleteOptions", apiVersion: "v1" });
    t.regex(uidOf(request), /^[0-9a-f-]{36}$/);
  }
}

const living = (server: FakeApiServer, collection = PODS): string[] =>
  server
    .objects(collection)
    .filter((object) => !isDying(object))
    .map((object) => object.metadata.name);

/** A ReplicaSet controller: immediately creates a new pod for each deleted one, while its ReplicaSet exists. */
function replacesPods(server: FakeApiServer, rounds: number): KubeObject[] {
  const made: KubeObject[] = [];
  server.store.onEvent(({ type, at, object, previous }) => {
    if (at.resource !== "pods" || made.length >= rounds) return;
    const went = type === "DELETED" ? !isDying(object) : isDying(object) && !isDying(previous ?? object);
    if (!went || server.object(`${REPLICASETS}/${REPLICASET}`) === undefined) return;
    made.push(server.put(PODS, pod(`${REPLICASET}-new${made.length}`, { node: undefined })));
  });
  return made;
}

/** addon-manager's kubectl and the two controllers below it, without any delay. */
function bringsBackDeployment(server: FakeApiServer, rounds: number): KubeObject[] {
  const made: KubeObject[] = [];
  server.store.onEvent(({ type, at, object }) => {
    const { name } = object.metadata;
    if (type === "DELETED" && at.resource === "deployments" && name === "kube-dns" && made.length < rounds) {
      const draft = deployment() as { metadata: object };
      const managedFields = [{ manager: "kubectl-client-side-apply", time: "2026-08-01T12:00:00Z" }];
      made.push(server.put(DEPLOYMENTS, { ...draft, metadata: { ...draft.metadata, managedFields } }));
    }
    if (type !== "ADDED") return;
    if (at.resource === "deployments") server.put(REPLICASETS, replicaSet(`kube-dns-gen${made.length}`));
    if (at.resource !== "replicasets") return;
    for (const suffix of ["x", "y"]) {
      const of = owner("ReplicaSet", name);
      server.put(PODS, pod(`${name}-${suffix}`, { of, node: undefined }));
    }
  });
  return made;
}

test("delete-pods: each pod by its uid, with the grace that was asked for", async (t) => {
  const w = await kubeDns(t);
  const pods = w.server.objects(PODS);
  const running = start(t, w, deletePods({ gracePeriod: 7000, delay: 0 }));
  await until("both are deleted", () => running.kills === 2);
  t.deepEqual(new Set(deletions(w.server).map(uidOf)), new Set(pods.map(({ metadata }) => metadata.uid)));
  assertExact(t, w.server);
  for (const { body } of deletions(w.server)) {
    t.is(optionsOf({ body }).gracePeriodSeconds, 7);
    t.is(optionsOf({ body }).propagationPolicy, undefined);
  }
  for (const object of w.server.objects(PODS)) t.is(object.metadata.deletionGracePeriodSeconds, 7);
  const kills = w.of("kill");
  t.deepEqual(
    kills.map(({ reason, status, object }) => ({ reason, status, kind: object.kind })),
    Array.from({ length: 2 }, () => ({ reason: "initial" as const, status: 200, kind: "Pod" })),
  );
  t.true(kills.every(({ tookMs }) => tookMs >= 0));
  t.deepEqual(living(w.server, DEPLOYMENTS), ["kube-dns"], "the workload itself is left alone");
});

test("delete-pods: grace 0 is said, not left out", async (t) => {
  const w = await kubeDns(t);
  start(t, w, deletePods({ gracePeriod: 0, delay: 0 }));
  await until("they are gone", () => w.server.objects(PODS).length === 0);
  t.true(deletions(w.server).every((request) => optionsOf(request).gracePeriodSeconds === 0));
});

test("delete-pods: a controller that replaces each pod immediately is beaten, round after round", async (t) => {
  const w = await kubeDns(t);
  const made = replacesPods(w.server, 40);
  const running = start(t, w, podsAttack);
  await until("the controller has given up", () => made.length === 40 && living(w.server).length === 0);
  await until("every answer is there", () => running.kills === 42);
  const uids = deletions(w.server).map(uidOf);
  t.is(uids.length, 42, "one deletion each");
  t.true(made.every(({ metadata }) => uids.includes(metadata.uid)));
  assertExact(t, w.server);
  t.is(w.of("kill").filter(({ reason }) => reason === "recreated").length, 40);
  t.is(running.lastError, undefined);
});

test("delete-pods: a pod of another workload with the same labels is left alone, early or late", async (t) => {
  const w = await kubeDns(t);
  const strangers = [
    pod("kube-dns-autoscaler-5d4f-x", { of: owner("ReplicaSet", "kube-dns-autoscaler-5d4f") }),
    pod("of-a-daemonset", { of: owner("DaemonSet", "kube-dns") }),
    pod("of-nobody", { of: {} }),
    pod("not-its-controller", {
      of: { ownerReferences: [{ kind: "ReplicaSet", name: REPLICASET, uid: "u", controller: false }] },
    }),
  ];
  const names = strangers.map(({ metadata }) => metadata?.["name"] as string).sort();
  for (const draft of strangers.slice(0, 2)) w.server.put(PODS, draft);
  // Every earlier event has been handled.
  w.server.update(`${PODS}/${REPLICASET}-a`, { metadata: { annotations: { mark: "1" } } });
  await until("it has seen them", () => {
    return w.watch.current("Pod").some(({ metadata }) => metadata.annotations?.["mark"] === "1");
  });
  t.is(w.watch.current("Pod").length, 2);
  const running = start(t, w, podsAttack);
  for (const draft of strangers.slice(2)) w.server.put(PODS, draft);
  w.server.put(PODS, pod(`${REPLICASET}-last`, { node: undefined }));
  await until("those of the target are deleted", () => running.kills === 3);
  // The last of them came after all other pods.
  await until("it has seen all", () => w.of("recreated").length === 1);
  await running.stop();
  t.deepEqual(living(w.server), names);
  t.is(deletions(w.server).length, 3);
});

test("delete-pods: a terminating pod is not deleted again", async (t) => {
  const served = await serve(t);
  putKubeDns(served.server);
  served.server.update(`${PODS}/${REPLICASET}-a`, {
    metadata: { deletionTimestamp: "2026-08-01T12:00:00Z" },
  });
  const w = await watching(t, served);
  const running = start(t, w, podsAttack);
  await until("the other is deleted", () => running.kills === 1);
  for (const name of ["a", "b"]) {
    w.server.update(`${PODS}/${REPLICASET}-${name}`, { status: { phase: "Failed" } });
  }
  await until("it has seen the changes", () => {
    return w.of("instance").filter(({ podPhase }) => podPhase === "Failed").length === 2;
  });
  w.server.finishDeletions(PODS);
  await until("they are gone", () => w.of("gone").length === 2);
  await running.stop();
  t.deepEqual(
    deletions(w.server).map(({ path }) => path),
    [`${PODS}/${REPLICASET}-b`],
  );
});

for (const [name, attack, count] of [
  ["delete-pods", podsAttack, 2],
  ["delete-workload", workloadAttack, 4],
] as const) {
  test(`${name}: an object that changes while its deletion is in flight is not deleted twice`, async (t) => {
    const w = await kubeDns(t);
    let answer = (): void => undefined;
    const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)));
    w.server.handle("DELETE", /./, async () => await held);
    const running = start(t, w, attack);
    await until("all are under way", () => deletions(w.server).length === count);
    const mark = { metadata: { annotations: { mark: "1" } } };
    for (const path of [
      `${DEPLOYMENTS}/kube-dns`,
      `${REPLICASETS}/${REPLICASET}`,
      `${PODS}/${REPLICASET}-a`,
      `${PODS}/${REPLICASET}-b`,
    ]) {
      w.server.update(path, mark);
    }
    const marked = (): number =>
      (["Deployment", "ReplicaSet", "Pod"] as const)
        .flatMap((kind) => w.watch.current(kind))
        .filter(({ metadata }) => metadata.annotations?.["mark"] === "1").length;
    await until("all changes are seen", () => marked() === 4);
    answer();
    await until("all are answered", () => running.kills === count);
    await running.stop();
    t.is(deletions(w.server).length, count);
  });
}

test("delete-pods with a delay: a new pod lives for the delay, and no longer", async (t) => {
  const w = await kubeDns(t);
  const timers: { work: () => void; ms: number }[] = [];
  const attack = deletePods({ gracePeriod: 1000, delay: 500 });
  const running = start(t, w, attack, { after: (ms, work) => timers.push({ work, ms }) });
  await until("what was there is deleted at once", () => running.kills === 2);
  t.deepEqual(living(w.server), []);
  w.server.put(PODS, pod("late", { node: undefined }));
  await until("the timer runs", () => timers.length > 0);
  w.server.update(`${PODS}/late`, { status: { phase: "Running" } });
  await until("its change was seen", () => w.of("instance").some(({ podPhase }) => podPhase === "Running"));
  t.deepEqual(living(w.server), ["late"]);
  t.true(timers.every(({ ms }) => ms === 500));
  for (const { work } of timers.splice(0)) work();
  await until("it is deleted", () => living(w.server).length === 0);
  t.is(deletions(w.server).length, 3);
});

for (const [what, fault] of [
  ["429 with Retry-After", { kind: "status", status: 429, retryAfter: 0.05 }],
  ["429 without", { kind: "status", status: 429 }],
  ["500", { kind: "status", status: 500 }],
  ["403 (roles not yet read)", { kind: "status", status: 403 }],
  ["409 (of the server's storage)", { kind: "status", status: 409 }],
  ["a reset", { kind: "reset" }],
] as const) {
  for (const [name, attack] of [
    ["delete-pods", podsAttack],
    ["delete-workload", workloadAttack],
  ] as const) {
    test(`${name}: ${what} on a deletion is retried until the object is gone`, async (t) => {
      const w = await kubeDns(t);
      w.server.fault({ ...fault, method: "DELETE", times: 7 });
      const kills: { uid: string | undefined; status: number; tMs: number | undefined }[] = [];
      const emit: AttackContext["emit"] = (body, tMs) => {
        if (body.type === "kill") kills.push({ uid: body.object.uid, status: body.status, tMs });
      };
      const running = start(t, w, attack, { emit });
      await until("it is seen as an error", () => running.lastError !== undefined);
      await until("all is gone", () => living(w.server).length === 0 && running.lastError === undefined);
      if (name === "delete-workload") {
        await until("the rest, too", () => living(w.server, REPLICASETS).length === 0);
        await until("the workload, too", () => living(w.server, DEPLOYMENTS).length === 0);
      }
      await running.stop();
      t.is(running.lastError, undefined);
      assertExact(t, w.server);
      const accepted = kills.filter(({ status }) => status === 200).map(({ uid }) => uid);
      t.is(new Set(accepted).size, accepted.length, "accepted once for each object");
      t.is(accepted.length, name === "delete-pods" ? 2 : 4);
      t.is(running.kills, accepted.length);
      const refused = kills.filter(({ status }) => status !== 200);
      t.deepEqual(
        refused.map(({ status }) => status),
        Array.from({ length: 7 }, () => (fault.kind === "reset" ? 0 : fault.status)),
      );
      t.is(deletions(w.server).length, kills.length, "a kill event for each request");
      t.true(kills.every(({ tMs }) => tMs !== undefined));
      for (const { uid, tMs = 0 } of refused) {
        const last = kills.find((kill) => kill.uid === uid && kill.status === 200);
        t.true((last?.tMs ?? 0) > tMs, "asked for again until it was accepted");
      }
    });
  }
}

test("a deletion is not retried for a pod that is gone", async (t) => {
  const w = await kubeDns(t);
  const timers: (() => void)[] = [];
  w.server.fault({ kind: "status", status: 500, method: "DELETE", times: Infinity });
  const running = start(t, w, podsAttack, { after: (_ms, work) => timers.push(work) });
  await until("both were refused", () => timers.length === 2);
  t.not(running.lastError, undefined);
  for (const { metadata } of w.server.objects(PODS)) w.server.remove(`${PODS}/${metadata.name}`);
  await until("it has seen that they are gone", () => w.of("gone").length === 2);
  t.is(running.lastError, undefined);
  for (const work of timers.splice(0)) work();
  await running.stop();
  t.is(deletions(w.server).length, 2);
  t.is(running.kills, 0);
});

test("a reused name: the new object is not deleted in place of the first", async (t) => {
  const w = await kubeDns(t);
  const name = `${REPLICASET}-a`;
  const timers: (() => void)[] = [];
  w.server.fault({ kind: "status", status: 500, method: "DELETE", path: name });
  const running = start(t, w, podsAttack, { after: (_ms, work) => timers.push(work) });
  await until("one was refused", () => timers.length === 1 && running.kills === 1);
  // Another workload's pod takes its name, and the watch does not report it yet.
  w.server.silenceWatches();
  w.server.remove(`${PODS}/${name}`);
  w.server.put(PODS, pod(name, { of: owner("ReplicaSet", "another-5f") }));
  for (const work of timers.splice(0)) work();
  const statuses = (): number[] =>
    w
      .of("kill")
      .map(({ status }) => status)
      .sort();
  await until("the answer is there", () => timers.length === 1);
  t.deepEqual(statuses(), [200, 409, 500]);
  t.regex(running.lastError?.message ?? "", /conflict/, "it may be the server's own trouble");
  for (const work of timers.splice(0)) work();
  await until("the same again", () => timers.length === 1);
  t.deepEqual(statuses(), [200, 409, 409, 500]);
  t.is(running.kills, 1, "not a kill");
  // Now the watch reports it: there is nothing to retry.
  w.server.endWatches();
  await until("it is seen to be gone", () => w.of("gone").some(({ object }) => object.name === name));
  t.is(running.lastError, undefined);
  for (const work of timers.splice(0)) work();
  await running.stop();
  t.deepEqual(statuses(), [200, 409, 409, 500]);
  t.deepEqual(living(w.server), [name]);
});

for (const status of [409, 500]) {
  test(`gone while its deletion is in flight: an answer of ${status} is not retried`, async (t) => {
    const w = await kubeDns(t);
    const name = `${REPLICASET}-a`;
    const timers: (() => void)[] = [];
    let answer = (): void => undefined;
    const held = new Promise<void>((resolve) => (answer = resolve));
    w.server.handle("DELETE", new RegExp(`${name}$`), async () => {
      await held;
      return status === 500 ? { status, body: { kind: "Status", code: status } } : undefined;
    });
    const running = start(t, w, podsAttack, { after: (_ms, work) => timers.push(work) });
    await until("the other is deleted", () => running.kills === 1);
    w.server.remove(`${PODS}/${name}`);
    w.server.put(PODS, pod(name, { of: owner("ReplicaSet", "another-5f") }));
    await until("it has seen it", () => w.of("gone").some(({ object }) => object.name === name));
    answer();
    await until("it is answered", () => w.of("kill").length === 2);
    await running.stop();
    t.is(w.of("kill")[1]?.status, status);
    t.is(running.lastError, undefined);
    t.deepEqual(timers, []);
    t.deepEqual(living(w.server), [name]);
  });
}

test("a kill event carries the time at which its deletion was sent", async (t) => {
  const w = await kubeDns(t);
  let now = 1_000;
  let answer = (): void => undefined;
  const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)));
  w.server.handle("DELETE", /pods/, async () => await held);
  const kills: unknown[] = [];
  const running = start(t, w, podsAttack, {
    runId: "run-1",
    now: () => now,
    emit: (body, tMs) => void (body.type === "kill" && kills.push({ tMs, tookMs: body.tookMs })),
  });
  await until("both are under way", () => deletions(w.server).length === 2);
  now = 1_250;
  t.deepEqual(kills, []);
  answer();
  await running.stop();
  t.deepEqual(kills, [
    { tMs: 1_000, tookMs: 250 },
    { tMs: 1_000, tookMs: 250 },
  ]);
});

for (const [what, breakIt] of [
  ["reset", (server: FakeApiServer) => server.resetWatches()],
  ["ended", (server: FakeApiServer) => server.endWatches()],
  ["silent", (server: FakeApiServer) => server.silenceWatches()],
  [
    "too old (410)",
    (server: FakeApiServer) => {
      server.silenceWatches();
      server.put(PODS, pod("missed", { node: undefined }));
      server.compact();
      server.endWatches();
    },
  ],
] as const) {
  test(`the watch is ${what} during the attack: new pods are still deleted, once each`, async (t) => {
    const w = await kubeDns(t, { resyncMs: what === "silent" ? 50 : 0 });
    const running = start(t, w, podsAttack);
    await until("it has begun", () => running.kills === 2);
    for (const round of [1, 2, 3]) {
      breakIt(w.server);
      for (const name of ["x", "y"]) w.server.put(PODS, pod(`${name}${round}`, { node: undefined }));
      await until("they are gone", () => living(w.server).length === 0);
    }
    await running.stop();
    assertExact(t, w.server);
    const uids = deletions(w.server).map(uidOf);
    t.is(new Set(uids).size, uids.length);
    t.true(uids.length >= 8);
  });
}

for (const [name, attack] of [
  ["delete-pods", podsAttack],
  ["delete-workload", workloadAttack],
] as const) {
  test(`${name}: after stop nothing is deleted, whatever appears`, async (t) => {
    const w = await kubeDns(t);
    const running = start(t, w, attack);
    await until("it has begun", () => living(w.server).length === 0);
    await running.stop();
    const { kills } = running;
    const count = deletions(w.server).length;
    w.server.put(REPLICASETS, replicaSet("kube-dns-aaa"));
    for (const each of ["p", "q"]) w.server.put(PODS, pod(each, { of: owner("ReplicaSet", "kube-dns-aaa") }));
    await until("it has seen them", () => {
      return w.of("recreated").filter(({ object }) => "pq".includes(object.name)).length === 2;
    });
    await w.transport.json({ method: "GET", path: "/version" });
    t.is(deletions(w.server).length, count);
    t.is(running.kills, kills);
    t.deepEqual(living(w.server), ["p", "q"]);
    await running.stop();
  });
}

test("stop: a request that waits for its retry or its delay is never sent", async (t) => {
  const w = await kubeDns(t);
  const timers: (() => void)[] = [];
  w.server.fault({ kind: "status", status: 500, method: "DELETE", times: 2 });
  const attack = deletePods({ gracePeriod: 1000, delay: 100 });
  const running = start(t, w, attack, { after: (_ms, work) => timers.push(work) });
  w.server.put(PODS, pod("late", { node: undefined }));
  await until("two refusals and a delay", () => timers.length === 3);
  await running.stop();
  for (const work of timers.splice(0)) work();
  await w.transport.json({ method: "GET", path: "/version" });
  t.is(deletions(w.server).length, 2);
  t.is(living(w.server).length, 3);
});

test("stop does not wait for Retry-After, and the deletion is not sent again", async (t) => {
  const w = await kubeDns(t);
  w.server.fault({ kind: "status", status: 429, retryAfter: 1, method: "DELETE", times: Infinity });
  const running = start(t, w, podsAttack);
  await until("both were refused", () => {
    return deletions(w.server).filter(({ status }) => status === 429).length === 2;
  });
  await running.stop();
  t.is(deletions(w.server).length, 2);
  t.regex(running.lastError?.message ?? "", /429/);
});

test("Retry-After is respected, up to a limit", async (t) => {
  const w = await kubeDns(t);
  const waits: number[] = [];
  w.server.fault({ kind: "status", status: 429, retryAfter: 3, method: "DELETE" });
  w.server.fault({ kind: "status", status: 429, retryAfter: 600, method: "DELETE" });
  start(t, w, podsAttack, { after: (ms) => waits.push(ms) });
  await until("both were refused", () => waits.length === 2);
  t.deepEqual(
    waits.sort((a, b) => a - b),
    [3000, 5000],
  );
});

test("the wait between two attempts grows, up to a limit", async (t) => {
  const w = await kubeDns(t);
  w.server.remove(`${PODS}/${REPLICASET}-b`);
  await until("one is left", () => w.watch.current("Pod").length === 1);
  w.server.fault({ kind: "status", status: 500, method: "DELETE", times: Infinity });
  const waits: number[] = [];
  start(t, w, podsAttack, {
    after: (ms, work) => {
      waits.push(ms);
      if (waits.length < 8) setImmediate(work);
    },
  });
  await until("eight tries", () => waits.length === 8);
  t.deepEqual(waits, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
});

test("stop waits for the deletion in flight", async (t) => {
  const w = await kubeDns(t);
  let answer = (): void => undefined;
  const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)));
  w.server.handle("DELETE", /pods/, async () => await held);
  const running = start(t, w, podsAttack);
  await until("both are under way", () => deletions(w.server).length === 2);
  let stopped = false;
  const stopping = running.stop().then(() => (stopped = true));
  await w.transport.json({ method: "GET", path: "/version" });
  t.false(stopped);
  answer();
  await stopping;
  t.is(running.kills, 2);
});

test("delete-workload: the Deployment, then its ReplicaSets, then the pods", async (t) => {
  const w = await kubeDns(t);
  w.server.put(REPLICASETS, replicaSet("kube-dns-autoscaler-x1", "kube-dns-autoscaler"));
  w.server.put(REPLICASETS, replicaSet("kube-dns-old"));
  await until("it has seen them", () => w.watch.current("ReplicaSet").length === 2);
  const { transport, sent } = recording(w.transport);
  const running = start(t, w, workloadAttack, { transport });
  await until("all is deleted", () => running.kills === 5);
  const order = sent.map((request) => ({
    path: request.path.replace(/^.*\/(\w+\/[^/]+)$/, "$1"),
    policy: optionsOf(request).propagationPolicy,
    grace: optionsOf(request).gracePeriodSeconds,
  }));
  t.deepEqual(order, [
    { path: "deployments/kube-dns", policy: "Background", grace: undefined },
    { path: `replicasets/${REPLICASET}`, policy: "Background", grace: undefined },
    { path: "replicasets/kube-dns-old", policy: "Background", grace: undefined },
    { path: `pods/${REPLICASET}-a`, policy: undefined, grace: 1 },
    { path: `pods/${REPLICASET}-b`, policy: undefined, grace: 1 },
  ]);
  t.true(sent.every((request: ApiRequest) => request.lane === "fast"));
  assertExact(t, w.server);
  t.deepEqual(
    w
      .of("kill")
      .map(({ object, reason }) => `${object.kind} ${reason}`)
      .sort(),
    ["Deployment initial", "Pod swept", "Pod swept", "ReplicaSet swept", "ReplicaSet swept"],
  );
  t.deepEqual(living(w.server, REPLICASETS), ["kube-dns-autoscaler-x1"]);
});

test("delete-workload: a Deployment that is recreated repeatedly is deleted each time", async (t) => {
  const rounds = 8;
  const w = await kubeDns(t);
  const made = bringsBackDeployment(w.server, rounds);
  const running = start(t, w, workloadAttack);
  await until("the restorer has given up, and all is gone", () => {
    const left = [DEPLOYMENTS, REPLICASETS, PODS].flatMap((collection) => living(w.server, collection));
    return made.length === rounds && left.length === 0;
  });
  await until("all answers are there", () => w.of("kill").length === deletions(w.server).length);
  await running.stop();
  assertExact(t, w.server);
  const uids = deletions(w.server).map(uidOf);
  t.is(new Set(uids).size, uids.length, "nothing is asked twice");
  t.true(made.every(({ metadata }) => uids.includes(metadata.uid)));
  const kills = w.of("kill").filter(({ object }) => object.kind === "Deployment");
  t.is(kills.filter(({ reason }) => reason === "initial").length, 1);
  t.deepEqual(
    kills.filter(({ reason }) => reason === "recreated").map(({ object }) => object.uid),
    made.map(({ metadata }) => metadata.uid),
  );
  const back = w.of("recreated").filter(({ object }) => object.kind === "Deployment");
  t.deepEqual(
    back.map(({ object, by }) => ({ uid: object.uid, by })),
    made.map(({ metadata }) => ({ uid: metadata.uid, by: "kubectl-client-side-apply" })),
  );
  t.is(running.kills, w.of("kill").filter(({ status }) => status < 300).length);
});

test("delete-workload: a terminating object is not deleted again", async (t) => {
  const w = await kubeDns(t);
  const running = start(t, w, workloadAttack);
  await until("all is deleted", () => running.kills === 4);
  const count = deletions(w.server).length;
  for (const name of ["a", "b"]) {
    w.server.update(`${PODS}/${REPLICASET}-${name}`, { status: { phase: "Succeeded" } });
  }
  // Someone deletes it in the foreground: it stays, with a deletionTimestamp, until its pods are gone.
  w.server.put(DEPLOYMENTS, {
    metadata: { name: "kube-dns", labels: LABELS, deletionTimestamp: "2026-08-01T12:00:00Z" },
  });
  await until("it has seen it", () => w.watch.current("Deployment").some(isDying));
  await until("it has seen the pods", () => {
    return w.of("instance").filter(({ podPhase }) => podPhase === "Succeeded").length === 2;
  });
  await running.stop();
  t.is(deletions(w.server).length, count);
});

test("delete-workload: a DaemonSet and its pods; those of a similar name are left alone", async (t) => {
  const served = await serve(t);
  const { server } = served;
  const labels = { app: "agent" };
  const draft = {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [] } },
  };
  server.put(DAEMONSETS, { metadata: { name: "agent" }, spec: draft, status: { desiredNumberScheduled: 2 } });
  for (const name of ["agent-1", "agent-2"]) {
    server.put(PODS, pod(name, { of: owner("DaemonSet", "agent"), labels }));
  }
  server.put(PODS, pod("agent-v2-1", { of: owner("DaemonSet", "agent-v2"), labels }));
  const target = await targetOf(served.transport, {
    kind: "DaemonSet",
    namespace: "kube-system",
    name: "agent",
  });
  const w = await watching(t, served, { target });
  const running = start(t, w, workloadAttack);
  await until("all is deleted", () => running.kills === 3);
  await running.stop();
  t.deepEqual(living(server), ["agent-v2-1"]);
  t.deepEqual(living(server, DAEMONSETS), []);
  t.deepEqual(workloadAttack.plan(target)[1], "sweep its pods, grace period 1 s");
});

test("none: changes nothing", async (t) => {
  const w = await kubeDns(t);
  const running = start(t, w, createAttack({ type: "none" }));
  await running.stop();
  t.is(running.kills, 0);
  t.is(running.lastError, undefined);
  t.deepEqual(deletions(w.server), []);
});

test("an experiment's attack is created by its type, and its plan says what it will do", async (t) => {
  const w = await kubeDns(t);
  const specs = [
    { type: "none" },
    { type: "delete-pods", gracePeriod: 1000, delay: 500 },
    { type: "delete-pods", gracePeriod: 0, delay: 0 },
    { type: "delete-workload", gracePeriod: 1000 },
  ] as const;
  for (const spec of specs) {
    const attack = createAttack(spec);
    t.is(attack.type, spec.type);
    t.true(attack.plan(w.target).length > 0);
  }
  t.regex(
    createAttack(specs[1]).plan(w.target).join("\n"),
    /2 pod\(s\).*kube-system\/kube-dns.*1 s\n.*500 ms/,
  );
  t.deepEqual(deletions(w.server), [], "a plan does nothing");
});
