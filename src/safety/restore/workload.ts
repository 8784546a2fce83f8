/** Restores a workload from its snapshot. */
import { isDeepStrictEqual } from "node:util";
import { create, getOrUndefined, list, patch, replace, REPLICASETS, resourcePath } from "../../kube/api.js";
import { differences, sanitised } from "../../kube/declared.js";
import type { Deployment, KubeObject } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import { type Transport, ApiError } from "../../kube/transport-types.js";
import { creatorOf } from "../../kube/written-by.js";
import { MANAGED_BY } from "../../own/manifest.js";
import { givenBack, isOwnManager, scalingOf } from "../../own/own-fields.js";
import { REPLICAS_ANNOTATION, RUN_ANNOTATION } from "../../own/own-names.js";
import { refOf } from "../../targets/target.js";
import type { Undone, WorkloadUndo } from "../journal/undo.js";
import { fieldAt, withField } from "../../kube/field-path.js";
import { notCreated } from "./admission.js";

const WRITE = { fieldManager: MANAGED_BY } as const;
/** Tries until nobody else writes the object in between. Its controllers write its status often. */
const TRIES = 10;

/**
 * Restores a workload from its snapshot: creates it when it is gone. When another restorer has recreated it, adds what
 * that one's manifest lacks (addon-manager's kube-dns has no `replicas`). Then gives its fields back to their owners.
 */
export async function restoreWorkload(
  transport: Transport,
  entry: WorkloadUndo,
  onlyIfGone: boolean,
): Promise<Undone> {
  let first: Undone | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const undone = await restoreOnce(transport, entry, onlyIfGone);
      // A second try only finds what the first one did, unless someone deleted it again.
      if (first === undefined || undone.how === "created") first = undone;
      await giveBack(transport, entry);
      return first;
    } catch (error) {
      // Someone else created, changed (409) or deleted (404) it in between: read it again.
      const conflict = error instanceof ApiError && (error.status === 409 || error.status === 404);
      if (!conflict || attempt >= TRIES) throw error;
    }
  }
}

/** Whether a run still has the workload scaled down: by its field manager, or by the annotations of older versions. Pure. */
export function isScaledBy(live: KubeObject, runId?: string): boolean {
  const by = [scalingOf(live.metadata.managedFields)?.runId, live.metadata.annotations?.[RUN_ANNOTATION]];
  return by.some((each) => each !== undefined && (runId === undefined || each === runId));
}

/** The annotations of older versions, as a merge patch removes them; undefined: there are none. Pure. */
export function withoutMarks({ metadata }: Pick<KubeObject, "metadata">): Record<string, null> | undefined {
  const marks = [RUN_ANNOTATION, REPLICAS_ANNOTATION].filter((key) => key in (metadata.annotations ?? {}));
  return marks.length === 0 ? undefined : Object.fromEntries(marks.map((key) => [key, null]));
}

/** The live object with the number of replicas as before, and without the marks of older versions. Pure. */
function scaledBack(before: KubeObject, live: KubeObject): KubeObject {
  const marks = withoutMarks(live) ?? {};
  const kept = Object.entries(live.metadata.annotations ?? {}).filter(([key]) => !(key in marks));
  const metadata = { ...live.metadata, annotations: Object.fromEntries(kept) };
  return withField({ ...live, metadata }, ["spec", "replicas"], replicasOf(before));
}

function replicasOf(object: KubeObject): number {
  return (object as Deployment).spec?.replicas ?? 1;
}

async function restoreOnce(transport: Transport, entry: WorkloadUndo, onlyIfGone: boolean): Promise<Undone> {
  const wanted = sanitised(entry.object);
  const live = await getOrUndefined<KubeObject>(transport, entry.path);
  const kind = entry.object.kind ?? "";
  if (live === undefined) {
    // A function check changes one field: it did not delete the object.
    if (entry.onlyField !== undefined)
      return { object: refOf(kind, entry.object), how: "untouched", by: "runner" };
    const created = await createAgain(transport, entry.collection, wanted);
    return { object: refOf(kind, created), how: "created", by: "runner" };
  }
  if (isTerminating(live)) {
    throw new Error(
      `${kind} ${live.metadata.name} is still being deleted (finalizers: ${(live.metadata.finalizers ?? []).join(", ") || "none"}). Check why its deletion does not finish`,
    );
  }
  const same = live.metadata.uid === entry.object.metadata.uid;
  const creator = creatorOf(live) ?? "unknown";
  // This tool: an earlier attempt created it, and perhaps also sent its managed fields back.
  const by = same || isOwnManager(creator) || hasFieldsOf(entry.object, live) ? "runner" : creator;
  const change = onlyIfGone ? undefined : changeOf(entry, wanted, live);
  if (change === undefined) return { object: refOf(kind, live), how: same ? "untouched" : "found", by };
  await change(transport);
  return { object: refOf(kind, live), how: "patched", by };
}

