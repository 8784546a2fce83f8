import type { ComponentDefinition } from "./component.js";

/**
 * The cluster's DNS. Since Kubernetes 1.13 it is mostly CoreDNS, whose Deployment is called `coredns` by
 * kubeadm and kind and keeps the label and the Service of its predecessor: `k8s-app=kube-dns` is the contract.
 * GKE runs kube-dns itself.
 */
export const kubeDns: ComponentDefinition = {
  name: "kube-dns",
  role: "resolves the names of Services, and forwards the names outside",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "kube-dns" },
      knownAs: ["kube-dns", "coredns"],
    },
  ],
  // The study's 連打: the Deployment deleted again and again, because addon-manager brings it back.
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
