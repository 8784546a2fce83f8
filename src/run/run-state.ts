import type { RunningAttack } from "../attacks/attack.js";
import { messageOf } from "../common/errors.js";
import type { RunFacts } from "../evidence/facts.js";
import { factsJson } from "../report/files.js";
import type { DeployedDeadMan } from "../safety/dead-man/deploy-dead-man.js";
import type { PendingUndo } from "../safety/journal/journal.js";
import type { HeldLock } from "../safety/lock/lease.js";
import type { RunContext } from "./context.js";
import { Collector } from "./measuring/collector.js";
import type { Measuring } from "./measuring/measuring.js";

/** The harm that is done, from the moment before the first blow: it has to be put back. */
export interface Harm {
  /** The series that were good before it: they have to be good again. */
  readonly series: ReadonlySet<string>;
  /** Whether the component's own function was there before it: it has to be there again. */
  readonly functionWorked: boolean;
  /** Ends the outage early: a signal, a lost lock, a dead watch, a change by somebody else, an abort condition. */
  readonly stopped: AbortSignal;
  /** The attack, once it was begun; it runs until it was stopped. */
  attack?: RunningAttack;
  attackRuns: boolean;
  /** Ends what is done beside the attack in the window. */
  readonly windowOver: AbortController;
  sideWork?: Promise<unknown>;
}

/** What the phases of a run share, and change on its way. */
export class RunState {
  readonly context: RunContext;
  facts: RunFacts;
  readonly collector: Collector;
  /** Ends every watch, when the measuring is over. */
  readonly abort = new AbortController();
  /** How the target is put back, from the moment before the first kill. */
  readonly pending: PendingUndo[] = [];
  /** Taken away when everything else is as before: the lock, the journal's copy. */
  last: readonly PendingUndo[] = [];
  lock: HeldLock | undefined;
  deadMan: DeployedDeadMan | undefined;
  harm: Harm | undefined;
  /** Whether the release has put everything back; undefined: it did not come to an end. */
  putBack: boolean | undefined;
  /** Ends the window early: the lock was lost, a watch died, somebody else changed what is measured. */
  readonly broken = new AbortController();
  /** The first signal, or {@link broken}: what is under way ends, what was harmed is put back. */
  readonly stop: AbortSignal;
  /** A phase has said no, or failed: what is put back and removed at the end is all that follows. */
  halted = false;
  /** What the probes see of it says nothing any more: it is not waited for. */
  applicationChanged = false;
  /** Whether the target is as before, as far as the runner has seen. */
  whole = true;
  #measuring: Measuring | undefined;
  readonly #watches: Promise<void>[] = [];

  constructor(context: RunContext, facts: RunFacts) {
    this.context = context;
    this.facts = facts;
    this.collector = new Collector(context);
    this.stop = AbortSignal.any([context.interrupted, this.broken.signal]);
  }

  /** What is measured with; there is none before the deployment's phase is over. */
  get measuring(): Measuring {
    if (this.#measuring === undefined) throw new Error("nothing is measured yet");
    return this.#measuring;
  }

  set measuring(measuring: Measuring) {
    this.#measuring = measuring;
  }

  /** A watch that dies ends the run as a failed attack does: what it would have shown is missing. */
  follow(done: Promise<void>): void {
    this.#watches.push(
      done.catch((error: unknown) => {
        this.stopped("attack-failed", error);
        this.broken.abort();
      }),
    );
  }

  /** Ends the measuring, and everything that follows the cluster. */
  async endMeasuring(): Promise<void> {
    const { recorder } = this.context;
    try {
      await this.#measuring?.looks?.end();
      await this.#measuring?.abortWhen?.stop();
      await this.collector
        .stop()
        .catch((error: unknown) =>
          recorder.emit({ type: "warning", text: `measuring ended with: ${messageOf(error)}` }),
        );
      this.abort.abort();
      await Promise.all(this.#watches);
    } catch (error) {
      // The tear-down must not be left out for it.
      this.stopped("attack-failed", error);
    }
  }

  /** Somebody else may be at work on the cluster by then: nothing is harmed any more. */
  stopWhenLockIsLost(): void {
    const lost = this.lock?.lost;
    const stop = (): void => {
      this.stopped("lock-lost", `the lock is held by ${String(lost?.reason)} now`);
      this.broken.abort();
    };
    if (lost?.aborted === true) stop();
    else lost?.addEventListener("abort", stop, { once: true, signal: this.abort.signal });
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
