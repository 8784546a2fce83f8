/** Damage without a journal: a lock that nobody renews, and workloads whose annotations record their replicas. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ApiError } from "../../../src/kube/transport.js";
import { ExitCode } from "../../../src/common/errors.js";
import type { Deployment } from "../../../src/kube/objects.js";
import { annotatedWorkloads, restoreAnnotated } from "../../../src/safety/restore/annotated.js";
import { renewsTheLock } from "../../../src/safety/lock/liveness.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { removeOrphanedLock } from "../../../src/safety/lock/orphan.js";
import { LEASES, SleepingClock, TARGET } from "../../helpers/dead-man-world.js";
import { cluster, type Cluster, ELSEWHERE, lease, machine } from "../../helpers/restore-bench.js";
import { DEPLOYMENTS, deployment, writes } from "../../helpers/target-fixtures.js";

interface Taken {
  readonly taken: Awaited<ReturnType<typeof removeOrphanedLock>>;
  readonly tookMs: number;
  readonly notes: string[];
}

async function takeAway(
  { transport }: Cluster,
  onTime: (nowMs: number) => void = () => undefined,
  dryRun = false,
): Promise<Taken> {
  const clock = new SleepingClock();
  clock.onTime = onTime;
  const notes: string[] = [];
  const taken = await removeOrphanedLock(transport, { clock, note: (text) => notes.push(text), dryRun });
  return { taken, tookMs: clock.now(), notes };
}

test("not renewed for 50 s of the local clock: removed, and nothing else", async (t) => {
  const c = await cluster(t);
  // A time in the Lease that is far ahead does not matter.
  lease(c.server, "run-1", "2099-01-01T00:00:00.000000Z");
  const { taken, tookMs, notes } = await takeAway(c);
  t.is(taken?.alive, false);
  t.is(
    taken?.text,
    `the lock of run-1@${ELSEWHERE} was removed: nobody renews it, and that run had attacked nothing yet`,
  );
  t.is(c.server.object(LOCK_PATH), undefined);
  t.is(tookMs, 50_000);
  t.regex(notes[0] ?? "", /check whether run-1@.* still renews its lock \(up to 50 s\)/);
  t.deepEqual(
    writes(c.server).map(({ method, path }) => `${method} ${path}`),
    [`DELETE ${LOCK_PATH}`],
  );
});

for (const atMs of [1_000, 15_000, 49_000]) {
  test(`renewed after ${atMs} ms: it stays, whatever its time`, async (t) => {
    const c = await cluster(t);
    lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
    const { taken, tookMs } = await takeAway(c, (nowMs) => {
      if (nowMs === atMs) lease(c.server, "run-1", "2001-01-01T00:00:00.000000Z");
    });
    t.deepEqual(taken, {
      text: `the lock was not removed: run-1@${ELSEWHERE} still renews it. End that run on its machine with Ctrl-C or SIGTERM`,
      alive: true,
    });
    t.is(tookMs, atMs);
    t.deepEqual(writes(c.server), []);
  });
}

test("released while it is watched and taken by another run: the new lock stays", async (t) => {
  const c = await cluster(t);
  lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
  const { taken } = await takeAway(c, (nowMs) => {
    if (nowMs !== 20_000) return;
    c.server.remove(LOCK_PATH);
    lease(c.server, "run-2", "2026-08-01T12:00:20.000000Z");
  });
  t.is(taken?.alive, true);
  t.regex(taken?.text ?? "", /run-2@/);
  t.not(c.server.object(LOCK_PATH), undefined);
});

test("another run's Lease replaces it right before the removal: the new one stays", async (t) => {
  const c = await cluster(t);
  lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
  c.server.handle("DELETE", /leases/, () => {
    c.server.remove(LOCK_PATH);
    lease(c.server, "run-2", "2026-08-01T12:00:20.000000Z");
    return undefined;
  });
  await takeAway(c);
  t.is(c.server.object(LOCK_PATH)?.metadata.labels?.["kube-system-chaos/run"], "run-2");
});

test("not created by this tool: left unchanged immediately, with the command that removes it", async (t) => {
  const c = await cluster(t);
  c.server.put(LEASES, { metadata: { name: "kube-system-chaos" }, spec: { holderIdentity: "x" } });
  const { taken, tookMs } = await takeAway(c);
  t.true(taken?.alive);
  t.regex(
    taken?.text ?? "",
    /no label of this tool.*`kubectl -n kube-system delete lease kube-system-chaos`/,
  );
  t.is(tookMs, 0);
  t.not(c.server.object(LOCK_PATH), undefined);
});

test("no lock: nothing to do", async (t) => {
  const c = await cluster(t);
  t.is((await takeAway(c)).taken, undefined);
  t.deepEqual(writes(c.server), []);
});

test("a dry run only says what would be done", async (t) => {
  const c = await cluster(t);
  lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
  const { taken } = await takeAway(c, () => undefined, true);
  t.regex(taken?.text ?? "", /would be removed: nobody renews it$/);
  t.deepEqual(writes(c.server), []);
});

test("deleting the lock during the check does not count as a renewal", async (t) => {
  const c = await cluster(t);
  lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
  const clock = new SleepingClock();
  clock.onTime = () => void c.server.remove(LOCK_PATH);
  t.is(await renewsTheLock(c.transport, clock, { note: () => undefined }), undefined);
});

/** A Deployment that a run left scaled down. */
function scaledDown({ server }: Cluster, name = "kube-dns", replicas = "2"): void {
  const { metadata, spec } = deployment(name) as { metadata: { annotations: object }; spec: object };
  const annotations = {
    ...metadata.annotations,
    "kube-system-chaos/run": "run-1",
    "kube-system-chaos/replicas": replicas,
  };
  server.put(DEPLOYMENTS, {
    metadata: { ...metadata, annotations },
    spec: { ...spec, replicas: 0 },
    status: { observedGeneration: 9 },
  });
}

