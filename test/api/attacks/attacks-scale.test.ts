import test from "ava";
import type { ExecutionContext } from "ava";
import type { AttackContext, RunningAttack } from "../../../src/attacks/attack.js";
import { createAttack } from "../../../src/attacks/all-attacks.js";
import { scaleToZero } from "../../../src/attacks/scale-to-zero.js";
import type { Deployment, KubeObject } from "../../../src/kube/objects.js";
import { RefusedError } from "../../../src/common/errors.js";
import type { NodeTarget } from "../../../src/targets/node-target.js";
import type { Target } from "../../../src/targets/target.js";
import type { FakeApiServer, LoggedRequest } from "../../helpers/fake-api-server.js";
import {
  DEPLOYMENTS,
  deployment,
  PODS,
  putKubeDns,
  recording,
  REPLICASETS,
  serve,
  targetOf,
  until,
  type Watched,
  watching,
  writes,
} from "../../helpers/target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;
const AUTOSCALER = `${DEPLOYMENTS}/kube-dns-autoscaler`;

async function kubeDns(t: ExecutionContext): Promise<Watched> {
  const served = await serve(t);
  putKubeDns(served.server);
  return await watching(t, served);
}

function start(t: ExecutionContext, w: Watched, change: Partial<AttackContext> = {}): RunningAttack {
  const running = createAttack({ type: "scale-to-zero" }).start(context(w, change));
  t.teardown(async () => await running.stop());
  return running;
}

function context(w: Watched, change: Partial<AttackContext> = {}): AttackContext {
  return {
    transport: w.transport,
    target: w.target,
    watch: w.watch,
    emit: w.emit,
    runId: "run-1",
    now: () => performance.now(),
    after: (ms, work) => setTimeout(work, ms),
    ...change,
  };
}

const replicas = (server: FakeApiServer, path = PATH): number | undefined =>
  (server.object(path) as unknown as Deployment | undefined)?.spec?.replicas;

/** Someone sets the replicas: the server increments the generation, as for each change of a spec. */
function scale(server: FakeApiServer, to: number, path = PATH): KubeObject {
  const { generation = 0 } = server.object(path)?.metadata ?? {};
  return server.update(path, { metadata: { generation: generation + 1 }, spec: { replicas: to } });
}

const patches = (server: FakeApiServer): LoggedRequest[] => server.requestsOf("PATCH");

test("scale-to-zero: this very Deployment, in one request on the fast lane; nothing is deleted", async (t) => {
  const w = await kubeDns(t);
  const { uid } = w.server.object(PATH)?.metadata ?? {};
  const { transport, sent } = recording(w.transport);
  const running = start(t, w, { transport });
  await until("it is scaled", () => running.kills === 1);
  t.is(replicas(w.server), 0);
  t.deepEqual(
    writes(w.server).map(({ method, path }) => `${method} ${path}`),
    [`PATCH ${PATH}`],
  );
  t.deepEqual(patches(w.server)[0]?.body, {
    metadata: { uid },
    spec: { replicas: 0 },
  });
  t.is(patches(w.server)[0]?.query.get("fieldManager"), "kube-system-chaos/run-1/replicas-2");
  t.is(patches(w.server)[0]?.headers["content-type"], "application/merge-patch+json");
  t.like(sent[0], { lane: "fast", retry: false });
  t.like(w.of("kill")[0], {
    object: { kind: "Deployment", name: "kube-dns" },
    reason: "initial",
    action: "scaled",
    status: 200,
  });
  t.is(w.server.objects(PODS).length, 2);
  t.is(w.server.objects(REPLICASETS).length, 1);
});

test("scale-to-zero: scaled up by anyone, it is scaled down again, once each time", async (t) => {
  const w = await kubeDns(t);
  const running = start(t, w);
  await until("it is scaled", () => running.kills === 1);
  for (const round of [2, 3, 4]) {
    scale(w.server, round);
    await until("it is scaled down again", () => running.kills === round);
    t.is(replicas(w.server), 0);
  }
  t.deepEqual(
    w.of("kill").map(({ reason }) => reason),
    ["initial", "recreated", "recreated", "recreated"],
  );
  // The Deployment controller writes the status often, also while the old replicas still exist.
  for (let count = 0; count < 5; count += 1) w.server.update(PATH, { status: { replicas: count } });
  scale(w.server, 0);
  scale(w.server, 7);
  for (let count = 0; count < 5; count += 1) w.server.update(PATH, { status: { replicas: count } });
  await until("it is scaled down again", () => running.kills === 5);
  t.is(patches(w.server).length, 5);
});

