/** The switch's real main loop against an API server in this process, with its own clock. */
import test from "ava";
import { sanitised } from "../../../src/kube/declared.js";
import type { KubeObject, Lease } from "../../../src/kube/objects.js";
import { timerName } from "../../../src/nodes/faults.js";
import { ClusterCopy, copyPath } from "../../../src/safety/journal/cluster-copy.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import {
  controllers,
  journalText,
  killedRun,
  LEASES,
  NAMESPACES,
  opened,
  OWN,
  removal,
  renew,
  RUN,
  TARGET,
  undosOf,
  type World,
} from "../../helpers/dead-man-world.js";
import { status } from "../../helpers/fake-api-server.js";
import { DEPLOYMENTS } from "../../helpers/target-fixtures.js";

const GUESTBOOK = `${NAMESPACES}/guestbook`;
const holderIn = ({ server }: World): string | undefined =>
  (server.object(LOCK_PATH) as Lease | undefined)?.spec?.holderIdentity;
const finished =
  ({ server }: World) =>
  (): boolean =>
    server.object(OWN) === undefined;

test("the runner is dead: after a minute everything is restored, then removed, each once and in order", async (t) => {
  const w = await killedRun(t);
  const tookMs = await w.run({ limitMs: 300_000, until: finished(w) });
  t.true(tookMs >= 60_000 && tookMs < 80_000, `${tookMs} ms`);
  t.deepEqual(w.written(), [
    `PUT ${LOCK_PATH}`,
    `POST ${DEPLOYMENTS}`,
    `PUT ${DEPLOYMENTS}/kube-dns`,
    `DELETE ${GUESTBOOK}`,
    `DELETE ${LOCK_PATH}`,
    `DELETE ${OWN}`,
  ]);
  t.deepEqual(sanitised(w.server.object(TARGET) as KubeObject), sanitised(w.before));
  t.is(w.server.object(LOCK_PATH), undefined);
  t.is(w.server.object(copyPath(RUN)), undefined);
  t.true(w.lines.some((line) => /^run-1@laptop has not renewed its lock for 60 s/.test(line)));
  t.true(w.lines.some((line) => /Deployment kube-dns: created/.test(line)));
  // It continues until its pod ends, and finds nothing more to do.
  const before = w.written().length;
  await w.run({ limitMs: 600_000 });
  t.is(w.written().length, before);
  t.regex(w.lines.at(-1) ?? "", /the run is over/);
});

test("in a prepared namespace: it is emptied of the run, stays, and the switch removes itself by its ClusterRole", async (t) => {
  const w = await killedRun(t);
  w.server.update(OWN, { metadata: { labels: { "kube-system-chaos/prepared": "true" } } });
  const ours = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
  const program = { metadata: { name: "chaos-dead-man-run-1", labels: { ...ours, app: "chaos-dead-man" } } };
  w.server.put(`${OWN}/configmaps`, program);
  w.server.put(`${OWN}/configmaps`, { metadata: { name: "chaos-prober", labels: ours } });
  w.server.put(`${OWN}/configmaps`, { metadata: { name: "experiments", labels: {} } });
  const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/chaos-dead-man-run-1";
  w.server.requests.length = 0;
  await w.run({ limitMs: 300_000, until: () => w.server.object(role) === undefined });
  t.deepEqual(w.written(), [
    `PUT ${LOCK_PATH}`,
    `POST ${DEPLOYMENTS}`,
    `PUT ${DEPLOYMENTS}/kube-dns`,
    `DELETE ${GUESTBOOK}`,
    `DELETE ${OWN}/configmaps/chaos-prober`,
    `DELETE ${LOCK_PATH}`,
    `DELETE ${copyPath(RUN)}`,
    `DELETE ${role}`,
  ]);
  t.truthy(w.server.object(OWN));
  t.truthy(w.server.object(`${OWN}/configmaps/experiments`), "not the tool's");
  t.truthy(w.server.object(`${OWN}/configmaps/chaos-dead-man-run-1`), "left to the garbage collector");
});

