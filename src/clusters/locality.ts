import type { Node } from "../kube/objects.js";

/** Whether a cluster is one that this machine may harm without being told its name. */
export interface Locality {
  readonly local: boolean;
  /** What it was decided by, for the check's line. */
  readonly because: string;
}

const providerOf = (providerId: string): string => providerId.split("://")[0] ?? "";

/** Providers that run nodes on the user's own machine. (k3d's nodes call themselves `k3s://k3d-…`.) */
function isLocal(providerId: string): boolean {
  return ["kind", "k3d"].includes(providerOf(providerId)) || providerId.startsWith("k3s://k3d-");
}

/** Where a node is, its id does not say: a plain k3s may run anywhere. */
function saysNothing(providerId: string): boolean {
  return ["", "k3s"].includes(providerOf(providerId)) && !isLocal(providerId);
}

/**
 * A cluster is local when its API server is on a loopback address or its nodes carry a local provider's id;
 * never by the context's name, which anyone may choose. Pure.
 */
export function locality(server: string, nodes: readonly Node[]): Locality {
  const host = new URL(server).hostname.replace(/^\[|\]$/g, "");
  // Both must hold where the nodes say where they are: a tunnel to a remote cluster ends on a loopback address too.
  const ids = nodes.map((node) => node.spec?.providerID ?? "");
  const remote = new Set(ids.filter((id) => !isLocal(id) && !saysNothing(id)).map(providerOf));
  if (remote.size > 0) return { local: false, because: `the nodes belong to ${[...remote].join(", ")}` };
  if (ids.length > 0 && ids.every(isLocal))
    return { local: true, because: "its nodes run on a local provider (kind, k3d)" };
  const loopback = host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
  if (loopback) return { local: true, because: `the API server is on ${host}` };
  return {
    local: false,
    because: `the API server is on ${host}, and the nodes do not say that they are local`,
  };
}

/** What is said of a cluster that is not local, until it is named. Pure. */
export function notLocal({ because }: Locality, context: string): string {
  return `${because}: not a local cluster. To run on it, name it: --context ${context} --yes`;
}
