/** What the container engine says about the nodes of a kind cluster. */

/** The cluster's name in kind, as in kind-config.yaml. */
export const CLUSTER_NAME = "kube-system-chaos";

/**
 * The CPU shares of a worker's container; the control plane keeps the engine's default, 1024. Elsewhere a worker does not
 * share its CPUs with the API server. In kind all nodes do, and a control plane that an attack keeps busy would starve the
 * probers. (Measured on two cores, cgroup v1, delete-pods on kube-dns: a prober stalled for 34 to 56 % of the window, and with
 * these shares for at most 1 %. With more shares for all nodes the runner stalled instead.)
 */
export const WORKER_CPU_SHARES = 4096;

/** A node's container. */
export interface KindNode {
  readonly name: string;
  /** As it was given to kind, or with the registry's name before it. */
  readonly image: string;
  readonly running: boolean;
}

/**
 * Arguments that list a cluster's nodes, for each engine's client. kind lists them the same way (ListNodes in
 * sigs.k8s.io/kind pkg/cluster/internal/providers). Pure.
 */
export function listNodes(cluster: string): string[] {
  return [
    ...["ps", "-a", "--no-trunc", "--filter", `label=io.x-k8s.kind.cluster=${cluster}`],
    ...["--format", "{{.Names}}|{{.Image}}|{{.Status}}"],
  ];
}

/**
 * Arguments that give a worker's container its CPU shares; for each one its own command, because podman's takes one
 * container. All engines know it: docker, podman from 4.3, nerdctl, finch. Pure.
 *
 * @param nodes names of the cluster's nodes
 * @param cluster name of the cluster
 */
export function weighWorkers(nodes: readonly string[], cluster = CLUSTER_NAME): string[][] {
  return nodes
    .filter((name) => name.startsWith(`${cluster}-worker`))
    .map((name) => ["update", "--cpu-shares", String(WORKER_CPU_SHARES), name]);
}

/**
 * Reads the list. The status of a running container begins with "Up" everywhere: docker/cli
 * cli/command/formatter/container.go ("Up 3 minutes"), containers/podman cmd/podman/containers/ps.go ("Up 3 minutes"),
 * containerd/nerdctl pkg/formatter/formatter.go ("Up"). Pure.
 */
export function parseNodes(listed: string): KindNode[] {
  return listed
    .split("\n")
    .map((line) => line.trim().split("|"))
    .filter(([name = ""]) => name !== "")
    .map(([name = "", image = "", status = ""]) => ({
      name,
      image,
      running: status.startsWith("Up") && !status.includes("(Paused)"),
    }));
}

/**
 * Whether two names certainly mean the same image: the same digest, or else the same repository and tag. Docker Hub's
 * name may be omitted, as kindest/node of docker.io/kindest/node. Pure.
 */
export function isSameImage(one: string, other: string): boolean {
  const [a, b] = [imageParts(one), imageParts(other)];
  if (a.digest !== undefined && b.digest !== undefined) return a.digest === b.digest;
  return a.repository === b.repository && a.tag !== undefined && a.tag === b.tag;
}

interface ImageParts {
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

function imageParts(image: string): ImageParts {
  const [name = "", digest] = image.replace(/^docker\.io\//, "").split("@");
  const [, repository = name, tag] = /^(.*?)(?::([^:/]+))?$/.exec(name) ?? [];
  // Without tag and digest, engines take this tag.
  const implied = digest === undefined ? "latest" : undefined;
  return { repository: repository.replace(/^library\//, ""), tag: tag ?? implied, digest };
}
