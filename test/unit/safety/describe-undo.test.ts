import test from "ava";
import { describeUndo, objectNameOf, planOf } from "../../../src/safety/journal/describe.js";
import type { Undo } from "../../../src/safety/journal/journal.js";

const namespace = { kind: "Namespace", name: "guestbook" };
const CASES: readonly (readonly [Undo, string, string])[] = [
  [
    { action: "remove", path: "/p", object: namespace, labels: {} },
    "Namespace guestbook",
    "remove Namespace guestbook",
  ],
  [
    { action: "empty", path: "/p", object: namespace, labels: {} },
    "Namespace guestbook",
    "empty Namespace guestbook",
  ],
  [
    {
      action: "restore-workload",
      path: "/p",
      collection: "/c",
      object: { kind: "Deployment", metadata: { name: "kube-dns" } } as never,
    },
    "Deployment kube-dns",
    "restore Deployment kube-dns",
  ],
  [
    {
      action: "restore-workload",
      path: "/p",
      collection: "/c",
      object: { metadata: { name: "kube-dns" } } as never,
    },
    "workload kube-dns",
    "restore workload kube-dns",
  ],
  [
    { action: "start-unit", object: { kind: "SystemdUnit", name: "kubelet on worker-1" } } as unknown as Undo,
    "SystemdUnit kubelet on worker-1",
    "start SystemdUnit kubelet on worker-1",
  ],
  [
    { action: "return-manifest", object: { kind: "StaticPod", name: "etcd on cp-1" } } as unknown as Undo,
    "StaticPod etcd on cp-1",
    "move back the manifest of StaticPod etcd on cp-1",
  ],
];

for (const [entry, description, plan] of CASES) {
  test(`${entry.action}, ${description}: described by kind and name, and by what undoing it does`, (t) => {
    t.is(describeUndo(entry), description);
    t.is(planOf(entry), plan);
    t.true(description.endsWith(objectNameOf(entry)));
  });
}
