import type { ComponentDefinition } from "./component.js";

/**
 * Writes the kernel rules that implement Services. A DaemonSet on kubeadm, kind, EKS and AKS, a static pod on each node
 * on GKE, kops and RKE2. k3s and MicroK8s embed it, and some networks replace it (platforms.ts).
 * Without it the rules stay in the kernel; they become stale when an endpoint changes.
 */
export const kubeProxy: ComponentDefinition = {
  name: "kube-proxy",
  role: "routes the addresses of Services to pods",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: { "k8s-app": "kube-proxy" },
      knownAs: ["kube-proxy"],
    },
    {
      // AKS, as acs-engine before it (parts/k8s/addons/kubernetesmasteraddons-kube-proxy-daemonset.yaml of
      // Azure/acs-engine).
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: { component: "kube-proxy", tier: "node" },
      knownAs: ["kube-proxy"],
    },
    {
      // GKE (cluster/gce/manifests/kube-proxy.manifest of Kubernetes) and RKE2 (pkg/podexecutor/staticpod.go).
      how: "static-pod",
      namespace: "kube-system",
      labels: { component: "kube-proxy" },
      manifests: [
        "/etc/kubernetes/manifests/kube-proxy.manifest",
        "/etc/kubernetes/manifests/kube-proxy.yaml",
        "/var/lib/rancher/rke2/agent/pod-manifests/kube-proxy.yaml",
      ],
      knownAs: ["kube-proxy-NODE"],
    },
    {
      // nodeup/pkg/model/kube_proxy.go of kubernetes/kops.
      how: "static-pod",
      namespace: "kube-system",
      labels: { "k8s-app": "kube-proxy" },
      manifests: ["/etc/kubernetes/manifests/kube-proxy.manifest"],
      knownAs: ["kube-proxy-NODE"],
    },
  ],
  defaultAttack: { type: "delete-workload", gracePeriod: 1000 },
  otherAttacks: [{ type: "static-pod", nodes: "all" }],
  functionProbes: [],
  functionProbe: "services-follow",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "kube-proxy",
    type: "Pod",
    count: 3,
    behaviour: {
      en: "recovered at once, not seen; presumably no container-to-container traffic, so a service outage",
      ja: "即時に復旧したので確認できなかったが、コンテナ間通信が不可になる？ためサービス障害になる (はず)",
    },
    impact: "outage",
    impactVerified: false,
    functionLost: true,
    functionVerified: false,
  },
};
