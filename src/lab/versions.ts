/**
 * The versions of what the lab compiles. `npm run lab:lock` writes the go.mod and go.sum of each Go module from these
 * (the collector's come from its builder); a build downloads only what those files name. The tags of the add-ons' images
 * are in src/addons/manifests/, and a test compares them with src/lab/images.ts.
 */

/** The newest patch of the newest release that builds with GO. kubeadm of this version names the next four tags. */
export const KUBERNETES = "1.36.3";
/** The tags of the images that kubeadm asks for (`kubeadm config images list`); the build compares them. */
export const KUBEADM_TAGS = { coredns: "v1.14.2", etcd: "3.6.8-0", pause: "3.10.2" } as const;

/** Go modules, by the name of their folder below go/. */
export const MODULES = {
  kind: "sigs.k8s.io/kind v0.33.0",
  // The releases that kind 0.33.0's own node image has.
  containerd: "github.com/containerd/containerd/v2 v2.3.4",
  "cni-plugins": "github.com/containernetworking/plugins v1.9.1",
  etcd: "go.etcd.io/etcd/server/v3 v3.6.8",
  etcdctl: "go.etcd.io/etcd/etcdctl/v3 v3.6.8",
  // kubeadm's 1.14.2 is not offered by the public module proxy; this is the next one.
  coredns: "github.com/coredns/coredns v1.14.3",
  "metrics-server": "sigs.k8s.io/metrics-server v0.8.0",
  kubernetes: `k8s.io/kubernetes v${KUBERNETES}`,
} as const;

/** The OpenTelemetry Collector. Its go.mod comes from its builder: see go/collector/builder.yaml. */
export const COLLECTOR = "v0.159.0";

/** The lowest Go that builds them, and the toolchain that is fetched when the machine has none or an older one. */
export const GO = { lowest: "1.26.3", toolchain: "1.26.8" } as const;

/** The name under which a user would pull the node image of this Kubernetes. */
export const NODE_IMAGE = `kindest/node:v${KUBERNETES}`;
