/** Every image of the lab: its public name, and what is in it. */
import { COLLECTOR, KUBEADM_TAGS, KUBERNETES } from "./versions.js";
import { moduleOf } from "./go-modules.js";

/** The name prefix of images that exist only in the lab, and that other images are built from. */
export const LAB_PREFIX = "kube-system-chaos-lab/";

/** An image of the lab. */
export interface Image {
  readonly tags: readonly [string, ...string[]];
  /** The image it starts from; undefined: from nothing. */
  readonly from?: string;
  /** Go programs by their path in the image: "module/program". */
  readonly programs?: Readonly<Record<string, string>>;
  /** Files and folders of a module's source by their path in the image: "module/name". */
  readonly sources?: Readonly<Record<string, string>>;
  /** Files below assets/ by their path in the image. */
  readonly assets?: Readonly<Record<string, string>>;
  /** Debian packages, unpacked with the dependencies that the base system lacks. */
  readonly packages?: readonly string[];
  /** The Dockerfile's lines after its files are there. */
  readonly lines?: readonly string[];
  /** For a substitute: what it really is. For an original: what it was built from. Neither: an image of the lab's own. */
  readonly standIn?: string;
  readonly builtFrom?: string;
  /** Only other images are built from it: the nodes do not have it. */
  readonly parentOnly?: boolean;
}

const BASE = `${LAB_PREFIX}base`;
const NETWORK_TOOLS = `${LAB_PREFIX}network-tools`;
const COMPILER = `${LAB_PREFIX}c-compiler`;
const SUBSTITUTES = `${LAB_PREFIX}substitutes`;
const REDIS = "docker.io/library/redis:6.0.5";
const REGISTRY = "registry.k8s.io";

const built = (module: string): string => {
  const { path, version } = moduleOf(module) ?? { path: module, version: "" };
  return `${path} ${version}, built from its Go module`.trim();
};
const entrypoint = (...words: string[]): string => `ENTRYPOINT ${JSON.stringify(words)}`;
const command = (...words: string[]): string => `CMD ${JSON.stringify(words)}`;

