import type { ComponentDefinition } from "./component.js";

/**
 * Answers requests that no Ingress rule matches (cluster/addons/cluster-loadbalancing/glbc of Kubernetes). Not in the
 * study.
 */
export const l7DefaultBackend: ComponentDefinition = {
  name: "l7-default-backend",
  role: "answers 404 for paths that no Ingress matches",
  find: [
    {
      how: "workload",
      namespace: "kube-system",
      kinds: ["Deployment"],
      labels: { "k8s-app": "glbc" },
      knownAs: ["l7-default-backend"],
    },
  ],
  defaultAttack: { type: "delete-workload", gracePeriod: 1000 },
  functionProbes: [],
  functionProbe: "unknown-path-is-answered",
  expectedImpact: "function lost",
  study: null,
};
