import type { Clock } from "../common/clock.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import type { Recorder } from "../evidence/recorder.js";
import type { Discovery } from "../kube/api.js";
import type { Node } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { Journal, PendingUndo } from "../safety/journal/journal.js";
import type { HeldLock } from "../safety/lock/lease.js";
import type { AnyTarget, Target } from "../targets/target.js";
import type { RunView } from "../ui/base.js";

/** A run that preflight lets pass: what was asked for, and what was found. Nothing is touched so far. */
export interface Prepared {
  readonly runId: string;
  readonly resolved: ResolvedExperiment;
  readonly transport: Transport;
  readonly discovery: Discovery;
  readonly nodes: readonly Node[];
  readonly clusterUid: string;
  readonly nodeAccess: NodeAccess | undefined;
  readonly target: AnyTarget;
  /** Workloads that would undo the attack, and are suppressed before the target. */
  readonly companions: readonly Target[];
  /** The guestbook stays, the probers go. */
  readonly keepApp: boolean;
  /** Guestbook, probers and lock belong to several runs: whoever had them first takes them away. */
  readonly shared: { readonly lock: HeldLock } | undefined;
  /** A dead-man's switch is set up before the first harm. */
  readonly deadMan: boolean;
  readonly recorder: Recorder;
  readonly view: RunView;
  readonly clock: Clock;
  /** Aborted by the first signal (Ctrl-C): stop the attack, restore, report. */
  readonly interrupted: AbortSignal;
}

/** What every phase of a run shares. */
export interface RunContext extends Prepared {
  readonly journal: Journal;
  /** What the run has made, in order, as its journal has it: removed at the end. */
  readonly made: PendingUndo[];
  /** Objects that a probe of a function changes, as they were: put back at the end, where nobody else has. */
  readonly changed: PendingUndo[];
}
