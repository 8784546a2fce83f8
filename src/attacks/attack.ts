import type { RunEventBody } from "../analysis/events.js";
import type { Transport } from "../cluster/transport.js";
import type { Target } from "../target/target.js";
import type { TargetWatch } from "../target/target-watch.js";

/** What an attack needs to act. Time is passed in, so that tests are exact. */
export interface AttackContext {
  readonly transport: Transport;
  readonly target: Target;
  readonly watch: TargetWatch;
  /** `tMs`: when it was, if not now. */
  readonly emit: (body: RunEventBody, tMs?: number) => void;
  /** Runner's monotonic clock, ms. */
  readonly now: () => number;
  readonly setTimeout: (work: () => void, ms: number) => unknown;
}

/** An attack that is going on. */
export interface RunningAttack {
  /** Stops reacting, waits for requests that are under way. After it nothing of the target is deleted any more. */
  stop(): Promise<void>;
  /** Deletions that the API server accepted so far. */
  readonly kills: number;
  /** The last deletion that could not be made, if any is outstanding. */
  readonly lastError: Error | undefined;
}

/** A way of taking a component down and keeping it down. */
export interface Attack {
  readonly type: string;
  /** What it will do, for `--dry-run` and the report: one line a step. */
  plan(target: Target): readonly string[];
  start(context: AttackContext): RunningAttack;
}
