/** Whether a run can have a dead-man's switch; checked before the first change. */
import { correctedBy } from "../../components/corrected.js";
import type { FunctionCheckName } from "../../components/functions.js";
import { missingPermissions } from "../../kube/access-review.js";
import { getOrUndefined, NAMESPACES, resourcePath } from "../../kube/api.js";
import type { Namespace } from "../../kube/objects.js";
import { describePermission } from "../../kube/permission.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { isPrepared } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import type { AnyTarget, Target } from "../../targets/target.js";
import { requiredPermissions } from "./dead-man-permissions.js";
import { deadManRemark, scopeOf } from "./deploy-dead-man.js";
import type { DeadManScope, WorkloadToRestore } from "./rights.js";

/** What a run may have to restore besides its target: companions, and what a function check changes. Pure. */
export function othersOf(
  companions: readonly Target[],
  probe: FunctionCheckName | undefined,
): readonly WorkloadToRestore[] {
  const scaled = companions.map(({ kind, namespace, name }) => ({ kind, namespace, names: [name] }));
  const corrected = correctedBy(probe);
  if (corrected === undefined) return scaled;
  const kind = corrected.resource === "apps/deployments" ? "Deployment" : "DaemonSet";
  return [...scaled, { kind, namespace: "kube-system", names: corrected.knownAs }];
}

/**
 * Preflight's check "dead-man": the rights of the switch (which the runner must have itself), and what
 * the user should know about the switch.
 *
 * @param namespaces that the run will delete; `stays`: prepared ones, which it only empties.
 * @throws ApiError (other than 403), ApiUnreachableError.
 */
export async function deadManCheck(
  transport: Transport,
  run: {
    readonly target: AnyTarget;
    readonly others: readonly WorkloadToRestore[];
    readonly namespaces: DeadManScope["namespaces"];
  },
): Promise<{ readonly ok: boolean; readonly detail: string }> {
  const probers = await probersNamespace(transport);
  const prepared = probers !== undefined && isPrepared(probers) ? {} : undefined;
  const scope = scopeOf(run.target, run.others, run.namespaces, prepared);
  const missing = await missingPermissions(transport, requiredPermissions(scope));
  if (missing.length > 0) {
    const list = missing.map(describePermission).join("; ");
    return {
      ok: false,
      detail: `missing permissions: ${list}. A runner can grant the switch only permissions that it has itself. Get them, or leave --dead-man out`,
    };
  }
  const writes = [...new Set(scope.workloads.map(({ namespace }) => namespace))];
  const danger =
    writes.length === 0
      ? undefined
      : `until the run ends, its ServiceAccount can create workloads in ${writes.join(", ")}: this is as powerful as cluster-admin`;
  return {
    ok: true,
    detail: [deadManRemark(run.target), danger].filter((each) => each !== undefined).join("; "),
  };
}

/** Undefined also when reading is forbidden: the check then reports the missing permission. */
async function probersNamespace(transport: Transport): Promise<Namespace | undefined> {
  try {
    return await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE));
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return undefined;
    throw error;
  }
}
