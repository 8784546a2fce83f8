/** The permissions that a runner needs to create a dead-man's switch. Pure. */
import { describePermission, type Need, rights } from "../../kube/permission.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { deadManRights, type DeadManScope } from "./rights.js";

const WHY = "the dead-man's switch";
const MAKE = ["create", "get", "delete"];

/**
 * In addition to a run's own rights: every right that the switch gets, because RBAC lets a client grant only rights that
 * it has itself, and the rights to create the switch's objects.
 */
export function requiredPermissions(scope: DeadManScope): Need[] {
  const given = deadManRights(scope).map((need) => ({ ...need, why: `${WHY}: ${need.why}` }));
  const namespaces = [...new Set(given.flatMap(({ namespace }) => namespace ?? []))];
  const rbac = "rbac.authorization.k8s.io";
  const all = [
    ...given,
    ...rights(WHY, ["list"], { resource: "discovery.k8s.io/endpointslices", namespace: "default" }),
    ...rights(WHY, ["get"], { resource: "namespaces" }),
    ...["serviceaccounts", "configmaps", "pods"].flatMap((resource) =>
      rights(WHY, MAKE, { resource, namespace: PROBER_NAMESPACE }),
    ),
    ...rights(WHY, ["get"], { resource: "pods", subresource: "proxy", namespace: PROBER_NAMESPACE }),
    ...["clusterroles", "clusterrolebindings"].flatMap((resource) =>
      rights(WHY, MAKE, { resource: `${rbac}/${resource}` }),
    ),
    ...namespaces.flatMap((namespace) =>
      ["roles", "rolebindings"].flatMap((resource) =>
        rights(WHY, MAKE, { resource: `${rbac}/${resource}`, namespace }),
      ),
    ),
  ];
  return [...new Map(all.map((need) => [describePermission(need), need])).values()];
}
