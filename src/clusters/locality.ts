/** Whether a cluster runs on this machine: its nodes decide. The address of its API server may be a tunnel's. */
import { networkInterfaces } from "node:os";
import { ownIdentity } from "../common/process-identity.js";
import type { Node } from "../kube/objects.js";

/** Whether a cluster is local, so that a run may attack it without an explicit --context and --yes. */
export interface Locality {
  readonly local: boolean;
  /** The reason, for the line of the check. */
  readonly because: string;
}

/** What a node on this machine has in common with it. */
export interface ThisMachine {
  /** Id of this boot of the kernel, which containers share; undefined: not Linux. */
  readonly bootId?: string;
  /** Addresses of its interfaces, without loopback. */
  readonly addresses: readonly string[];
}

/** Facts about this machine. */
export async function thisMachine(): Promise<ThisMachine> {
  const { bootId } = await ownIdentity();
  const interfaces = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const addresses = interfaces.filter(({ internal }) => !internal).map(({ address }) => address);
  return { ...(bootId === undefined ? {} : { bootId }), addresses };
}

/**
 * Provider ids of tools that run nodes on the user's own machine. kind and Docker Desktop's kind mode write
 * `kind://ENGINE/CLUSTER/NODE` (kubernetes-sigs/kind pull 1805). The others run k3s, which writes `k3s://NODE` on any
 * machine (k3s-io/k3s issue 6283): only the names of their nodes show the tool (k3d; Rancher Desktop: rancher-desktop
 * issue 2444; OrbStack and Colima: their nodes' descriptions in public issues).
 */
const LOCAL_IDS = /^(kind:\/\/|k3d:\/\/|k3s:\/\/k3d-|k3s:\/\/(lima-rancher-desktop|orbstack|colima)$)/;

/** The kubeadm mode of Docker Desktop sets no provider id. Its virtual machine has this name as its system. */
const DOCKER_DESKTOP = "Docker Desktop";

const idOf = (node: Node): string => node.spec?.providerID ?? "";
const providerOf = (node: Node): string => idOf(node).split(":")[0] ?? "";

function isOfLocalTool(node: Node): boolean {
  return idOf(node) === "" ? node.status?.nodeInfo?.osImage === DOCKER_DESKTOP : LOCAL_IDS.test(idOf(node));
}

/** Whether the id says that the node is elsewhere. A plain k3s may run anywhere. */
function isElsewhere(node: Node): boolean {
  return !["", "k3s"].includes(providerOf(node)) && !isOfLocalTool(node);
}

/**
 * Whether the node runs on this machine's kernel. Its boot id decides: private addresses exist on many networks. minikube,
 * MicroK8s and plain k3s have no id of their own, and are found by this where they run without a virtual machine.
 */
function isOnMachine(node: Node, { bootId, addresses }: ThisMachine): boolean {
  const its = node.status?.nodeInfo?.bootID ?? "";
  if (its !== "") return its === bootId;
  return (node.status?.addresses ?? []).some(
    ({ type, address }) => type === "InternalIP" && addresses.includes(address),
  );
}

/**
 * A cluster is local when every node has a local tool's id or runs on this machine. What cannot be decided is not local: a
 * virtual machine that names no tool, or no node in the list. The names of the context, of the cluster and of labels do
 * not count: anyone may choose them. Pure.
 */
export function locality(nodes: readonly Node[], machine: ThisMachine): Locality {
  if (nodes.length === 0)
    return { local: false, because: "the cluster lists no nodes, so nothing shows where it runs" };
  const elsewhere = nodes.filter(isElsewhere);
  if (elsewhere.length > 0) {
    const providers = [...new Set(elsewhere.map(providerOf))].join(", ");
    return { local: false, because: `the nodes belong to ${providers}: ${named(elsewhere)}` };
  }
  const unknown = nodes.filter((node) => !isOfLocalTool(node) && !isOnMachine(node, machine));
  if (unknown.length > 0)
    return { local: false, because: `nothing shows that the nodes run on this machine: ${named(unknown)}` };
  return {
    local: true,
    because: nodes.every(isOfLocalTool)
      ? "its nodes run on a local provider (kind, k3d, a desktop)"
      : "its nodes run on this machine",
  };
}

/** "a (10.0.0.1), b (10.0.0.2), c (10.0.0.3) and 2 more" */
function named(nodes: readonly Node[]): string {
  const first = nodes.slice(0, 3).map(({ metadata, status }) => {
    const address = (status?.addresses ?? []).find(({ type }) => type === "InternalIP")?.address;
    return address === undefined ? (metadata.name ?? "") : `${metadata.name} (${address})`;
  });
  const more = nodes.length - first.length;
  return `${first.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}

/**
 * The refusal for a cluster that is not local and was not confirmed. Pure.
 *
 * @param allowing the user's command line with what allows the cluster.
 */
export function notLocal({ because }: Locality, allowing: string): string {
  return `not a local cluster: ${because}. To change it nevertheless, name and confirm it: ${allowing}`;
}