test("in a prepared namespace: a switch whose run is over, but which is still there, removes itself", async (t) => {
  const w = await killedRun(t);
  w.server.update(OWN, { metadata: { labels: { "kube-system-chaos/prepared": "true" } } });
  w.server.remove(LOCK_PATH);
  w.server.remove(copyPath(RUN));
  const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/chaos-dead-man-run-1";
  await w.run({ limitMs: 60_000, until: () => w.server.object(role) === undefined });
  t.deepEqual(w.written(), [`DELETE ${role}`]);
});

test("the switch takes over under its own name, and the Lease keeps the run's label", async (t) => {
  const w = await killedRun(t);
  await w.run({ limitMs: 300_000, until: finished(w) });
  const [takeOver] = w.server.requestsOf("PUT", LOCK_PATH);
  const { metadata, spec } = takeOver?.body as Lease;
  t.is(spec?.holderIdentity, `dead-man@${RUN}`);
  t.is(metadata.labels?.["kube-system-chaos/run"], RUN);
  t.truthy(metadata.resourceVersion);
});

test("the lock is renewed: the switch only reads, for as long as that continues", async (t) => {
  const w = await killedRun(t);
  w.clock.onTime = (nowMs) => {
    if (nowMs % 15_000 === 0) renew(w.server, nowMs);
  };
  await w.run({ limitMs: 3_600_000 });
  t.deepEqual(w.written(), []);
  t.true(w.server.requestsOf("GET", LOCK_PATH).length > 700);
  t.is(w.deadMan.notReady, undefined);
});

test("the runner renews at the moment of the take-over: it keeps its lock, and the switch continues to watch", async (t) => {
  const w = await killedRun(t);
  let silent = true;
  w.server.handle("PUT", /leases\/kube-system-chaos$/, () => {
    if (silent) renew(w.server, "just in time");
    silent = false;
    return undefined;
  });
  w.clock.onTime = (nowMs) => {
    if (!silent && nowMs % 15_000 === 0) renew(w.server, nowMs);
  };
  await w.run({ limitMs: 600_000 });
  t.deepEqual(w.written(), [`PUT ${LOCK_PATH}`], "the one try, refused with 409");
  t.is(holderIn(w), `${RUN}@laptop`);
  t.true(w.lines.some((line) => /someone else wrote the lock first/.test(line)));
});

test("someone else takes the lock during the restore: the switch stops between two steps and watches the new holder", async (t) => {
  const w = await killedRun(t);
  w.clock.onTime = (nowMs) => {
    // Nothing becomes ready; a person's restore takes the lock.
    if (nowMs >= 100_000 && nowMs % 15_000 === 0) renew(w.server, nowMs, "restore@desk");
  };
  await w.run({ limitMs: 900_000 });
  t.is(holderIn(w), "restore@desk");
  t.true(w.lines.some((line) => /someone else has taken the lock/.test(line)));
  t.is(w.written().filter((each) => each.startsWith("DELETE")).length, 0);
  t.is(w.written().filter((each) => each.startsWith("POST")).length, 1);
});

test("during the restore the switch renews the lock, so that other runs see that it is alive", async (t) => {
  const w = await killedRun(t);
  w.clock.onTime = (nowMs) => {
    if (nowMs >= 200_000) controllers(w.server);
  };
  await w.run({ limitMs: 600_000, until: finished(w) });
  const renewals = w.server.requestsOf("PUT", LOCK_PATH).map(({ body }) => (body as Lease).spec?.renewTime);
  t.true(renewals.length >= 8, `${renewals.length} renewals in more than two minutes`);
  t.is(new Set(renewals).size, renewals.length);
  t.true(finished(w)());
});

