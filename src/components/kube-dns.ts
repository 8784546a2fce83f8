import type { ComponentDefinition } from "./component.js";

/**
 * The cluster's DNS, mostly CoreDNS. kubeadm and kind call its Deployment `coredns` and keep
 * the label (`k8s-app=kube-dns`) and the Service of its predecessor. GKE runs kube-dns itself.
 */
export const kubeDns: ComponentDefinition = {
  name: "kube-dns",
  role: "resolves the names of Services and forwards external names",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "kube-dns" },
      // k3s and MicroK8s keep the label and the name, RKE2 the label (rancher/rke2-charts, packages/rke2-coredns).
      knownAs: ["kube-dns", "coredns", "rke2-coredns-rke2-coredns"],
    },
    {
      // The Helm chart of coredns/helm (charts/coredns/templates/deployment.yaml) in its own words.
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "app.kubernetes.io/name": "coredns" },
      knownAs: ["coredns"],
    },
    {
      // DNSDaemonSetName and the label `owning-dns` of openshift/cluster-dns-operator, pkg/operator/controller.
      how: "workload",
      namespace: "openshift-dns",
      kinds: ["DaemonSet"],
      labels: { "dns.operator.openshift.io/owning-dns": "default" },
      knownAs: ["dns-default"],
      on: "OpenShift",
    },
  ],
  // The study's 連打: it deletes the Deployment repeatedly, because addon-manager restores it.
  defaultAttack: { type: "delete-workload", gracePeriod: 1000 },
  suppressFirst: ["kube-dns-autoscaler"],
  functionProbes: ["dns-internal"],
  expectedImpact: "outage",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "kube-dns",
    type: "Deployment",
    count: 2,
    behaviour: {
      en: "app → DB through the Service fails: service outage",
      ja: "Service経由のAPP → DB の疎通不可。サービス障害発生",
    },
    impact: "outage",
    impactVerified: true,
    functionLost: true,
    functionVerified: true,
  },
};
