import type { OwnPods } from "../application/own-pods.js";
import type { Clock } from "../common/clock.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import type { Recorder } from "../evidence/recorder.js";
import type { Node } from "../kube/objects.js";
import type { RoutedTransport } from "../kube/pod-route.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { Sampling } from "../evidence/facts.js";
import type { Journal, PendingUndo } from "../safety/journal/journal.js";
import type { HeldLock } from "../safety/lock/lease.js";
import type { AnyTarget, Target } from "../targets/target.js";
import type { RunView } from "../ui/base.js";
import type { GivingUp } from "./giving-up.js";

/** A run that passed preflight: what the user asked for and what was found. Nothing has been changed yet. */
export interface Prepared {
  readonly runId: string;
  readonly resolved: ResolvedExperiment;
  readonly transport: RoutedTransport;
  /** The server's gitVersion. */
  readonly version: string;
  readonly nodes: readonly Node[];
  /** From how many workers is sampled, and how often; undefined: from all, as often as the experiment asks. */
  readonly sampling?: Sampling;
  readonly clusterUid: string;
  /** The images of the run's pods, and which guestbook it deploys. */
  readonly pods: OwnPods;
  readonly nodeAccess: NodeAccess | undefined;
  readonly target: AnyTarget;
  /** Workloads that would undo the attack. They are suppressed before the target. */
  readonly companions: readonly Target[];
  /** Keep the guestbook after the run; the probers are removed. */
  readonly keepApp: boolean;
  /** Attack also when it is known before that nothing can be concluded. */
  readonly anyway: boolean;
  /** Guestbook, probers and lock belong to several runs: the session that created them removes them. */
  readonly shared: { readonly lock: HeldLock } | undefined;
  /** A dead-man's switch is deployed before the attack. */
  readonly deadMan: boolean;
  readonly recorder: Recorder;
  readonly view: RunView;
  readonly clock: Clock;
  /** Aborted by the first signal (Ctrl-C): stop the attack, restore, report. */
  readonly interrupted: AbortSignal;
  /** The command that removes another run's lock; default: with a placeholder for the context. */
  readonly restoreWith?: string;
  /** When the end of the run stops trying. Default: at the limits of its steps. */
  readonly givingUp?: GivingUp;
}

/** What every phase of a run shares. */
export interface RunContext extends Prepared {
  readonly journal: Journal;
  /** What the run created, in the journal's order. Removed at the end. */
  readonly made: PendingUndo[];
  /** Objects that a function check changes, as they were. Undone at the end unless someone else has done so. */
  readonly changed: PendingUndo[];
}
