/** Undoing a fault on a node, from the journal: by the same way that made it, on the same machine. */
import { ChaosError, ExitCode } from "../../common/errors.js";
import { type AttackName, ATTACKS, type AttackRow } from "../../experiment/attacks.js";
import type { Transport } from "../../kube/transport.js";
import { openNodeAccess } from "../../nodes/access.js";
import { heldPath, inspect, returnManifest, startUnit, timerName } from "../../nodes/faults.js";
import { type NodeAccess } from "../../nodes/spec.js";
import { nodeRef, type NodeTarget } from "../../targets/node-target.js";
import type { NodeUndo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";

/** How nodes may be reached for an undo, and what of the API is left alone. */
export interface UndoOptions {
  /** Workloads that are there stay as they are: somebody has put them back, and they may have been changed since. */
  readonly onlyIfGone?: boolean;
  /** Whether a command that the journal names may be run. Default: not. */
  readonly allowCommands?: boolean;
  /** Whether the journal came from the cluster. */
  readonly foreign?: boolean;
  /** Instead of what the journal says: the run's own, which is open. */
  readonly access?: NodeAccess;
}

/**
 * Undoes a fault on a node. Needs no API server, unless the node is reached through it.
 *
 * @throws Error when the node can not be reached, is another machine, or would not; the entry stays pending.
 */
export async function undoOnNode(
  entry: NodeUndo,
  options: UndoOptions & { readonly transport?: Transport },
): Promise<Undone> {
  const { transport, allowCommands = false, foreign = false } = options;
  const access =
    options.access ??
    openNodeAccess(entry.access, {
      allowCommands,
      foreign,
      ...(transport === undefined ? {} : { transport }),
    });
  const on = { access, node: entry.node };
  if (entry.action === "start-unit") {
    const { how, by } = await startUnit(on, entry, onUnitOf(entry.attack));
    return { object: entry.object, how: how === "put-back" ? "started" : how, by };
  }
  const { how, by } = await returnManifest(on, entry);
  return { object: entry.object, how: how === "put-back" ? "returned" : how, by };
}

/** The text comes from this program and never from a journal. @throws Error when this version has no such attack. */
function onUnitOf(attack: AttackName | undefined): AttackRow["onUnit"] {
  if (attack === undefined) return undefined;
  const own = Object.hasOwn(ATTACKS, attack) ? ATTACKS[attack].onUnit : undefined;
  if (own === undefined)
    throw new Error(`this version cannot undo the attack ${attack}: use the one that made it`);
  return own;
}

/**
 * How the faults on these nodes are undone, read off them before the first fault is made.
 *
 * @throws ChaosError when a node has nothing that could be taken down: then nothing may be.
 */
export async function nodeUndos(
  target: NodeTarget,
  attackedNodes: readonly string[],
  access: NodeAccess,
  runId: string,
  attack?: AttackName,
): Promise<NodeUndo[]> {
  return await Promise.all(
    attackedNodes.map(async (node) =>
      target.kind === "SystemdUnit"
        ? await unitUndo(target, { access, node }, runId, attack)
        : await manifestUndo(target, { access, node }, runId),
    ),
  );
}

interface OnNode {
  readonly access: NodeAccess;
  readonly node: string;
}

async function unitUndo(
  target: NodeTarget,
  on: OnNode,
  runId: string,
  attack?: AttackName,
): Promise<NodeUndo> {
  const { unit } = target;
  if (unit === undefined) throw refused(`the unit of ${target.name} is not known`);
  const { state, machineId, invocation, also } = await inspect(on, { unit });
  if (state !== "active") throw refused(`${unit} is ${state || "not there"} on ${on.node}, not active`);
  const timer = timerName(runId, unit);
  const own = attack === undefined || ATTACKS[attack].onUnit === undefined ? {} : { attack };
  return { action: "start-unit", ...common(target, on), unit, also, invocation, timer, machineId, ...own };
}

async function manifestUndo(target: NodeTarget, on: OnNode, runId: string): Promise<NodeUndo> {
  const { manifest } = target;
  if (manifest === undefined) throw refused(`the manifest of ${target.name} is not known`);
  const { state, machineId } = await inspect(on, { manifest });
  if (state !== "there") throw refused(`there is no ${manifest} on ${on.node}`);
  const heldAt = heldPath(runId, manifest);
  const timer = timerName(runId, manifest);
  const pods = { namespace: target.namespace, labels: target.labels };
  return { action: "return-manifest", ...common(target, on), manifest, heldAt, pods, timer, machineId };
}

function common(target: NodeTarget, { access, node }: OnNode): Pick<NodeUndo, "object" | "node" | "access"> {
  return { object: nodeRef(target, node), node, access: access.spec };
}

function refused(problem: string): ChaosError {
  return new ChaosError(problem, { exitCode: ExitCode.preflightRefused });
}