/** Whether a restore has sent managed fields back to this recreated object: nobody else has them. Pure. */
function hasFieldsOf({ metadata: { managedFields: before = [] } }: KubeObject, live: KubeObject): boolean {
  const now = live.metadata.managedFields ?? [];
  return now.some((entry) => before.some((each) => isDeepStrictEqual(each, entry)));
}

type Change = (transport: Transport) => Promise<unknown>;

/** What has to change of the live object; undefined: nothing. Pure. */
function changeOf(entry: WorkloadUndo, wanted: KubeObject, live: KubeObject): Change | undefined {
  const { path, object, onlyField } = entry;
  const put =
    (changed: KubeObject): Change =>
    async (transport) =>
      await replace(transport, path, changed, WRITE);
  if (onlyField !== undefined) {
    // Set back only while it has our value, and this tool is still the one who set it.
    const isOurs = isDeepStrictEqual(fieldAt(live, onlyField.at), onlyField.wrong);
    if (!isOurs || giveBackOf(entry, live) === undefined) return undefined;
    return put(withField(live, onlyField.at, onlyField.right));
  }
  if (differences(wanted, sanitised(live)).length === 0) return undefined;
  if (entry.onlyReplicas === true) {
    if (withoutMarks(live) === undefined && replicasOf(live) === replicasOf(object)) return undefined;
    // Replaced, not patched: the dead-man's switch may only update.
    return async (transport) => {
      await put(scaledBack(object, live))(transport);
      if (withoutMarks(live) !== undefined) await unmarkReplicaSets(transport, live);
    };
  }
  const { uid, resourceVersion } = live.metadata;
  return put({ ...wanted, metadata: { ...wanted.metadata, uid, resourceVersion } });
}

async function createAgain(
  transport: Transport,
  collection: string,
  wanted: KubeObject,
): Promise<KubeObject> {
  try {
    return await create<KubeObject>(transport, collection, wanted, WRITE);
  } catch (error) {
    throw notCreated(wanted, error);
  }
}

function giveBackOf({ object }: WorkloadUndo, live: KubeObject): ReturnType<typeof givenBack> {
  return givenBack(object.metadata.managedFields, live.metadata.managedFields);
}

/** What this tool wrote belongs to its owners again, so that their next server-side apply meets no conflict. */
async function giveBack(transport: Transport, entry: WorkloadUndo): Promise<void> {
  const live = await getOrUndefined<KubeObject>(transport, entry.path);
  if (live === undefined) return;
  const managedFields = giveBackOf(entry, live);
  if (managedFields === undefined) return;
  await replace(transport, entry.path, { ...live, metadata: { ...live.metadata, managedFields } }, WRITE);
}

/** Older versions annotated a scaled Deployment, and its controller copied that to its ReplicaSets. */
async function unmarkReplicaSets(transport: Transport, owner: KubeObject): Promise<void> {
  const { namespace, uid } = owner.metadata;
  try {
    const { items } = await list<KubeObject>(transport, resourcePath(REPLICASETS, namespace));
    for (const each of items) {
      const annotations = withoutMarks(each);
      if (
        annotations === undefined ||
        each.metadata.ownerReferences?.every((ref) => ref.uid !== uid) !== false
      )
        continue;
      const path = resourcePath(REPLICASETS, namespace, each.metadata.name);
      await patch(transport, path, { metadata: { annotations } }, WRITE);
    }
  } catch (error) {
    // The printed Roles grant no change of ReplicaSets, and nothing reads these annotations.
    if (!(error instanceof ApiError && error.status === 403)) throw error;
  }
}
