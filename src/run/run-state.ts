import type { RunningAttack } from "../attacks/attack.js";
import { messageOf } from "../common/errors.js";
import type { RunFacts } from "../evidence/facts.js";
import { isControl } from "../experiment/attacks.js";
import { factsJson } from "../report/files.js";
import type { DeployedDeadMan } from "../safety/dead-man/deploy-dead-man.js";
import type { PendingUndo } from "../safety/journal/journal.js";
import type { HeldLock } from "../safety/lock/lease.js";
import type { RunContext } from "./context.js";
import { Collector } from "./measuring/collector.js";
import type { Measuring } from "./measuring/measuring.js";

/** The damage done by the attack, from the moment before the first kill. It must be undone. */
export interface Harm {
  /** The series that were good before the attack: they must become good again. */
  readonly series: ReadonlySet<string>;
  /** Whether the component's own function worked before the attack: then it must work again. */
  readonly functionWorked: boolean;
  /** Ends the outage early: a signal, a lost lock, a failed watch, a foreign change, an abort condition. */
  readonly stopped: AbortSignal;
  /** The attack, once it has started; it runs until it is stopped. */
  attack?: RunningAttack;
  attackRuns: boolean;
  /** Ends the attack's side work in the window. */
  readonly windowOver: AbortController;
  sideWork?: Promise<unknown>;
}

/** The state that the phases of a run share and change. */
export class RunState {
  context: RunContext;
  facts: RunFacts;
  readonly collector: Collector;
  /** Ends every watch when the measuring is over. */
  readonly abort = new AbortController();
  /** How to restore the target; set before the first kill. */
  readonly pending: PendingUndo[] = [];
  /** Removed when everything else is restored: the lock, the journal's copy. */
  last: readonly PendingUndo[] = [];
  lock: HeldLock | undefined;
  deadMan: DeployedDeadMan | undefined;
  harm: Harm | undefined;
  /** Whether the release undid everything; undefined: the release did not finish. */
  released: boolean | undefined;
  /** Ends the window early: the lock was lost, a watch failed, or there was a foreign change. */
  readonly broken = new AbortController();
  /** The first signal, or {@link broken}: the current work ends and the damage is undone. */
  readonly stop: AbortSignal;
  /** A phase refused or failed: only the undo and the tear-down follow. */
  halted = false;
  /** After a foreign change to the application its probes prove nothing: the recovery does not wait for them. */
  applicationChanged = false;
  /** Why the component's own function cannot be checked, as a clause; undefined: it can, or it has no check. */
  noFunctionCheck: string | undefined;
  /** Whether the target is restored, as far as the runner has seen. */
  whole = true;
  #measuring: Measuring | undefined;
  readonly #watches: Promise<void>[] = [];

  constructor(context: RunContext, facts: RunFacts) {
    this.context = context;
    this.facts = facts;
    this.collector = new Collector(context);
    this.stop = AbortSignal.any([context.interrupted, this.broken.signal]);
  }

  /** The measuring parts; there are none before the deploy phase has ended. */
  get measuring(): Measuring {
    if (this.#measuring === undefined) throw new Error("nothing is measured yet");
    return this.#measuring;
  }

  set measuring(measuring: Measuring) {
    this.#measuring = measuring;
  }

  /** A failed watch ends the run like a failed attack, because its evidence is missing. */
  follow(done: Promise<void>): void {
    this.#watches.push(
      done.catch((error: unknown) => {
        this.stopped("attack-failed", error);
        this.broken.abort();
      }),
    );
  }

  /** Ends the measuring and all watches. */
  async endMeasuring(): Promise<void> {
    const { recorder } = this.context;
    try {
      await this.#measuring?.functionChecks?.end();
      await this.#measuring?.abortWhen?.stop();
      await this.collector
        .stop()
        .catch((error: unknown) =>
          recorder.emit({ type: "warning", text: `measuring ended with an error: ${messageOf(error)}` }),
        );
      this.abort.abort();
      await Promise.all(this.#watches);
    } catch (error) {
      // The tear-down must still run.
      this.stopped("attack-failed", error);
    }
  }

  /** Stops the attack when the lock is lost: someone else may be using the cluster by then. */
  stopWhenLockIsLost(): void {
    const lost = this.lock?.lost;
    const stop = (): void => {
      this.stopped("lock-lost", `the lock was lost: ${String(lost?.reason)} holds it now`);
      this.broken.abort();
    };
    if (lost?.aborted === true) stop();
    else lost?.addEventListener("abort", stop, { once: true, signal: this.abort.signal });
  }

  /** Ends the attack when the API server refuses the credentials: nobody would undo it later. */
  stopWhenCredentialsAreRefused(): void {
    const { givingUp, resolved } = this.context;
    if (resolved.component?.carriesApi === true && !isControl(resolved.attack)) givingUp?.expectOutage();
    const refused = givingUp?.credentialsRefused;
    const stop = (): void => {
      this.stopped("attack-failed", String(refused?.reason));
      this.broken.abort();
    };
    if (refused?.aborted === true) stop();
    else refused?.addEventListener("abort", stop, { once: true });
  }

  /** A foreign change: the window ends and everything is undone. */
  changed(code: "application-changed" | "target-changed", message: string): void {
    if (code === "application-changed") this.applicationChanged = true;
    this.stopped(code, message);
    this.broken.abort();
  }

  /** Replaces what was assumed about the target on nodes by what was found there. */
  foundTarget(target: RunContext["target"], facts: NonNullable<RunFacts["target"]>): void {
    this.context = { ...this.context, target };
    this.facts = { ...this.facts, target: facts };
  }

  /** Reports in the events and to the user why the run does not continue as planned. */
  stopped(code: string, problem: unknown): void {
    const message = typeof problem === "string" ? problem : messageOf(problem);
    this.context.recorder.emit({ type: "stopped", code, message });
    this.context.view.warn(message);
  }

  /** Writes the current facts to the report's folder. */
  async writeFacts(): Promise<void> {
    await this.context.recorder.write("run.json", factsJson(this.facts));
  }
}
