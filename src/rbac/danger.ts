/** Rights that are as good as far more than they say. */
import type { RoleRules, Rule } from "../kube/rules.js";

const WRITES = ["create", "update", "patch"];
const WORKLOADS = ["deployments", "daemonsets"];

/**
 * What must be known of a rule before it is given to anybody; undefined: nothing beyond what it says. Pure.
 *
 * @param scope `own`: the namespaces that are prepared for runs; `privileged`: the one with privileged pods of ours.
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
    return "AS GOOD AS ROOT ON EVERY NODE: whoever may make privileged pods is that, and so cluster-admin.";
  if (scope.own.includes(namespace)) return undefined;
  return (
    `AS GOOD AS CLUSTER-ADMIN: whoever may write workloads in ${namespace} can run a pod there with any of its ` +
    "service accounts, or as root on a node. Nothing less puts back what the attack has taken away."
  );
}
