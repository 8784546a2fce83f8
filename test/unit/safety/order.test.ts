import test from "ava";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../../../src/own/manifest.js";
import type { PendingUndo, Undo } from "../../../src/safety/journal/journal.js";
import { entriesOf, DEAD_MAN_LABELS, type Stages, stagesOf } from "../../../src/safety/restore/order.js";

const OWN = { [MANAGED_BY_LABEL]: MANAGED_BY };
const ON_NODE = {
  object: { kind: "SystemdUnit", name: "kubelet" },
  node: "a",
  timer: "t",
  machineId: "m",
  access: { type: "pod" },
};

const removal = (
  kind: string,
  name: string,
  labels: Readonly<Record<string, string>> = OWN,
  action: "remove" | "empty" = "remove",
): Undo => ({ action, path: `/${kind}/${name}`, object: { kind, name }, labels });

const node = (rest: object): Undo => ({ ...ON_NODE, ...rest }) as unknown as Undo;

const workload = (kind: string, rest: object = {}): Undo =>
  ({ action: "restore-workload", object: { kind, metadata: { name: "x" } }, ...rest }) as unknown as Undo;

const ofSwitch = { ...DEAD_MAN_LABELS, ...OWN, [RUN_LABEL]: "run-1" };

const TABLE: readonly (readonly [what: string, undo: Undo, stage: keyof Stages])[] = [
  ["a unit to be started", node({ action: "start-unit", unit: "kubelet.service" }), "onNodes"],
  ["a manifest to be returned", node({ action: "return-manifest", manifest: "/m", heldAt: "/h" }), "onNodes"],
  ["a Deployment", workload("Deployment"), "workloads"],
  [
    "a DaemonSet that is restored only if it is gone",
    workload("DaemonSet", { onlyIfGone: true }),
    "workloads",
  ],
  ["the replicas of a Deployment", workload("Deployment", { onlyReplicas: true }), "workloads"],
  ["what only a newer version knows", { action: "unheard-of" } as unknown as Undo, "workloads"],
  ["the application's namespace", removal("Namespace", "guestbook"), "own"],
  ["the namespace of the pods that reach the nodes", removal("Namespace", "kube-system-chaos-nodes"), "home"],
  ["a prepared namespace", removal("Namespace", "guestbook", OWN, "empty"), "own"],
  ["the canaries' namespace", removal("Namespace", "kube-system-chaos-canaries"), "own"],
  ["the switch's pod", removal("Pod", "chaos-dead-man-run-1", ofSwitch), "deadMan"],
  ["the switch's ClusterRole", removal("ClusterRole", "chaos-dead-man-run-1", ofSwitch), "deadMan"],
  ["something of another app", removal("ConfigMap", "x", { ...OWN, app: "chaos-prober" }), "own"],
  ["the journal's copy", removal("Secret", "journal-run-1"), "copy"],
  ["the probers' namespace", removal("Namespace", "kube-system-chaos"), "home"],
  ["the probers' namespace, prepared", removal("Namespace", "kube-system-chaos", OWN, "empty"), "home"],
  ["the lock", removal("Lease", "kube-system-chaos"), "lock"],
];

for (const [what, undo, stage] of TABLE) {
  test(`${what}: ${stage}`, (t) => {
    const entry = { seq: 1, undo };
    const filled = Object.entries(stagesOf([entry])).filter(([, entries]) => entries.length > 0);
    t.deepEqual(filled, [[stage, [entry]]]);
  });
}

test("the order: damage to the cluster, what runs created, then what keeps other runs away, the lock last", (t) => {
  t.deepEqual(Object.keys(stagesOf([])), ["onNodes", "workloads", "own", "deadMan", "copy", "home", "lock"]);
});

test("every entry is in exactly one stage, and keeps its order there", (t) => {
  const entries: PendingUndo[] = [...TABLE, ...TABLE].map(([, undo], seq) => ({ seq, undo }));
  const seqs = Object.values(stagesOf(entries)).map((stage) => stage.map(({ seq }) => seq));
  const ascending = (list: readonly number[]): number[] => [...list].sort((a, b) => a - b);
  t.deepEqual(seqs, seqs.map(ascending));
  t.deepEqual(ascending(seqs.flat()), [...entries.keys()]);
});

test("consecutive stages: the first stage comes last, where undoAll begins", (t) => {
  const all = stagesOf(TABLE.map(([, undo], seq) => ({ seq, undo })));
  const stages = (from: keyof Stages, to: keyof Stages): string[] => [
    ...new Set(entriesOf(all, from, to).map(({ seq }) => TABLE[seq]?.[2] ?? "")),
  ];
  t.deepEqual(stages("workloads", "deadMan"), ["deadMan", "own", "workloads"]);
  t.deepEqual(stages("copy", "lock"), ["lock", "home", "copy"]);
});
