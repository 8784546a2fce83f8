import type { ComponentDefinition } from "./component.js";

/**
 * cluster-proportional-autoscaler (cluster/addons/dns-horizontal-autoscaler of Kubernetes): sets the replicas of the
 * cluster's DNS by the number of nodes and cores, every 10 s.
 */
export const kubeDnsAutoscaler: ComponentDefinition = {
  name: "kube-dns-autoscaler",
  role: "scales the cluster's DNS with the number of nodes",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "kube-dns-autoscaler" },
      // RKE2's chart appends "-autoscaler" to the label and to the name of its CoreDNS.
      knownAs: ["kube-dns-autoscaler", "rke2-coredns-rke2-coredns-autoscaler"],
    },
    {
      // AKS, kops (upup/models/cloudup/resources/addons/coredns.addons.k8s.io), and the Helm chart of coredns/helm.
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "coredns-autoscaler" },
      knownAs: ["coredns-autoscaler"],
    },
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "dns-autoscaler" },
      knownAs: ["dns-autoscaler"],
    },
  ],
  // Not delete-workload: if something recreates the workload, one second of running is enough for it to do its job.
  // Nothing restores its replicas.
  defaultAttack: { type: "scale-to-zero" },
  functionProbes: [],
  functionProbe: "dns-is-scaled",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "kube-dns-autoscaler",
    type: "Deployment",
    count: 1,
    behaviour: {
      en: "no effect on the service; kube-dns cannot be scaled",
      ja: "サービスに影響なし。スケール操作は不可になる (はず)",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: false,
  },
};
