/** Restores a workload from its snapshot. */
import { create, getOrUndefined, patch, replace } from "../../kube/api.js";
import { differences, sanitised } from "../../kube/declared.js";
import type { Deployment, KubeObject } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import { type Transport, ApiError } from "../../kube/transport-types.js";
import { creatorOf } from "../../kube/written-by.js";
import { MANAGED_BY } from "../../own/manifest.js";
import { REPLICAS_ANNOTATION, RUN_ANNOTATION } from "../../own/own-names.js";
import { refOf } from "../../targets/target.js";
import type { Undo, Undone } from "../journal/undo.js";

/**
 * Restores a workload from its snapshot: creates it when it is gone. When another restorer has recreated it, adds what
 * that one's manifest lacks (addon-manager's kube-dns has no `replicas`).
 */
export async function restoreWorkload(
  transport: Transport,
  entry: Extract<Undo, { action: "restore-workload" }>,
  onlyIfGone: boolean,
): Promise<Undone> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await restoreOnce(transport, entry, onlyIfGone);
    } catch (error) {
      // Someone else created, changed (409) or deleted (404) it in between: read it again.
      const conflict = error instanceof ApiError && (error.status === 409 || error.status === 404);
      if (!conflict || attempt >= 10) throw error;
    }
  }
}

/** Whether the scaling is fully undone. Pure. */
function hasReplicasOf(before: KubeObject, live: KubeObject): boolean {
  const annotated = live.metadata.annotations?.[RUN_ANNOTATION] !== undefined;
  return !annotated && replicasOf(live) === replicasOf(before);
}

/** Restores the number of replicas and removes the run's annotations. Applies to this object only, by uid. Pure. */
function replicasPatch(before: KubeObject, live: KubeObject): object {
  const annotations = { [RUN_ANNOTATION]: null, [REPLICAS_ANNOTATION]: null };
  const { uid, resourceVersion } = live.metadata;
  return { metadata: { uid, resourceVersion, annotations }, spec: { replicas: replicasOf(before) } };
}

function replicasOf(object: KubeObject): number {
  return (object as Deployment).spec?.replicas ?? 1;
}

async function restoreOnce(
  transport: Transport,
  entry: Extract<Undo, { action: "restore-workload" }>,
  onlyIfGone: boolean,
): Promise<Undone> {
  const wanted = sanitised(entry.object);
  const live = await getOrUndefined<KubeObject>(transport, entry.path);
  const kind = entry.object.kind ?? "";
  if (live === undefined) {
    const created = await create<KubeObject>(transport, entry.collection, wanted);
    return { object: refOf(kind, created), how: "created", by: "runner" };
  }
  if (isTerminating(live)) {
    throw new Error(
      `${kind} ${live.metadata.name} is still being deleted (finalizers: ${(live.metadata.finalizers ?? []).join(", ") || "none"}). Check why its deletion does not finish`,
    );
  }
  const same = live.metadata.uid === entry.object.metadata.uid;
  const creator = creatorOf(live) ?? "unknown";
  // MANAGED_BY: an earlier attempt created it, and the answer was lost.
  const by = same || creator === MANAGED_BY ? "runner" : creator;
  if (onlyIfGone || differences(wanted, sanitised(live)).length === 0) {
    return { object: refOf(kind, live), how: same ? "untouched" : "found", by };
  }
  if (entry.onlyReplicas === true) {
    if (hasReplicasOf(entry.object, live))
      return { object: refOf(kind, live), how: same ? "untouched" : "found", by };
    await patch(transport, entry.path, replicasPatch(entry.object, live));
    return { object: refOf(kind, live), how: "patched", by };
  }
  const replaced = await replace<KubeObject>(transport, entry.path, {
    ...wanted,
    metadata: { ...wanted.metadata, uid: live.metadata.uid, resourceVersion: live.metadata.resourceVersion },
  });
  return { object: refOf(kind, replaced), how: "patched", by };
}
