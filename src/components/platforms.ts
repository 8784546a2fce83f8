/**
 * What each platform embeds, hides or replaces. How a component looks where it does run is in the component's own file.
 * Each fact has its public source: repository and path.
 */
import type { ComponentName } from "../experiment/names.js";

/** Platforms of which a component's form or absence is known. Others are treated like kubeadm. */
export type PlatformName =
  "kind" | "kubeadm" | "GKE" | "AKS" | "EKS" | "kops" | "k3s" | "RKE2" | "MicroK8s" | "OpenShift" | "Talos";

export interface PlatformFacts {
  /** Why these components cannot be taken down alone, or are not in the cluster at all: a clause. */
  readonly hides: Readonly<Partial<Record<ComponentName, string>>>;
  /** The units of these components, where they differ from the usual ones. */
  readonly units?: Readonly<Partial<Record<ComponentName, readonly string[]>>>;
  /** What the manifests of its static pods begin and end with, where they differ from kubeadm's. */
  readonly manifests?: { readonly folder: string; readonly suffix: string };
}

const CONTROL_PLANE = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] as const;

function each<Name extends ComponentName>(
  names: readonly Name[],
  why: string,
): Partial<Record<Name, string>> {
  return Object.fromEntries(names.map((name) => [name, why])) as Partial<Record<Name, string>>;
}

const managed = (platform: string): PlatformFacts => ({
  hides: each(CONTROL_PLANE, `${platform} runs the control plane itself, outside the cluster's nodes`),
});

/** k3s.service runs `k3s server`: one process (k3s-io/k3s, k3s.service; pkg/daemons/executor/embed.go). */
const K3S =
  "k3s runs it inside its own process (k3s.service or k3s-agent.service), together with the other parts of Kubernetes: it cannot be taken down alone";

/** rancher/rke2, bundle/lib/systemd/system/rke2-{server,agent}.service; pkg/podexecutor/staticpod.go starts the kubelet. */
const RKE2 =
  "RKE2 starts it as a child of rke2-server.service or rke2-agent.service, which start it again at once: it has no unit of its own";

/** canonical/microk8s, microk8s-resources/wrappers/run-kubelite-with-args. */
const MICROK8S =
  "MicroK8s runs it inside kubelite (snap.microk8s.daemon-kubelite.service), together with the other parts of Kubernetes: it cannot be taken down alone";

/** https://talos.dev/v1.9/advanced/static-pods: "Talos renders static pod definitions to the kubelet using a local HTTP server". */
const TALOS_PODS =
  "Talos hands its static pods to the kubelet over a local HTTP server: there is no manifest that could be moved";

const TALOS_UNITS = "Talos has no systemd and no shell: its services answer only to talosctl";

export const PLATFORMS: Readonly<Record<PlatformName, PlatformFacts>> = {
  kind: { hides: {} },
  kubeadm: { hides: {} },
  GKE: managed("GKE"),
  AKS: managed("AKS"),
  EKS: managed("EKS"),
  // nodeup/pkg/model/{kube_scheduler,kube_proxy,manifests}.go of kubernetes/kops.
  kops: { hides: {}, manifests: { folder: "/etc/kubernetes/manifests/", suffix: ".manifest" } },
  k3s: {
    hides: {
      ...each(["kubelet", "kube-proxy", "container-runtime"], K3S),
      ...each(CONTROL_PLANE, K3S),
      etcd: "k3s keeps the API's objects inside its own process (SQLite or etcd), or in an external database",
    },
  },
  RKE2: {
    hides: each(["kubelet", "container-runtime"], RKE2),
    // pkg/staticpod/staticpod.go of rancher/rke2; its end-to-end tests read agent/pod-manifests/etcd.yaml.
    manifests: { folder: "/var/lib/rancher/rke2/agent/pod-manifests/", suffix: ".yaml" },
  },
  MicroK8s: {
    hides: {
      ...each(["kubelet", "kube-proxy"], MICROK8S),
      ...each(CONTROL_PLANE, MICROK8S),
      etcd: "MicroK8s keeps the API's objects in dqlite (snap.microk8s.daemon-k8s-dqlite.service)",
    },
    // canonical/microk8s, snap/snapcraft.yaml: the app daemon-containerd.
    units: { "container-runtime": ["snap.microk8s.daemon-containerd.service"] },
  },
  OpenShift: {
    hides: {
      // openshift/cluster-network-operator, bindata/network/ovn-kubernetes: no kube-proxy beside ovnkube-node.
      "kube-proxy":
        "OpenShift has none: OVN-Kubernetes (DaemonSet openshift-ovn-kubernetes/ovnkube-node) routes Services",
    },
    units: { "container-runtime": ["crio.service"] },
  },
  Talos: {
    hides: {
      ...each(CONTROL_PLANE, TALOS_PODS),
      ...each(["kubelet", "container-runtime", "etcd"], TALOS_UNITS),
    },
  },
};

/** DaemonSets in kube-system that do kube-proxy's work, by their label k8s-app. */
export const REPLACES_KUBE_PROXY: Readonly<Record<string, string>> = {
  // cilium/cilium, install/kubernetes/cilium/templates/cilium-agent/daemonset.yaml; anetd on GKE has the same label.
  cilium: "Cilium",
  // cloudnativelabs/kube-router, daemonset/kube-router-all-service-daemonset.yaml.
  "kube-router": "kube-router",
};

/** The systemd units of a runtime, by the scheme of a node's `status.nodeInfo.containerRuntimeVersion`. */
export const RUNTIME_UNITS: Readonly<Record<string, readonly string[]>> = {
  containerd: ["containerd.service"],
  "cri-o": ["crio.service"],
  docker: ["docker.service"],
};