test("nothing is removed before the restored components work", async (t) => {
  const w = await killedRun(t);
  w.clock.onTime = () => undefined;
  await w.run({ limitMs: 1_800_000 });
  t.deepEqual(
    w.written().filter((each) => !each.startsWith("PUT")),
    [`POST ${DEPLOYMENTS}`],
  );
  t.truthy(w.server.object(copyPath(RUN)));
  t.is(holderIn(w), `dead-man@${RUN}`);
  t.true(w.lines.some((line) => /Deployment kube-dns: (0 of 2 ready|its controller)/.test(line)));
  w.clock.onTime = () => controllers(w.server);
  await w.run({ limitMs: 600_000, until: finished(w) });
  t.true(finished(w)(), "and it does it once it works");
});

test("an API server that is away for ten minutes does not mean that the runner is dead", async (t) => {
  const w = await killedRun(t);
  let away = false;
  for (const method of ["GET", "PUT", "POST"])
    w.server.handle(method, /./, () => (away ? status(503, "ServiceUnavailable", "away") : undefined));
  w.clock.onTime = (nowMs) => {
    away = nowMs > 100_000 && nowMs < 700_000;
    if (!away && nowMs % 15_000 === 0) renew(w.server, nowMs);
  };
  await w.run({ limitMs: 1_200_000 });
  t.deepEqual(w.written(), []);
  t.true(w.lines.some((line) => /failed, will retry: .*503/.test(line)));
});

test("failed steps are retried for as long as it takes, and the copy stays", async (t) => {
  const w = await killedRun(t);
  const repaired = w.server.fault({
    kind: "status",
    status: 500,
    method: "POST",
    path: "deployments",
    times: Infinity,
  });
  await w.run({ limitMs: 600_000 });
  const tries = w.server.requestsOf("POST", DEPLOYMENTS).length;
  t.true(tries >= 5 && tries < 40, `${tries} tries: with pauses that grow`);
  t.truthy(w.server.object(copyPath(RUN)));
  t.truthy(w.server.object(GUESTBOOK));
  t.true(w.lines.some((line) => /failed, will retry: Deployment kube-dns: .*HTTP 500/.test(line)));
  repaired();
  await w.run({ limitMs: 600_000, until: finished(w) });
  t.true(finished(w)());
});

test("a namespace that is not deleted in time: the lock and the copy stay", async (t) => {
  const w = await killedRun(t);
  w.server.handle("DELETE", /namespaces\/guestbook$/, () => ({ status: 200, body: {} }));
  await w.run({ limitMs: 900_000 });
  t.is(holderIn(w), `dead-man@${RUN}`);
  t.truthy(w.server.object(copyPath(RUN)));
  t.true(
    w.lines.some((line) => /Namespace guestbook: timed out after 300 s waiting for its deletion/.test(line)),
  );
});

test("an object that someone else created under the same name is left unchanged", async (t) => {
  const w = await killedRun(t);
  w.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: {} } });
  await w.run({ limitMs: 600_000, until: finished(w) });
  t.truthy(w.server.object(GUESTBOOK));
  t.true(finished(w)());
});

test("the lock was deleted by hand but the copy exists: the lock is recreated, and everything is restored", async (t) => {
  const w = await killedRun(t);
  w.server.remove(LOCK_PATH);
  const tookMs = await w.run({ limitMs: 300_000, until: finished(w) });
  t.true(tookMs >= 60_000);
  t.is(w.written()[0], `POST ${LEASES}`);
  t.deepEqual(sanitised(w.server.object(TARGET) as KubeObject), sanitised(w.before));
});

test("neither lock nor copy: the run is over, and the switch does nothing", async (t) => {
  const w = await killedRun(t);
  w.server.remove(LOCK_PATH);
  w.server.remove(copyPath(RUN));
  await w.run({ limitMs: 1_800_000 });
  t.deepEqual(w.written(), []);
});

test("the switch dies between the lock and its namespace: the next one finishes, and restores nothing twice", async (t) => {
  const w = await killedRun(t);
  w.server.fault({ kind: "status", status: 500, method: "DELETE", path: "namespaces/kube-system-chaos" });
  await w.run({ limitMs: 600_000, until: finished(w) });
  t.true(finished(w)());
  t.is(w.written().filter((each) => each === `POST ${DEPLOYMENTS}`).length, 1);
  t.is(w.server.object(LOCK_PATH), undefined);
});

