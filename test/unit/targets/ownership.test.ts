import test from "ava";
import { ownedByTarget } from "../../../src/targets/ownership.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import type { Target } from "../../../src/targets/target.js";

const target = (kind: "Deployment" | "DaemonSet", name: string): Target => ({ kind, name }) as Target;
const dns = target("Deployment", "kube-dns");
const proxy = target("DaemonSet", "kube-proxy");

const named = (name: string): KubeObject => ({ metadata: { name } }) as KubeObject;
const owned = (kind: string, name: string, controller?: boolean): KubeObject =>
  ({
    metadata: {
      name: "x",
      ownerReferences: [{ kind, name, uid: "u", ...(controller === undefined ? {} : { controller }) }],
    },
  }) as unknown as KubeObject;

const TABLE: readonly (readonly [what: string, Target, kind: string, KubeObject, boolean])[] = [
  ["the workload", dns, "Deployment", named("kube-dns"), true],
  ["a workload that begins like it", dns, "Deployment", named("kube-dns-autoscaler"), false],
  ["its ReplicaSet", dns, "ReplicaSet", owned("Deployment", "kube-dns", true), true],
  ["the autoscaler's ReplicaSet", dns, "ReplicaSet", owned("Deployment", "kube-dns-autoscaler", true), false],
  ["a ReplicaSet of nobody", dns, "ReplicaSet", named("kube-dns-7f9c6b7d5"), false],
  ["a ReplicaSet that it owns without control", dns, "ReplicaSet", owned("Deployment", "kube-dns"), false],
  ["a DaemonSet's of the same name", dns, "ReplicaSet", owned("DaemonSet", "kube-dns", true), false],
  ["its pod", dns, "Pod", owned("ReplicaSet", "kube-dns-7f9c6b7d5", true), true],
  ["the autoscaler's pod", dns, "Pod", owned("ReplicaSet", "kube-dns-autoscaler-7f9c6b7d5", true), false],
  ["a pod of a ReplicaSet of its very name", dns, "Pod", owned("ReplicaSet", "kube-dns", true), false],
  ["a pod of a ReplicaSet without a hash", dns, "Pod", owned("ReplicaSet", "kube-dns-", true), false],
  ["a pod of a longer name", dns, "Pod", owned("ReplicaSet", "kube-dns2-7f9c6b7d5", true), false],
  [
    "a pod of the same name with something before",
    dns,
    "Pod",
    owned("ReplicaSet", "my-kube-dns-7f9", true),
    false,
  ],
  ["a DaemonSet's pod", dns, "Pod", owned("DaemonSet", "kube-dns", true), false],
  ["a pod right below a Deployment", dns, "Pod", owned("Deployment", "kube-dns", true), false],
  ["a pod of nobody", dns, "Pod", named("kube-dns-7f9c6b7d5-abcde"), false],
  [
    "a pod that its ReplicaSet does not control",
    dns,
    "Pod",
    owned("ReplicaSet", "kube-dns-7f9", false),
    false,
  ],
  ["the DaemonSet", proxy, "DaemonSet", named("kube-proxy"), true],
  ["a DaemonSet that begins like it", proxy, "DaemonSet", named("kube-proxy-windows"), false],
  ["the DaemonSet's pod", proxy, "Pod", owned("DaemonSet", "kube-proxy", true), true],
  ["another DaemonSet's pod", proxy, "Pod", owned("DaemonSet", "kube-proxy-windows", true), false],
  ["a ReplicaSet's pod, for a DaemonSet", proxy, "Pod", owned("ReplicaSet", "kube-proxy-7f9", true), false],
];

for (const [what, of, kind, object, expected] of TABLE) {
  test(`${what}: ${expected ? "is" : "is not"} ${of.kind} ${of.name}'s`, (t) => {
    t.is(ownedByTarget(of, kind, object), expected);
  });
}

test("the controller counts, not the first of the owners", (t) => {
  const object = {
    metadata: {
      name: "x",
      ownerReferences: [
        { kind: "Node", name: "kube-dns-1", uid: "n" },
        { kind: "ReplicaSet", name: "kube-dns-7f9c6b7d5", uid: "r", controller: true },
      ],
    },
  } as unknown as KubeObject;
  t.true(ownedByTarget(dns, "Pod", object));
});