/** An image of Kubernetes with one program. */
function kubernetesImage(name: string, from?: string): Image {
  return {
    tags: [`${REGISTRY}/${name}:v${KUBERNETES}`],
    ...(from === undefined ? {} : { from }),
    programs: { [`/usr/local/bin/${name}`]: `kubernetes/${name}` },
    lines: ["ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    builtFrom: built("kubernetes"),
  };
}

/** The names under which the program `substitutes` does the work of each. */
const SUBSTITUTE_PROGRAMS = [
  ...["cluster-proportional-autoscaler", "kubernetes-event-exporter"],
  ...["404-server-with-metrics", "scaler.sh"],
];

/** One of the substitutes. They are one program, so that their images share one layer on the nodes. */
function substitute(tag: string, program: string | undefined, what: string): Image {
  return {
    tags: [tag],
    from: SUBSTITUTES,
    ...(program === undefined ? {} : { lines: [entrypoint(`/${program}`)] }),
    standIn: `a Go program of this project with the flags, the interval and the API calls of ${what}`,
  };
}

/** In the order of building: each after the one it is built from. */
export const IMAGES: readonly Image[] = [
  {
    tags: [NETWORK_TOOLS],
    from: BASE,
    packages: ["iptables", "nftables", "conntrack", "iproute2", "kmod"],
    // The nodes of the lab use the nf_tables flavour, because its engine does; the two must agree.
    lines: [
      "RUN for name in iptables ip6tables; do for verb in '' -save -restore; do " +
        "ln -sf xtables-nft-multi /usr/sbin/$name$verb; done; done",
    ],
    parentOnly: true,
  },
  { tags: [COMPILER], from: BASE, packages: ["gcc", "libc6-dev"], parentOnly: true },
  {
    tags: [`${LAB_PREFIX}pause-build`],
    from: COMPILER,
    sources: { "/pause.c": "kubernetes/pause.c" },
    // The flags of Kubernetes' build/pause/Makefile.
    lines: [
      `RUN gcc -Os -Wall -Werror -static -DVERSION=v${KUBEADM_TAGS.pause} -o /pause /pause.c && strip /pause`,
    ],
    parentOnly: true,
  },
  {
    tags: [`${REGISTRY}/pause:${KUBEADM_TAGS.pause}`],
    lines: [`COPY --from=${LAB_PREFIX}pause-build /pause /pause`, "USER 65535:65535", entrypoint("/pause")],
    builtFrom: `pause.c of ${built("kubernetes")}`,
  },
  kubernetesImage("kube-apiserver"),
  kubernetesImage("kube-controller-manager"),
  kubernetesImage("kube-scheduler"),
  kubernetesImage("kube-proxy", NETWORK_TOOLS),
  {
    tags: [`${REGISTRY}/etcd:${KUBEADM_TAGS.etcd}`],
    programs: { "/usr/local/bin/etcd": "etcd/etcd", "/usr/local/bin/etcdctl": "etcdctl/etcdctl" },
    lines: ["ENV PATH=/usr/local/bin"],
    builtFrom: built("etcd"),
  },
  {
    tags: [`${REGISTRY}/coredns/coredns:${KUBEADM_TAGS.coredns}`],
    programs: { "/coredns": "coredns/coredns" },
    lines: ["EXPOSE 53 53/udp", entrypoint("/coredns")],
    builtFrom: built("coredns"),
  },
  {
    tags: ["localhost/kube-system-chaos-lab/pod-network:1"],
    from: NETWORK_TOOLS,
    programs: { "/usr/local/bin/pod-network": "kubernetes/pod-network" },
    lines: [entrypoint("/usr/local/bin/pod-network")],
  },
  {
    tags: [`${REGISTRY}/metrics-server/metrics-server:${moduleOf("metrics-server")?.version ?? ""}`],
    programs: { "/metrics-server": "metrics-server/metrics-server" },
    lines: [entrypoint("/metrics-server")],
    builtFrom: built("metrics-server"),
  },
  {
    tags: [
      `ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector-k8s:${COLLECTOR.slice(1)}`,
    ],
    programs: { "/otelcol-k8s": "collector/collector" },
    lines: [entrypoint("/otelcol-k8s")],
    builtFrom: `the OpenTelemetry Collector ${COLLECTOR}, made with its builder from the components that the add-ons use`,
  },
  {
    // As cluster/addons/addon-manager/Dockerfile; Debian's base has bash. A module's files are not executable.
    tags: [`${REGISTRY}/addon-manager/kube-addon-manager:v9.1.8`],
    from: BASE,
    programs: { "/usr/local/bin/kubectl": "kubernetes/kubectl" },
    sources: {
      "/opt/kube-addons.sh": "kubernetes/kube-addons.sh",
      "/opt/kube-addons-main.sh": "kubernetes/kube-addons-main.sh",
    },
    lines: ["RUN chmod 755 /opt/*.sh", command("/opt/kube-addons-main.sh")],
    builtFrom: `the addon-manager's own scripts and kubectl of ${built("kubernetes")}, on Debian's base system`,
  },
  {
    tags: [SUBSTITUTES],
    from: BASE,
    programs: { "/substitutes": "kubernetes/substitutes" },
    lines: [`RUN for name in ${SUBSTITUTE_PROGRAMS.join(" ")}; do ln -s /substitutes /$name; done`],
    parentOnly: true,
  },
  substitute(
    `${REGISTRY}/cpa/cluster-proportional-autoscaler:1.8.4`,
    "cluster-proportional-autoscaler",
    "cluster-proportional-autoscaler 1.8.4",
  ),
  substitute(
    "ghcr.io/resmoio/kubernetes-event-exporter:v1.7",
    "kubernetes-event-exporter",
    "kubernetes-event-exporter 1.7 with its webhook receiver",
  ),
  substitute(
    `${REGISTRY}/networking/ingress-gce-404-server-with-metrics-amd64:v1.10.11`,
    "404-server-with-metrics",
    "ingress-gce's 404 server",
  ),
  // The public image has no entry point.
  substitute(`${REGISTRY}/fluentd-gcp-scaler:0.5.2`, undefined, "fluentd-gcp-scaler's script"),
  {
    tags: [REDIS],
    from: BASE,
    packages: ["redis-server", "redis-tools"],
    // Redis 7 waits for its replicas when asked to end; 6.0 does not.
    lines: [
      "WORKDIR /data",
      "EXPOSE 6379",
      command("redis-server", "--protected-mode", "no", "--shutdown-timeout", "0"),
    ],
    standIn: "Debian's redis-server (7.0) with the settings of the public image",
  },
  {
    tags: ["us-docker.pkg.dev/google-samples/containers/gke/gb-redis-follower:v2"],
    from: REDIS,
    assets: { "/run.sh": "guestbook/redis-follower.sh" },
    lines: [command("sh", "/run.sh")],
    standIn: "Debian's redis-server (7.0), started as the sample starts its follower",
  },
  {
    tags: ["us-docker.pkg.dev/google-samples/containers/gke/gb-frontend:v5"],
    from: BASE,
    packages: ["apache2-bin", "libapache2-mod-php8.2", "php-nrk-predis", "media-types"],
    assets: {
      "/etc/guestbook/httpd.conf": "guestbook/httpd.conf",
      "/etc/guestbook/php.ini": "guestbook/php.ini",
      "/var/www/html/index.html": "guestbook/index.html",
      "/var/www/html/guestbook.php": "guestbook/guestbook.php",
    },
    lines: [
      "RUN mkdir -p /var/run/apache2 /var/lock/apache2",
      "EXPOSE 80",
      command("apache2", "-f", "/etc/guestbook/httpd.conf", "-D", "FOREGROUND"),
    ],
    standIn:
      "Debian's Apache, PHP and Predis with a guestbook.php of this project that answers as the sample's does",
  },
  {
    tags: ["docker.io/library/node:18-bookworm-slim"],
    from: BASE,
    packages: ["nodejs"],
    lines: [command("node")],
    standIn: "Debian's nodejs (18) on Debian's base system",
  },
];

/** The image's Dockerfile. Its files are below files/ in the context. */
export function dockerfile(image: Image): string {
  const files = [image.programs, image.sources, image.assets, image.packages].some(
    (each) => each !== undefined,
  );
  return [
    `FROM ${image.from ?? "scratch"}`,
    ...(files ? ["COPY files/ /"] : []),
    ...(image.lines ?? []),
    "",
  ].join("\n");
}
