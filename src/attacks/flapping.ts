import type { ObjectRef, RunEventBody } from "../evidence/events.js";
import { messageOf } from "../common/errors.js";
import type { Pod } from "../kube/objects.js";
import { isReady } from "../kube/pod-state.js";
import { nodeRef } from "../targets/node-target.js";
import { isNodeTarget, refOf } from "../targets/target.js";
import { type Attack, type AttackContext, forNodes, forWorkload, type RunningAttack } from "./attack.js";

/** How often a kill looks whether the target is down, ms. */
const LOOK_EVERY_MS = 100;

export interface FlappingOptions {
  /** From one kill to the next, ms. */
  readonly every: number;
  /** Whether a controller brings the target back. If not, the runner undoes each kill after half of the interval. */
  readonly comesBack: boolean;
}

/**
 * Takes the target down at a fixed interval instead of keeping it down: the flapping component of the operations note.
 * A target that comes back by itself is killed until none of its pods is ready, and then its controller brings it back.
 * (One deletion would not take it down: a pod that terminates serves for its grace period, and its successor may be
 * ready before that is over.) Any other target is kept down for half of the interval, and then the runner undoes the
 * kill.
 */
export function flapping(attack: Attack, options: FlappingOptions): Attack {
  const { every, comesBack } = options;
  return {
    type: attack.type,
    plan: (target) => [
      `every ${every / 1000} s:`,
      ...attack.plan(target),
      comesBack
        ? "stop when no pod of it is ready: its controller brings it back"
        : `undo it ${every / 2000} s after each kill`,
    ],
    start: (context) => new Flapping(attack, context, options),
  };
}

class Flapping implements RunningAttack {
  readonly #attack: Attack;
  readonly #context: AttackContext;
  readonly #options: FlappingOptions;
  readonly #undoKill: () => Promise<void>;
  #running: RunningAttack;
  /** Kills of the intervals that are over. */
  #kills = 0;
  #underWay: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(attack: Attack, context: AttackContext, options: FlappingOptions) {
    const { undoKill } = context;
    if (undoKill === undefined && !options.comesBack)
      throw new Error(`cannot flap ${context.target.name}: there is no way to undo a kill`);
    this.#attack = attack;
    this.#context = context;
    this.#options = options;
    this.#undoKill = undoKill ?? (async () => await Promise.resolve());
    this.#running = this.#begin(context);
  }

  get kills(): number {
    return this.#kills + this.#running.kills;
  }

  get lastError(): Error | undefined {
    return this.#running.lastError;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#underWay;
    await this.#running.stop();
  }

  /** Begins one interval: takes the target down, and schedules its end. */
  #begin(context: AttackContext): RunningAttack {
    const { every, comesBack } = this.#options;
    const begunAt = this.#context.now();
    const running = this.#attack.start(context);
    const end = (): void => {
      if (!this.#stopped) this.#underWay = this.#end(running, begunAt);
    };
    const endWhenDown = (): void => {
      if (this.#stopped) return;
      if (this.#isDown() || this.#context.now() >= begunAt + every / 2) end();
      else this.#context.after(LOOK_EVERY_MS, endWhenDown);
    };
    if (comesBack) this.#context.after(LOOK_EVERY_MS, endWhenDown);
    else this.#context.after(every / 2, end);
    return running;
  }

  /** A pod that terminates may be ready: its Service still routes to it when no other pod is. */
  #isDown(): boolean {
    return !forWorkload(this.#context)
      .watch.current("Pod")
      .some((pod) => isReady(pod as Pod));
  }

  async #end(running: RunningAttack, begunAt: number): Promise<void> {
    await running.stop();
    if (!this.#options.comesBack && !this.#stopped) await this.#undo();
    if (this.#stopped) return;
    const { now, after } = this.#context;
    const nextMs = Math.max(0, begunAt + this.#options.every - now());
    after(nextMs, () => {
      if (this.#stopped) return;
      this.#kills += this.#running.kills;
      this.#running = this.#begin(this.#later());
    });
  }

  async #undo(): Promise<void> {
    const { emit } = this.#context;
    try {
      await this.#undoKill();
      for (const object of this.#objects()) emit({ type: "let-up", object });
    } catch (error) {
      emit({ type: "warning", text: `could not undo the attack between two kills: ${messageOf(error)}` });
    }
  }

  #objects(): ObjectRef[] {
    const { target } = this.#context;
    if (!isNodeTarget(target)) return [refOf(target.kind, target.object)];
    return forNodes(this.#context).watch.attacked.map((node) => nodeRef(target, node));
  }

  /** The context of a later interval: the target it finds has come back. */
  #later(): AttackContext {
    const emit = (body: RunEventBody, tMs?: number): void => {
      const back = body.type === "kill" && body.reason === "initial";
      this.#context.emit(back ? { ...body, reason: "recreated" } : body, tMs);
    };
    return { ...this.#context, emit };
  }
}
