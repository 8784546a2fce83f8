import test from "ava";
import type { ConfigMap, EndpointSlice, Node, Pod } from "../../../src/kube/objects.js";
import {
  environmentOf,
  type EnvironmentInput,
  hasNoApiServer,
  proxyConfigOf,
} from "../../../src/targets/environment.js";

const node = (annotations: Record<string, string> = {}, more: object = {}): Node =>
  ({
    metadata: { name: "a", annotations, labels: {} },
    spec: { podCIDRs: ["10.244.0.0/24"], ...more },
    status: {
      addresses: [{ type: "InternalIP", address: "172.17.0.2" }],
      nodeInfo: {
        kernelVersion: "6.18.44-built-by-me",
        containerRuntimeVersion: "containerd://2.3.4",
        osImage: "Debian GNU/Linux 12 (bookworm)",
        architecture: "amd64",
        kubeletVersion: "v1.36.3",
      },
    },
  }) as unknown as Node;

interface PodParts {
  readonly labels?: Record<string, string>;
  readonly owner?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly config?: string;
}

const pod = (name: string, { labels = {}, owner, image, command, config }: PodParts): Pod =>
  ({
    metadata: {
      name,
      labels,
      ...(owner === undefined ? {} : { ownerReferences: [{ name: owner, controller: true }] }),
    },
    spec: {
      containers: [{ image, ...(command === undefined ? {} : { command }) }],
      volumes: config === undefined ? [] : [{ configMap: { name: config } }],
    },
  }) as unknown as Pod;

const PROXY = { labels: { "k8s-app": "kube-proxy" }, owner: "kube-proxy", config: "kube-proxy" };
const DNS = { labels: { "k8s-app": "kube-dns" }, image: "registry.k8s.io/coredns/coredns:v1.12.0@sha256:12" };
const config = (text: string, key = "config.conf"): ConfigMap =>
  ({
    metadata: { name: "kube-proxy" },
    data: { [key]: text, "kubeconfig.conf": "x" },
  }) as unknown as ConfigMap;

const input = (more: Partial<EnvironmentInput> = {}): EnvironmentInput => ({
  version: "v1.36.3",
  nodes: [node({ "kubeadm.alpha.kubernetes.io/cri-socket": "x" })],
  pods: [
    pod("kindnet-x", { owner: "kindnet" }),
    pod("kube-proxy-x", PROXY),
    pod("coredns-1", DNS),
    pod("coredns-2", DNS),
    pod("kube-apiserver-a", { labels: { component: "kube-apiserver" } }),
  ],
  proxyConfig: config("kind: KubeProxyConfiguration\nmode: iptables\n"),
  apiServers: null,
  ...more,
});

test("a kubeadm-like cluster: everything is known, except what only the probers see", (t) => {
  t.deepEqual(environmentOf(input(), []), {
    kubernetes: "v1.36.3",
    platform: "kubeadm",
    cni: "kindnet (DaemonSet kindnet)",
    serviceProxy: "kube-proxy, iptables",
    dns: "coredns v1.12.0",
    kernels: ["6.18.44"],
    runtimes: ["containerd://2.3.4"],
    osImages: ["Debian GNU/Linux 12 (bookworm)"],
    architectures: ["amd64"],
    cgroups: [],
    ipFamilies: ["IPv4"],
    nodes: 1,
    apiServers: 1,
    notRead: [],
  });
});

test("without the right to list pods: unknown, with the reason, and never a guess", (t) => {
  const found = environmentOf(input({ pods: undefined, apiServers: undefined }), ["the pods: HTTP 403"]);
  t.like(found, { cni: null, serviceProxy: null, dns: null, apiServers: null });
  t.deepEqual(found.notRead, ["the pods: HTTP 403"]);
});

for (const [what, more, expected] of [
  ["its file says nothing", { proxyConfig: config('mode: ""\n') }, "kube-proxy, iptables (its default)"],
  ["a mode in the file of EKS", { proxyConfig: config('mode: "ipvs"\n', "config") }, "kube-proxy, ipvs"],
  ["nftables", { proxyConfig: config("a:\n  mode: x\nmode: nftables\n") }, "kube-proxy, nftables"],
  ["no right to its file", { proxyConfig: undefined }, "kube-proxy, mode unknown"],
  [
    "a flag wins",
    { pods: [pod("kube-proxy-x", { ...PROXY, command: ["kube-proxy", "--proxy-mode=ipvs"] })] },
    "kube-proxy, ipvs",
  ],
  [
    "a static pod without a file",
    { pods: [pod("kube-proxy-gke-1", { labels: { component: "kube-proxy" } })], proxyConfig: null },
    "kube-proxy, iptables (its default)",
  ],
  ["Cilium", { pods: [pod("cilium-x", { owner: "cilium" })] }, "no pod of kube-proxy: Cilium replaces it"],
] as const) {
  test(`kube-proxy's mode: ${what}`, (t) => {
    t.is(environmentOf(input(more), []).serviceProxy, expected);
  });
}

test("the network plugin: also by what it writes on the nodes, each once", (t) => {
  const cni = (more: Partial<EnvironmentInput>): string | null => environmentOf(input(more), []).cni;
  const flannel = [node({ "flannel.alpha.coreos.com/backend-type": "vxlan" })];
  t.is(cni({ nodes: flannel, pods: [] }), "Flannel (annotations of the nodes)");
  t.is(
    cni({
      nodes: [node({ "projectcalico.org/IPv4Address": "x" })],
      pods: [pod("c", { owner: "calico-node" })],
    }),
    "Calico (DaemonSet calico-node)",
  );
  t.is(
    cni({ pods: [pod("x", { owner: "aws-node-termination-handler" })] }),
    "Amazon VPC CNI (DaemonSet aws-node-termination-handler)",
  );
  t.is(cni({ pods: [] }), null);
});

test("API servers of a managed cluster are counted by their addresses; their slice is read only then", (t) => {
  const slice = {
    endpoints: [{ addresses: ["10.0.0.1"] }, { addresses: ["10.0.0.2"] }],
  } as unknown as EndpointSlice;
  t.is(environmentOf(input({ pods: [], apiServers: slice }), []).apiServers, 2);
  t.true(hasNoApiServer([]));
  t.false(hasNoApiServer(input().pods));
});

test("IP families of nodes and pods; the ConfigMap that kube-proxy mounts", (t) => {
  const dual = [node({}, { podCIDRs: ["10.244.0.0/24", "fd00:10:244::/64"] })];
  t.deepEqual(environmentOf(input({ nodes: dual }), []).ipFamilies, ["IPv4", "IPv6"]);
  t.is(proxyConfigOf([pod("p", { ...PROXY, config: "kube-proxy-config" })]), "kube-proxy-config");
  t.is(proxyConfigOf([pod("p", { ...PROXY, config: "another" })]), undefined);
  t.is(proxyConfigOf([pod("p", DNS)]), undefined);
});
