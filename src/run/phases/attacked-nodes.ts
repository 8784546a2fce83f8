import { LEADER_LABELS } from "../../application/guestbook.js";
import { ChaosError } from "../../common/errors.js";
import { leftOutWords } from "../../nodes/left-out.js";
import { podsOf } from "../../own/pods.js";
import type { NodeTarget } from "../../targets/node-target.js";
import type { RunContext } from "../context.js";

/**
 * The nodes on which a node component is taken down. `one`: the node of the application's database, where the impact is
 * greatest, or the first node that has the component if that node does not.
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
  const { namespace } = experiment.application.guestbook;
  const [leader] = await podsOf(context.transport, namespace, LEADER_LABELS);
  const database = leader?.spec?.nodeName;
  const node = target.nodes.find((each) => each === database) ?? target.nodes[0];
  return node === undefined ? [] : [node];
}
