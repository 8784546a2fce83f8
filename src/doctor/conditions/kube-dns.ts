import { idleWords } from "../../targets/find-workload.js";
import type { Pod } from "../../kube/objects.js";
import { isReady, schedulableNodes } from "../../kube/pod-state.js";
import { condition } from "../condition.js";
import type { ClusterFacts, Workload } from "../facts.js";
import {
  nameOf,
  podKey,
  podsOf,
  selects,
  serviceKey,
  servicesWithout,
  workloadKey,
  workloadOfComponent,
} from "../keys.js";
import { chaos, few, kubectl, podLine, replacePods, SETTLE_MS, unreadyFor } from "../words.js";

const DNS = "kube-dns";
const ZONE = "topology.kubernetes.io/zone";
const PLACE = "where kube-dns runs";

/** Every test of the parts below starts with it; undefined: there is none. */
function dnsIn(
  facts: ClusterFacts,
): { readonly workload: Workload; readonly ready: Pod[]; readonly unready: Pod[] } | undefined {
  const workload = workloadOfComponent(DNS, facts);
  if (workload === undefined) return undefined;
  const pods = podsOf(workload, facts);
  return {
    workload,
    ready: pods.filter((pod) => isReady(pod)),
    unready: pods.filter((pod) => !isReady(pod)),
  };
}

function wantedOf({ kind, object }: Workload): number {
  const { spec, status } = object as {
    spec?: { replicas?: number };
    status?: { desiredNumberScheduled?: number };
  };
  return kind === "Deployment" ? (spec?.replicas ?? 1) : (status?.desiredNumberScheduled ?? 0);
}

/** The Service that pods ask, of every platform (the name is fixed by kubeadm's and kops' conventions). */
function dnsService({ services = [] }: ClusterFacts): string | undefined {
  const service = services.find(
    ({ metadata, spec }) =>
      Object.keys(spec?.selector ?? {}).length > 0 &&
      (metadata.name === DNS || metadata.labels?.["k8s-app"] === DNS),
  );
  return service === undefined ? undefined : nameOf(service);
}

const WITHOUT = "without it no name is resolved: applications cannot reach Services or other hosts by name";

export const kubeDnsFew = condition({
  looksAt: "how many kube-dns pods are ready",
  needs: ["deployments", "daemonSets", "pods", "replicaSets", "nodes", "services"],
  judge: (facts) => {
    const dns = dnsIn(facts);
    const service = dnsService(facts);
    if (dns === undefined) {
      if (service === undefined) return [];
      return [
        {
          finding: {
            code: "kube-dns-few-ready",
            severity: "error",
            component: DNS,
            title: "kube-dns is gone: no workload has its labels or its name",
            evidence: [`the Service ${service} is there; ${WITHOUT}`],
            cure: "Create its Deployment again from what installed it (with kubeadm: `kubeadm init phase addon coredns`)",
          },
          about: [DNS],
          explains: [serviceKey(service)],
        },
      ];
    }
    const { workload, ready, unready } = dns;
    const wanted = wantedOf(workload);
    if (ready.length >= 2) return [];
    const isByDesign = ready.length === wanted;
    // A roll-out takes one away for a moment. None at all is an outage, however short.
    if (
      !isByDesign &&
      ready.length > 0 &&
      unready.length > 0 &&
      unready.every((pod) => unreadyFor(pod, facts) < SETTLE_MS)
    )
      return [];
    const isSmall = facts.nodes.length < 2;
    const isWorking = ready.length > 0;
    const { name, namespace = "kube-system" } = workload.object.metadata;
    return [
      {
        finding: {
          code: "kube-dns-few-ready",
          severity: !isWorking ? "error" : isSmall && isByDesign ? "info" : "warning",
          component: DNS,
          title: `${ready.length === 0 ? "no" : "only 1"} kube-dns pod is ready${isByDesign && isWorking ? ", and no more are wanted" : ""}`,
          evidence: [
            wanted === 0
              ? idleWords({ kind: workload.kind, object: workload.object })
              : `${workloadKey(workload)} wants ${wanted} ${wanted === 1 ? "pod" : "pods"}, and ${ready.length} ${ready.length === 1 ? "is" : "are"} ready`,
            ...few([...ready, ...unready].map(podLine)),
            WITHOUT,
          ],
          cure: isByDesign
            ? `Scale it to 2 or more: ${kubectl(facts, "-n", namespace, "scale", workload.kind.toLowerCase(), name, "--replicas=2")}. If kube-dns-autoscaler sets the number, raise \`min\` in its ConfigMap`
            : replacePods(facts, DNS, unready[0]),
        },
        about: isByDesign || unready.length === 0 ? [DNS] : unready.map(podKey),
        explains: [
          PLACE,
          DNS,
          workloadKey(workload),
          ...servicesWithout([...ready, ...unready], facts).map(serviceKey),
          ...(isWorking || service === undefined ? [] : [serviceKey(service)]),
        ],
      },
    ];
  },
});

