import { create } from "../cluster/api.js";
import type { Transport } from "../cluster/transport.js";
import type { Attack } from "../experiment/schema.js";
import type { FunctionProbeName } from "../probes/functions/names.js";
import type { AnyTarget } from "../target/target.js";
import { STAND_INS_CONFIGMAP } from "./facts.js";
import { SINK_NAMESPACE } from "../probes/functions/sink.js";
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
  readonly kind: AnyTarget["kind"];
  /** Namespaces. */
  readonly target: string;
  readonly application: string;
  readonly probers: string;
  /** Of the function probe's canaries. */
  readonly canaries: string;
  readonly functionProbe: FunctionProbeName | undefined;
  /** Nodes are reached by privileged pods of ours. */
  readonly privilegedPods?: boolean;
}

/** Every right that a run of this attack needs, for SelfSubjectAccessReview. Pure. */
export function neededPermissions(attack: Attack["type"], scope: PermissionScope): Permission[] {
  const { kind, target, application, probers, canaries } = scope;
  const workloads = kind === "Deployment" ? "deployments" : "daemonsets";
  const ofNodes = kind === "StaticPod" || kind === "SystemdUnit";
  const watch = ["list", "watch"];
  // An object of ours that differs is removed and made anew.
  const ensure = ["get", "create", "delete"];
  const standIns = STAND_INS_CONFIGMAP.namespace;
  const permissions = [
    ...each(watch, "", "nodes"),
    ...each(watch, "", "endpoints", application),
    ...each(ensure, "", "namespaces"),
    ...each(["get", "create", "update", "delete"], "coordination.k8s.io", "leases", LOCK_NAMESPACE),
    ...each(["get"], "", "configmaps", standIns),
    ...(ofNodes
      ? each(["list"], "", "pods", target)
      : [
          ...each(["get", ...watch], "apps", workloads, target),
          ...(kind === "Deployment" ? each(watch, "apps", "replicasets", target) : []),
          ...each(watch, "", "pods", target),
          ...each(["list"], "", "services", target),
          ...each(watch, "discovery.k8s.io", "endpointslices", target),
        ]),
    ...(scope.privilegedPods === true ? each(ensure, "", "secrets", probers) : []),
    ...functionPermissions(scope.functionProbe, { canaries, target: "kube-system" }),
    ...each(["get", "create"], "apps", "deployments", application),
    ...each([...ensure, "list"], "", "services", application),
    ...each(ensure, "", "configmaps", probers),
    ...each(["get", "create"], "apps", "daemonsets", probers),
    ...each(["get", "create"], "", "pods", probers, "proxy"),
  ];
  // They are emptied before they are removed.
  const emptied =
    scope.functionProbe === undefined ? [application, probers] : [application, probers, canaries];
  for (const namespace of emptied) {
    for (const resource of ["deployments", "daemonsets", "replicasets"])
      permissions.push(...each(["list", "delete"], "apps", resource, namespace));
    permissions.push(...each(["list", "delete"], "", "pods", namespace));
  }
  // On a node nothing is asked of the API.
  if (attack === "none" || ofNodes) return permissions;
  if (attack === "scale-to-zero") {
    permissions.push(...each(["create", "update", "patch"], "apps", workloads, target));
    return permissions;
  }
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

/** What the probe of a component's function needs, beside the removal of its namespace. Pure. */
function functionPermissions(
  probe: FunctionProbeName | undefined,
  { canaries, target }: { readonly canaries: string; readonly target: string },
): Permission[] {
  const pods = each(["get", "list", "create", "delete"], "", "pods", canaries);
  const sink = [
    ...each(["list"], "", "pods", SINK_NAMESPACE),
    ...each(["get"], "", "pods", SINK_NAMESPACE, "proxy"),
  ];
  switch (probe) {
    case undefined:
      return [];
    case "node-runs-pods":
    case "pods-are-scheduled":
      return pods;
    case "services-follow":
      return [
        ...pods,
        ...each(["get", "create"], "apps", "deployments", canaries),
        ...each(["get", "create", "delete"], "", "services", canaries),
      ];
    case "dns-is-scaled":
      return each(["get", "list", "patch", "update", "create"], "apps", "deployments", target);
    case "fluentd-is-scaled":
      return each(["get", "list", "patch", "update", "create"], "apps", "daemonsets", target);
    case "logs-arrive":
    case "metric-points-arrive":
      return sink;
    case "events-arrive":
      return [...sink, ...each(["create"], "", "events", canaries)];
    case "metrics-are-served":
      return [
        ...each(["get", "create"], "apps", "deployments", canaries),
        ...each(["get", "create"], "autoscaling", "horizontalpodautoscalers", canaries),
        ...each(["list"], "metrics.k8s.io", "nodes"),
      ];
    case "unknown-path-is-answered":
      return each(["list"], "", "services", target);
    case "replicas-are-made":
      return [...pods, ...each(["create", "delete"], "apps", "replicasets", canaries)];
    case "api-stores":
      return each(["get", "create", "delete"], "", "configmaps", canaries);
  }
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
