import test from "ava";
import { restoreDiff, workloadDiff } from "../../../src/safety/restore/diff.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import { nodeUndos } from "../../../src/safety/restore/undo-entries.js";
import { timerName, stopUnit } from "../../../src/nodes/faults.js";
import type { PendingUndo, Undo } from "../../../src/safety/journal/journal.js";
import { removal, TARGET } from "../../helpers/dead-man-world.js";
import { cluster, type Cluster, OURS, putBack } from "../../helpers/restore-bench.js";
import { DEPLOYMENTS, writes } from "../../helpers/target-fixtures.js";
import { fakeNodes, MANIFEST } from "../../helpers/fake-node.js";
import { KUBELET, staticPod } from "../../helpers/node-targets.js";

const NAMESPACES = "/api/v1/namespaces";
const PASSWORD = "correct-horse-battery-staple";

type WorkloadUndo = Extract<Undo, { action: "restore-workload" }>;

/** The entry that restores a Deployment with this template and these annotations. */
function workload(change: {
  readonly containers?: unknown;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly replicas?: number;
}): KubeObject {
  const { containers = [{ name: "dns", image: "x:1" }], annotations, replicas = 2 } = change;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "kube-dns", uid: "u", ...(annotations === undefined ? {} : { annotations }) },
    spec: { replicas, template: { spec: { containers } } },
  } as unknown as KubeObject;
}

const undoOf = (object: KubeObject, more: Partial<WorkloadUndo> = {}): WorkloadUndo => ({
  action: "restore-workload",
  path: TARGET,
  collection: DEPLOYMENTS,
  object,
  ...more,
});

const BEFORE = workload({});

test("a scaled Deployment: its state now, and after a restore", (t) => {
  t.deepEqual(workloadDiff(undoOf(BEFORE), workload({ replicas: 0 })), [
    "- spec.replicas: 0",
    "+ spec.replicas: 2",
  ]);
});

test("a deleted workload, an unchanged one, and one that the run never changes", (t) => {
  t.deepEqual(workloadDiff(undoOf(BEFORE), undefined), ["+ Deployment kube-dns, as it was before the run"]);
  t.deepEqual(workloadDiff(undoOf(BEFORE), BEFORE), ["it is the same as before the run"]);
  const onlyIfGone = undoOf(BEFORE, { onlyIfGone: true });
  t.deepEqual(workloadDiff(onlyIfGone, workload({ replicas: 0 })), ["it exists and stays unchanged"]);
  t.regex(workloadDiff(onlyIfGone, undefined)[0] ?? "", /^\+ Deployment kube-dns/);
});

test("fields that the server or a controller sets are no difference", (t) => {
  const live = {
    ...BEFORE,
    metadata: { ...BEFORE.metadata, uid: "other", resourceVersion: "9" },
    status: { x: 1 },
  };
  t.deepEqual(workloadDiff(undoOf(BEFORE), live as unknown as KubeObject), [
    "it is the same as before the run",
  ]);
});

test("a run that changes only replicas: all other differences are foreign changes and would stay", (t) => {
  const annotations = { "kube-system-chaos/run": "run-1", "kube-system-chaos/replicas": "2", theirs: "1" };
  const live = workload({ replicas: 0, annotations, containers: [{ name: "dns", image: "x:2" }] });
  // It has other annotations from before, or the difference would be the whole field.
  const before = workload({ annotations: { note: "kept" } });
  t.deepEqual(workloadDiff(undoOf(before, { onlyReplicas: true }), live), [
    '- metadata.annotations.kube-system-chaos/replicas: "2"',
    '- metadata.annotations.kube-system-chaos/run: "run-1"',
    "- spec.replicas: 0",
    "+ spec.replicas: 2",
  ]);
  const image = workload({ annotations: { note: "kept" }, containers: [{ name: "dns", image: "x:2" }] });
  t.deepEqual(workloadDiff(undoOf(before, { onlyReplicas: true }), image), [
    "it is the same as before the run",
  ]);
});

test("a run that changes only replicas of a workload without annotations: the run's annotations are shown", (t) => {
  const annotations = { "kube-system-chaos/run": "run-1", "kube-system-chaos/replicas": "2" };
  const lines = workloadDiff(undoOf(BEFORE, { onlyReplicas: true }), workload({ replicas: 2, annotations }));
  t.deepEqual(lines, [
    '- metadata.annotations.kube-system-chaos/replicas: "2"',
    '- metadata.annotations.kube-system-chaos/run: "run-1"',
  ]);
});

test("a long value is cut", (t) => {
  const lines = workloadDiff(undoOf(BEFORE), workload({ annotations: { note: "n".repeat(500) } }));
  t.true(lines.length === 1 && (lines[0]?.length ?? 0) < 120, lines.join("\n"));
  t.regex(lines[0] ?? "", /^- metadata\.annotations.*nnn…$/);
});

