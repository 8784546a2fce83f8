/** Restored components must work before the lock is removed and the journal is closed. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ExitCode } from "../../../src/common/errors.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { readJournal } from "../../../src/safety/journal/journal.js";
import { READY_LIMIT_MS, waitUntilReady } from "../../../src/safety/restore/verify.js";
import { removal, SleepingClock, TARGET } from "../../helpers/dead-man-world.js";
import { cluster, type Cluster, crashed, holdOf, machine, putBack } from "../../helpers/restore-bench.js";
import { DEPLOYMENTS, writes } from "../../helpers/target-fixtures.js";

const NODES = "/api/v1/nodes";
const PODS = "/api/v1/namespaces/kube-system/pods";
const LABELS = { component: "kube-scheduler" };

const ON_NODE = {
  node: "worker-1",
  timer: "x",
  access: { type: "engine", command: "docker", env: {} },
  machineId: "0",
} as const;
const UNIT = {
  ...ON_NODE,
  action: "start-unit",
  object: { kind: "SystemdUnit", name: "kubelet on worker-1" },
  unit: "kubelet.service",
  also: [],
  invocation: "1",
} as unknown as Undo;
const MANIFEST = {
  ...ON_NODE,
  action: "return-manifest",
  object: { kind: "StaticPod", name: "kube-scheduler on worker-1" },
  manifest: "/etc/kubernetes/manifests/kube-scheduler.yaml",
  heldAt: "/etc/x",
  pods: { namespace: "kube-system", labels: LABELS },
} as unknown as Undo;

interface Waited {
  readonly left: readonly string[];
  readonly notes: string[];
  readonly tookMs: number;
}

async function wait(
  { transport }: Cluster,
  entries: readonly Undo[],
  options: { readonly limitMs?: number; readonly onTime?: (nowMs: number) => void } = {},
): Promise<Waited> {
  const clock = new SleepingClock();
  clock.onTime = options.onTime ?? (() => undefined);
  const notes: string[] = [];
  const { limitMs = 60_000 } = options;
  const left = await waitUntilReady(transport, clock, { entries, limitMs, note: (text) => notes.push(text) });
  return { left, notes, tookMs: clock.now() };
}

const mirrorPod = (node: string, ready: boolean, mirror = true): object => ({
  metadata: {
    name: `kube-scheduler-${node}`,
    labels: LABELS,
    annotations: mirror ? { "kubernetes.io/config.mirror": "x" } : {},
  },
  spec: { nodeName: node },
  status: { phase: "Running", conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
});

async function neverReady(t: ExecutionContext): Promise<{
  readonly c: Cluster;
  readonly m: Awaited<ReturnType<typeof machine>>;
  readonly folder: string;
}> {
  const c = await cluster(t);
  const m = await machine(t, c.server);
  const folder = await crashed(c, m, { runId: "run-1", undos: [putBack(c)] });
  c.server.remove(TARGET);
  m.clock.onTime = () => undefined;
  return { c, m, folder };
}

test("restored but never ready: exit 5, the journal stays open, the lock and the copy stay", async (t) => {
  const { c, m, folder } = await neverReady(t);
  const { code, said } = await m.restore({ all: true });
  t.is(code, ExitCode.notRestored);
  t.regex(said, /Deployment kube-dns: created/);
  t.regex(
    said,
    /restored but not ready: Deployment kube-dns: 0 of 2 ready\. Run `chaos restore run-1` to check again/,
  );
  t.true(m.clock.now() >= READY_LIMIT_MS);
  t.like(await readJournal(folder), { closed: false });
  t.deepEqual(
    (await readJournal(folder))?.pending.map(({ undo }) => undo.object.kind),
    ["Lease", "Namespace", "Secret"],
  );
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
});

test("ready later: the next restore writes nothing to it, and closes", async (t) => {
  const { c, m, folder } = await neverReady(t);
  t.is((await m.restore({ all: true })).code, ExitCode.notRestored);
  const status = { readyReplicas: 2, updatedReplicas: 2, observedGeneration: 9 };
  c.server.update(TARGET, { status });
  c.server.requests.length = 0;
  const { code, said } = await m.restore({ runId: "run-1" });
  t.is(code, ExitCode.asExpected, said);
  t.true((await readJournal(folder))?.closed);
  t.deepEqual(holdOf(c.server, "run-1"), []);
  t.deepEqual(
    writes(c.server).filter(({ path }) => path.includes("deployments/kube-dns") || path === DEPLOYMENTS),
    [],
  );
});

test("restored, then deleted again by someone else before it was ready: reported, and not closed", async (t) => {
  const { c, m, folder } = await neverReady(t);
  m.clock.onTime = () => void c.server.remove(TARGET);
  const { code, said } = await m.restore({ all: true });
  t.is(code, ExitCode.notRestored);
  t.regex(said, /not ready: Deployment kube-dns was deleted again/);
  t.false((await readJournal(folder))?.closed);
});

test("it becomes ready during the wait: the wait ends", async (t) => {
  const c = await cluster(t);
  c.server.update(TARGET, { status: { readyReplicas: 0 } });
  const { left, notes, tookMs } = await wait(c, [putBack(c)], {
    onTime: (nowMs) => {
      if (nowMs === 5_000) c.server.update(TARGET, { status: { readyReplicas: 2 } });
    },
  });
  t.deepEqual(left, []);
  t.is(tookMs, 5_000);
  t.is(notes.length, 5);
  t.regex(notes[0] ?? "", /^wait until it is ready: Deployment kube-dns: 0 of 2 ready$/);
});

test("a removed or emptied object has nothing to wait for", async (t) => {
  const c = await cluster(t);
  const { left, tookMs } = await wait(c, [
    removal("/api/v1/namespaces/x"),
    { ...removal("/x"), action: "empty" } as Undo,
  ]);
  t.deepEqual(left, []);
  t.is(tookMs, 0);
  t.deepEqual(c.server.requests, []);
});

test("a node whose kubelet was started: it must be Ready", async (t) => {
  const c = await cluster(t);
  const put = (status: string): unknown =>
    c.server.put(NODES, {
      metadata: { name: "worker-1" },
      status: { conditions: [{ type: "Ready", status }] },
    });
  t.deepEqual((await wait(c, [UNIT])).left, []);
  for (const status of ["False", "Unknown"]) {
    put(status);
    t.deepEqual((await wait(c, [UNIT], { limitMs: 3_000 })).left, ["node worker-1 is not Ready"]);
  }
  const later = await wait(c, [UNIT], { onTime: (nowMs) => (nowMs === 2_000 ? put("True") : undefined) });
  t.deepEqual([later.left, later.tookMs], [[], 2_000]);
});

test("a deleted node: nothing on it can become ready", async (t) => {
  const c = await cluster(t);
  c.server.remove(`${NODES}/worker-1`);
  const { left } = await wait(c, [UNIT, MANIFEST], { limitMs: 0 });
  t.deepEqual(left, []);
});

for (const [what, pods] of [
  ["there is none", []],
  ["it is not Ready", [mirrorPod("worker-1", false)]],
  ["the Ready one is another node's", [mirrorPod("worker-2", true)]],
  ["a pod of that label that is no mirror pod", [mirrorPod("worker-1", true, false)]],
] as const) {
  test(`a static pod with a restored manifest, and ${what}: not ready`, async (t) => {
    const c = await cluster(t);
    for (const pod of pods) c.server.put(PODS, pod as never);
    const { left } = await wait(c, [MANIFEST], { limitMs: 2_000 });
    t.deepEqual(left, ["kube-scheduler on worker-1: its pod is not Ready"]);
    const later = await wait(c, [MANIFEST], {
      onTime: () => void c.server.put(PODS, mirrorPod("worker-1", true) as never),
    });
    t.deepEqual([later.left, later.tookMs], [[], 1_000]);
  });
}

test("an old journal without the labels of the mirror pods: nothing to wait for", async (t) => {
  const c = await cluster(t);
  const old = { ...MANIFEST, pods: undefined } as unknown as Undo;
  t.deepEqual((await wait(c, [old])).left, []);
});

test("the API server is away for a while: the wait continues, and the last answer counts", async (t) => {
  const c = await cluster(t);
  c.server.fault({ kind: "status", status: 500, message: "etcdserver: leader changed", times: 3 });
  const { left, notes, tookMs } = await wait(c, [putBack(c)]);
  t.deepEqual(left, []);
  t.is(tookMs, 3_000);
  t.true(notes.every((note) => /leader changed/.test(note)));
  c.server.fault({ kind: "status", status: 500, message: "etcdserver: leader changed", times: Infinity });
  const away = await wait(c, [putBack(c), UNIT], { limitMs: 2_000 });
  t.is(away.left.length, 2);
  for (const each of away.left) t.regex(each, /leader changed/);
});
