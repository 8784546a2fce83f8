import type { Node } from "../../kube/objects.js";
import { isNodeReady } from "../../kube/pod-state.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts } from "../facts.js";
import { podKey, proxyKey } from "../keys.js";
import { names } from "../../common/figures.js";
import { age, few, kubectl, SETTLE_MS, since } from "../words.js";

type NodeCondition = NonNullable<NonNullable<Node["status"]>["conditions"]>[number];

/** The conditions of a node that are bad when they are True (kubernetes/kubernetes, staging/src/k8s.io/api/core/v1/types.go). */
const PRESSURE = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

function line(node: Node, of: NodeCondition | undefined, facts: ClusterFacts): string {
  if (of === undefined) return `${node.metadata.name}: its kubelet has reported nothing`;
  const lasted = since(of.lastTransitionTime, facts);
  const how = lasted === undefined ? "" : ` for ${age(lasted)}`;
  return `${node.metadata.name}: ${of.type} is ${of.status}${how}: ${of.reason ?? ""} ${of.message ?? ""}`.trim();
}

/** The note: the greatest cause of faults in kube-system is probably an unstable node below it. */
export const nodesNotReady = condition({
  looksAt: "the nodes' readiness",
  needs: ["nodes"],
  judge: (facts) => {
    const bad = facts.nodes.filter(
      (node) => !isNodeReady(node) && (since(node.metadata.creationTimestamp, facts) ?? Infinity) > SETTLE_MS,
    );
    const [first] = bad;
    if (first === undefined) return [];
    const isBad = new Set(bad.map(({ metadata }) => metadata.name));
    return [
      {
        finding: {
          code: "node-not-ready",
          severity: "error",
          component: "kubelet",
          title: `${bad.length} of ${facts.nodes.length} nodes ${bad.length === 1 ? "is" : "are"} not ready: ${names([...isBad])}`,
          evidence: few(
            bad.map((node) =>
              line(
                node,
                node.status?.conditions?.find(({ type }) => type === "Ready"),
                facts,
              ),
            ),
          ),
          cure: `On the node, see \`systemctl status kubelet\` and \`journalctl -u kubelet\`, and restart the kubelet, the container runtime or the node; ${kubectl(facts, "describe", "node", first.metadata.name)} shows its events`,
        },
        about: [...isBad].map((name) => `node ${name}`),
        explains: [
          ...[...isBad].map(proxyKey),
          ...(facts.pods ?? []).filter(({ spec }) => isBad.has(spec?.nodeName ?? "")).map(podKey),
        ],
      },
    ];
  },
});

/** CPU and memory that run out are the other cause that the note names. */
export const nodesUnderPressure = condition({
  looksAt: "the nodes' pressure on memory, disk and processes",
  needs: ["nodes"],
  judge: (facts): Found[] =>
    PRESSURE.flatMap((type) => {
      const bad = facts.nodes.flatMap((node) => {
        const of = node.status?.conditions?.find((each) => each.type === type && each.status === "True");
        return of === undefined || !isNodeReady(node) ? [] : [{ node, of }];
      });
      const [first] = bad;
      if (first === undefined) return [];
      const all = bad.map(({ node }) => node.metadata.name);
      return [
        {
          finding: {
            code: "node-under-pressure",
            severity: type === "NetworkUnavailable" ? "error" : "warning",
            component: "kubelet",
            title: `${type} on ${names(all)}`,
            evidence: few(bad.map(({ node, of }) => line(node, of, facts))),
            cure:
              type === "NetworkUnavailable"
                ? "Look at the network plugin's pods on the node, and replace them"
                : `Move pods away or add nodes: under pressure a kubelet evicts pods, and those of kube-system start late. ${kubectl(facts, "describe", "node", first.node.metadata.name)} shows what uses it`,
          },
          about: all.map((name) => `${type} ${name}`),
        },
      ];
    }),
});
