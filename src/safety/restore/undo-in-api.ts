/** Undoes journal entries through the API alone, so the dead-man's switch can use it, too. */
import { isDeepStrictEqual } from "node:util";
import {
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  list,
  patch,
  PODS,
  remove,
  REPLICASETS,
  resourcePath,
} from "../../kube/api.js";
import { sleep } from "../../common/clock.js";
import type { ConfigMap, KubeObject, Pod } from "../../kube/objects.js";
import { hasEnded } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { carries } from "../../own/manifest.js";
import { isPrepared } from "../../own/namespaces.js";
import { refOf } from "../../targets/target.js";
import type { Removal, Undone, WorkloadUndo } from "../journal/undo.js";
import { emptyNamespace } from "./empty-namespace.js";
import { restoreWorkload } from "./workload.js";

/** How long the pods of an own namespace may take to go before the namespace is deleted anyway, ms. */
const PODS_GONE_LIMIT_MS = 20_000;
const PODS_GONE_EVERY_MS = 200;

/**
 * Undoes one entry that is not a fault on a node.
 *
 * @throws ApiError or ApiUnreachableError when the API server refuses or does not answer; the entry stays pending.
 */
export async function undoInApi(
  transport: Transport,
  entry: WorkloadUndo | Removal,
  onlyIfGone = false,
): Promise<Undone> {
  if (entry.action === "remove") return await removeOwn(transport, entry);
  if (entry.action === "empty") return await emptyNamespace(transport, entry);
  if (entry.object.kind === "ConfigMap") return await restoreData(transport, entry);
  return await restoreWorkload(transport, entry, entry.onlyIfGone ?? onlyIfGone);
}

/** The ConfigMap of addon-manager's proof: its data, by a patch, because a run has no right to replace it. */
async function restoreData(transport: Transport, { path, object }: WorkloadUndo): Promise<Undone> {
  const { data } = object as ConfigMap;
  const live = await getOrUndefined<ConfigMap>(transport, path);
  const same = live === undefined || isDeepStrictEqual(live.data, data);
  if (!same) await patch(transport, path, { data });
  return { object: refOf("ConfigMap", object), how: same ? "untouched" : "patched", by: "runner" };
}

/** Removes an object that a run created, if it still exists and still has the run's labels. */
async function removeOwn(
  transport: Transport,
  entry: Extract<Removal, { action: "remove" }>,
): Promise<Undone> {
  const live = await getOrUndefined<KubeObject>(transport, entry.path);
  if (live !== undefined && carries(live, entry.labels)) {
    // A namespace that was prepared after the intent was written stays.
    if (entry.object.kind === "Namespace" && isPrepared(live))
      return await emptyNamespace(transport, { ...entry, action: "empty" });
    // Sweeping only saves time: the namespace is deleted even if it fails.
    if (entry.object.kind === "Namespace")
      await sweepNamespace(transport, entry.object.name).catch(() => undefined);
    // By uid: an object that another run creates under the same name meanwhile stays. Background: a namespace
    // deletes its content with it.
    await remove(transport, entry.path, { uid: live.metadata.uid, propagationPolicy: "Background" });
  }
  return { object: entry.object, how: "removed", by: "runner" };
}

/**
 * Deletes the workloads and pods of a namespace before the namespace itself. The namespace controller returns to a
 * namespace with terminating pods only after its back-off, and kubelets keep a pod's object for up to half a minute after
 * its containers have ended (they check every 10 s whether its resources are reclaimed).
 */
async function sweepNamespace(transport: Transport, namespace: string): Promise<void> {
  // Owners first, or the pods come back.
  for (const gvr of [DEPLOYMENTS, DAEMONSETS, REPLICASETS, PODS]) {
    const { items } = await list<KubeObject>(transport, resourcePath(gvr, namespace));
    await Promise.all(
      items.map(async ({ metadata }) => {
        const path = resourcePath(gvr, namespace, metadata.name);
        await remove(transport, path, { uid: metadata.uid, propagationPolicy: "Background" });
      }),
    );
  }
  // By the clock, not by counting rounds: a slow API server's answers take time, too.
  const end = performance.now() + PODS_GONE_LIMIT_MS;
  while (performance.now() < end) {
    const { items } = await list<Pod>(transport, resourcePath(PODS, namespace));
    if (items.length === 0) return;
    await Promise.all(
      items.filter(hasEnded).map(async ({ metadata }) => {
        const path = resourcePath(PODS, namespace, metadata.name);
        await remove(transport, path, { uid: metadata.uid, gracePeriodSeconds: 0 });
      }),
    );
    await sleep(PODS_GONE_EVERY_MS);
  }
}