/** Advice: kind and kubeadm often start both pods on the first node. */
export const kubeDnsOnePlace = condition({
  looksAt: "on which nodes and zones kube-dns runs",
  needs: ["deployments", "daemonSets", "pods", "replicaSets", "nodes"],
  judge: (facts) => {
    const { ready = [] } = dnsIn(facts) ?? {};
    const onNodes = new Set(ready.map(({ spec }) => spec?.nodeName ?? ""));
    const zoneOf = (name: string): string | undefined =>
      facts.nodes.find(({ metadata }) => metadata.name === name)?.metadata.labels?.[ZONE];
    const zones = new Set([...onNodes].map((name) => zoneOf(name) ?? ""));
    const allZones = new Set(facts.nodes.flatMap(({ metadata }) => metadata.labels?.[ZONE] ?? []));
    const nodes = new Set([
      ...onNodes,
      ...schedulableNodes(facts.nodes).map(({ metadata }) => metadata.name),
    ]);
    const isOneNode = onNodes.size === 1 && nodes.size > 1;
    const isOneZone = zones.size === 1 && !zones.has("") && allZones.size > 1;
    if (ready.length === 0 || !(isOneNode || isOneZone)) return [];
    const place = isOneNode ? `node ${[...onNodes].join("")}` : `zone ${[...zones].join("")}`;
    return [
      {
        finding: {
          code: "kube-dns-one-place",
          severity: "info",
          component: DNS,
          title: `all ${ready.length} ready kube-dns pods run ${isOneNode ? "on" : "in"} ${place}`,
          evidence: [
            ...few(ready.map(({ metadata, spec }) => `${metadata.name} on ${spec?.nodeName}`)),
            `if that ${isOneNode ? "node" : "zone"} fails, no name is resolved`,
          ],
          cure: `${chaos(facts, "heal", DNS)} replaces them one at a time: the scheduler prefers another node for a new pod. topologySpreadConstraints in its Deployment keep them apart`,
        },
        about: [PLACE],
      },
    ];
  },
});

/** Advice: kubeadm, kind and many others create none. Evictions ask it, deletions do not. */
export const kubeDnsNoBudget = condition({
  looksAt: "the PodDisruptionBudget of kube-dns",
  needs: ["deployments", "daemonSets", "budgets"],
  judge: (facts) => {
    const workload = workloadOfComponent(DNS, facts);
    // A drain leaves the pods of DaemonSets alone.
    if (workload?.kind !== "Deployment") return [];
    const { namespace, name } = workload.object.metadata;
    const labels = workload.object.spec?.template.metadata?.labels;
    const budget = facts.budgets.find(
      ({ metadata, spec }) => metadata.namespace === namespace && selects(spec?.selector ?? {}, labels),
    );
    if (budget !== undefined) return [];
    return [
      {
        finding: {
          code: "kube-dns-no-budget",
          severity: "info",
          component: DNS,
          title: "kube-dns has no PodDisruptionBudget",
          evidence: [
            `none in ${namespace} selects the pods of ${name}: draining several nodes at once may evict all of them`,
          ],
          cure: `${kubectl(
            facts,
            "-n",
            namespace ?? "kube-system",
            "create",
            "poddisruptionbudget",
            name,
            `--selector=${Object.entries(workload.object.spec?.selector.matchLabels ?? {})
              .map(([key, value]) => `${key}=${value}`)
              .join(",")}`,
            "--max-unavailable=1",
          )}`,
        },
        about: ["budget of kube-dns"],
      },
    ];
  },
});
