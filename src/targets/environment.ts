/** In which environment a run measures: what its result depends on, so that two runs can be compared. Pure. */
import { isIPv6 } from "node:net";
import type { Environment } from "../evidence/facts.js";
import type { ConfigMap, EndpointSlice, Node, Pod } from "../kube/objects.js";
import { controllerOf } from "../kube/pod-state.js";
import { hiddenBy, platformOf } from "./platform.js";

/** What was read. undefined: it could not be read. null: it does not exist. */
export interface EnvironmentInput {
  readonly version: string;
  readonly nodes: readonly Node[];
  /** The pods of kube-system. */
  readonly pods: readonly Pod[] | undefined;
  /** kube-proxy's ConfigMap: see `proxyConfigOf`. */
  readonly proxyConfig: ConfigMap | null | undefined;
  /** The API servers' EndpointSlice, which is read if no pod of kube-system is one. */
  readonly apiServers: EndpointSlice | null | undefined;
}

/** DaemonSets in kube-system, by the beginnings of their names. */
const NETWORK_WORKLOADS: readonly (readonly [string, string])[] = [
  ["kindnet", "kindnet"],
  ["calico-node", "Calico"],
  ["canal", "Canal"],
  ["cilium", "Cilium"],
  ["anetd", "Cilium (GKE Dataplane V2)"],
  ["kube-flannel", "Flannel"],
  ["weave-net", "Weave Net"],
  ["aws-node", "Amazon VPC CNI"],
  ["azure-cns", "Azure CNI"],
  ["antrea-agent", "Antrea"],
  ["ovnkube-node", "OVN-Kubernetes"],
  ["kube-router", "kube-router"],
];

/** Annotations that network plugins write to nodes: also those that run in a namespace of their own, or in k3s. */
const NETWORK_ANNOTATIONS: readonly (readonly [string, string])[] = [
  ["projectcalico.org/", "Calico"],
  ["flannel.alpha.coreos.com/", "Flannel"],
  ["network.cilium.io/", "Cilium"],
  ["io.cilium.network.", "Cilium"],
  ["node.antrea.io/", "Antrea"],
  ["k8s.ovn.org/", "OVN-Kubernetes"],
];

const distinct = (values: readonly (string | undefined)[]): string[] =>
  [...new Set(values.filter((value) => value !== undefined && value !== ""))].sort() as string[];

const ownerOf = (pod: Pod): string => controllerOf(pod)?.name ?? "";

function cniOf({ nodes, pods = [] }: Pick<EnvironmentInput, "nodes" | "pods">): string | null {
  const annotations = nodes.flatMap(({ metadata }) => Object.keys(metadata.annotations ?? {}));
  const byNode = NETWORK_ANNOTATIONS.flatMap(([prefix, name]) =>
    annotations.some((key) => key.startsWith(prefix)) ? [`${name} (annotations of the nodes)`] : [],
  );
  const byWorkload = NETWORK_WORKLOADS.flatMap(([prefix, name]) => {
    const owner = pods.map(ownerOf).find((each) => each === prefix || each.startsWith(`${prefix}-`));
    return owner === undefined ? [] : [`${name} (DaemonSet ${owner})`];
  });
  const found = distinct([
    ...byWorkload,
    ...byNode.filter((each) => !byWorkload.some((one) => one.split(" ")[0] === each.split(" ")[0])),
  ]);
  return found.length === 0 ? null : found.join(", ");
}

/** kubeadm, EKS and AKS have the first label; GKE's and kops' static pods the second or its like. */
export const isProxy = ({ metadata: { labels = {}, name } }: Pod): boolean =>
  labels["k8s-app"] === "kube-proxy" ||
  labels["component"] === "kube-proxy" ||
  labels["k8s-app"] === "kube-proxy-windows" ||
  name.startsWith("kube-proxy-");

/** The name of the ConfigMap that kube-proxy's pods mount: kube-proxy, or EKS's kube-proxy-config. Pure. */
export function proxyConfigOf(pods: readonly Pod[]): string | undefined {
  const names = pods
    .filter(isProxy)
    .flatMap(({ spec }) => (spec?.volumes ?? []).flatMap(({ configMap }) => configMap?.name ?? []));
  return names.find((name) => name === "kube-proxy" || name === "kube-proxy-config");
}

/** Networks that can route Services without kube-proxy, by the beginnings of the names that `cniOf` gives. */
const CAN_REPLACE_PROXY = ["Cilium", "kube-router", "OVN-Kubernetes", "Calico", "Antrea"];

/** What may do kube-proxy's work where no pod of it runs; undefined: nothing that is known to be able to. Pure. */
export function proxyReplacement(input: Pick<EnvironmentInput, "nodes" | "pods">): string | undefined {
  const network = cniOf(input) ?? "";
  return CAN_REPLACE_PROXY.some((name) => network.includes(name)) ? network : undefined;
}

