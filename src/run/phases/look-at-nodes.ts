import { podSource } from "../../application/own-pods.js";
import { objectName } from "../../common/object-name.js";
import { RefusedError } from "../../common/errors.js";
import { leadsThroughApi } from "../../nodes/access.js";
import { usableNodes, whyLeftOut } from "../../nodes/left-out.js";
import { chooseWay } from "../../kube/pod-route.js";
import { findNodeAccessPods, NODE_ACCESS_PORT } from "../../nodes/pod-access.js";
import { deployNodeAccess } from "../../nodes/pod-deploy.js";
import { NODE_ACCESS_NAMESPACE } from "../../own/own-names.js";
import { recordNamespace } from "../../safety/journal/entries.js";
import { findTarget, isNodeTarget } from "../../targets/target.js";
import { targetFacts } from "../initial-facts.js";
import type { RunState } from "../run-state.js";

/**
 * Deploys the privileged pods if they reach the nodes, before anything else. Then looks at the nodes: what preflight
 * assumed about the target's unit or manifest is replaced by what is there.
 *
 * @throws RefusedError when the target is not there, or cannot be attacked alone.
 */
export async function lookAtNodes(state: RunState): Promise<void> {
  const { nodeAccess, transport, clock, nodes, target, resolved, recorder, view, interrupted, pods, shared } =
    state.context;
  if (nodeAccess === undefined) return;
  if (leadsThroughApi(nodeAccess)) {
    const leftOut = nodes
      .filter((node) => whyLeftOut(node) !== undefined)
      .map(({ metadata }) => metadata.name);
    // A session's journal has it already.
    if (shared === undefined) await recordNamespace(state.context, NODE_ACCESS_NAMESPACE);
    await view.step("deploy the pods that reach the nodes", async () => {
      await deployNodeAccess(transport, clock, podSource(pods), { leftOut, signal: interrupted });
    });
    await reachNodePods(state);
  }
  if (interrupted.aborted || !isNodeTarget(target) || target.assumed !== true) return;
  const found = await findTarget(transport, resolved.experiment.target, resolved.component, {
    nodes: usableNodes(nodes),
    all: nodes,
    access: nodeAccess,
  });
  if ("problem" in found)
    throw new RefusedError(`cannot attack ${target.name}: ${found.problem}. Run again when it is there`);
  if (!isNodeTarget(found) || found.kind !== target.kind)
    throw new RefusedError(
      `cannot attack ${target.name}: it is a ${found.kind} here, not a ${target.kind}. Run again`,
    );
  for (const text of found.remarks ?? []) recorder.emit({ type: "warning", text });
  const detail = `${objectName(found)}, ${found.count} desired; ${found.ownerChain.join(" → ")}`;
  recorder.emit({ type: "check", name: "target", ok: true, detail });
  state.foundTarget(found, targetFacts(found, resolved.component?.name ?? null));
}

/** Chooses how the privileged pods are reached. @throws RefusedError when the attack would cut that way. */
async function reachNodePods({ context }: RunState): Promise<void> {
  const { transport, clock, interrupted, target } = context;
  const found = await findNodeAccessPods(transport);
  const pods = [...found.values()].map((pod) => ({
    namespace: NODE_ACCESS_NAMESPACE,
    pod,
    port: NODE_ACCESS_PORT,
  }));
  const problem = await chooseWay(transport, pods, { clock, signal: interrupted });
  if (problem === undefined || target.kind !== "SystemdUnit") return;
  throw new RefusedError(
    `cannot attack ${target.name}: the API server cannot reach the privileged pods (${problem}), and their kubelets' ` +
      "port-forward does not work while the kubelet or the container runtime is down. Use --node-access command",
  );
}
