import type { RunEventBody } from "../evidence/events.js";
import type { Transport } from "../kube/transport.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { TargetMonitor } from "../targets/monitor.js";
import type { NodeTargetWatch } from "../targets/node-target-watch.js";
import type { NodeTarget } from "../targets/node-target.js";
import type { TargetWatch } from "../targets/target-watch.js";
import { type AnyTarget, isNodeTarget, type Target } from "../targets/target.js";

/** What scales or repairs the target and is suppressed before it, with a watch of its own. */
interface Companion {
  readonly target: Target;
  readonly watch: TargetWatch;
}

/** What a fault on a node needs beside the target. */
interface NodeFaults {
  readonly access: NodeAccess;
  /** The timer on the node undoes the fault so long after the runner was heard of last, ms. */
  readonly healAfterMs: number;
}

interface Common {
  readonly runId: string;
  readonly transport: Transport;
  /** `tMs`: when it was, if not now. */
  readonly emit: (body: RunEventBody, tMs?: number) => void;
  /** Runner's monotonic clock, ms. */
  readonly now: () => number;
  /** As a clock has it; nothing here cancels. */
  readonly after: (ms: number, work: () => void) => unknown;
}

/** What an attack needs to act. Time is passed in, so that tests are exact. */
export interface AttackContext extends Common {
  readonly target: AnyTarget;
  /** A TargetWatch for a workload, a NodeTargetWatch for what runs on nodes. */
  readonly watch: TargetMonitor;
  /** Outermost first: what would scale or repair the target. */
  readonly companions?: readonly Companion[];
  /** Puts the target back between two blows, from the journal, whose entries stay (flapping). */
  readonly letUp?: () => Promise<void>;
  readonly node?: NodeFaults;
}

/** What an attack on a workload is given. */
export interface WorkloadContext extends Common {
  readonly target: Target;
  readonly watch: TargetWatch;
}

/** What an attack on a unit or a static pod is given. */
export interface NodeContext extends Common {
  readonly target: NodeTarget;
  readonly watch: Pick<NodeTargetWatch, "attacked">;
  readonly node: NodeFaults;
}

/** The context as an attack on workloads needs it. @throws Error when the target is none. */
export function forWorkload(context: AttackContext): WorkloadContext {
  if (isNodeTarget(context.target))
    throw new Error(`${context.target.name} is no workload: this attack can not take it down`);
  // The run makes the watch for the target: a workload has a TargetWatch.
  return context as AttackContext & WorkloadContext;
}

/** The context as an attack on nodes needs it. @throws Error when the target, or the way to the nodes, is missing. */
export function forNodes(context: AttackContext): NodeContext {
  const { target, node } = context;
  if (!isNodeTarget(target))
    throw new Error(`${target.kind} ${target.name} is a workload: this attack takes what runs on nodes`);
  if (node === undefined) throw new Error(`${target.name} can not be taken down without access to its nodes`);
  // The run makes the watch for the target: what runs on nodes has a NodeTargetWatch.
  return context as AttackContext & NodeContext;
}

/** An attack that is going on. */
export interface RunningAttack {
  /** Stops reacting, waits for what is under way. After it nothing is done to the target any more. */
  stop(): Promise<void>;
  /** What was done to the target so far and was accepted: deletions, scalings, units stopped, manifests moved. */
  readonly kills: number;
  /** The last of it that could not be done, if any is outstanding. */
  readonly lastError: Error | undefined;
}

/** A way of taking a component down and keeping it down. */
export interface Attack {
  readonly type: string;
  /**
   * What it will do, for `--dry-run` and the report: one line a step.
   *
   * @throws RefusedError when it can not take such a target down; it says what can.
   */
  plan(target: AnyTarget): readonly string[];
  start(context: AttackContext): RunningAttack;
}
