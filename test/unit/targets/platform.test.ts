import { experiment } from "../../helpers/experiments.js";
import test from "ava";
import { components } from "../../../src/components/all-components.js";
import type { PlatformName } from "../../../src/components/platforms.js";
import { fitted } from "../../../src/components/resolve.js";
import type { Node } from "../../../src/kube/objects.js";
import { formsOn, hiddenBy, platformOf, whyNoStaticPods } from "../../../src/targets/platform.js";
import { inventory } from "../../helpers/inventories.js";

interface Sign {
  readonly name?: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly provider?: string;
  readonly info?: Record<string, string>;
}

const node = ({ name = "n", labels, annotations, provider, info }: Sign): Node =>
  ({
    metadata: { name, uid: name, resourceVersion: "1", labels, annotations },
    spec: { providerID: provider },
    status: { nodeInfo: info },
  }) as unknown as Node;

const SIGNS: readonly [PlatformName, Sign][] = [
  ["k3s", { info: { kubeletVersion: "v1.33.1+k3s1" }, provider: "k3s://n" }],
  ["RKE2", { info: { kubeletVersion: "v1.32.7+rke2r1" }, labels: { "eks.amazonaws.com/nodegroup": "x" } }],
  ["OpenShift", { labels: { "node.openshift.io/os_id": "rhel" }, provider: "aws:///az/i-1" }],
  ["MicroK8s", { labels: { "microk8s.io/cluster": "true" } }],
  ["Talos", { info: { osImage: "Talos (v1.11.5)" } }],
  ["kind", { provider: "kind://docker/kind/kind-worker" }],
  ["kops", { labels: { "kops.k8s.io/instancegroup": "nodes" }, provider: "gce://p/z/gke-like" }],
  ["GKE", { labels: { "cloud.google.com/gke-nodepool": "pool" } }],
  ["GKE", { info: { kubeletVersion: "v1.33.2-gke.1111000" } }],
  ["GKE", { name: "gke-demo-0", provider: "gce://p/z/0" }],
  ["EKS", { labels: { "eks.amazonaws.com/nodegroup": "x" } }],
  ["EKS", { info: { kubeletVersion: "v1.31.3-eks-59bf375" } }],
  ["AKS", { labels: { "kubernetes.azure.com/cluster": "MC_x" } }],
  ["AKS", { name: "aks-agentpool-0", provider: "azure:///subscriptions/x" }],
  ["kubeadm", { annotations: { "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/crio/crio.sock" } }],
];

for (const [platform, sign] of SIGNS) {
  test(`${platform} is recognised by ${JSON.stringify(sign)}`, (t) => {
    const found = platformOf([node({}), node(sign)]);
    t.is(found?.name, platform);
    t.regex(found?.because ?? "", /^the (nodes|kubelets)/);
  });
}

test("nodes without a sign, or that have not registered, are no platform", (t) => {
  t.is(platformOf([]), undefined);
  t.is(platformOf([node({ provider: "gce://p/z/vm" }), node({ provider: "aws:///az/i-1" })]), undefined);
  t.is(platformOf([{ metadata: { name: "n", uid: "n", resourceVersion: "1" } }]), undefined);
});

for (const [name, component, reason] of [
  ["synthetic-k3s", "kubelet", /k3s\.service/],
  ["synthetic-k3s", "kube-proxy", /k3s\.service/],
  ["synthetic-k3s", "container-runtime", /k3s\.service/],
  ["synthetic-k3s", "kube-scheduler", /k3s\.service/],
  ["synthetic-rke2", "kubelet", /rke2-server\.service or rke2-agent\.service/],
  ["synthetic-rke2", "container-runtime", /rke2-server\.service or rke2-agent\.service/],
  ["synthetic-microk8s", "kubelet", /snap\.microk8s\.daemon-kubelite\.service/],
  ["synthetic-microk8s", "etcd", /dqlite/],
  ["synthetic-openshift", "kube-proxy", /OVN-Kubernetes/],
  ["synthetic-talos", "kubelet", /no systemd/],
  ["synthetic-talos", "kube-scheduler", /HTTP server/],
  ["gke", "etcd", /GKE runs the control plane itself/],
  ["aks", "kube-apiserver", /AKS runs the control plane itself/],
] as const) {
  test(`${name}: ${component} is hidden, with the reason`, (t) => {
    t.regex(hiddenBy(platformOf(inventory(name).nodes), component) ?? "", reason);
  });
}

