/** Rights that allow far more than they say. */
import type { RoleRules, Rule } from "../kube/rules.js";

const WRITES = ["create", "update", "patch"];
const WORKLOADS = ["deployments", "daemonsets", "pods"];

/**
 * The warning that a rule needs before anyone grants it; undefined: it allows only what it says. Pure.
 *
 * @param scope `own`: the namespaces that are prepared for runs; `privileged`: the one with the run's privileged pods.
 */
export function dangerOf(
  rule: Rule,
  namespace: RoleRules["namespace"],
  scope: { readonly own: readonly string[]; readonly privileged: string | undefined },
): string | undefined {
  const writes = rule.verbs.some((verb) => WRITES.includes(verb));
  const workload = rule.resources.some((resource) => WORKLOADS.includes(resource));
  if (namespace === undefined || !writes || !workload) return undefined;
  if (namespace === scope.privileged)
    return "AS GOOD AS ROOT ON EVERY NODE: anyone who may create privileged pods is root there, and so cluster-admin.";
  if (scope.own.includes(namespace)) return undefined;
  return (
    `AS GOOD AS CLUSTER-ADMIN: anyone who may write workloads in ${namespace} can run a pod there with any of ` +
    "its service accounts, or as root on a node. Restoring the target needs this right."
  );
}
