import type { Node, Pod } from "../../kube/objects.js";
import { isNodeReady, isReady, isTerminating, isWindows, restartsOf } from "../../kube/pod-state.js";
import { whyNotStarted } from "../../kube/why-not-started.js";
import { isProxy, proxyReplacement } from "../../targets/environment.js";
import { hiddenBy } from "../../targets/platform.js";
import { condition } from "../condition.js";
import type { ClusterFacts } from "../facts.js";
import { podKey, proxyKey, workloadKey, workloadOfComponent } from "../keys.js";
import { names } from "../../common/figures.js";
import { few, kubectl, replacePods, SETTLE_MS, since, unreadyFor } from "../words.js";

/** Nodes whose kube-proxy is no pod: EKS's Fargate and Auto Mode (docs.aws.amazon.com/eks, fargate.html and automode.html), virtual kubelets. */
function hasProxyElsewhere({ metadata: { labels = {} } }: Node): boolean {
  return labels["eks.amazonaws.com/compute-type"] !== undefined || labels["type"] === "virtual-kubelet";
}

interface Lacking {
  readonly node: Node;
  /** Its kube-proxy, which does not work; undefined: it has none. */
  readonly pod: Pod | undefined;
}

function lackingOn(node: Node, proxies: readonly Pod[], facts: ClusterFacts): Lacking[] {
  const here = proxies.filter(({ spec }) => spec?.nodeName === node.metadata.name);
  if (here.some((pod) => isReady(pod) || isTerminating(pod))) return [];
  const [pod] = here;
  // It may just be starting.
  if (pod !== undefined && unreadyFor(pod, facts) < SETTLE_MS && restartsOf(pod) === 0) return [];
  return [{ node, pod }];
}

function whyOf({ node, pod }: Lacking, facts: ClusterFacts): string {
  const { name } = node.metadata;
  if (pod !== undefined)
    return (
      whyNotStarted({ ...pod, kind: "Pod" }, [], [pod], facts.events ?? [])?.reason ??
      `${pod.metadata.name} on ${name} is not ready`
    );
  const workload = workloadOfComponent("kube-proxy", facts);
  if (workload === undefined) return `${name}: no pod, and there is no DaemonSet kube-proxy`;
  const { desiredNumberScheduled: wanted = 0 } = (workload.object.status ?? {}) as {
    desiredNumberScheduled?: number;
  };
  const taints = (node.spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`);
  const because = taints.length === 0 ? "" : `; the node has the taints ${taints.join(", ")}`;
  return `${name}: no pod; ${workloadKey(workload)} wants ${wanted} pods on ${facts.nodes?.length ?? 0} nodes${because}`;
}

export const kubeProxyMissing = condition({
  looksAt: "kube-proxy on each node",
  needs: ["nodes", "pods"],
  judge: (facts) => {
    const proxies = facts.pods.filter(isProxy);
    const nodes = facts.nodes.filter(
      (node) =>
        !isWindows(node) &&
        !hasProxyElsewhere(node) &&
        (since(node.metadata.creationTimestamp, facts) ?? Infinity) > SETTLE_MS,
    );
    const hidden = hiddenBy(facts.platform, "kube-proxy");
    // Nothing that is replaced, or embedded, is missing.
    if (proxies.length === 0 && (hidden ?? proxyReplacement(facts)) !== undefined) return [];
    const lacking = nodes.flatMap((node) => lackingOn(node, proxies, facts));
    if (lacking.length === 0) return [];
    const where = lacking.map(({ node }) => node.metadata.name);
    const workload = workloadOfComponent("kube-proxy", facts);
    const broken = lacking.flatMap(({ pod }) => pod ?? []);
    return [
      {
        finding: {
          code: "kube-proxy-missing",
          severity: "error",
          component: "kube-proxy",
          title: `no kube-proxy works on ${where.length} of ${nodes.length} nodes: ${names(where)}`,
          evidence: [
            ...few(lacking.map((each) => whyOf(each, facts))),
            "the rules that it wrote stay, and become stale when an endpoint changes: Services then time out from these nodes",
          ],
          cure:
            broken.length > 0
              ? replacePods(facts, "kube-proxy", broken[0])
              : workload === undefined
                ? "Create its DaemonSet again from what installed it (with kubeadm: `kubeadm init phase addon kube-proxy`), or name what replaces it"
                : `Let its DaemonSet run there: ${kubectl(facts, "-n", workload.object.metadata.namespace ?? "kube-system", "get", "daemonset", workload.object.metadata.name, "-o", "yaml")} shows its nodeSelector, affinity and tolerations, ${kubectl(facts, "describe", "node", where[0] ?? "")} the node's labels and taints`,
        },
        about: lacking.map(({ node, pod }) =>
          pod !== undefined && !isNodeReady(node) ? podKey(pod) : proxyKey(node.metadata.name),
        ),
        explains: [...broken.map(podKey), ...(workload === undefined ? [] : [workloadKey(workload)])],
      },
    ];
  },
});
