import type { ComponentDefinition } from "./component.js";

/**
 * Gives pods their nodes. A static pod of the control plane on kubeadm and kind; GKE hides it.
 */
export const kubeScheduler: ComponentDefinition = {
  name: "kube-scheduler",
  role: "gives each new pod its node",
  find: [
    {
      how: "static-pod",
      namespace: "kube-system",
      labels: { component: "kube-scheduler" },
      manifests: ["/etc/kubernetes/manifests/kube-scheduler.yaml"],
      knownAs: ["kube-scheduler-NODE"],
    },
  ],
  defaultAttack: { type: "static-pod", nodes: "all" },
  longestWindowMs: 60_000,
  functionProbes: [],
  functionProbe: "pods-are-scheduled",
  expectedImpact: "function lost",
  study: null,
};