const LAST = "kubectl.kubernetes.io/last-applied-configuration";
const env = [{ name: "PASSWORD", value: PASSWORD }];
/** The state now and before the run; one of the two has a password that must not be shown. */
const SECRETS: Readonly<Record<string, readonly [KubeObject, KubeObject]>> = {
  "env of a container": [BEFORE, workload({ containers: [{ env, name: "dns" }] })],
  "env that was removed": [workload({ containers: [{ env, name: "dns" }] }), BEFORE],
  "env of another value": [
    workload({ containers: [{ env: [{ name: "PASSWORD", value: "x" }], name: "dns" }] }),
    workload({ containers: [{ env, name: "dns" }] }),
  ],
  "last-applied-configuration among others": [
    workload({ annotations: { note: "1" } }),
    workload({ annotations: { note: "1", [LAST]: PASSWORD } }),
  ],
  "last-applied-configuration alone": [BEFORE, workload({ annotations: { [LAST]: PASSWORD } })],
  "last-applied-configuration that differs": [
    workload({ annotations: { [LAST]: `{"a":"${PASSWORD}"}` } }),
    workload({ annotations: { [LAST]: PASSWORD } }),
  ],
};

for (const [what, [live, before]] of Object.entries(SECRETS)) {
  test(`only the difference is shown, never the value: ${what}`, (t) => {
    const lines = workloadDiff(undoOf(before), live).join("\n");
    t.true(JSON.stringify([live, before]).includes(PASSWORD));
    // A long line is cut.
    t.regex(lines, /\(not sh(own\)|…)/);
    t.false(lines.includes(PASSWORD), lines);
    t.false(lines.includes(PASSWORD.slice(0, 12)), lines);
  });
}

const pending = (undos: readonly Undo[]): PendingUndo[] =>
  undos.map((undo, index) => ({ seq: index + 1, undo }));

async function diff({ transport }: Cluster, undos: readonly Undo[]): Promise<string[]> {
  return await restoreDiff(pending(undos), { transport, allowCommands: false, foreign: false });
}

test("the last entry first, each with its effect; nothing is written", async (t) => {
  const c = await cluster(t);
  c.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
  c.server.put(NAMESPACES, { metadata: { name: "shop", labels: { theirs: "1" } } });
  c.server.update(TARGET, { spec: { replicas: 0 } });
  const of = (name: string): Undo => removal(`${NAMESPACES}/${name}`);
  t.deepEqual(await diff(c, [of("gone"), of("shop"), of("guestbook"), putBack(c)]), [
    "restore Deployment kube-dns",
    "  - spec.replicas: 0",
    "  + spec.replicas: 2",
    "remove Namespace guestbook",
    "  - Namespace guestbook",
    "remove Namespace shop",
    "  it was not created by this run and stays unchanged",
    "remove Namespace gone",
    "  it no longer exists: nothing to do",
  ]);
  t.deepEqual(writes(c.server), []);
});

test("what cannot be read is reported, and the rest is shown", async (t) => {
  const c = await cluster(t);
  c.server.fault({ kind: "status", status: 403, path: "namespaces/guestbook" });
  const lines = await diff(c, [putBack(c), removal(`${NAMESPACES}/guestbook`)]);
  t.is(lines[0], "remove Namespace guestbook");
  t.regex(lines[1] ?? "", /^ {2}cannot be read: .*403/);
  t.deepEqual(lines.slice(2), ["restore Deployment kube-dns", "  it is the same as before the run"]);
});

const SCHEDULER = staticPod("kube-scheduler", MANIFEST);

test("a unit and a manifest: healthy, attacked, and on another machine with the node's name", async (t) => {
  const c = await cluster(t);
  const nodes = await fakeNodes(t, ["a"]);
  const { access } = nodes;
  const [unit, manifest] = [
    (await nodeUndos(KUBELET, ["a"], access, "run-1"))[0],
    (await nodeUndos(SCHEDULER, ["a"], access, "run-1"))[0],
  ];
  if (unit === undefined || manifest === undefined) return t.fail();
  const state = async (): Promise<string[]> =>
    (await diff(c, [manifest, unit])).filter((line) => line.startsWith("  ")).map((line) => line.trim());
  t.deepEqual(await state(), ["it is active", `${MANIFEST} exists`]);
  const timer = timerName("run-1", "kubelet.service");
  await stopUnit({ access, node: "a" }, { unit: "kubelet.service", timer, healAfterMs: 60_000 });
  await nodes.drop("a", MANIFEST.slice(1));
  t.deepEqual(await state(), ["inactive → active", `+ ${MANIFEST}`]);
  t.is(nodes.unit("a", "kubelet.service"), "inactive", "read, not changed");
  await nodes.put("a", "etc/machine-id", `${"9".repeat(32)}\n`);
  for (const line of await state())
    t.regex(line, /^a is another machine now: nothing would be changed without --accept-node a$/);
});

test("a node that only a command reaches, when commands are not allowed: reported", async (t) => {
  const c = await cluster(t);
  const nodes = await fakeNodes(t, ["a"]);
  const [unit] = await nodeUndos(KUBELET, ["a"], nodes.access, "run-1");
  if (unit === undefined) return t.fail();
  const byCommand = { ...unit, access: { type: "command", argv: ["x", "{node}"] } } as Undo;
  t.regex((await diff(c, [byCommand]))[1] ?? "", /cannot be read: .*--allow-commands/);
});
