import { create } from "../cluster/api.js";
import type { Transport } from "../cluster/transport.js";
import type { Attack } from "../experiment/schema.js";
import type { WorkloadKind } from "../target/target.js";
import { STAND_INS_CONFIGMAP } from "./facts.js";
import { LOCK_NAMESPACE } from "./lock.js";

/** One right that a run needs. */
export interface Permission {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** undefined: cluster-scoped. */
  readonly namespace?: string;
}

const each = (
  verbs: readonly string[],
  group: string,
  resource: string,
  namespace?: string,
  subresource?: string,
): Permission[] =>
  verbs.map((verb) => ({
    verb,
    group,
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    ...(subresource === undefined ? {} : { subresource }),
  }));

/** Where a run works. */
export interface PermissionScope {
  /** Kind of the target. */
  readonly kind: WorkloadKind;
  /** Namespaces. */
  readonly target: string;
  readonly application: string;
  readonly probers: string;
}

/** Every right that a run of this attack needs, for SelfSubjectAccessReview. Pure. */
export function neededPermissions(attack: Attack["type"], scope: PermissionScope): Permission[] {
  const { kind, target, application, probers } = scope;
  const workloads = kind === "Deployment" ? "deployments" : "daemonsets";
  const watch = ["list", "watch"];
  // An object of ours that differs is removed and made anew.
  const ensure = ["get", "create", "delete"];
  const standIns = STAND_INS_CONFIGMAP.namespace;
  const permissions = [
    ...each(["list"], "", "nodes"),
    ...each(ensure, "", "namespaces"),
    ...each(["get", "create", "update", "delete"], "coordination.k8s.io", "leases", LOCK_NAMESPACE),
    ...each(["get"], "", "configmaps", standIns),
    ...each(["get", ...watch], "apps", workloads, target),
    ...(kind === "Deployment" ? each(watch, "apps", "replicasets", target) : []),
    ...each(watch, "", "pods", target),
    ...each(["list"], "", "services", target),
    ...each(watch, "discovery.k8s.io", "endpointslices", target),
    ...each(["get", "create"], "apps", "deployments", application),
    ...each([...ensure, "list"], "", "services", application),
    ...each(ensure, "", "configmaps", probers),
    ...each(["get", "create"], "apps", "daemonsets", probers),
    ...each(["get", "create"], "", "pods", probers, "proxy"),
  ];
  // They are emptied before they are removed.
  for (const namespace of [application, probers]) {
    for (const resource of ["deployments", "daemonsets", "replicasets"])
      permissions.push(...each(["list", "delete"], "apps", resource, namespace));
    permissions.push(...each(["list", "delete"], "", "pods", namespace));
  }
  if (attack === "none") return permissions;
  permissions.push(
    ...each(["delete"], "", "pods", target),
    // What is put back, where the cluster's own restorer does not, or not wholly.
    ...each(["create", "update"], "apps", workloads, target),
  );
  if (attack === "delete-workload") {
    permissions.push(
      ...each(["delete"], "apps", workloads, target),
      ...(kind === "Deployment" ? each(["delete"], "apps", "replicasets", target) : []),
    );
  }
  return permissions;
}

/** "delete apps/deployments in kube-system". */
export function describePermission(permission: Permission): string {
  const { verb, group, resource, subresource, namespace } = permission;
  const name = `${group === "" ? "" : `${group}/`}${resource}${subresource === undefined ? "" : `/${subresource}`}`;
  return `${verb} ${name}${namespace === undefined ? "" : ` in ${namespace}`}`;
}

interface AccessReview {
  readonly status?: { readonly allowed?: boolean; readonly reason?: string };
}

/** Asks the API server for each right, several at a time; returns those that are missing. */
export async function missingPermissions(
  transport: Transport,
  permissions: readonly Permission[],
): Promise<Permission[]> {
  const missing: Permission[] = [];
  const ask = async (permission: Permission): Promise<void> => {
    const review = await create<AccessReview>(
      transport,
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: permission },
      },
    );
    if (review.status?.allowed !== true) missing.push(permission);
  };
  // A few at once: enough to be quick, not so many that a priority level would refuse them.
  const queue = [...permissions];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await ask(next);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return missing;
}