test("a session: its journal is undone after the journal of its run", async (t) => {
  const w = await killedRun(t, (undos) => undos.filter(({ action }) => action === "restore-workload"));
  const session = [removal(LOCK_PATH, undefined, "Lease"), removal(OWN), removal(GUESTBOOK)];
  await new ClusterCopy(w.transport, "session-1").write(
    journalText(opened("session-1", "2026-08-01T10:00:00.000Z"), session),
  );
  w.server.requests.length = 0;
  await w.run({ limitMs: 600_000, until: finished(w) });
  t.deepEqual(w.written(), [
    `PUT ${LOCK_PATH}`,
    `POST ${DEPLOYMENTS}`,
    `PUT ${DEPLOYMENTS}/kube-dns`,
    `DELETE ${GUESTBOOK}`,
    `DELETE ${LOCK_PATH}`,
    `DELETE ${OWN}`,
  ]);
});

test("several workloads are restored from the last to the first", async (t) => {
  const other = { path: `${DEPLOYMENTS}/autoscaler`, collection: DEPLOYMENTS };
  const w = await killedRun(t, (undos) => {
    const target = undos.at(-1);
    if (target?.action !== "restore-workload") throw new Error("no workload");
    const object = {
      ...target.object,
      metadata: { ...target.object.metadata, name: "autoscaler", uid: "other" },
    };
    return [...undos.slice(0, -1), { action: "restore-workload", ...other, object }, target];
  });
  await w.run({ limitMs: 80_000 });
  t.deepEqual(
    w.server.requestsOf("POST", DEPLOYMENTS).map(({ body }) => (body as KubeObject).metadata.name),
    ["kube-dns", "autoscaler"],
  );
});

test("a workload that was scaled down: restored with the switch's rights, which patch nothing", async (t) => {
  const w = await killedRun(t, (undos) =>
    undos.map((undo) => (undo.action === "restore-workload" ? { ...undo, onlyReplicas: true } : undo)),
  );
  const { metadata, spec, ...rest } = w.before;
  w.server.put(DEPLOYMENTS, {
    ...rest,
    metadata: { ...metadata },
    spec: { ...(spec as object), replicas: 0 },
  });
  const replicas = (): number => (w.server.object(TARGET)?.spec as { replicas: number }).replicas;
  await w.run({ limitMs: 300_000, until: () => replicas() === 2 });
  t.is(replicas(), 2);
  t.deepEqual(
    w.written().filter((each) => each.startsWith("PATCH")),
    [],
  );
});

const kubelet = {
  action: "start-unit",
  object: { kind: "SystemdUnit", name: "kubelet on worker-1" },
  node: "worker-1",
  unit: "kubelet.service",
  also: [],
  invocation: "x",
  timer: timerName(RUN, "kubelet.service"),
  access: { type: "pod" },
  machineId: "m",
} as const;

test("a fault on a node is left to its timer: logged, the node is not accessed, and the switch waits for the end of the fault", async (t) => {
  const w = await killedRun(t, (undos) => [...undos.slice(0, -1), kubelet]);
  const node = (ready: string): void =>
    void w.server.put("/api/v1/nodes", {
      metadata: { name: "worker-1" },
      status: { conditions: [{ type: "Ready", status: ready }] },
    });
  node("False");
  await w.run({ limitMs: 200_000 });
  t.true(w.lines.some((line) => /SystemdUnit kubelet on worker-1: left to the timer on its node/.test(line)));
  t.true(w.lines.some((line) => /node worker-1 is not Ready/.test(line)));
  t.deepEqual(new Set(w.written()), new Set([`PUT ${LOCK_PATH}`]));
  t.truthy(w.server.object(copyPath(RUN)));
  node("True");
  await w.run({ limitMs: 200_000, until: finished(w) });
  t.true(finished(w)());
  t.deepEqual(
    w.server.requests.filter(({ path }) => path.includes("/proxy")),
    [],
  );
});

