/**
 * Who would restore a workload: its owners in the API, and the managers outside that re-apply it, concluded from its
 * labels, annotations, owner references and managed fields. Pure.
 */
import type { KubeObject, ManagedFields } from "../kube/objects.js";
import { MANAGED_BY } from "../own/manifest.js";
import { ADDON_MODE_LABEL } from "../own/own-names.js";

/** Someone who may bring a deleted workload back, or undo a change to it. */
export interface Restorer {
  readonly who: string;
  /** When it acts, as far as its documentation says. */
  readonly when: string;
  /** What it was concluded from, such as "label helm.sh/chart". */
  readonly from: string;
}

/** A label or an annotation that a manager writes. */
interface Mark {
  readonly on: "label" | "annotation";
  /** A string, or a pattern of the key. */
  readonly key: string | RegExp;
  /** Only with such a value. Default: any. */
  readonly value?: RegExp;
}

/** A manager, how it marks its objects, and when it restores them. The first mark that an object has counts. */
interface Manager {
  /** @param value of the mark that was found; "" when only the field manager was. */
  readonly who: (value: string, object: KubeObject) => string;
  readonly when: string | ((value: string) => string);
  readonly marks: readonly Mark[];
  /** Its names as a field manager. */
  readonly writes?: RegExp;
}

const label = (key: string | RegExp, value?: RegExp): Mark => ({
  on: "label",
  key,
  ...(value === undefined ? {} : { value }),
});
const annotation = (key: string | RegExp, value?: RegExp): Mark => ({
  on: "annotation",
  key,
  ...(value === undefined ? {} : { value }),
});

const named = (text: string, name: string): string => (name === "" ? text : `${text} ${name}`);

/** The value of a label, or "". */
const labelOf = ({ metadata }: KubeObject, key: string): string => metadata.labels?.[key] ?? "";

const OWNER_NAME = "objectset.rio.cattle.io/owner-name";

