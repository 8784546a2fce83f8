import type { ComponentDefinition } from "./component.js";

/**
 * The API server's store. A static pod of the control plane on kubeadm and kind; GKE hides it.
 */
export const etcd: ComponentDefinition = {
  name: "etcd",
  role: "keeps the API's objects",
  find: [
    {
      how: "static-pod",
      namespace: "kube-system",
      labels: { component: "etcd" },
      manifests: ["/etc/kubernetes/manifests/etcd.yaml"],
      knownAs: ["etcd-NODE"],
    },
  ],
  defaultAttack: { type: "static-pod", nodes: "all" },
  longestWindowMs: 60_000,
  functionProbes: [],
  functionProbe: "api-stores",
  expectedImpact: "function lost",
  study: null,
};
