import test from "ava";
import type { Node } from "../../../src/kube/objects.js";
import { leftOutWords, usableNodes, whyLeftOut } from "../../../src/nodes/left-out.js";

const node = (name: string, change: { labels?: object; spec?: object; status?: object } = {}): Node =>
  ({
    metadata: { name, uid: name, resourceVersion: "1", labels: change.labels },
    spec: change.spec,
    status: { conditions: [{ type: "Ready", status: "True" }], ...change.status },
  }) as unknown as Node;

const CASES: readonly (readonly [string | undefined, Node])[] = [
  [undefined, node("ready")],
  [
    undefined,
    node("control-plane", {
      spec: { taints: [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }] },
    }),
  ],
  ["not ready", node("down", { status: { conditions: [{ type: "Ready", status: "False" }] } })],
  ["not ready", node("lost", { status: { conditions: [{ type: "Ready", status: "Unknown" }] } })],
  [undefined, node("cordoned", { spec: { unschedulable: true } })],
  ["a virtual node", node("virtual-node-aci-linux", { labels: { type: "virtual-kubelet" } })],
  [
    "a virtual node",
    node("vk", {
      spec: { taints: [{ key: "virtual-kubelet.io/provider", value: "azure", effect: "NoSchedule" }] },
    }),
  ],
  [
    "a Fargate node",
    node("fargate-ip-10-0-0-1", { labels: { "eks.amazonaws.com/compute-type": "fargate" } }),
  ],
  ["a Windows node", node("akswin000000", { labels: { "kubernetes.io/os": "windows" } })],
  ["a Windows node", node("win", { status: { nodeInfo: { operatingSystem: "windows" } } })],
];

for (const [why, each] of CASES)
  test(`left out: ${each.metadata.name}: ${why ?? "no"}`, (t) => t.is(whyLeftOut(each), why));

test("left out: the words name every node, the usable ones stay", (t) => {
  const nodes = [
    node("a"),
    node("b", { status: { conditions: [{ type: "Ready", status: "False" }] } }),
    node("w", { labels: { "kubernetes.io/os": "windows" } }),
  ];
  t.is(leftOutWords(nodes), "b (not ready), w (a Windows node)");
  t.deepEqual(
    usableNodes(nodes).map(({ metadata }) => metadata.name),
    ["a"],
  );
  t.is(leftOutWords([node("a")]), undefined);
});
