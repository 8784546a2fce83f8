import test from "ava";
import type { KubeObject, ManagedFields } from "../../../src/kube/objects.js";
import { ownerChain, restorersOf } from "../../../src/targets/owners.js";

interface Marks {
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly managedFields?: readonly ManagedFields[];
  readonly ownerReferences?: readonly unknown[];
}

const workload = (marks: Marks): KubeObject =>
  ({ metadata: { name: "coredns", uid: "1", resourceVersion: "1", ...marks } }) as unknown as KubeObject;

const wrote = (manager: string, change: Partial<ManagedFields> = {}): ManagedFields => ({
  manager,
  operation: "Update",
  time: "2026-01-01T00:00:00Z",
  fieldsV1: { "f:spec": {} },
  ...change,
});

const words = (marks: Marks): string[] =>
  restorersOf(workload(marks)).map(({ who, when, from }) => `${who} (${when}; from ${from})`);

/** As each of them marks its objects; taken from public listings. */
const MARKED: readonly (readonly [string, Marks, readonly string[]])[] = [
  [
    "Argo CD, by its tracking id",
    { annotations: { "argocd.argoproj.io/tracking-id": "dns:apps/Deployment:kube-system/coredns" } },
    [
      "Argo CD, Application dns (within seconds if self-heal is on, else at the next sync; from annotation argocd.argoproj.io/tracking-id)",
    ],
  ],
  [
    "Argo CD, by its field manager only",
    { managedFields: [wrote("argocd-controller", { operation: "Apply" })] },
    [
      "Argo CD, Application (within seconds if self-heal is on, else at the next sync; from field manager argocd-controller, last at 2026-01-01T00:00:00Z)",
    ],
  ],
  [
    "Flux's kustomize-controller",
    {
      labels: {
        "kustomize.toolkit.fluxcd.io/name": "infra",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
      },
      managedFields: [wrote("kustomize-controller", { operation: "Apply" })],
    },
    [
      "Flux's kustomize-controller, Kustomization infra (at the next interval of the Kustomization; from label kustomize.toolkit.fluxcd.io/name)",
    ],
  ],
  [
    "Flux's helm-controller, through a Helm release",
    {
      labels: { "app.kubernetes.io/managed-by": "Helm", "helm.toolkit.fluxcd.io/name": "metrics" },
      annotations: { "meta.helm.sh/release-name": "metrics-server" },
    },
    [
      "Helm, release metrics-server (at the next helm upgrade, not by itself; from annotation meta.helm.sh/release-name)",
      "Flux's helm-controller, HelmRelease metrics (at its next interval if drift detection is enabled, else at the next release; from label helm.toolkit.fluxcd.io/name)",
    ],
  ],
  [
    "Helm (metrics-server of inventories/eks.json)",
    {
      labels: {
        "app.kubernetes.io/instance": "metrics-server",
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/name": "metrics-server",
      },
    },
    ["Helm, release (at the next helm upgrade, not by itself; from label app.kubernetes.io/managed-by)"],
  ],
  [
    "EKS, by its field manager",
    {
      labels: { "eks.amazonaws.com/component": "coredns" },
      managedFields: [wrote("eks", { operation: "Apply" })],
    },
    [
      "Amazon EKS, managed add-on (when the add-on is updated; from field manager eks, last at 2026-01-01T00:00:00Z)",
    ],
  ],
  ["a self-managed CoreDNS of EKS", { labels: { "eks.amazonaws.com/component": "coredns" } }, []],
  [
    "GKE",
    {
      labels: { "addonmanager.kubernetes.io/mode": "Reconcile" },
      annotations: { "components.gke.io/component-name": "event-exporter" },
    },
    [
      "addon-manager, mode Reconcile (within about 60 s by default; from label addonmanager.kubernetes.io/mode)",
      "GKE, managed component event-exporter (unknown how fast; from annotation components.gke.io/component-name)",
    ],
  ],
  [
    "AKS",
    {
      labels: { "addonmanager.kubernetes.io/mode": "EnsureExists", "kubernetes.azure.com/managedby": "aks" },
    },
    [
      "addon-manager, mode EnsureExists (within about 60 s when it is gone, other changes stay; from label addonmanager.kubernetes.io/mode)",
      "AKS, managed component (unknown how fast; from label kubernetes.azure.com/managedby)",
    ],
  ],
  [
    "OLM",
    {
      labels: { "olm.owner": "op.v1.2.3", "olm.owner.kind": "ClusterServiceVersion" },
      ownerReferences: [{ kind: "ClusterServiceVersion", name: "op.v1.2.3" }],
    },
    ["OLM, ClusterServiceVersion op.v1.2.3 (as soon as it sees the change; from label olm.owner)"],
  ],
  [
    "OLM 1",
    {
      labels: {
        "olm.operatorframework.io/owner-name": "op",
        "olm.operatorframework.io/owner-kind": "ClusterExtension",
      },
    },
    [
      "OLM, ClusterExtension op (as soon as it sees the change; from label olm.operatorframework.io/owner-name)",
    ],
  ],
  [
    "k3s",
    {
      annotations: {
        "objectset.rio.cattle.io/id": "",
        "objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon",
        "objectset.rio.cattle.io/owner-name": "coredns",
      },
      managedFields: [wrote("deploy@node-1")],
    },
    [
      "the deploy controller of k3s or RKE2, Addon coredns (when its manifest on a server changes or a server restarts; from annotation objectset.rio.cattle.io/owner-gvk)",
    ],
  ],
  [
    "RKE2's chart",
    {
      labels: { "app.kubernetes.io/managed-by": "Helm" },
      annotations: { "meta.helm.sh/release-name": "rke2-coredns" },
      managedFields: [wrote("helm")],
    },
    [
      "the helm-controller of RKE2, HelmChart rke2-coredns (when the HelmChart changes; from annotation meta.helm.sh/release-name)",
      "Helm, release rke2-coredns (at the next helm upgrade, not by itself; from annotation meta.helm.sh/release-name)",
    ],
  ],
  [
    "kops (coredns of inventories/kops.json)",
    { labels: { "k8s-addon": "coredns.addons.k8s.io", "k8s-app": "kube-dns" } },
    [
      "kops' channels, add-on coredns.addons.k8s.io (when the add-on's manifest changes; from label k8s-addon)",
    ],
  ],
  [
    "OpenShift's DNS",
    { labels: { "dns.operator.openshift.io/owning-dns": "default" } },
    [
      "OpenShift's DNS operator, DNS default (as soon as it sees the change; from label dns.operator.openshift.io/owning-dns)",
    ],
  ],
  [
    "OpenShift's release",
    {
      annotations: {
        "include.release.openshift.io/ibm-cloud-managed": "false",
        "include.release.openshift.io/self-managed-high-availability": "true",
      },
    },
    [
      "OpenShift's cluster-version-operator (at its next sync, within minutes; from annotation include.release.openshift.io/self-managed-high-availability)",
    ],
  ],
  [
    "someone unknown who applies server-side",
    { managedFields: [wrote("gitops-test", { operation: "Apply" })] },
    [
      "gitops-test, which applies it server-side (unknown how fast; from field manager gitops-test, last at 2026-01-01T00:00:00Z)",
    ],
  ],
];

for (const [title, marks, expected] of MARKED)
  test(`restorers: ${title}`, (t) => t.deepEqual(words(marks), expected));

test("restorers: neither commands of people, nor this tool, nor those who write only the status", (t) => {
  t.deepEqual(
    words({
      managedFields: [
        wrote("kubectl", { operation: "Apply" }),
        wrote("kubectl-client-side-apply"),
        wrote("kubeadm"),
        wrote("kube-system-chaos", { operation: "Apply" }),
        wrote("argocd-controller", { subresource: "status" }),
        wrote("autoscaler", { operation: "Apply", subresource: "scale" }),
        wrote("someone-who-updates"),
      ],
    }),
    [],
  );
});

test("the owner chain: the owner in the API first, then who re-applies it", (t) => {
  const object = workload({
    ownerReferences: [{ kind: "DNS", name: "default" }],
    labels: { "dns.operator.openshift.io/owning-dns": "default" },
  });
  t.deepEqual(ownerChain("DaemonSet", object), [
    "Pod",
    "DaemonSet coredns",
    "DNS default",
    "OpenShift's DNS operator, DNS default (as soon as it sees the change; from label dns.operator.openshift.io/owning-dns)",
  ]);
});
