/** Undoing entries of the journal by the API alone: what the dead-man's switch can do, too. */
import {
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  list,
  PODS,
  remove,
  REPLICASETS,
  resourcePath,
} from "../../kube/api.js";
import { sleep } from "../../common/clock.js";
import type { KubeObject, Pod } from "../../kube/objects.js";
import { hasEnded } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { carries } from "../../own/manifest.js";
import { isPrepared } from "../../own/namespaces.js";
import type { Removal, Undone, WorkloadUndo } from "../journal/undo.js";
import { emptyNamespace } from "./empty-namespace.js";
import { restoreWorkload } from "./workload.js";

/** How long the pods of a namespace of ours may take to go before the namespace is deleted around them, ms. */
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
  return await restoreWorkload(transport, entry, entry.onlyIfGone ?? onlyIfGone);
}

/** Removes what a run made, if it is still there and still that run's. */
async function removeOwn(
  transport: Transport,
  entry: Extract<Removal, { action: "remove" }>,
): Promise<Undone> {
  const live = await getOrUndefined<KubeObject>(transport, entry.path);
  if (live !== undefined && carries(live, entry.labels)) {
    // Prepared after the intent was written: it stays.
    if (entry.object.kind === "Namespace" && isPrepared(live))
      return await emptyNamespace(transport, { ...entry, action: "empty" });
    // Only for speed: what keeps it from being swept does not keep it from being removed.
    if (entry.object.kind === "Namespace")
      await sweepNamespace(transport, entry.object.name).catch(() => undefined);
    // By its uid: one that another run makes under the same name in this moment stays. Background: a namespace
    // takes its content with it.
    await remove(transport, entry.path, { uid: live.metadata.uid, propagationPolicy: "Background" });
  }
  return { object: entry.object, how: "removed", by: "runner" };
}

/**
 * Takes the workloads and pods of a namespace away before the namespace itself. The namespace controller comes
 * back to one that still has terminating pods only after its own waits, and kubelets keep a pod's object for up
 * to half a minute after its containers have ended (they look every 10 s whether its resources are reclaimed).
 */
async function sweepNamespace(transport: Transport, namespace: string): Promise<void> {
  // From the top down, or the pods come back.
  for (const gvr of [DEPLOYMENTS, DAEMONSETS, REPLICASETS, PODS]) {
    const { items } = await list<KubeObject>(transport, resourcePath(gvr, namespace));
    await Promise.all(
      items.map(async ({ metadata }) => {
        const path = resourcePath(gvr, namespace, metadata.name);
        await remove(transport, path, { uid: metadata.uid, propagationPolicy: "Background" });
      }),
    );
  }
  // By the clock, and not by counting: a slow API server's answers take their time, too.
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
