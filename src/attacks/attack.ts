import type { RunEventBody } from "../evidence/events.js";
import type { Transport } from "../kube/transport.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { TargetMonitor } from "../targets/monitor.js";
import type { NodeTargetWatch } from "../targets/node-target-watch.js";
import type { NodeTarget } from "../targets/node-target.js";
import type { TargetWatch } from "../targets/target-watch.js";
import { type AnyTarget, isNodeTarget, type Target } from "../targets/target.js";

/** A workload that scales or repairs the target. It is scaled down before the target and has its own watch. */
interface Companion {
  readonly target: Target;
  readonly watch: TargetWatch;
}

/** What a fault on a node needs in addition to the target. */
interface NodeFaults {
  readonly access: NodeAccess;
  /** The timer on the node undoes the fault this long after it last heard from the runner, ms. */
  readonly healAfterMs: number;
}

interface Common {
  readonly runId: string;
  readonly transport: Transport;
  /** `tMs`: when it happened. Default: now. */
  readonly emit: (body: RunEventBody, tMs?: number) => void;
  /** The runner's monotonic clock, ms. */
  readonly now: () => number;
  /** As a clock has it; nothing here cancels. */
  readonly after: (ms: number, work: () => void) => unknown;
}

/** What an attack needs. Time is passed in, so that tests are exact. */
export interface AttackContext extends Common {
  readonly target: AnyTarget;
  /** A TargetWatch for a workload, a NodeTargetWatch for a target on nodes. */
  readonly watch: TargetMonitor;
  /** Workloads that would scale or repair the target, outermost first. */
  readonly companions?: readonly Companion[];
  /** For flapping: undoes the attack's changes between two kills, as the journal says. The journal's entries stay. */
  readonly undoKill?: () => Promise<void>;
  readonly node?: NodeFaults;
}

/** The context of an attack on a workload. */
export interface WorkloadContext extends Common {
  readonly target: Target;
  readonly watch: TargetWatch;
}

/** The context of an attack on a unit or a static pod. */
export interface NodeContext extends Common {
  readonly target: NodeTarget;
  readonly watch: Pick<NodeTargetWatch, "attacked">;
  readonly node: NodeFaults;
}

/** Narrows the context for an attack on a workload. @throws Error when the target is not a workload. */
export function forWorkload(context: AttackContext): WorkloadContext {
  if (isNodeTarget(context.target))
    throw new Error(`${context.target.name} is not a workload: this attack cannot take it down`);
  // The run creates the watch to match the target: a workload has a TargetWatch.
  return context as AttackContext & WorkloadContext;
}

/**
 * Narrows the context for an attack on nodes. @throws Error when the target is a workload, or node access is missing.
 */
export function forNodes(context: AttackContext): NodeContext {
  const { target, node } = context;
  if (!isNodeTarget(target))
    throw new Error(
      `${target.kind} ${target.name} is a workload: this attack takes down only what runs on nodes`,
    );
  if (node === undefined) throw new Error(`cannot take down ${target.name}: there is no access to its nodes`);
  // The run creates the watch to match the target: a target on nodes has a NodeTargetWatch.
  return context as AttackContext & NodeContext;
}

/** A running attack. */
export interface RunningAttack {
  /** Stops reacting and waits for the requests in flight. After that nothing is done to the target. */
  stop(): Promise<void>;
  /** How many kills were accepted so far: deletions, scalings, units stopped, manifests moved. */
  readonly kills: number;
  /** The error of the last outstanding kill that failed, if any. */
  readonly lastError: Error | undefined;
}

/** A way to take a component down and keep it down. */
export interface Attack {
  readonly type: string;
  /**
   * What the attack will do, for `--dry-run` and the report: one line per step.
   *
   * @throws RefusedError when the attack cannot take such a target down. The message names an attack that can.
   */
  plan(target: AnyTarget): readonly string[];
  start(context: AttackContext): RunningAttack;
}
