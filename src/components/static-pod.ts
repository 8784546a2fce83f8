import type { ComponentDefinition, FindStaticPod } from "./component.js";

type Own = Pick<ComponentDefinition, "name" | "role" | "functionProbe" | "carriesApi"> & {
  /** Its labels on kops, if they are not `k8s-app=NAME`, and its manifest there. */
  readonly kops?: { readonly label: string; readonly manifest: string };
  /** Its namespace, its label `app` and its manifest on OpenShift. */
  readonly openshift: { readonly namespace: string; readonly app: string; readonly manifest: string };
};

/**
 * A component of the control plane: a static pod from a manifest with its name. GKE, EKS and AKS hide these
 * components, and the study's table does not have them.
 *
 * The label `component` comes from kubeadm (cmd/kubeadm/app/util/staticpod/utils.go of Kubernetes) and RKE2
 * (pkg/staticpod/staticpod.go of rancher/rke2), `k8s-app` from kops (nodeup/pkg/model/kube_scheduler.go of
 * kubernetes/kops), `app` from OpenShift (bindata of openshift/cluster-*-operator).
 */
export function staticPod({ kops, openshift, ...own }: Own): ComponentDefinition {
  const { name } = own;
  const form = (labels: FindStaticPod["labels"], manifests: readonly string[]): FindStaticPod => ({
    how: "static-pod",
    namespace: "kube-system",
    labels,
    manifests,
    knownAs: [`${name}-NODE`],
  });
  return {
    ...own,
    find: [
      form({ component: name }, [
        `/etc/kubernetes/manifests/${name}.yaml`,
        `/var/lib/rancher/rke2/agent/pod-manifests/${name}.yaml`,
        `/etc/kubernetes/manifests/${name}.manifest`,
      ]),
      form({ "k8s-app": kops?.label ?? name }, [
        `/etc/kubernetes/manifests/${kops?.manifest ?? `${name}.manifest`}`,
      ]),
      {
        ...form({ app: openshift.app }, [`/etc/kubernetes/manifests/${openshift.manifest}`]),
        namespace: openshift.namespace,
        on: "OpenShift",
      },
    ],
    defaultAttack: { type: "static-pod", nodes: "all" },
    longestWindowMs: 60_000,
    functionProbes: [],
    expectedImpact: "function lost",
    study: null,
  };
}
