import type { ComponentDefinition } from "./component.js";

/**
 * Runs the controllers: ReplicaSets, endpoints, nodes. A static pod of the control plane on kubeadm and kind; GKE hides
 * it.
 */
export const kubeControllerManager: ComponentDefinition = {
  name: "kube-controller-manager",
  role: "makes the pods of ReplicaSets and keeps endpoints, nodes and namespaces in order",
  find: [
    {
      how: "static-pod",
      namespace: "kube-system",
      labels: { component: "kube-controller-manager" },
      manifests: ["/etc/kubernetes/manifests/kube-controller-manager.yaml"],
      knownAs: ["kube-controller-manager-NODE"],
    },
  ],
  defaultAttack: { type: "static-pod", nodes: "all" },
  longestWindowMs: 60_000,
  functionProbes: [],
  functionProbe: "replicas-are-made",
  expectedImpact: "function lost",
  study: null,
};
