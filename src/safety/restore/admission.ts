/**
 * Whether a workload and its pods can come back: asked with `dryRun=All` before anything is taken down.
 *
 * The API server runs all of admission before its storage finds the name taken (createHandler of
 * apiserver/pkg/endpoints/handlers/create.go: mutating admission, then registry/generic/registry/store.go: Store.Create
 * with the validating one, then DryRunnableStorage.Create of dryrun.go). So 409 AlreadyExists for the live name is a
 * pass; a probe name would be judged differently by a policy that matches names.
 */
import { objectName } from "../../common/object-name.js";
import { messageOf } from "../../common/errors.js";
import { missingPermissions } from "../../kube/access-review.js";
import { create, PODS, resourcePath } from "../../kube/api.js";
import { sanitised } from "../../kube/declared.js";
import type { Deployment, KubeObject } from "../../kube/objects.js";
import { describePermission } from "../../kube/permission.js";
import { exceedsQuota } from "../../kube/quota.js";
import { ApiError, type Transport } from "../../kube/transport-types.js";
import { MANAGED_BY } from "../../own/manifest.js";

/** A webhook may take 30 s (timeoutSeconds of admissionregistration.k8s.io/v1). */
const TRY = { dryRun: "All", fieldManager: MANAGED_BY, timeoutMs: 35_000 } as const;

/** A workload that a run may have to create again. */
interface Returning {
  readonly kind: "Deployment" | "DaemonSet";
  readonly namespace: string;
  readonly name: string;
  readonly object: KubeObject;
  readonly collection: string;
}

/**
 * Tries to create the workload and one of its pods, and stores nothing.
 *
 * @param onlyPods the workload itself stays: only its pods must come back.
 * @throws ApiUnreachableError.
 */
export async function canComeBack(
  transport: Transport,
  workload: Returning,
  onlyPods = false,
): Promise<{ readonly ok: boolean; readonly detail: string }> {
  const { kind, namespace, collection } = workload;
  const name = objectName(workload);
  const object = { ...sanitised(workload.object), apiVersion: "apps/v1", kind };
  const problem = onlyPods ? undefined : await refusalOf(transport, collection, object);
  if (problem !== undefined) return { ok: false, detail: refusedWords(name, problem) };
  const [missing] = await missingPermissions(transport, [
    { verb: "create", group: "", resource: "pods", namespace },
  ]);
  if (missing !== undefined)
    return {
      ok: true,
      detail: `${onlyPods ? "" : `${name} can be created again; `}its pods were not tried (not allowed: ${describePermission(missing)})`,
    };
  const podProblem = await refusalOf(transport, resourcePath(PODS, namespace), podOf(workload));
  if (podProblem !== undefined) return { ok: false, detail: refusedWords(`a pod of ${name}`, podProblem) };
  const what = onlyPods ? `pods of ${name}` : `${name} and its pods`;
  return { ok: true, detail: `${what} can be created again (tried with dryRun=All)` };
}

function refusedWords(what: string, problem: string): string {
  const remedy = problem.includes("does not support dry run")
    ? "Whether it would come back is unknown: set the webhook's sideEffects to None or NoneOnDryRun"
    : "It would not come back. Change what refuses it (the answer names the policy, webhook or quota), or exempt it";
  return `${what} cannot be created again: ${problem}. ${remedy}`;
}

/** @returns why the API server refuses the object; undefined: it would accept it if the name were free. */
async function refusalOf(
  transport: Transport,
  collection: string,
  object: unknown,
): Promise<string | undefined> {
  try {
    await create(transport, collection, object, TRY);
    return undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.reason === "AlreadyExists" || !exceedsQuota(error.message)) return undefined;
    return messageOf(error);
  }
}

/**
 * A pod as the workload's controller would create it. Its user differs: a policy for the controllers' ServiceAccounts
 * alone is not seen. Pure.
 */
function podOf({ kind, name, object }: Omit<Returning, "collection">): object {
  const { template } = (object as Deployment).spec ?? {};
  const { labels, annotations } = template?.metadata ?? {};
  const { uid } = object.metadata;
  const isSet = kind === "Deployment";
  const owner = isSet ? { kind: "ReplicaSet", name: `${name}-dry-run` } : { kind, name };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: `${owner.name}-`,
      labels: { ...labels, ...(isSet ? { "pod-template-hash": "dry-run" } : {}) },
      ...(annotations === undefined ? {} : { annotations }),
      // Some policies refuse pods without a controller.
      ownerReferences: [{ apiVersion: "apps/v1", ...owner, uid, controller: true }],
    },
    spec: template?.spec,
  };
}

/** The error of a creation during a restore. A conflict or an absent namespace is no refusal: it stays as it is. */
export function notCreated(object: KubeObject, error: unknown): unknown {
  if (!(error instanceof ApiError) || error.status === 409 || error.status === 404) return error;
  const { kind = "workload", metadata } = object;
  return new Error(
    `could not create ${kind} ${metadata.namespace ?? ""}/${metadata.name} again: ${messageOf(error)}. Change what refuses it (the answer names the policy, webhook or quota), then run \`chaos restore\``,
    { cause: error },
  );
}
