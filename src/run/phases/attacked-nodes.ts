import { LEADER_LABELS } from "../../application/guestbook.js";
import { ChaosError } from "../../common/errors.js";
import type { Application } from "../../experiment/schema.js";
import type { Transport } from "../../kube/transport.js";
import { leftOutWords } from "../../nodes/left-out.js";
import { podsOf } from "../../own/pods.js";
import type { NodeTarget } from "../../targets/node-target.js";
import type { RunContext } from "../context.js";
import { findOwnAddresses, nodesOf } from "../measuring/own-application.js";

/**
 * The nodes on which a node component is taken down. `one`: the node of the guestbook's database, or the one with most
 * pods of an existing application, where the impact is greatest; or the first node that has the component if these do
 * not.
 *
 * @throws ChaosError when a named node does not have the component.
 */
export async function attackedNodes(context: RunContext, target: NodeTarget): Promise<readonly string[]> {
  const { attack, experiment } = context.resolved;
  const wanted = "nodes" in attack ? attack.nodes : "one";
  if (wanted === "all") return target.nodes;
  if (wanted !== "one") {
    const unknown = wanted.filter((node) => !target.nodes.includes(node));
    if (unknown.length === 0) return wanted;
    const leftOut = leftOutWords(context.nodes.filter(({ metadata }) => unknown.includes(metadata.name)));
    throw new ChaosError(
      `attack.nodes: ${target.name} does not run on ${unknown.join(", ")}. It runs on ${target.nodes.join(", ")}` +
        (leftOut === undefined ? "" : `. Left out: ${leftOut}`),
    );
  }
  const worst = await worstNodes(context.transport, experiment.application);
  const node = worst.find((each) => target.nodes.includes(each)) ?? target.nodes[0];
  return node === undefined ? [] : [node];
}

/** The nodes whose loss hits the application most, the worst first. */
async function worstNodes(transport: Transport, application: Application): Promise<string[]> {
  if (application.existing !== undefined)
    return nodesOf(await findOwnAddresses(transport, application.existing));
  const [leader] = await podsOf(transport, application.guestbook.namespace, LEADER_LABELS);
  return leader?.spec?.nodeName === undefined ? [] : [leader.spec.nodeName];
}
