/** Brings a workload to what its snapshot says. */
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
 * Brings a workload to what its snapshot says: creates it when it is gone; when another restorer has brought
 * it back, repairs what that one's manifest does not carry (addon-manager's kube-dns has no `replicas`).
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
      // Somebody else created, changed (409) or deleted (404) it in between: look again at what is there now.
      const conflict = error instanceof ApiError && (error.status === 409 || error.status === 404);
      if (!conflict || attempt >= 10) throw error;
    }
  }
}

/** Whether nothing of a scaling is left on it. Pure. */
function hasReplicasOf(before: KubeObject, live: KubeObject): boolean {
  const annotated = live.metadata.annotations?.[RUN_ANNOTATION] !== undefined;
  return !annotated && replicasOf(live) === replicasOf(before);
}

/** Its number of replicas from before, and none of the run's annotations; only this very object. Pure. */
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
      `${kind} ${live.metadata.name} is still being deleted (finalizers: ${(live.metadata.finalizers ?? []).join(", ") || "none"})`,
    );
  }
  const same = live.metadata.uid === entry.object.metadata.uid;
  const creator = creatorOf(live) ?? "unknown";
  // Ours, too: a try before created it, and its answer was lost.
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
