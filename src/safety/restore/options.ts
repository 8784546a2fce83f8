import type { Clock } from "../../common/clock.js";
import type { RunView } from "../../ui/base.js";

export interface RestoreOptions {
  /** The run's id; undefined: only with `all`. */
  readonly runId?: string;
  readonly all: boolean;
  readonly dryRun: boolean;
  /** Instead of what the journal says: the file may have moved, or be another machine's. */
  readonly kubeconfigPath?: string;
  readonly context?: string;
  /** Whether a command that the journal names may be run to reach a node. Default: not. */
  readonly allowCommands?: boolean;
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: the machine's. */
  readonly clock?: Clock;
}
