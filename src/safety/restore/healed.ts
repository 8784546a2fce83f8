/** Nodes that cannot be reached: whether the timer on the node has undone the fault, as far as the API shows it. */
import { type Clock, pollUntil } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { get, getOrUndefined, LEASES, NODES, resourcePath } from "../../kube/api.js";
import type { Lease, Node } from "../../kube/objects.js";
import { isNodeReady } from "../../kube/pod-state.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { hasReadyMirrorPod } from "../../targets/find-node-target.js";
import type { NodeUndo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";

/** The timer on a node restores it after this long without the runner, ms: six missed re-arms. */
export const HEAL_AFTER_MS = 90_000;

/** From then on the timer has fired and the unit has started, ms. */
const HEALED_AFTER_MS = HEAL_AFTER_MS + 10_000;

/**
 * A running kubelet renews its Lease every 10 s (nodeLeaseDurationSeconds 40, and a quarter of it:
 * kubernetes/kubernetes pkg/kubelet/kubelet.go). Twice that, and some: ms.
 */
const RENEWED_WITHIN_MS = 25_000;
const POLL_EVERY_MS = 1_000;

/** The namespace of the kubelets' Leases. */
const LEASE_NAMESPACE = "kube-node-lease";

/** Units whose state the kubelet reports in its node's condition Ready. Nothing in the API shows any other one. */
const SHOWN_BY_READY = /^(kubelet|containerd|crio|docker|cri-docker)\.service$/;

export interface Healed {
  /** undefined: the API does not show that the fault is undone. */
  readonly undone?: Undone;
  /** Why it does not; a sentence part. */
  readonly why?: string;
}

/**
 * Waits until the timer must have fired, then looks in the API whether the fault on the node is undone: the node is Ready,
 * its kubelet renews its Lease meanwhile (a Ready of a silent kubelet is old), and a static pod's mirror pod is Ready.
 *
 * @param options `sinceMs`: since when nobody has re-armed the timer, by the clock.
 */
export async function healedByTimer(
  transport: Transport,
  clock: Clock,
  entry: NodeUndo,
  options: { readonly sinceMs: number; readonly signal?: AbortSignal | undefined },
): Promise<Healed> {
  const { sinceMs, signal } = options;
  if (entry.action === "start-unit" && !SHOWN_BY_READY.test(entry.unit))
    return { why: `the API does not show whether ${entry.unit} runs` };
  try {
    await clock.sleep(Math.max(0, sinceMs + HEALED_AFTER_MS - clock.now()), signal);
    const why =
      (await silent(transport, clock, entry.node, signal)) ??
      (await nodeProblem(transport, entry.node)) ??
      (await podProblem(transport, entry));
    if (why !== undefined) return { why };
    return { undone: { object: entry.object, how: "found", by: "the timer on the node, as the API shows" } };
  } catch (error) {
    return { why: messageOf(error) };
  }
}

/** Why the kubelet counts as silent; undefined: it renews its Lease. */
async function silent(
  transport: Transport,
  clock: Clock,
  node: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const path = resourcePath(LEASES, LEASE_NAMESPACE, node);
  const renewedAt = async (): Promise<string | undefined> =>
    (await getOrUndefined<Lease>(transport, path))?.spec?.renewTime;
  try {
    const first = await renewedAt();
    const options = { everyMs: POLL_EVERY_MS, limitMs: RENEWED_WITHIN_MS, signal };
    const renewed = await pollUntil(clock, options, async () =>
      (await renewedAt()) === first ? undefined : true,
    );
    return renewed === true ? undefined : `the kubelet of ${node} does not renew its Lease`;
  } catch (error) {
    // Without the right to read it: the control plane sets Ready to Unknown when the Lease is old for 50 s, which is less
    // than the wait before.
    if (error instanceof ApiError && error.status === 403) return undefined;
    throw error;
  }
}

async function nodeProblem(transport: Transport, name: string): Promise<string | undefined> {
  const node = await get<Node>(transport, resourcePath(NODES, undefined, name));
  return isNodeReady(node) ? undefined : `node ${name} is not Ready`;
}

async function podProblem(transport: Transport, entry: NodeUndo): Promise<string | undefined> {
  if (entry.action !== "return-manifest") return undefined;
  if (entry.pods === undefined) return `the API does not show whether ${entry.manifest} is back`;
  return (await hasReadyMirrorPod(transport, entry.pods, entry.node))
    ? undefined
    : `${entry.object.name}: its pod is not Ready`;
}
