/** The API server's audit log: what was deleted and created, and by whom. Neither runner nor probers write it. */
import type { TestCluster } from "./cluster.js";

/** The path that kind-config.yaml sets. */
const AUDIT_LOG = "/var/log/kubernetes/audit/audit.log";

export interface AuditEntry {
  readonly verb: string;
  readonly userAgent?: string;
  readonly user?: { readonly username?: string };
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
  readonly stage: string;
}

/** Entries that contain `agent`. All requests of a run have its id in their user agent. */
export async function auditOf(cluster: TestCluster, agent: string): Promise<AuditEntry[]> {
  const controlPlane = cluster.nodes.find((node) =>
    Object.keys(node.metadata.labels ?? {}).some((label) => /node-role.*(control-plane|master)/.test(label)),
  );
  const node = controlPlane?.metadata.name ?? "";
  // grep exits with 1 when it finds nothing: that is an empty answer, not an error.
  const text = await cluster.access.exec(
    node,
    ["sh", "-c", 'grep -h -F -- "$1" "$2"* || true', "grep", agent, AUDIT_LOG.replace(/\.log$/, "")],
    30_000,
  );
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditEntry)
    .filter((entry) => entry.stage === "ResponseComplete");
}

/** Deletions in a namespace that the API server accepted. */
export function acceptedDeletions(
  entries: readonly AuditEntry[],
  namespace: string,
  resources: readonly string[],
): AuditEntry[] {
  return entries.filter(
    (entry) =>
      entry.verb === "delete" &&
      entry.objectRef?.namespace === namespace &&
      resources.includes(entry.objectRef.resource ?? "") &&
      entry.objectRef.subresource === undefined &&
      (entry.responseStatus?.code ?? 0) < 300,
  );
}
