/** The Go programs of the lab: what each module is, how it is built, and what is taken from its source. */
import { COLLECTOR, KUBERNETES, MODULES } from "./versions.js";

/** One folder below go/ with a go.mod and go.sum. */
export interface GoModule {
  /** The name of its folder. */
  readonly name: string;
  /** Programs by name: the package of each. `./x` is a folder beside the go.mod. */
  readonly programs: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  /** Values for the linker's -X, by variable. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Files and folders of the module's source, by the name they get below source/. */
  readonly source?: Readonly<Record<string, string>>;
  /** About how long the build takes on two cores, s: for the time that is left. */
  readonly seconds: number;
}

/** The module path and the version of a folder; undefined: the folder's go.mod is written by hand. */
export function moduleOf(name: string): { readonly path: string; readonly version: string } | undefined {
  const text = (MODULES as Readonly<Record<string, string>>)[name];
  const [path, version] = text?.split(" ") ?? [];
  return path === undefined || version === undefined ? undefined : { path, version };
}

/** Every module that is compiled, with its version, for people. */
export function builtVersions(): string {
  return GO_MODULES.map(({ name }) => `${name} ${moduleOf(name)?.version ?? COLLECTOR}`).join(", ");
}

/** The linker's values that `kubectl version` and the API server's /version show. */
export function kubernetesVersion(version: string): Readonly<Record<string, string>> {
  const [major = "", minor = ""] = version.split(".");
  const values = {
    gitVersion: `v${version}`,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: "archive",
    buildDate: "1970-01-01T00:00:00Z",
  };
  return Object.fromEntries(
    ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((name) =>
      Object.entries(values).map(([key, value]) => [`${name}.${key}`, value]),
    ),
  );
}

const CNI = "github.com/containernetworking/plugins/plugins";
const CONTAINERD = "github.com/containerd/containerd/v2";
const METRICS_SERVER = moduleOf("metrics-server")?.version ?? "";

/** In the order of building: small ones first, so that the large downloads are done when their turn comes. */
export const GO_MODULES: readonly GoModule[] = [
  {
    name: "kind",
    programs: { kind: "sigs.k8s.io/kind" },
    // kind's own files for a node: entrypoint, units, containerd's configuration.
    source: { "kind-files": "images/base/files" },
    seconds: 35,
  },
  {
    name: "cni-plugins",
    programs: {
      "host-local": `${CNI}/ipam/host-local`,
      loopback: `${CNI}/main/loopback`,
      ptp: `${CNI}/main/ptp`,
      portmap: `${CNI}/meta/portmap`,
    },
    seconds: 8,
  },
  { name: "etcd", programs: { etcd: "go.etcd.io/etcd/server/v3" }, seconds: 38 },
  { name: "etcdctl", programs: { etcdctl: "go.etcd.io/etcd/etcdctl/v3" }, seconds: 4 },
  {
    name: "containerd",
    programs: {
      containerd: `${CONTAINERD}/cmd/containerd`,
      "containerd-shim-runc-v2": `${CONTAINERD}/cmd/containerd-shim-runc-v2`,
      ctr: `${CONTAINERD}/cmd/ctr`,
    },
    tags: ["no_btrfs", "no_devmapper", "no_zfs", "no_aufs", "no_tracing"],
    variables: { [`${CONTAINERD}/version.Version`]: moduleOf("containerd")?.version ?? "" },
    seconds: 55,
  },
  { name: "coredns", programs: { coredns: "github.com/coredns/coredns" }, seconds: 110 },
  {
    name: "metrics-server",
    programs: { "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server" },
    variables: {
      "k8s.io/client-go/pkg/version.gitVersion": METRICS_SERVER,
      "k8s.io/component-base/version.gitVersion": METRICS_SERVER,
    },
    seconds: 110,
  },
  { name: "collector", programs: { collector: "." }, seconds: 100 },
  {
    name: "kubernetes",
    programs: {
      ...Object.fromEntries(
        [
          ...["kubeadm", "kubelet", "kubectl"],
          ...["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"],
        ].map((name) => [name, `k8s.io/kubernetes/cmd/${name}`]),
      ),
      // In this module, so that client-go is compiled once.
      "pod-network": "./pod-network",
      substitutes: "./substitutes",
    },
    tags: ["providerless"],
    variables: kubernetesVersion(KUBERNETES),
    source: {
      "pause.c": "build/pause/linux/pause.c",
      "kube-addons.sh": "cluster/addons/addon-manager/kube-addons.sh",
      "kube-addons-main.sh": "cluster/addons/addon-manager/kube-addons-main.sh",
    },
    seconds: 370,
  },
];
