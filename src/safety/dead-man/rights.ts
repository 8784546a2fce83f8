/**
 * The rights of a dead-man's switch. No Role can be narrower: RBAC cannot restrict `create` to a name, so anyone who may
 * recreate one workload of kube-system may create any other there. Pure.
 */
import type { Gvr } from "../../kube/api.js";
import { DAEMONSETS, DEPLOYMENTS, PODS, REPLICASETS } from "../../kube/api.js";
import { describePermission, type Need, rights } from "../../kube/permission.js";
import { kindsMadeIn } from "../../own/namespaces.js";
import { LOCK_NAME, LOCK_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";
import type { Undo } from "../journal/journal.js";

/** Workloads that a run may have to restore. */
export interface WorkloadToRestore {
  readonly kind: "Deployment" | "DaemonSet";
  readonly namespace: string;
  readonly names: readonly string[];
}

/** What a run creates and may attack. */
export interface DeadManScope {
  readonly workloads: readonly WorkloadToRestore[];
  /** Namespaces that the run deletes at its end; `stays`: prepared ones, which are only emptied. */
  readonly namespaces: readonly { readonly name: string; readonly stays: boolean }[];
  /** Faults on nodes: the namespace of the target's pods. The API shows whether the target works again. */
  readonly nodes?: { readonly namespace: string };
  /** The probers' namespace stays. Then the switch removes itself by its ClusterRole (undefined: its name is not known yet). */
  readonly prepared?: { readonly role?: string };
}

/** Namespaces that the journals' entries remove or empty: the switch must be able to do the same. */
export function namespacesIn(entries: readonly Undo[]): DeadManScope["namespaces"] {
  const found = entries.flatMap((entry) =>
    (entry.action === "remove" || entry.action === "empty") && entry.object.kind === "Namespace"
      ? [{ name: entry.object.name, stays: entry.action === "empty" }]
      : [],
  );
  return [...new Map(found.map((each) => [each.name, each])).values()];
}

/** Each right once. */
export function deadManRights({ workloads, namespaces, nodes, prepared }: DeadManScope): Need[] {
  const lock = { resource: "coordination.k8s.io/leases", namespace: LOCK_NAMESPACE };
  const watching = "watching the runner's lock, and taking it over";
  const all = [
    ...rights(watching, ["create"], lock),
    ...rights(watching, ["get", "update", "delete"], { ...lock, names: [LOCK_NAME] }),
    ...rights("reading the journals' copies", ["list"], { resource: "secrets", namespace: PROBER_NAMESPACE }),
    ...workloads.flatMap(workloadRights),
    ...[
      { name: PROBER_NAMESPACE, stays: prepared !== undefined },
      ...namespaces.filter(({ name }) => name !== PROBER_NAMESPACE),
    ].flatMap(namespaceRights),
    ...(prepared === undefined ? [] : selfRights(prepared.role)),
    ...(nodes === undefined ? [] : nodeRights(nodes.namespace)),
  ];
  return [...new Map(all.map((need) => [describePermission(need), need])).values()];
}

function workloadRights({ kind, namespace, names }: WorkloadToRestore): Need[] {
  const resource = kind === "Deployment" ? "apps/deployments" : "apps/daemonsets";
  const why = "restoring workloads";
  return [
    ...rights(why, ["get", "update"], { resource, namespace, names }),
    ...rights(why, ["create"], { resource, namespace }),
  ];
}

/** The kinds that are deleted before their namespace, so that it goes quickly. */
const SWEPT: readonly Gvr[] = [DEPLOYMENTS, DAEMONSETS, REPLICASETS, PODS];

function namespaceRights({ name, stays }: DeadManScope["namespaces"][number]): Need[] {
  const why = "removing what the run created";
  const verbs = stays ? ["get"] : ["get", "delete"];
  const itself = rights(why, verbs, { resource: "namespaces", names: [name] });
  // Its own namespace must not be swept first: the switch would delete its own pod.
  if (name === PROBER_NAMESPACE && !stays) return itself;
  // A namespace that is created later (the canaries') cannot have a Role yet. It is deleted without a sweep.
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

/** The garbage collector deletes the rest of the switch with its ClusterRole. */
function selfRights(role: string | undefined): Need[] {
  return rights("removing the switch itself", ["delete"], {
    resource: "rbac.authorization.k8s.io/clusterroles",
    ...(role === undefined ? {} : { names: [role] }),
  });
}

function nodeRights(namespace: string): Need[] {
  const why = "checking that the target works again";
  return [
    ...rights(why, ["get"], { resource: "nodes" }),
    ...rights(why, ["list"], { resource: "pods", namespace }),
  ];
}