/**
 * The mode: a flag wins over the file (cmd/kube-proxy/app/options.go); without both it is iptables on Linux
 * (cmd/kube-proxy/app/server_linux.go, platformApplyDefaults).
 */
function modeOf(proxies: readonly Pod[], config: ConfigMap | null | undefined): string {
  const args = proxies.flatMap(({ spec }) =>
    (spec?.containers ?? []).flatMap(({ command = [], args: more = [] }) => [...command, ...more]),
  );
  const flag = args.join(" ").match(/--proxy-mode[= ]"?([a-z]+)/)?.[1];
  if (flag !== undefined) return flag;
  if (config === undefined) return "mode unknown";
  const text = Object.values(config?.data ?? {}).find((each) => /^mode:/m.test(each));
  const mode = text === undefined ? undefined : /^mode:[ \t]*["']?([a-zA-Z]*)/m.exec(text)?.[1];
  return mode === undefined || mode === "" ? "iptables (its default)" : mode;
}

function serviceProxyOf({ nodes, pods, proxyConfig }: EnvironmentInput): string | null {
  const hidden = hiddenBy(platformOf(nodes), "kube-proxy");
  if (pods === undefined) return hidden === undefined ? null : `no pod of kube-proxy: ${hidden}`;
  const proxies = pods.filter(isProxy);
  if (proxies.length > 0) return `kube-proxy, ${modeOf(proxies, proxyConfig)}`;
  if (hidden !== undefined) return `no pod of kube-proxy: ${hidden}`;
  const cilium = pods.some((pod) => ownerOf(pod).startsWith("cilium") || ownerOf(pod) === "anetd");
  return cilium ? "no pod of kube-proxy: Cilium replaces it" : "no pod of kube-proxy in kube-system";
}

/** "registry.k8s.io/coredns/coredns:v1.12.0@sha256:…" → "coredns v1.12.0". */
function nameAndTag(image: string): string {
  const [path = ""] = image.split("@");
  const last = path.slice(path.lastIndexOf("/") + 1);
  const [name = "", tag] = last.split(":");
  return `${name} ${tag ?? "(version unknown)"}`;
}

function dnsOf({ pods }: EnvironmentInput): string | null {
  const servers = (pods ?? []).filter(({ metadata }) => metadata.labels?.["k8s-app"] === "kube-dns");
  const images = servers.map(({ spec }) => spec?.containers[0]?.image);
  const found = distinct(images.map((image) => (image === undefined ? undefined : nameAndTag(image))));
  return found.length === 0 ? null : found.join(", ");
}

/** Managed control planes are counted by the addresses of the Service `kubernetes`: a load balancer is one. */
function apiServersOf({ pods, apiServers }: EnvironmentInput): number | null {
  const running = (pods ?? []).filter(({ metadata }) => metadata.labels?.["component"] === "kube-apiserver");
  if (running.length > 0) return running.length;
  const addresses = apiServers?.endpoints?.flatMap((each) => each.addresses) ?? [];
  return addresses.length === 0 ? null : new Set(addresses).size;
}

/** Whether the API servers' EndpointSlice must be read to count them. Pure. */
export function hasNoApiServer(pods: readonly Pod[] | undefined): boolean {
  return apiServersOf({ version: "", nodes: [], pods, proxyConfig: null, apiServers: null }) === null;
}

function familiesOf(nodes: readonly Node[]): string[] {
  const addresses = nodes.flatMap(({ spec, status }) => [
    ...(spec?.podCIDRs ?? []),
    ...(status?.addresses ?? []).flatMap(({ type, address }) => (type === "InternalIP" ? address : [])),
  ]);
  return distinct(addresses.map((address) => (isIPv6(address.split("/")[0] ?? "") ? "IPv6" : "IPv4")));
}

/** Only the release: the suffix of a local build names the person who built it. Pure. */
export function kernelOf({ status }: Node): string {
  return /^[\d.]*\d/.exec(status?.nodeInfo?.kernelVersion ?? "")?.[0] ?? "";
}

/** @param notRead what could not be read, and why: clauses. */
export function environmentOf(input: EnvironmentInput, notRead: readonly string[]): Environment {
  const { version, nodes } = input;
  const info = nodes.map(({ status }) => status?.nodeInfo);
  return {
    kubernetes: version,
    platform: platformOf(nodes)?.name ?? null,
    cni: cniOf(input),
    serviceProxy: serviceProxyOf(input),
    dns: dnsOf(input),
    kernels: distinct(nodes.map(kernelOf)),
    runtimes: distinct(info.map((each) => each?.containerRuntimeVersion)),
    osImages: distinct(info.map((each) => each?.osImage)),
    architectures: distinct(info.map((each) => each?.architecture)),
    // The probers' pods tell, once they run.
    cgroups: [],
    ipFamilies: familiesOf(nodes),
    nodes: nodes.length,
    apiServers: apiServersOf(input),
    notRead,
  };
}
