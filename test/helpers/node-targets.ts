/** A unit and a static pod on node "a", as targets. */
import type { NodeTarget } from "../../src/targets/node-target.js";

const ON_A = {
  namespace: "",
  labels: {},
  nodes: ["a"],
  count: 1,
  images: [],
  services: [],
  ownerChain: [],
};

export const KUBELET: NodeTarget = {
  ...ON_A,
  kind: "SystemdUnit",
  name: "kubelet",
  unit: "kubelet.service",
};

export function staticPod(name: string, manifest: string): NodeTarget {
  return {
    ...ON_A,
    kind: "StaticPod",
    namespace: "kube-system",
    labels: { component: name },
    name,
    manifest,
  };
}