test("nothing is hidden on kubeadm, on kind, or where the platform is unknown", (t) => {
  for (const name of ["synthetic-kubeadm", "synthetic-kind", "kops", "prod-baremetal"])
    for (const component of Object.values(components))
      t.is(
        hiddenBy(platformOf(inventory(name).nodes), component.name),
        undefined,
        `${name} ${component.name}`,
      );
});

test("the units of the runtime are those of the versions that the nodes report", (t) => {
  const units = (...runtimes: string[]): readonly string[] => {
    const nodes = runtimes.map((containerRuntimeVersion) => node({ info: { containerRuntimeVersion } }));
    const [form] = formsOn(components["container-runtime"], platformOf(nodes), nodes);
    return form?.how === "systemd-unit" ? form.units : [];
  };
  t.deepEqual(units("containerd://2.1.4", "containerd://1.7.0"), ["containerd.service"]);
  t.deepEqual(units("cri-o://1.31.10"), ["crio.service"]);
  t.deepEqual(units("docker://27.0.1"), ["docker.service"]);
  t.deepEqual(units("cri-o://1.31.10", "containerd://2.1.4"), ["crio.service", "containerd.service"]);
  t.deepEqual(units("strange"), ["containerd.service", "crio.service", "docker.service"], "unknown: all");
  const { nodes } = inventory("synthetic-microk8s");
  t.like(formsOn(components["container-runtime"], platformOf(nodes), nodes)[0], {
    units: ["snap.microk8s.daemon-containerd.service"],
  });
});

test("the manifests of a platform come first, and forms of another platform are left out", (t) => {
  const forms = (name: string): readonly string[] =>
    formsOn(components["kube-scheduler"], platformOf(inventory(name).nodes)).flatMap((form) =>
      form.how === "static-pod" ? `${form.namespace} ${form.manifests[0]}` : [],
    );
  t.deepEqual(forms("synthetic-kubeadm"), [
    "kube-system /etc/kubernetes/manifests/kube-scheduler.yaml",
    "kube-system /etc/kubernetes/manifests/kube-scheduler.manifest",
  ]);
  t.deepEqual(
    forms("synthetic-rke2")[0],
    "kube-system /var/lib/rancher/rke2/agent/pod-manifests/kube-scheduler.yaml",
  );
  t.deepEqual(
    forms("synthetic-openshift").at(-1),
    "openshift-kube-scheduler /etc/kubernetes/manifests/kube-scheduler-pod.yaml",
  );
  const kops = { name: "kops", because: "" } as const;
  const [first] = formsOn(components["kube-scheduler"], kops);
  t.like(first, {
    manifests: [
      "/etc/kubernetes/manifests/kube-scheduler.manifest",
      "/etc/kubernetes/manifests/kube-scheduler.yaml",
      "/var/lib/rancher/rke2/agent/pod-manifests/kube-scheduler.yaml",
    ],
  });
});

test("no node with a control plane is a reason for missing static pods", (t) => {
  t.regex(whyNoStaticPods(inventory("eks").nodes) ?? "", /the control plane runs elsewhere/);
  t.is(whyNoStaticPods(inventory("kops").nodes), undefined, "by its taint");
  t.is(whyNoStaticPods(inventory("synthetic-rke2").nodes), undefined, "by its label");
  t.is(whyNoStaticPods([]), undefined, "nothing is known of the nodes");
});

test("an attack that does not fit the form is replaced, unless the file names it", (t) => {
  const target = { component: "kube-proxy" } as const;
  const free = experiment({ target });
  t.is(fitted(free, "DaemonSet"), free);
  t.deepEqual(fitted(free, "StaticPod").attack, { type: "static-pod", nodes: "all" });
  const named = experiment({ target, attack: { type: "delete-workload" } });
  t.is(fitted(named, "StaticPod"), named);
  const control = experiment({ target, attack: { type: "none" } });
  t.is(fitted(control, "StaticPod"), control);
});
