import type { ComponentDefinition } from "./component.js";

/**
 * Serves metrics.k8s.io from the kubelets' metrics (cluster/addons/metrics-server of Kubernetes). While it is down no
 * namespace can be deleted, because the API's discovery is incomplete.
 */
export const metricsServer: ComponentDefinition = {
  name: "metrics-server",
  role: "serves the resource metrics for the HPA",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "metrics-server" },
      knownAs: ["metrics-server"],
    },
    {
      // charts/metrics-server/templates/_helpers.tpl of kubernetes-sigs/metrics-server.
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "app.kubernetes.io/name": "metrics-server" },
      knownAs: ["metrics-server"],
    },
    {
      // packages/rke2-metrics-server/generated-changes/patch/templates/_helpers.tpl.patch of rancher/rke2-charts.
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "app.kubernetes.io/name": "rke2-metrics-server" },
      knownAs: ["rke2-metrics-server"],
    },
    {
      // assets/metrics-server/deployment.yaml of openshift/cluster-monitoring-operator.
      how: "workload",
      namespace: "openshift-monitoring",
      kinds: ["Deployment"],
      labels: { "app.kubernetes.io/name": "metrics-server" },
      knownAs: ["metrics-server"],
      on: "OpenShift",
    },
  ],
  defaultAttack: { type: "scale-to-zero" },
  functionProbes: [],
  functionProbe: "metrics-are-served",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "metrics-server",
    type: "Deployment",
    count: 1,
    behaviour: {
      en: "no effect on the service; the HPA does not work",
      ja: "サービスに影響なし。HPAが機能しない (はず)",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: false,
  },
};
