/** Undoes a fault on a node, from the journal: through the same access as the attack, on the same machine. */
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import { type AttackName, ATTACKS, type AttackRow } from "../../experiment/attacks.js";
import { getOrUndefined, NODES, resourcePath } from "../../kube/api.js";
import type { Transport } from "../../kube/transport.js";
import { openNodeAccess } from "../../nodes/access.js";
import { heldPath, inspect, returnManifest, startUnit, timerName } from "../../nodes/faults.js";
import { whyNotAttacked } from "../../nodes/look.js";
import { type NodeAccess } from "../../nodes/spec.js";
import { manifestOn, nodeRef, type NodeTarget, unitOn } from "../../targets/node-target.js";
import type { NodeUndo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";

/** How an undo may reach nodes, and what it leaves unchanged in the API. */
export interface UndoOptions {
  /** Existing workloads stay unchanged: someone else has restored them, and they may have been changed since. */
  readonly onlyIfGone?: boolean;
  /** Whether a command that the journal names may be run. Default: not. */
  readonly allowCommands?: boolean;
  /** Whether the journal came from the cluster. */
  readonly foreign?: boolean;
  /**
   * Nodes that may be other machines than the attacked ones, or may no longer exist. Undefined: this is the run itself,
   * not a restore.
   */
  readonly acceptNodes?: readonly string[];
  /** The run's own open access, used instead of the one in the journal. */
  readonly access?: NodeAccess;
}

/**
 * Undoes a fault on a node. Needs no API server, unless the node is reached through it.
 *
 * @throws Error when the node cannot be reached, is another machine, or the undo fails; the entry stays pending.
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
  try {
    if (foreign) await refuseUnlessAttacked(on, entry);
    return await undone(entry, on, options.acceptNodes?.includes(entry.node) === true);
  } catch (error) {
    if (
      error instanceof NotBelieved ||
      transport === undefined ||
      options.acceptNodes === undefined ||
      (await nodeExists(transport, entry))
    )
      throw error;
    if (options.acceptNodes.includes(entry.node))
      return { object: entry.object, how: "gone", by: "the deletion of the node" };
    throw new ChaosError(
      `${messageOf(error)}. The cluster has no node ${entry.node} any more. If it is gone for good, add \`--accept-node ${entry.node}\``,
      { exitCode: ExitCode.notRestored, cause: error },
    );
  }
}

class NotBelieved extends ChaosError {}

/** Anyone who can write Secrets may have written a journal that comes from the cluster. */
async function refuseUnlessAttacked(on: OnNode, entry: NodeUndo): Promise<void> {
  const why = await whyNotAttacked(on, entry);
  if (why === undefined) return;
  throw new NotBelieved(`the journal from the cluster is not believed: ${why}. Nothing was changed there`, {
    exitCode: ExitCode.notRestored,
  });
}

async function undone(entry: NodeUndo, on: OnNode, accept: boolean): Promise<Undone> {
  if (entry.action === "start-unit") {
    const { how, by } = await startUnit(on, { ...entry, accept }, onUnitOf(entry.attack));
    return { object: entry.object, how: how === "put-back" ? "started" : how, by };
  }
  const { how, by } = await returnManifest(on, { ...entry, accept });
  return { object: entry.object, how: how === "put-back" ? "returned" : how, by };
}

/** An API server that does not answer, or forbids the question, proves nothing. */
async function nodeExists(transport: Transport, { node }: NodeUndo): Promise<boolean> {
  const path = resourcePath(NODES, undefined, node);
  return await getOrUndefined(transport, path, { retry: false, timeoutMs: ASK_LIMIT_MS }).then(
    (found) => found !== undefined,
    () => true,
  );
}

/** How long the question for a node may take, ms. */
const ASK_LIMIT_MS = 5_000;

/** The command text comes from this program, never from a journal. @throws Error when this version has no such attack. */
function onUnitOf(attack: AttackName | undefined): AttackRow["onUnit"] {
  if (attack === undefined) return undefined;
  const own = Object.hasOwn(ATTACKS, attack) ? ATTACKS[attack].onUnit : undefined;
  if (own === undefined)
    throw new Error(
      `cannot undo the attack ${attack}: this version does not know it. Use the version that ran it`,
    );
  return own;
}

/**
 * How the faults on these nodes are undone, read from the nodes before the first fault.
 *
 * @throws ChaosError when the target does not run on a node: then nothing may be attacked.
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
  const unit = unitOn(target, on.node);
  const { state, machine, invocation, also } = await inspect(on, { unit });
  if (state !== "active")
    throw refused(
      `cannot attack ${target.name} on ${on.node}: ${unit} is ${state || "missing"}, not active. Start it first`,
    );
  const timer = timerName(runId, unit);
  const own = attack === undefined || ATTACKS[attack].onUnit === undefined ? {} : { attack };
  return { action: "start-unit", ...common(target, on), unit, also, invocation, timer, ...machine, ...own };
}

async function manifestUndo(target: NodeTarget, on: OnNode, runId: string): Promise<NodeUndo> {
  const manifest = manifestOn(target, on.node);
  const { state, machine } = await inspect(on, { manifest });
  if (state !== "there")
    throw refused(
      `cannot attack ${target.name} on ${on.node}: ${manifest} does not exist. Check that it runs there as a static pod`,
    );
  const heldAt = heldPath(runId, manifest);
  const timer = timerName(runId, manifest);
  const pods = { namespace: target.namespace, labels: target.labels };
  return { action: "return-manifest", ...common(target, on), manifest, heldAt, pods, timer, ...machine };
}

function common(target: NodeTarget, { access, node }: OnNode): Pick<NodeUndo, "object" | "node" | "access"> {
  return { object: nodeRef(target, node), node, access: access.spec };
}

function refused(problem: string): ChaosError {
  return new ChaosError(problem, { exitCode: ExitCode.preflightRefused });
}