test("a copy with an entry that no run writes: nothing of it is done, and the log says why", async (t) => {
  const w = await killedRun(t);
  const victim = w.server.put("/api/v1/namespaces", { metadata: { name: "shop", labels: {} } });
  const planted = removal("/api/v1/namespaces/shop");
  const foreign = { ...planted, path: "/api/v1/nodes/worker-1" } as Undo;
  await new ClusterCopy(w.transport, "run-2").write(journalText(opened("run-2"), [foreign, planted]));
  await w.run({ limitMs: 200_000 });
  t.true(w.lines.some((line) => /copy of the journal of run-2 is not believed: it would remove/.test(line)));
  t.not(w.server.object(`/api/v1/namespaces/${victim.metadata.name}`), undefined);
  t.not(w.server.object(TARGET), undefined, "the run itself is restored");
});

test("ready only when it has read the lock and its own copy, and has every right it needs", async (t) => {
  const w = await killedRun(t);
  w.clock.onTime = (nowMs) => renew(w.server, nowMs);
  let allowed = false;
  w.server.handle("POST", /selfsubjectaccessreviews$/, ({ body }) => ({
    status: 201,
    body: { ...(body as object), status: { allowed } },
  }));
  t.is(w.deadMan.notReady, "it has not read the lock yet");
  await w.run({ limitMs: 20_000 });
  t.is(w.deadMan.notReady, "missing permissions: get pods");
  allowed = true;
  await w.run({ limitMs: 20_000 });
  t.is(w.deadMan.notReady, undefined);
  const asked = w.server.requestsOf("POST", "selfsubjectaccessreviews").length;
  await w.run({ limitMs: 200_000 });
  t.is(w.server.requestsOf("POST", "selfsubjectaccessreviews").length, asked, "asked no more once it was");
  w.server.handle("GET", /leases/, () => status(503, "ServiceUnavailable", "away"));
  await w.run({ limitMs: 60_000 });
  t.regex(w.deadMan.notReady ?? "", /the API server does not answer: its last answer is \d+ s old/);
});

test("without a copy of its own run's journal it is not ready: it could restore nothing", async (t) => {
  const w = await killedRun(t);
  w.server.remove(copyPath(RUN));
  await new ClusterCopy(w.transport, "run-2").write(journalText(opened("run-2"), undosOf(w.before, "run-2")));
  w.clock.onTime = (nowMs) => renew(w.server, nowMs);
  await w.run({ limitMs: 60_000 });
  t.is(w.deadMan.notReady, `the cluster has no copy of the journal of ${RUN}`);
});

test("its own renewal whose answer was lost is not another holder", async (t) => {
  const w = await killedRun(t);
  let puts = 0;
  w.server.handle("PUT", /leases\/kube-system-chaos$/, () => {
    puts += 1;
    // The second one has been stored already, it says.
    if (puts === 2) w.server.update(LOCK_PATH, { spec: { renewTime: "stored, and not answered" } });
    return undefined;
  });
  w.clock.onTime = (nowMs) => {
    if (nowMs >= 150_000) controllers(w.server);
  };
  await w.run({ limitMs: 600_000, until: finished(w) });
  t.true(puts > 3);
  t.true(finished(w)());
  t.false(w.lines.some((line) => /someone else/.test(line)));
});

test("its pod must end during the restore: it stops immediately, and the lock stays", async (t) => {
  const w = await killedRun(t);
  w.clock.onTime = () => undefined;
  const tookMs = await w.run({ limitMs: 300_000, until: () => w.server.object(TARGET) !== undefined });
  t.true(tookMs < 80_000);
  t.deepEqual(w.written(), [`PUT ${LOCK_PATH}`, `POST ${DEPLOYMENTS}`, `PUT ${DEPLOYMENTS}/kube-dns`]);
  t.is(holderIn(w), `dead-man@${RUN}`);
});
