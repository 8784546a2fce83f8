import type { ComponentDefinition } from "./component.js";

/**
 * The API itself. A static pod of the control plane on kubeadm and kind; GKE hides it.
 */
export const kubeApiserver: ComponentDefinition = {
  name: "kube-apiserver",
  role: "stores and serves every object",
  find: [
    {
      how: "static-pod",
      namespace: "kube-system",
      labels: { component: "kube-apiserver" },
      manifests: ["/etc/kubernetes/manifests/kube-apiserver.yaml"],
      knownAs: ["kube-apiserver-NODE"],
    },
  ],
  defaultAttack: { type: "static-pod", nodes: "all" },
  longestWindowMs: 60_000,
  functionProbes: [],
  functionProbe: "api-stores",
  expectedImpact: "function lost",
  study: null,
};
