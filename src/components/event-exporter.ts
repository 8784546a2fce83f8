import type { ComponentDefinition } from "./component.js";

/**
 * Forwards the API's Events to the logging backend: Google's exporter on GKE (cluster/addons/fluentd-gcp/
 * event-exporter.yaml of Kubernetes), resmoio/kubernetes-event-exporter in the add-ons.
 */
export const eventExporter: ComponentDefinition = {
  name: "event-exporter",
  role: "forwards the cluster's Events",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "event-exporter" },
      knownAs: ["event-exporter", "event-exporter-gke"],
    },
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { app: "event-exporter" },
      knownAs: ["event-exporter"],
    },
  ],
  defaultAttack: { type: "scale-to-zero" },
  functionProbes: [],
  functionProbe: "events-arrive",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "event-exporter",
    type: "Deployment",
    count: 1,
    behaviour: {
      en: "no effect on the service; events are not forwarded",
      ja: "サービスに影響なし。イベントログが転送できなくなる (はず)",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: false,
  },
};
