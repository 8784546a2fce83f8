import type { Target } from "../targets/target.js";
import type { Attack, AttackContext, RunningAttack } from "./attack.js";
import { startScaling } from "./scale-to-zero.js";

/** How long the attack on the target waits for a companion to be scaled down, ms. */
const COMPANION_LIMIT_MS = 5_000;

/**
 * An attack that first scales down the workloads that would undo it, outermost first, and keeps them down
 * (kube-dns-autoscaler sets kube-dns' replicas every 10 s).
 *
 * @param companions as found on the cluster, for the plan. The context has the same companions with their watches.
 */
export function afterCompanions(attack: Attack, companions: readonly Target[]): Attack {
  if (companions.length === 0) return attack;
  return {
    type: attack.type,
    plan: (target) => [
      ...companions.map(
        ({ kind, namespace, name }) =>
          `first set the replicas of ${kind} ${namespace}/${name} to 0 and keep them there: it would undo the attack`,
      ),
      ...attack.plan(target),
    ],
    start: (context) => new WithCompanions(attack, context),
  };
}

class WithCompanions implements RunningAttack {
  readonly #attack: Attack;
  readonly #context: AttackContext;
  readonly #running: RunningAttack[] = [];
  readonly #starting: Promise<void>;
  #startError: Error | undefined;
  #stopped = false;

  constructor(attack: Attack, context: AttackContext) {
    this.#attack = attack;
    this.#context = context;
    this.#starting = this.#start().catch((error: unknown) => {
      this.#startError = error instanceof Error ? error : new Error(String(error));
    });
  }

  get kills(): number {
    return this.#running.reduce((sum, { kills }) => sum + kills, 0);
  }

  get lastError(): Error | undefined {
    return this.#startError ?? this.#running.map(({ lastError }) => lastError).find((error) => error);
  }

  /** Stops the attack on the target first: its companions must not bring the target back before that. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#starting;
    for (const running of [...this.#running].reverse()) await running.stop();
  }

  async #start(): Promise<void> {
    for (const { target, watch } of this.#context.companions ?? []) {
      if (this.#stopped) return;
      const { running, answered } = startScaling({ ...this.#context, target, watch });
      this.#running.push(running);
      // A companion that cannot be scaled down is retried during the attack: the window does not wait for it.
      await Promise.race([answered, this.#limit()]);
    }
    if (!this.#stopped) this.#running.push(this.#attack.start(this.#context));
  }

  async #limit(): Promise<void> {
    await new Promise<void>((resolve) => this.#context.after(COMPANION_LIMIT_MS, resolve));
  }
}
