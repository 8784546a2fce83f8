import { idleWords } from "../../targets/find-workload.js";
import type { Pod } from "../../kube/objects.js";
import { isReady, schedulableNodes } from "../../kube/pod-state.js";
import { plural } from "../../common/figures.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts, Workload } from "../facts.js";
import type { Finding } from "../finding.js";
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

/** undefined: there is none. */
function dnsIn(facts: ClusterFacts): Dns | undefined {
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

interface Dns {
  readonly workload: Workload;
  readonly ready: readonly Pod[];
  readonly unready: readonly Pod[];
}

/** A roll-out takes one away for a moment. None at all is an outage, however short. */
function isOnItsWay({ ready, unready }: Dns, facts: ClusterFacts): boolean {
  return ready.length > 0 && unready.length > 0 && unready.every((pod) => unreadyFor(pod, facts) < SETTLE_MS);
}

function gone(facts: ClusterFacts): Found[] {
  const service = dnsService(facts);
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

function severityOf({ ready }: Dns, isByDesign: boolean, nodes: number): Finding["severity"] {
  if (ready.length === 0) return "error";
  // On a single node a second pod helps little.
  return isByDesign && nodes < 2 ? "info" : "warning";
}

function wantedWords({ workload, ready }: Dns): string {
  const wanted = wantedOf(workload);
  if (wanted === 0) return idleWords(workload);
  return `${workloadKey(workload)} wants ${plural(wanted, "pod")}, and ${ready.length} ${ready.length === 1 ? "is" : "are"} ready`;
}

function fewReady(dns: Dns, facts: ClusterFacts, nodes: number): Found {
  const { workload, ready, unready } = dns;
  const { name, namespace = "kube-system" } = workload.object.metadata;
  const isByDesign = ready.length === wantedOf(workload);
  const short = ready.length === 0 ? "no kube-dns pod is ready" : "only 1 kube-dns pod is ready";
  const scale = kubectl(
    facts,
    ...["-n", namespace, "scale", workload.kind.toLowerCase(), name, "--replicas=2"],
  );
  return {
    finding: {
      code: "kube-dns-few-ready",
      severity: severityOf(dns, isByDesign, nodes),
      component: DNS,
      title: isByDesign ? `${short}, and no more are wanted` : short,
      evidence: [wantedWords(dns), ...few([...ready, ...unready].map(podLine)), WITHOUT],
      cure: isByDesign
        ? `Scale it to 2 or more: ${scale}. If kube-dns-autoscaler sets the number, raise \`min\` in its ConfigMap`
        : replacePods(facts, DNS, unready[0]),
    },
    about: isByDesign || unready.length === 0 ? [DNS] : unready.map(podKey),
    explains: [DNS, workloadKey(workload), ...servicesWithout([...ready, ...unready], facts).map(serviceKey)],
  };
}

export const kubeDnsFew = condition({
  looksAt: "how many kube-dns pods are ready",
  needs: ["deployments", "daemonSets", "pods", "replicaSets", "nodes", "services"],
  judge: (facts) => {
    const dns = dnsIn(facts);
    if (dns === undefined) return gone(facts);
    if (dns.ready.length >= 2 || isOnItsWay(dns, facts)) return [];
    return [fewReady(dns, facts, facts.nodes.length)];
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
    // Fewer are another finding.
    if (ready.length < 2 || !(isOneNode || isOneZone)) return [];
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
        about: ["where kube-dns runs"],
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
