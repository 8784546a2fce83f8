import type { ObjectRef, RunEventBody } from "../evidence/events.js";
import { messageOf } from "../common/errors.js";
import { nodeRef } from "../targets/node-target.js";
import { isNodeTarget, refOf } from "../targets/target.js";
import { type Attack, type AttackContext, forNodes, type RunningAttack } from "./attack.js";

export interface FlappingOptions {
  /** From one blow to the next, ms. */
  readonly every: number;
  /** Whether a controller brings the target back; else the runner lets up after half of the time. */
  readonly comesBack: boolean;
}

/**
 * Takes the target down each so often instead of keeping it down: the flapping component of the operations note.
 * What comes back by itself is struck once a blow; anything else is held down for half of the time and then put back.
 */
export function flapping(attack: Attack, options: FlappingOptions): Attack {
  const { every, comesBack } = options;
  return {
    type: attack.type,
    plan: (target) => [
      `every ${every / 1000} s:`,
      // Within one blow nothing that comes back is taken again.
      ...(comesBack ? attack.plan(target).slice(0, 1) : attack.plan(target)),
      comesBack ? "its controller brings it back" : `put it back ${every / 2000} s after each blow`,
    ],
    start: (context) => new Flapping(attack, context, options),
  };
}

class Flapping implements RunningAttack {
  readonly #attack: Attack;
  readonly #context: AttackContext;
  readonly #options: FlappingOptions;
  readonly #letUp: () => Promise<void>;
  #running: RunningAttack;
  /** Of the blows that are over. */
  #kills = 0;
  #underWay: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(attack: Attack, context: AttackContext, options: FlappingOptions) {
    const { letUp } = context;
    if (letUp === undefined && !options.comesBack)
      throw new Error(`a flapping ${context.target.name} can not be put back between two blows`);
    this.#attack = attack;
    this.#context = context;
    this.#options = options;
    this.#letUp = letUp ?? (async () => await Promise.resolve());
    this.#running = this.#strike(context);
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

  /** One blow, and what follows it. */
  #strike(context: AttackContext): RunningAttack {
    const { every, comesBack } = this.#options;
    const struckAt = this.#context.now();
    const running = this.#attack.start(context);
    const end = (): void => {
      if (!this.#stopped) this.#underWay = this.#end(running, struckAt);
    };
    // At once: what its controller makes now is let live until the next blow.
    if (comesBack) end();
    else this.#context.after(every / 2, end);
    return running;
  }

  async #end(running: RunningAttack, struckAt: number): Promise<void> {
    await running.stop();
    if (!this.#options.comesBack && !this.#stopped) await this.#putBack();
    if (this.#stopped) return;
    const { now, after } = this.#context;
    const nextMs = Math.max(0, struckAt + this.#options.every - now());
    after(nextMs, () => {
      if (this.#stopped) return;
      this.#kills += this.#running.kills;
      this.#running = this.#strike(this.#later());
    });
  }

  async #putBack(): Promise<void> {
    const { emit } = this.#context;
    try {
      await this.#letUp();
      for (const object of this.#objects()) emit({ type: "let-up", object });
    } catch (error) {
      emit({ type: "warning", text: `not put back between two blows: ${messageOf(error)}` });
    }
  }

  #objects(): ObjectRef[] {
    const { target } = this.#context;
    if (!isNodeTarget(target)) return [refOf(target.kind, target.object)];
    return forNodes(this.#context).watch.attacked.map((node) => nodeRef(target, node));
  }

  /** The context of a later blow: what it finds there has come back. */
  #later(): AttackContext {
    const emit = (body: RunEventBody, tMs?: number): void => {
      const back = body.type === "kill" && body.reason === "initial";
      this.#context.emit(back ? { ...body, reason: "recreated" } : body, tMs);
    };
    return { ...this.#context, emit };
  }
}