const MANAGERS: readonly Manager[] = [
  {
    // The add-on's manifests come again only with another version or hash (kubernetes/kops
    // channels/pkg/channels/addon.go, GetRequiredUpdates); the labels are in its addonmanifests and prune.
    who: (value) => named("kops' channels, add-on", value === "kops" ? "" : value),
    when: "when the add-on's manifest changes",
    marks: [
      label("addon.kops.k8s.io/name"),
      label("k8s-addon"),
      label("app.kubernetes.io/managed-by", /^kops$/),
    ],
  },
  {
    // rancher/wrangler pkg/apply (owner-gvk, owner-name); k3s-io/k3s pkg/deploy/controller.go: manifests are read every
    // 15 s and applied when their checksum has changed, and all of them at the start of a server.
    who: (_value, { metadata }) =>
      named("the deploy controller of k3s or RKE2, Addon", metadata.annotations?.[OWNER_NAME] ?? ""),
    when: "when its manifest on a server changes or a server restarts",
    marks: [annotation("objectset.rio.cattle.io/owner-gvk", /^k3s\.cattle\.io\/.*Kind=Addon$/)],
    writes: /^deploy@/,
  },
  {
    // The charts that RKE2 brings are HelmCharts named rke2-* (rancher/rke2 charts/chart_versions.yaml); k3s-io/helm-controller.
    who: (value) => `the helm-controller of RKE2, HelmChart ${value}`,
    when: "when the HelmChart changes",
    marks: [annotation("meta.helm.sh/release-name", /^rke2-/)],
  },
  {
    // helm/helm pkg/action/validate.go. Nothing of Helm runs in the cluster.
    who: (value) => named("Helm, release", value === "Helm" ? "" : value),
    when: "at the next helm upgrade, not by itself",
    marks: [annotation("meta.helm.sh/release-name"), label("app.kubernetes.io/managed-by", /^Helm$/)],
    writes: /^[Hh]elm$/,
  },
  {
    // fluxcd.io/flux/components/helm/helmreleases: driftDetection.mode is "disabled" by default.
    who: (value) => named("Flux's helm-controller, HelmRelease", value),
    when: "at its next interval if drift detection is enabled, else at the next release",
    marks: [label("helm.toolkit.fluxcd.io/name")],
    writes: /^helm-controller$/,
  },
  {
    // fluxcd.io/flux/components/kustomize/kustomizations: a server-side apply at every .spec.interval.
    who: (value) => named("Flux's kustomize-controller, Kustomization", value),
    when: "at the next interval of the Kustomization",
    marks: [label("kustomize.toolkit.fluxcd.io/name")],
    writes: /^kustomize-controller$/,
  },
  {
    // argoproj/argo-cd common/common.go (tracking-id "APP:GROUP/KIND:NAMESPACE/NAME", ArgoCDSSAManager), docs
    // user-guide/auto_sync: self-heal follows a change of the cluster within seconds (5 s by default), and is off by default.
    who: (value) => named("Argo CD, Application", value.split(":")[0] ?? ""),
    when: "within seconds if self-heal is on, else at the next sync",
    marks: [annotation("argocd.argoproj.io/tracking-id"), label("argocd.argoproj.io/instance")],
    writes: /^argocd-(application-)?controller$/,
  },
  {
    // docs.aws.amazon.com/eks kubernetes-field-management: fields have "manager: eks"; a change is overwritten when the
    // add-on is updated. The label eks.amazonaws.com/component alone says nothing: self-managed add-ons have it, too.
    who: () => "Amazon EKS, managed add-on",
    when: "when the add-on is updated",
    marks: [],
    writes: /^eks$/,
  },
  {
    // operator-framework/operator-lifecycle-manager pkg/lib/ownerutil (olm.owner, olm.owner.kind), and operator-controller
    // internal/labels/labels.go for version 1. Both watch what they have created.
    who: (value, object) =>
      labelOf(object, "olm.owner.kind") === ""
        ? named("OLM, ClusterExtension", value)
        : named(`OLM, ${labelOf(object, "olm.owner.kind")}`, value),
    when: "as soon as it sees the change",
    marks: [label("olm.owner"), label("olm.operatorframework.io/owner-name")],
  },
  {
    // openshift/cluster-dns-operator: watches the DaemonSet that it owns.
    who: (value) => named("OpenShift's DNS operator, DNS", value),
    when: "as soon as it sees the change",
    marks: [label("dns.operator.openshift.io/owning-dns")],
  },
  {
    // openshift/enhancements update/cvo manifests: the annotation includes a manifest of the release in a cluster profile.
    who: () => "OpenShift's cluster-version-operator",
    when: "at its next sync, within minutes",
    marks: [annotation(/^include\.release\.openshift\.io\//, /^true$/)],
    writes: /^cluster-version-operator$/,
  },
  {
    // kubernetes/kubernetes cluster/addons/addon-manager: README (modes), kube-addons.sh (ADDON_CHECK_INTERVAL_SEC: 60).
    who: (mode) => `addon-manager, mode ${mode}`,
    when: (mode) =>
      mode === "EnsureExists"
        ? "within about 60 s when it is gone, other changes stay"
        : "within about 60 s by default",
    marks: [label(ADDON_MODE_LABEL)],
  },
  {
    // On GKE's own objects, with addon-manager's label; GKE runs addon-manager in its hidden control plane.
    who: (value) => named("GKE, managed component", value),
    when: "unknown how fast",
    marks: [annotation("components.gke.io/component-name")],
  },
  {
    // learn.microsoft.com/azure/aks: AKS labels what it manages, and reconciles it.
    who: () => "AKS, managed component",
    when: "unknown how fast",
    marks: [label("kubernetes.azure.com/managedby", /^aks$/)],
  },
];

/** Field managers of commands that people run: they apply once. */
const BY_HAND = /^(kubectl|kubeadm|before-first-apply$|oc$|k9s$)/;

/** Everyone known to restore the workload, the nearest first. */
export function restorersOf(object: KubeObject): Restorer[] {
  const known = MANAGERS.flatMap((manager) => found(manager, object) ?? []);
  return [...known, ...unknownAppliers(object)];
}

function found(manager: Manager, object: KubeObject): Restorer | undefined {
  const { who, when } = manager;
  for (const mark of manager.marks) {
    const entries = Object.entries(
      (mark.on === "label" ? object.metadata.labels : object.metadata.annotations) ?? {},
    );
    const hit = entries.find(
      ([key, value]) =>
        (typeof mark.key === "string" ? key === mark.key : mark.key.test(key)) &&
        (mark.value?.test(value) ?? true),
    );
    if (hit === undefined) continue;
    const [key, value] = hit;
    return {
      who: who(value, object),
      when: typeof when === "string" ? when : when(value),
      from: `${mark.on} ${key}`,
    };
  }
  const writer = writersOf(object).find(({ manager: name = "" }) => manager.writes?.test(name) === true);
  if (writer === undefined) return undefined;
  return {
    who: who("", object),
    when: typeof when === "string" ? when : when(""),
    from: fromManager(writer),
  };
}

/** Anyone who applies the workload server-side and is not known: probably a controller, because people apply once. */
function unknownAppliers(object: KubeObject): Restorer[] {
  return writersOf(object)
    .filter(
      ({ manager = "", operation }) =>
        operation === "Apply" &&
        manager !== "" &&
        manager !== MANAGED_BY &&
        !BY_HAND.test(manager) &&
        !MANAGERS.some(({ writes }) => writes?.test(manager) === true),
    )
    .map((writer) => ({
      who: `${writer.manager ?? ""}, which applies it server-side`,
      when: "unknown how fast",
      from: fromManager(writer),
    }));
}

/** The field managers of the object itself: those of a subresource write its status or its scale. */
function writersOf(object: KubeObject): readonly ManagedFields[] {
  return (object.metadata.managedFields ?? []).filter(({ subresource = "" }) => subresource === "");
}

function fromManager({ manager = "", time }: ManagedFields): string {
  return `field manager ${manager}${time === undefined ? "" : `, last at ${time}`}`;
}

/** What would bring a pod back, from the pod upwards: its controllers immediately, the others as each entry says. */
export function ownerChain(kind: "Deployment" | "DaemonSet", object: KubeObject): string[] {
  const { name, ownerReferences = [] } = object.metadata;
  return [
    "Pod",
    ...(kind === "Deployment" ? ["ReplicaSet"] : []),
    `${kind} ${name}`,
    ...ownerReferences.map((owner) => `${owner.kind} ${owner.name}`),
    ...restorersOf(object).map(({ who, when, from }) => `${who} (${when}; from ${from})`),
  ];
}
