/**
 * What a dead-man's switch must be allowed to. No Role can be narrower: RBAC cannot restrict `create` to a name, so
 * whoever may put a workload of kube-system back may put any other there. Pure.
 */
import type { Gvr } from "../../kube/api.js";
import { DAEMONSETS, DEPLOYMENTS, PODS, REPLICASETS } from "../../kube/api.js";
import { describePermission, type Need, rights } from "../../kube/permission.js";
import { kindsMadeIn } from "../../own/namespaces.js";
import { LOCK_NAME, LOCK_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";
import type { Undo } from "../journal/journal.js";

/** Workloads that a run may have to put back. */
export interface PutBack {
  readonly kind: "Deployment" | "DaemonSet";
  readonly namespace: string;
  readonly names: readonly string[];
}

/** What a run has made, and may harm. */
export interface DeadManScope {
  readonly workloads: readonly PutBack[];
  /** Namespaces that the run clears away again; `stays`: prepared ones, which are only emptied. */
  readonly namespaces: readonly { readonly name: string; readonly stays: boolean }[];
  /** Faults on nodes: where the pods of what is taken down are. Whether it works again is seen by the API. */
  readonly nodes?: { readonly namespace: string };
}

/** Namespaces that journals clear away: the switch has to be able to do it in their place. */
export function namespacesIn(entries: readonly Undo[]): DeadManScope["namespaces"] {
  const found = entries.flatMap((entry) =>
    (entry.action === "remove" || entry.action === "empty") && entry.object.kind === "Namespace"
      ? [{ name: entry.object.name, stays: entry.action === "empty" }]
      : [],
  );
  return [...new Map(found.map((each) => [each.name, each])).values()];
}

/** Each right once. */
export function deadManRights({ workloads, namespaces, nodes }: DeadManScope): Need[] {
  const lock = { resource: "coordination.k8s.io/leases", namespace: LOCK_NAMESPACE };
  const watching = "whether the runner is still there; the lock, once it is not";
  const all = [
    ...rights(watching, ["create"], lock),
    ...rights(watching, ["get", "update", "delete"], { ...lock, names: [LOCK_NAME] }),
    ...rights("the journals' copies", ["list"], { resource: "secrets", namespace: PROBER_NAMESPACE }),
    ...workloads.flatMap(workloadRights),
    ...[{ name: PROBER_NAMESPACE, stays: false }, ...namespaces].flatMap(namespaceRights),
    ...(nodes === undefined ? [] : nodeRights(nodes.namespace)),
  ];
  return [...new Map(all.map((need) => [describePermission(need), need])).values()];
}

function workloadRights({ kind, namespace, names }: PutBack): Need[] {
  const resource = kind === "Deployment" ? "apps/deployments" : "apps/daemonsets";
  const why = "putting back what was taken away";
  return [
    ...rights(why, ["get", "update"], { resource, namespace, names }),
    ...rights(why, ["create"], { resource, namespace }),
  ];
}

/** The kinds that are taken away before a namespace, so that it goes quickly. */
const SWEPT: readonly Gvr[] = [DEPLOYMENTS, DAEMONSETS, REPLICASETS, PODS];

function namespaceRights({ name, stays }: DeadManScope["namespaces"][number]): Need[] {
  const why = "removing what the run had made";
  const verbs = stays ? ["get"] : ["get", "delete"];
  const itself = rights(why, verbs, { resource: "namespaces", names: [name] });
  // In its own there is nothing to take away first: it would be itself.
  if (name === PROBER_NAMESPACE) return itself;
  // Where a namespace is made only later (the canaries'), a Role cannot be in it: it goes without being swept.
  const kinds = stays ? kindsMadeIn(name) : SWEPT;
  return [
    ...itself,
    ...kinds.flatMap(({ group, resource }) =>
      rights(why, ["list", "delete"], {
        resource: group === "" ? resource : `${group}/${resource}`,
        namespace: name,
      }),
    ),
  ];
}

function nodeRights(namespace: string): Need[] {
  const why = "whether what was taken down on nodes works again";
  return [
    ...rights(why, ["get"], { resource: "nodes" }),
    ...rights(why, ["list"], { resource: "pods", namespace }),
  ];
}