test("scale-to-zero: recreated, it is scaled down again; another workload with its labels is not", async (t) => {
  const w = await kubeDns(t);
  const running = start(t, w);
  await until("it is scaled", () => running.kills === 1);
  w.server.remove(PATH);
  w.server.put(DEPLOYMENTS, deployment("kube-dns-autoscaler"));
  w.server.put(DEPLOYMENTS, deployment());
  await until("the new one is scaled", () => running.kills === 2);
  t.is(replicas(w.server), 0);
  t.is(replicas(w.server, AUTOSCALER), 2);
  t.is(w.of("kill")[1]?.object.uid, w.server.object(PATH)?.metadata.uid);
});

test("scale-to-zero: one that has no replicas in its manifest has one", async (t) => {
  const w = await kubeDns(t);
  w.server.update(PATH, { spec: { replicas: null } });
  await until("it is seen", () => {
    const spec = w.watch.current("Deployment")[0]?.spec as { replicas?: number };
    return spec.replicas === undefined;
  });
  const running = start(t, w);
  await until("it is scaled", () => running.kills === 1);
  t.is(replicas(w.server), 0);
});

test("scale-to-zero: one that has none already is left alone", async (t) => {
  const w = await kubeDns(t);
  scale(w.server, 0);
  await until(
    "it is seen",
    () => (w.watch.current("Deployment")[0]?.spec as { replicas: number }).replicas === 0,
  );
  const running = start(t, w);
  scale(w.server, 1);
  await until("but not for longer than that", () => running.kills === 1);
  t.is(w.of("kill")[0]?.reason, "recreated");
});

for (const status of [500, 403, 422]) {
  test(`scale-to-zero: ${status} is an outstanding kill, retried until it succeeds`, async (t) => {
    const w = await kubeDns(t);
    w.server.fault({ kind: "status", status, method: "PATCH", times: 2 });
    const running = start(t, w);
    await until("it fails", () => running.lastError !== undefined);
    await until("it is scaled", () => running.kills === 1);
    t.is(running.lastError, undefined);
    t.deepEqual(
      w.of("kill").map((kill) => kill.status),
      [status, status, 200],
    );
  });
}

test("scale-to-zero: a workload that is gone, or that someone else scaled down, is not retried", async (t) => {
  for (const change of [
    (w: Watched) => void w.server.remove(PATH),
    (w: Watched) => void scale(w.server, 0),
  ]) {
    const w = await kubeDns(t);
    w.server.fault({ kind: "status", status: 500, method: "PATCH", times: Infinity });
    const running = start(t, w);
    await until("it fails", () => running.lastError !== undefined);
    change(w);
    await until("nothing is outstanding", () => running.lastError === undefined);
    const count = patches(w.server).length;
    await new Promise((resolve) => setTimeout(resolve, 500));
    t.true(patches(w.server).length <= count + 1);
  }
});

test("scale-to-zero: after stop nothing is scaled any more", async (t) => {
  const w = await kubeDns(t);
  const running = start(t, w);
  await until("it is scaled", () => running.kills === 1);
  await running.stop();
  scale(w.server, 2);
  w.server.remove(PATH);
  w.server.put(DEPLOYMENTS, deployment());
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.is(patches(w.server).length, 1);
});

test("scale-to-zero: a target without replicas is refused before anything is done, with the attack to use instead", async (t) => {
  const w = await kubeDns(t);
  const attack = scaleToZero();
  for (const [kind, instead] of [
    ["DaemonSet", "delete-workload"],
    ["StaticPod", "static-pod"],
    ["SystemdUnit", "systemd-unit"],
  ] as const) {
    const target = { ...w.target, kind } as unknown as Target | NodeTarget;
    const expected = { instanceOf: RefusedError, message: new RegExp(`Use ${instead}`) };
    t.throws(() => attack.plan(target), expected);
  }
  t.throws(() => attack.start(context(w, { target: { ...w.target, kind: "DaemonSet" } })), {
    instanceOf: RefusedError,
  });
  t.regex(attack.plan(w.target).join("\n"), /replicas of Deployment kube-system\/kube-dns to 0/);
});

