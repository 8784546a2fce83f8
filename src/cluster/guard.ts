import type { Node } from "./objects.js";

/** Whether a cluster is one that this machine may harm without being told its name. */
export interface Locality {
  readonly local: boolean;
  /** What it was decided by, for the check's line. */
  readonly because: string;
}

/** Provider ids of clusters that run on the user's own machine: kind, k3d, minikube's drivers have such ids. */
const LOCAL_PROVIDERS = ["kind", "k3s", "k3d"];

/**
 * A cluster is local when its API server is on a loopback address or its nodes carry a local provider's id;
 * never by the context's name, which anybody may choose (DESIGN section 6). Pure.
 */
export function locality(server: string, nodes: readonly Node[]): Locality {
  const host = new URL(server).hostname.replace(/^\[|\]$/g, "");
  // Both must hold where the nodes say where they are: a tunnel to a remote cluster ends on a loopback address too.
  const providers = [...new Set(nodes.map((node) => (node.spec?.providerID ?? "").split("://")[0] ?? ""))];
  const remote = providers.filter((provider) => provider !== "" && !LOCAL_PROVIDERS.includes(provider));
  if (remote.length > 0) return { local: false, because: `the nodes belong to ${remote.join(", ")}` };
  const providerLocal =
    providers.length > 0 && providers.every((provider) => LOCAL_PROVIDERS.includes(provider));
  if (providerLocal) return { local: true, because: `the nodes' provider is ${providers.join(", ")}` };
  const loopback = host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
  if (loopback) return { local: true, because: `the API server is on ${host}` };
  return {
    local: false,
    because: `the API server is on ${host}, and the nodes do not say that they are local`,
  };
}
