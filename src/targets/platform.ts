/** Which platform a cluster is, from its nodes alone: reading them needs no further right. Pure. */
import type { ComponentDefinition, Find } from "../components/component.js";
import { PLATFORMS, RUNTIME_UNITS, type PlatformName } from "../components/platforms.js";
import type { ComponentName } from "../experiment/names.js";
import type { Node } from "../kube/objects.js";

export interface Platform {
  readonly name: PlatformName;
  /** By what it was recognised: a clause. */
  readonly because: string;
}

interface Sign {
  readonly name: PlatformName;
  readonly because: string;
  readonly shows: (node: Node) => boolean;
}

const label =
  (key: string) =>
  ({ metadata }: Node): boolean =>
    metadata.labels?.[key] !== undefined;
/** A kubelet that has not registered yet leaves some of it out. */
const infoOf = ({ status }: Node): Partial<NonNullable<NonNullable<Node["status"]>["nodeInfo"]>> =>
  status?.nodeInfo ?? {};
const version =
  (part: string) =>
  (node: Node): boolean =>
    infoOf(node).kubeletVersion?.includes(part) === true;
const provider =
  (scheme: string, name = "") =>
  ({ metadata, spec }: Node): boolean =>
    spec?.providerID?.startsWith(`${scheme}://`) === true && metadata.name.startsWith(name);

/**
 * One sign on any node is enough. A distribution goes before the cloud that it may run on.
 *
 * k3s and RKE2 stamp the version of their kubelet ("v1.31.5+k3s1", "v1.32.7+rke2r1"); microk8s.io/cluster is in the
 * kubelet's arguments of canonical/microk8s; node.openshift.io/os_id of openshift/machine-config-operator; Talos fills in
 * the osImage "Talos (v1.9.0)".
 */
const SIGNS: readonly Sign[] = [
  { name: "k3s", because: "the kubelets' version has +k3s", shows: version("+k3s") },
  { name: "RKE2", because: "the kubelets' version has +rke2", shows: version("+rke2") },
  {
    name: "OpenShift",
    because: "the nodes have the label node.openshift.io/os_id",
    shows: label("node.openshift.io/os_id"),
  },
  {
    name: "MicroK8s",
    because: "the nodes have the label microk8s.io/cluster",
    shows: label("microk8s.io/cluster"),
  },
  {
    name: "Talos",
    because: "the nodes' operating system is Talos",
    shows: (node) => infoOf(node).osImage?.startsWith("Talos ") === true,
  },
  { name: "kind", because: "the nodes' provider is kind", shows: provider("kind") },
  {
    name: "kops",
    because: "the nodes have the label kops.k8s.io/instancegroup",
    shows: label("kops.k8s.io/instancegroup"),
  },
  {
    name: "GKE",
    because: "the nodes have the label cloud.google.com/gke-nodepool",
    shows: label("cloud.google.com/gke-nodepool"),
  },
  { name: "GKE", because: "the kubelets' version has -gke.", shows: version("-gke.") },
  { name: "GKE", because: "the nodes are Google's and called gke-…", shows: provider("gce", "gke-") },
  {
    name: "EKS",
    because: "the nodes have the label eks.amazonaws.com/nodegroup",
    shows: label("eks.amazonaws.com/nodegroup"),
  },
  { name: "EKS", because: "the kubelets' version has -eks-", shows: version("-eks-") },
  {
    name: "AKS",
    because: "the nodes have the label kubernetes.azure.com/cluster",
    shows: label("kubernetes.azure.com/cluster"),
  },
  { name: "AKS", because: "the nodes are Azure's and called aks-…", shows: provider("azure", "aks-") },
  {
    name: "kubeadm",
    because: "the nodes have kubeadm's annotation",
    shows: ({ metadata }) => metadata.annotations?.["kubeadm.alpha.kubernetes.io/cri-socket"] !== undefined,
  },
];

/** @returns undefined: none of the known signs. Then components are looked for as on kubeadm. Pure. */
export function platformOf(nodes: readonly Node[]): Platform | undefined {
  const sign = SIGNS.find(({ shows }) => nodes.some(shows));
  return sign === undefined ? undefined : { name: sign.name, because: sign.because };
}

const CONTROL_PLANE_ROLES = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/** Whether any of the nodes runs a control plane, by its label or its taint. Pure. */
function hasControlPlane(nodes: readonly Node[]): boolean {
  return nodes.some(
    ({ metadata, spec }) =>
      CONTROL_PLANE_ROLES.some((role) => metadata.labels?.[role] !== undefined) ||
      (spec?.taints ?? []).some(({ key }) => CONTROL_PLANE_ROLES.includes(key)),
  );
}

/** Why a component cannot be found, or cannot be taken down alone, on this platform; undefined: nothing is known. Pure. */
export function hiddenBy(platform: Platform | undefined, component: ComponentName): string | undefined {
  return platform === undefined ? undefined : PLATFORMS[platform.name].hides[component];
}

/** The reason for missing static pods of a control plane, from the nodes; undefined: none is known. Pure. */
export function whyNoStaticPods(nodes: readonly Node[]): string | undefined {
  if (nodes.length === 0 || hasControlPlane(nodes)) return undefined;
  return "no node has the label or the taint node-role.kubernetes.io/control-plane: the control plane runs elsewhere, as on managed clusters";
}

/**
 * The forms in which a component is looked for on this platform, with the platform's own units and manifests first. A
 * form of another platform is left out, and so are the rights that it would need. Pure.
 */
export function formsOn(
  { name, find }: Pick<ComponentDefinition, "name" | "find">,
  platform: Platform | undefined,
  nodes: readonly Node[] = [],
): readonly Find[] {
  const facts = platform === undefined ? undefined : PLATFORMS[platform.name];
  return find
    .filter(({ on }) => on === undefined || on === platform?.name)
    .map((form) => {
      if (form.how === "systemd-unit") {
        const units = facts?.units?.[name] ?? (name === "container-runtime" ? runtimeUnits(nodes) : []);
        return units.length === 0 ? form : { ...form, units };
      }
      const usual = facts?.manifests;
      if (form.how !== "static-pod" || usual === undefined) return form;
      const ours = (path: string): boolean => path.startsWith(usual.folder) && path.endsWith(usual.suffix);
      const manifests = [...form.manifests.filter(ours), ...form.manifests.filter((path) => !ours(path))];
      return { ...form, manifests };
    });
}

/** The units of the runtimes that the nodes report; empty: none is known. Pure. */
function runtimeUnits(nodes: readonly Node[]): readonly string[] {
  const schemes = nodes.map((node) => infoOf(node).containerRuntimeVersion?.split("://")[0] ?? "");
  return [...new Set(schemes)].flatMap((scheme) => RUNTIME_UNITS[scheme] ?? []);
}
