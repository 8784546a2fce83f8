import type { ComponentDefinition } from "./component.js";

/**
 * A component of the control plane, as kubeadm and kind run it: a static pod from a manifest with its name. GKE hides
 * these components, and the study's table does not have them.
 */
export function staticPod(
  own: Pick<ComponentDefinition, "name" | "role" | "functionProbe" | "carriesApi">,
): ComponentDefinition {
  return {
    ...own,
    find: [
      {
        how: "static-pod",
        namespace: "kube-system",
        labels: { component: own.name },
        manifests: [`/etc/kubernetes/manifests/${own.name}.yaml`],
        knownAs: [`${own.name}-NODE`],
      },
    ],
    defaultAttack: { type: "static-pod", nodes: "all" },
    longestWindowMs: 60_000,
    functionProbes: [],
    expectedImpact: "function lost",
    study: null,
  };
}
