import { messageOf } from "../common/errors.js";
import type { RunFacts } from "../evidence/facts.js";
import { factsJson } from "../report/files.js";
import type { DeployedDeadMan } from "../safety/dead-man/deploy-dead-man.js";
import type { PendingUndo } from "../safety/journal/journal.js";
import type { HeldLock } from "../safety/lock/lease.js";
import type { AnyTarget, Target } from "../targets/target.js";
import type { RunContext } from "./context.js";

export interface JournalledRunOptions {
  /** The guestbook stays, the probers go. */
  readonly keepApp: boolean;
  /** Guestbook, probers and lock belong to several runs: whoever had them first takes them away. */
  readonly shared: { readonly lock: HeldLock } | undefined;
  /** Workloads that would undo the attack, and are suppressed before the target. */
  readonly companions: readonly Target[];
  /** A dead-man's switch is set up before the first harm. */
  readonly deadMan: boolean;
}

/** What the parts of a journalled run share, and change on its way. */
export class RunState {
  readonly context: RunContext;
  readonly options: JournalledRunOptions;
  readonly target: AnyTarget;
  facts: RunFacts;
  /** Ends every watch, when the measuring is over. */
  readonly abort = new AbortController();
  /** How the target is put back, from the moment before the first kill. */
  readonly pending: PendingUndo[] = [];
  /** Taken away when everything else is as before: the lock, the journal's copy. */
  last: readonly PendingUndo[] = [];
  lock: HeldLock | undefined;
  deadMan: DeployedDeadMan | undefined;
  /** Ends the window early: the lock was lost, a watch died, somebody else changed what is measured. */
  readonly broken = new AbortController();
  /** What the probes see of it says nothing any more: it is not waited for. */
  applicationChanged = false;
  /** Whether the target is as before, as far as the runner has seen. */
  whole = true;

  constructor(context: RunContext, facts: RunFacts, target: AnyTarget, options: JournalledRunOptions) {
    this.context = context;
    this.facts = facts;
    this.target = target;
    this.options = options;
  }

  /** Somebody else changed what is measured: the window ends, and everything is put back. */
  changed(code: "application-changed" | "target-changed", message: string): void {
    if (code === "application-changed") this.applicationChanged = true;
    this.stopped(code, message);
    this.broken.abort();
  }

  /** Says in the events and to the user why the run does not go on as planned. */
  stopped(code: string, problem: unknown): void {
    const message = typeof problem === "string" ? problem : messageOf(problem);
    this.context.recorder.emit({ type: "stopped", code, message });
    this.context.view.warn(message);
  }

  /** Writes the facts as they are known now into the report's folder. */
  async writeFacts(): Promise<void> {
    await this.context.recorder.write("run.json", factsJson(this.facts));
  }
}
