import type { ComponentDefinition } from "./component.js";

/**
 * Sends metrics of nodes and pods to the monitoring backend. Retired upstream in 2018; GKE now runs its own agent
 * (gke-metrics-agent, a DaemonSet).
 */
export const heapster: ComponentDefinition = {
  name: "heapster",
  role: "sends metrics to the monitoring backend",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "heapster" },
      knownAs: ["heapster"],
    },
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: { "k8s-app": "gke-metrics-agent" },
      knownAs: ["gke-metrics-agent"],
    },
  ],
  defaultAttack: { type: "scale-to-zero" },
  functionProbes: [],
  functionProbe: "metric-points-arrive",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "heapster",
    type: "Deployment",
    count: 1,
    behaviour: {
      en: "no effect on the service; metrics are not forwarded",
      ja: "サービスに影響なし。メトリクスが転送できなくなる (はず)",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: false,
  },
};