interface WithAutoscaler {
  readonly w: Watched;
  readonly autoscaler: Watched;
}

async function withAutoscaler(t: ExecutionContext): Promise<WithAutoscaler> {
  const served = await serve(t);
  putKubeDns(served.server);
  const labels = { "k8s-app": "kube-dns-autoscaler" };
  const draft = deployment("kube-dns-autoscaler") as { metadata: object; spec: { template: object } };
  served.server.put(DEPLOYMENTS, {
    metadata: { ...draft.metadata, labels },
    spec: {
      ...draft.spec,
      selector: { matchLabels: labels },
      template: { ...draft.spec.template, metadata: { labels } },
    },
  });
  const w = await watching(t, served);
  const target = await targetOf(served.transport, {
    kind: "Deployment",
    namespace: "kube-system",
    name: "kube-dns-autoscaler",
  });
  return { w, autoscaler: await watching(t, served, { target }) };
}

test("companions: scaled down before the target, kept down, and in the plan", async (t) => {
  const { w, autoscaler } = await withAutoscaler(t);
  const attack = createAttack({ type: "scale-to-zero" }, { companions: [autoscaler.target] });
  t.deepEqual(
    attack.plan(w.target).map((line) => /kube-dns(-autoscaler)?(?= to 0)/.exec(line)?.[0]),
    ["kube-dns-autoscaler", "kube-dns", undefined],
  );
  const running = attack.start(
    context(w, { companions: [{ target: autoscaler.target, watch: autoscaler.watch }] }),
  );
  t.teardown(async () => await running.stop());
  await until("both are scaled", () => running.kills === 2);
  t.deepEqual(
    patches(w.server).map(({ path }) => path),
    [AUTOSCALER, PATH],
  );
  t.deepEqual(
    w.of("kill").map(({ object, action }) => `${object.name} ${action ?? ""}`),
    ["kube-dns-autoscaler scaled", "kube-dns scaled"],
  );
  scale(w.server, 1, AUTOSCALER);
  scale(w.server, 1);
  await until("both are kept down", () => running.kills === 4);
  await running.stop();
  for (const path of [AUTOSCALER, PATH]) scale(w.server, 3, path);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.deepEqual([replicas(w.server, AUTOSCALER), replicas(w.server)], [3, 3]);
});

test("companions: the target waits for the answer, but only up to a limit", async (t) => {
  const { w, autoscaler } = await withAutoscaler(t);
  w.server.fault({ kind: "hang", method: "PATCH", path: "autoscaler", times: Infinity });
  const timers: { ms: number; work: () => void }[] = [];
  const attack = createAttack({ type: "scale-to-zero" }, { companions: [autoscaler.target] });
  const running = attack.start(
    context(w, {
      companions: [{ target: autoscaler.target, watch: autoscaler.watch }],
      after: (ms, work) => timers.push({ ms, work }),
    }),
  );
  await until("it was asked", () => patches(w.server).length === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.is(replicas(w.server), 2, "not before the autoscaler");
  t.deepEqual(
    timers.map(({ ms }) => ms),
    [5_000],
  );
  for (const { work } of timers) work();
  await until("the target is scaled anyway", () => replicas(w.server) === 0);
  w.transport.close();
  await running.stop();
});

test("companions: stopped while the first request is in flight, the target is not changed", async (t) => {
  const { w, autoscaler } = await withAutoscaler(t);
  let answer = (): void => undefined;
  const held = new Promise<void>((resolve) => (answer = resolve));
  w.server.handle("PATCH", /autoscaler$/, async () => {
    await held;
    return undefined;
  });
  const attack = createAttack({ type: "scale-to-zero" }, { companions: [autoscaler.target] });
  const running = attack.start(
    context(w, { companions: [{ target: autoscaler.target, watch: autoscaler.watch }] }),
  );
  await until("it was asked", () => patches(w.server).length === 1);
  const stopping = running.stop();
  answer();
  await stopping;
  t.is(replicas(w.server), 2);
  t.is(patches(w.server).length, 1);
});
