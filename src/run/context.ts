import type { ClusterHandle } from "../clusters/provider.js";
import type { Clock } from "../common/clock.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import type { Recorder } from "../evidence/recorder.js";
import type { Discovery } from "../kube/api.js";
import type { Node } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { Journal, PendingUndo } from "../safety/journal/journal.js";
import type { RunView } from "../ui/base.js";

/** What every phase of a run shares. */
export interface RunContext {
  readonly runId: string;
  readonly resolved: ResolvedExperiment;
  readonly handle: ClusterHandle;
  readonly transport: Transport;
  readonly discovery: Discovery;
  readonly nodes: readonly Node[];
  readonly clusterUid: string;
  readonly nodeAccess: NodeAccess | undefined;
  readonly recorder: Recorder;
  readonly view: RunView;
  readonly clock: Clock;
  readonly journal: Journal;
  /** What the run has made, in order, as its journal has it: removed at the end. */
  readonly made: PendingUndo[];
  /** Objects that a probe of a function changes, as they were: put back at the end, where nobody else has. */
  readonly changed: PendingUndo[];
  /** Aborted by the first signal (Ctrl-C): stop the attack, restore, report. */
  readonly interrupted: AbortSignal;
}
