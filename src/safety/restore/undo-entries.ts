/**
 * Putting things back from the journal. Used by every run at its end and by `chaos restore`; idempotent, goes
 * on past single failures and reports each.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { ObjectRef, RunEventBody } from "../../evidence/events.js";
import { carries, MANAGED_BY } from "../../own/manifest.js";
import { REPLICAS_ANNOTATION, RUN_ANNOTATION } from "../../attacks/scale-to-zero.js";
import {
  create,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  list,
  patch,
  PODS,
  remove,
  REPLICASETS,
  replace,
  resourcePath,
} from "../../kube/api.js";
import type { Deployment, KubeObject, Pod } from "../../kube/objects.js";
import { hasEnded, isTerminating } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { ApiError } from "../../kube/transport.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import { creatorOf } from "../../targets/target-watch.js";
import { refOf } from "../../targets/target.js";
import { pollUntil } from "../../common/clock.js";
import type { Clock } from "../../run/context.js";
import { isNodeUndo, type PendingUndo, type Undo } from "../journal/journal.js";
import { emptyNamespace } from "./empty-namespace.js";
import { isPrepared } from "../../own/namespaces.js";
import { undoOnNode, type UndoOptions } from "./on-node.js";

export { nodeUndos, type UndoOptions } from "./on-node.js";

/** How long the pods of a namespace of ours may take to go before the namespace is deleted around them, ms. */
const PODS_GONE_LIMIT_MS = 20_000;
const PODS_GONE_EVERY_MS = 200;

/** What was done about one entry. */
export interface Undone {
  readonly object: ObjectRef;
  /** `untouched`: it was never gone, and is as it was. `found`: somebody else had brought it back, wholly. */
  readonly how:
    "created" | "patched" | "found" | "removed" | "emptied" | "untouched" | "started" | "returned";
  /** "runner", or whoever had brought it back. */
  readonly by: string;
}

/**
 * Undoes one entry of the journal.
 *
 * @throws ApiError or ApiUnreachableError when the API server would not have it, Error when the node would not; the
 * entry stays pending.
 */
export async function undo(transport: Transport, entry: Undo, options: UndoOptions = {}): Promise<Undone> {
  if (isNodeUndo(entry)) return await undoOnNode(entry, { transport, ...options });
  if (entry.action === "remove") return await removeOurs(transport, entry);
  if (entry.action === "empty") return await emptyNamespace(transport, entry);
  return await restoreWorkload(transport, entry, entry.onlyIfGone ?? options.onlyIfGone ?? false);
}

/** Removes what a run made, if it is still there and still that run's. */
async function removeOurs(transport: Transport, entry: Extract<Undo, { action: "remove" }>): Promise<Undone> {
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

/**
 * Brings a workload to what its snapshot says: creates it when it is gone; when another restorer has brought
 * it back, repairs what that one's manifest does not carry (addon-manager's kube-dns has no `replicas`).
 */
async function restoreWorkload(
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

/** Set by the server or by controllers: never part of what a user declared. */
const SERVER_SET = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "managedFields",
  "selfLink",
  "generateName",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
] as const;
/** Counted up by a controller, or the server, for each new template. */
const CONTROLLER_ANNOTATIONS = [
  "deployment.kubernetes.io/revision",
  "deprecated.daemonset.template.generation",
];

/**
 * What of an object is its owner's word: without server-set fields and status. Pure. The result can be created
 * again. ownerReferences stay: a workload whose owner is gone would be collected, which preflight refuses.
 */
export function sanitised(object: KubeObject): KubeObject {
  const metadata: Record<string, unknown> = { ...object.metadata };
  for (const field of SERVER_SET) delete metadata[field];
  const annotations = Object.fromEntries(
    Object.entries(object.metadata.annotations ?? {}).filter(
      ([key]) => !CONTROLLER_ANNOTATIONS.includes(key),
    ),
  );
  if (Object.keys(annotations).length > 0) metadata["annotations"] = annotations;
  else delete metadata["annotations"];
  const rest: Record<string, unknown> = { ...object, metadata };
  delete rest["status"];
  return rest as unknown as KubeObject;
}

/** Paths at which two sanitised objects differ, for messages and for the question whether they do. Pure. */
export function differences(a: unknown, b: unknown, path = ""): string[] {
  if (isDeepStrictEqual(a, b)) return [];
  const bothObjects = isPlainObject(a) && isPlainObject(b);
  if (!bothObjects) return [path === "" ? "." : path];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return keys.flatMap((key) => differences(a[key], b[key], `${path}.${key}`));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** How often an undo that could not be done is tried again, and for how long, ms. */
export interface Retry {
  readonly clock: Clock;
  readonly limitMs: number;
}

const RETRY_EVERY_MS = 1_000;

/** An entry that could not be undone, and why. */
export interface NotUndone {
  readonly undo: Undo;
  readonly error: string;
}

/** Undoes entries from the last to the first; reports each success, collects each failure. */
export async function undoAll(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
  options: UndoOptions = {},
): Promise<NotUndone[]> {
  const failures: NotUndone[] = [];
  for (const { seq, undo: entry } of [...pending].reverse()) {
    try {
      await report(seq, await undoWithRetry(transport, entry, retry, options));
    } catch (error) {
      failures.push({ undo: entry, error: messageOf(error) });
    }
  }
  return failures;
}

async function undoWithRetry(
  transport: Transport,
  entry: Undo,
  retry: Retry | undefined,
  options: UndoOptions,
): Promise<Undone> {
  if (retry === undefined) return await undo(transport, entry, options);
  let last: unknown;
  const done = await pollUntil(retry.clock, { everyMs: RETRY_EVERY_MS, limitMs: retry.limitMs }, async () => {
    try {
      return await undo(transport, entry, options);
    } catch (error) {
      // It says what is wrong and what to do about it: another second does not change that.
      if (error instanceof ChaosError) throw error;
      last = error;
      return undefined;
    }
  });
  if (done === undefined) throw last;
  return done;
}

/** The event that says what was put back. */
export function restoredEvent(undone: Undone): RunEventBody | undefined {
  const { object, how, by } = undone;
  return how === "removed" || how === "emptied" || how === "untouched"
    ? undefined
    : { type: "restored", object, how, by };
}

/** Undoes entries that do not depend on each other, all at once. */
export async function undoTogether(
  transport: Transport,
  pending: readonly PendingUndo[],
  report: (seq: number, undone: Undone) => Promise<void>,
  retry?: Retry,
): Promise<NotUndone[]> {
  const each = pending.map(async (entry) => await undoAll(transport, [entry], report, retry));
  return (await Promise.all(each)).flat();
}

/** Namespaces among the entries: their removal takes time after it was accepted. Pure. */
export function namespacesOf(entries: readonly PendingUndo[]): string[] {
  return entries.flatMap(({ undo: entry }) =>
    entry.action === "remove" && entry.object.kind === "Namespace" ? [entry.object.name] : [],
  );
}
