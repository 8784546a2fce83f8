import type { Node } from "./objects.js";

/** Whether a cluster is one that this machine may harm without being told its name. */
export interface Locality {
  readonly local: boolean;
  /** What it was decided by, for the check's line. */
  readonly because: string;
}

/**
 * Where a node's provider id says that it is: `local` for the providers that run nodes on the user's own machine,
 * undefined where it says nothing. (k3d's nodes call themselves `k3s://k3d-…`; a plain k3s may run anywhere.)
 */
function placeOf(providerId: string): string | undefined {
  const [provider = "", name = ""] = providerId.split("://");
  if (provider === "kind" || provider === "k3d" || (provider === "k3s" && name.startsWith("k3d-")))
    return "local";
  return provider === "" || provider === "k3s" ? undefined : provider;
}

/**
 * A cluster is local when its API server is on a loopback address or its nodes carry a local provider's id;
 * never by the context's name, which anybody may choose (DESIGN section 6). Pure.
 */
export function locality(server: string, nodes: readonly Node[]): Locality {
  const host = new URL(server).hostname.replace(/^\[|\]$/g, "");
  // Both must hold where the nodes say where they are: a tunnel to a remote cluster ends on a loopback address too.
  const places = [...new Set(nodes.map((node) => placeOf(node.spec?.providerID ?? "")))];
  const remote = places.filter((place) => place !== "local" && place !== undefined);
  if (remote.length > 0) return { local: false, because: `the nodes belong to ${remote.join(", ")}` };
  if (places.length === 1 && places[0] === "local")
    return { local: true, because: "its nodes run on a local provider (kind, k3d)" };
  const loopback = host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
  if (loopback) return { local: true, because: `the API server is on ${host}` };
  return {
    local: false,
    because: `the API server is on ${host}, and the nodes do not say that they are local`,
  };
}
