import type { Node } from "../kube/objects.js";

/** Whether a cluster is local, so that a run may attack it without an explicit --context and --yes. */
export interface Locality {
  readonly local: boolean;
  /** The reason, for the line of the check. */
  readonly because: string;
}

const providerOf = (providerId: string): string => providerId.split("://")[0] ?? "";

/** Whether a provider runs nodes on the user's own machine. k3d's nodes have ids `k3s://k3d-…`. */
function isLocal(providerId: string): boolean {
  return ["kind", "k3d"].includes(providerOf(providerId)) || providerId.startsWith("k3s://k3d-");
}

/** Whether the id does not show where the node runs: a plain k3s may run anywhere. */
function isUnknown(providerId: string): boolean {
  return ["", "k3s"].includes(providerOf(providerId)) && !isLocal(providerId);
}

/**
 * A cluster is local when its API server is on a loopback address or its nodes have a local provider's id. The
 * context's name does not count: anyone may choose it. Pure.
 */
export function locality(server: string, nodes: readonly Node[]): Locality {
  const host = new URL(server).hostname.replace(/^\[|\]$/g, "");
  // A remote provider id overrides a loopback address: a tunnel to a remote cluster also ends on loopback.
  const ids = nodes.map((node) => node.spec?.providerID ?? "");
  const remote = new Set(ids.filter((id) => !isLocal(id) && !isUnknown(id)).map(providerOf));
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

/** The refusal for a cluster that is not local and not named explicitly. Pure. */
export function notLocal({ because }: Locality, context: string): string {
  return `${because}: not a local cluster. To run on it, name it: --context ${context} --yes`;
}
