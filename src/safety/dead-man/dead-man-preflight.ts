/** Whether a run may have a dead-man's switch: asked before anything is touched. */
import { correctedBy } from "../../components/corrected.js";
import type { FunctionCheckName } from "../../components/functions.js";
import { missingPermissions } from "../../kube/access-review.js";
import { getOrUndefined, NAMESPACES, resourcePath } from "../../kube/api.js";
import type { Namespace } from "../../kube/objects.js";
import { describePermission } from "../../kube/permission.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import type { AnyTarget, Target } from "../../targets/target.js";
import { requiredPermissions } from "./dead-man-permissions.js";
import { deadManProblem, deadManRemark, scopeOf } from "./deploy-dead-man.js";
import type { DeadManScope, PutBack } from "./rights.js";

/** What a run may have to put back beside its target: what is scaled down before it, what a probe sets wrong. Pure. */
export function othersOf(
  companions: readonly Target[],
  probe: FunctionCheckName | undefined,
): readonly PutBack[] {
  const scaled = companions.map(({ kind, namespace, name }) => ({ kind, namespace, names: [name] }));
  const corrected = correctedBy(probe);
  if (corrected === undefined) return scaled;
  const kind = corrected.resource === "apps/deployments" ? "Deployment" : "DaemonSet";
  return [...scaled, { kind, namespace: "kube-system", names: corrected.knownAs }];
}

/**
 * The check "dead-man" of preflight: the namespace, the rights that the switch is given (which the runner must have
 * itself), and what the user should know about it.
 *
 * @param namespaces that the run will clear away; `stays`: prepared ones.
 * @throws ApiError (other than 403), ApiUnreachableError.
 */
export async function deadManCheck(
  transport: Transport,
  run: {
    readonly target: AnyTarget;
    readonly others: readonly PutBack[];
    readonly namespaces: DeadManScope["namespaces"];
  },
): Promise<{ readonly ok: boolean; readonly detail: string }> {
  const problem = deadManProblem(await probersNamespace(transport));
  if (problem !== undefined) return { ok: false, detail: problem };
  const scope = scopeOf(run.target, run.others, run.namespaces);
  const missing = await missingPermissions(transport, requiredPermissions(scope));
  if (missing.length > 0) {
    const list = missing.map(describePermission).join("; ");
    return { ok: false, detail: `a runner can give the switch only what it has itself; missing: ${list}` };
  }
  const writes = [...new Set(scope.workloads.map(({ namespace }) => namespace))];
  const danger =
    writes.length === 0
      ? undefined
      : `its ServiceAccount may write workloads in ${writes.join(", ")} until the run is over: as good as cluster-admin`;
  return {
    ok: true,
    detail: [deadManRemark(run.target), danger].filter((each) => each !== undefined).join("; "),
  };
}

/** Where we may not look, the missing right says so. */
async function probersNamespace(transport: Transport): Promise<Namespace | undefined> {
  try {
    return await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE));
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return undefined;
    throw error;
  }
}
