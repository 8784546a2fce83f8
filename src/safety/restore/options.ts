import type { Clock } from "../../common/clock.js";
import type { RunView } from "../../ui/base.js";

export interface RestoreOptions {
  /** The run's ID; undefined: with `all`, or to list the runs. */
  readonly runId?: string;
  readonly all: boolean;
  readonly dryRun: boolean;
  /** Overrides the journal: the file may have moved, or the journal may be another machine's. */
  readonly kubeconfigPath?: string;
  readonly context?: string;
  /** Whether a command that the journal names may be run to reach a node. Default: not. */
  readonly allowCommands?: boolean;
  /** Nodes that may be other machines than the attacked ones, or may no longer exist. Default: none. */
  readonly acceptNodes?: readonly string[];
  /** Whether a plan from a copy in the cluster is accepted without a question. */
  readonly yes?: boolean;
  /** Asks the user; undefined: nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>;
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: the system clock. */
  readonly clock?: Clock;
}
