import type { ComponentDefinition } from "./component.js";

/**
 * The log agent of each node: fluentd-gcp in the study, an OpenTelemetry collector in the add-ons (Helm chart
 * opentelemetry-collector, release log-agent), fluentbit-gke on today's GKE.
 */
export const fluentd: ComponentDefinition = {
  name: "fluentd",
  role: "forwards the containers' logs",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: {
        "app.kubernetes.io/name": "opentelemetry-collector",
        "app.kubernetes.io/instance": "log-agent",
      },
      knownAs: ["log-agent-opentelemetry-collector-agent"],
    },
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: { "k8s-app": "fluentbit-gke" },
      knownAs: ["fluentbit-gke"],
    },
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["DaemonSet"],
      labels: { "k8s-app": "fluentd-logging" },
      knownAs: ["fluentd"],
    },
  ],
  defaultAttack: { type: "delete-workload", gracePeriod: 1000 },
  functionProbes: [],
  functionProbe: "logs-arrive",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "fluentd-gcp",
    type: "DaemonSet",
    count: 3,
    behaviour: {
      en: "no effect on the service; logs are not forwarded",
      ja: "サービスに影響なし。ログが転送できなくなる",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: true,
  },
};
