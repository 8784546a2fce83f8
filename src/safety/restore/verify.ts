/** Checks that restored components work again: a restored Deployment without a ready pod is not enough. */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { getOrUndefined, NODES, resourcePath } from "../../kube/api.js";
import type { KubeObject, Node } from "../../kube/objects.js";
import { isNodeReady } from "../../kube/pod-state.js";
import { ApiError, ApiUnreachableError, type Transport } from "../../kube/transport.js";
import { workloadState } from "../../kube/workload-state.js";
import { hasReadyMirrorPod } from "../../targets/find-node-target.js";
import type { NodeUndo, Undo, WorkloadUndo } from "../journal/undo.js";

/**
 * The mirror pod of a static pod can be Ready only 70 to 80 s after its container runs (the kubelet's back-off,
 * measured), and an API server whose etcd was away takes minutes.
 */
export const READY_LIMIT_MS = 7 * 60_000;
const READY_EVERY_MS = 1_000;

/** A workload is ready when it has as many ready pods of the current template as before the run. Pure. */
export function workloadNotReady(before: KubeObject, live: KubeObject): string | undefined {
  const kind = before.kind ?? "workload";
  const { isSeen, wanted, ready, updated } = workloadState(kind, live);
  const { name } = live.metadata;
  if (!isSeen) return `${kind} ${name}: its controller has not seen it yet`;
  // The number of nodes may have changed since.
  const needed = Math.min(workloadState(kind, before).ready, wanted);
  const current = Math.min(ready, updated);
  return current >= needed ? undefined : `${kind} ${name}: ${current} of ${needed} ready`;
}

/** A function check changes one field: that the object is gone is then a foreign change. */
function deletedAgain({ object, onlyField }: WorkloadUndo): string | undefined {
  return onlyField === undefined
    ? `${object.kind ?? "workload"} ${object.metadata.name} was deleted again`
    : undefined;
}

/** Why one restored entry does not work yet; undefined: it works, or there is nothing to check. */
async function notReady(transport: Transport, entry: Undo): Promise<string | undefined> {
  switch (entry.action) {
    case "remove":
    case "empty":
      return undefined;
    case "restore-workload": {
      // The ConfigMap of addon-manager's proof: nothing to wait for.
      if (entry.object.kind === "ConfigMap") return undefined;
      const live = await getOrUndefined<KubeObject>(transport, entry.path);
      return live === undefined ? deletedAgain(entry) : workloadNotReady(entry.object, live);
    }
    case "start-unit":
      return await nodeNotReady(transport, entry);
    case "return-manifest":
      return await podNotReady(transport, entry);
  }
}

async function nodeNotReady(transport: Transport, entry: NodeUndo): Promise<string | undefined> {
  const node = await getOrUndefined<Node>(transport, resourcePath(NODES, undefined, entry.node));
  // A deleted node: nothing on it can become ready.
  return node === undefined || isNodeReady(node) ? undefined : `node ${entry.node} is not Ready`;
}

async function podNotReady(
  transport: Transport,
  entry: Extract<NodeUndo, { action: "return-manifest" }>,
): Promise<string | undefined> {
  if (entry.pods === undefined) return undefined;
  if ((await hasReadyMirrorPod(transport, entry.pods, entry.node)) || (await isDeleted(transport, entry)))
    return undefined;
  return `${entry.object.name}: its pod is not Ready`;
}

/** Whether the node was deleted, so that nothing on it can become ready. A minimal Role may not allow the question. */
async function isDeleted(transport: Transport, { node }: NodeUndo): Promise<boolean> {
  try {
    return (await getOrUndefined(transport, resourcePath(NODES, undefined, node))) === undefined;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return false;
    throw error;
  }
}

/**
 * Waits until every restored entry works.
 *
 * @returns what does not work when the time is up; empty: everything works.
 */
export async function waitUntilReady(
  transport: Transport,
  clock: Clock,
  options: {
    readonly entries: readonly Undo[];
    readonly limitMs: number;
    readonly note: (text: string) => void;
  },
): Promise<readonly string[]> {
  let last: readonly string[] = [];
  const { entries, limitMs, note } = options;
  await pollUntil(clock, { everyMs: READY_EVERY_MS, limitMs }, async () => {
    const problems = await Promise.all(entries.map(async (entry) => await problemOf(transport, entry)));
    last = problems.filter((each) => each !== undefined);
    if (last.length > 0) note(`wait until it is ready: ${last.join(", ")}`);
    return last.length === 0 ? true : undefined;
  });
  return last;
}

/** An API server that was itself the target may go away once more: that counts as not ready, not as an error. */
async function problemOf(transport: Transport, entry: Undo): Promise<string | undefined> {
  try {
    return await notReady(transport, entry);
  } catch (error) {
    if (error instanceof ApiError || error instanceof ApiUnreachableError) return messageOf(error);
    throw error;
  }
}