const specOf = ({ server }: Cluster, name = "kube-dns"): Deployment["spec"] =>
  (server.object(`${DEPLOYMENTS}/${name}`) as Deployment | undefined)?.spec;

async function bench(t: ExecutionContext): Promise<{ c: Cluster; m: Awaited<ReturnType<typeof machine>> }> {
  const c = await cluster(t);
  return { c, m: await machine(t, c.server) };
}

test("annotated workloads get their replicas back and lose only this tool's annotations", async (t) => {
  const { c, m } = await bench(t);
  scaledDown(c);
  c.server.put(DEPLOYMENTS, deployment("bystander"));
  const bystander = c.server.object(`${DEPLOYMENTS}/bystander`);
  const { code, said } = await m.restore({ all: true, kubeconfigPath: m.kubeconfigPath, context: "fake" });
  t.is(code, ExitCode.asExpected, said);
  t.regex(said, /Deployment kube-dns: scaled back to 2 replicas \(run run-1, as recorded on it\)/);
  t.is(specOf(c)?.replicas, 2);
  t.deepEqual(Object.keys(c.server.object(TARGET)?.metadata.annotations ?? {}), [
    "note",
    "deployment.kubernetes.io/revision",
  ]);
  t.deepEqual(c.server.object(`${DEPLOYMENTS}/bystander`), bystander);
  t.deepEqual(
    writes(c.server).map(({ method, path }) => `${method} ${path}`),
    [`PATCH ${TARGET}`, `PUT ${TARGET}`],
  );
});

test("only when the user named a cluster; a dry run changes nothing", async (t) => {
  const { c, m } = await bench(t);
  scaledDown(c);
  t.is((await m.restore({ all: true })).code, ExitCode.asExpected);
  const dry = await m.restore({ all: true, dryRun: true, kubeconfigPath: m.kubeconfigPath });
  t.regex(dry.said, /Deployment kube-dns: would be scaled back to 2 replicas/);
  t.is(specOf(c)?.replicas, 0);
  t.deepEqual(writes(c.server), []);
});

for (const replicas of ["", "x", "-1", "1.5"]) {
  test(`an annotation that is no number of replicas is ignored: "${replicas}"`, async (t) => {
    const c = await cluster(t);
    scaledDown(c, "kube-dns", replicas);
    t.deepEqual(await annotatedWorkloads(c.transport), []);
  });
}

test("changed by someone else since it was read: 409, and nothing is overwritten", async (t) => {
  const c = await cluster(t);
  scaledDown(c);
  const [workload] = await annotatedWorkloads(c.transport);
  if (workload === undefined) return t.fail();
  c.server.update(TARGET, { spec: { replicas: 7 } });
  await t.throwsAsync(restoreAnnotated(c.transport, workload), { instanceOf: ApiError, message: /409/ });
  t.is(specOf(c)?.replicas, 7);
});

test("a failed workload is reported and counted; the others are restored", async (t) => {
  const { c, m } = await bench(t);
  scaledDown(c);
  scaledDown(c, "metrics-server", "1");
  c.server.handle("PATCH", /kube-dns$/, () => {
    c.server.update(TARGET, { metadata: { labels: { theirs: "1" } } });
    return undefined;
  });
  const { code, said } = await m.restore({ all: true, kubeconfigPath: m.kubeconfigPath });
  t.is(code, ExitCode.notRestored);
  t.regex(
    said,
    /could not scale Deployment kube-dns back to 2 replicas \(run run-1.*409.*`chaos restore --all --context/,
  );
  t.regex(said, /Deployment metrics-server: scaled back to 1 replicas/);
  t.is(specOf(c)?.replicas, 0);
  t.is(specOf(c, "metrics-server")?.replicas, 1);
});

test("restore --all removes a lock without a journal", async (t) => {
  const { c, m } = await bench(t);
  lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
  const { code, said } = await m.restore({ all: true, kubeconfigPath: m.kubeconfigPath });
  t.is(code, ExitCode.asExpected, said);
  t.regex(said, /no unfinished run: nothing to restore/);
  t.regex(said, /the lock of run-1@.*was removed/);
  t.is(c.server.object(LOCK_PATH), undefined);
});

test("while its runner is alive nothing is changed, not even annotated workloads", async (t) => {
  const { c, m } = await bench(t);
  scaledDown(c);
  lease(c.server, "run-1", "2026-08-01T12:00:00.000000Z");
  m.clock.onTime = (nowMs) => lease(c.server, "run-1", `at ${nowMs}`);
  const { code, said } = await m.restore({ all: true, kubeconfigPath: m.kubeconfigPath });
  t.is(code, ExitCode.preflightRefused);
  t.regex(said, /the lock was not removed: run-1@.* still renews it/);
  t.is(specOf(c)?.replicas, 0);
  t.deepEqual(writes(c.server), []);
});
