import type { ComponentDefinition } from "./component.js";

/**
 * Sends metrics of nodes and pods to the monitoring backend: heapster in the study, since 2018 an agent on each node. An
 * OpenTelemetry collector in the add-ons (Helm chart opentelemetry-collector, release metrics-agent), gke-metrics-agent
 * on GKE.
 */
export const heapster: ComponentDefinition = {
  name: "heapster",
  role: "sends metrics to the monitoring backend",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: {
        "app.kubernetes.io/name": "opentelemetry-collector",
        "app.kubernetes.io/instance": "metrics-agent",
      },
      knownAs: ["metrics-agent-opentelemetry-collector-agent"],
    },
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: { "k8s-app": "gke-metrics-agent" },
      knownAs: ["gke-metrics-agent"],
    },
  ],
  defaultAttack: { type: "delete-workload", gracePeriod: 1000 },
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
