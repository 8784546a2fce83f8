import type { ComponentDefinition } from "./component.js";

/**
 * fluentd-gcp-scaler (cluster/addons/fluentd-gcp/scaler-deployment.yaml of Kubernetes): sets the resources of the log
 * agent's container fluentd-gcp.
 */
export const fluentdScaler: ComponentDefinition = {
  name: "fluentd-scaler",
  role: "sets the resources of fluentd",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "fluentd-gcp-scaler" },
      knownAs: ["fluentd-gcp-scaler"],
    },
  ],
  // Not delete-workload: if something recreates the workload, one second of running is enough for it to do its job.
  // Nothing restores its replicas.
  defaultAttack: { type: "scale-to-zero" },
  functionProbes: [],
  functionProbe: "fluentd-is-scaled",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "fluentd-gcp-scaler",
    type: "Deployment",
    count: 1,
    behaviour: {
      en: "no effect on the service; fluentd is not scaled",
      ja: "サービスに影響なし。スケール操作は不可になる (はず)",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: false,
  },
};
