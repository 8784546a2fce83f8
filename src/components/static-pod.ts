import type { ComponentDefinition } from "./component.js";

/**
 * A component of the control plane as kubeadm and kind run it, as a static pod from a manifest of its name; GKE hides
 * it. The study's table has none of them.
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
