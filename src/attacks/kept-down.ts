import type { RunEventBody } from "../evidence/events.js";
import type { KillAction } from "../experiment/attacks.js";
import { nodeRef } from "../targets/node-target.js";
import type { NodeContext, RunningAttack } from "./attack.js";

/** How often each node is checked again, ms: whether the unit was started, or the manifest reappeared. */
const CHECK_EVERY_MS = 2_000;
/** The first retry of a failed check or kill comes after this time, ms. It doubles up to the second figure. */
const RETRY_FROM_MS = 500;
const RETRY_UP_TO_MS = 5_000;
/** How often the timer on a node is restarted while the runner lives, ms. */
const REARM_EVERY_MS = 15_000;

export interface KeptDownOptions {
  readonly action: KillAction;
  /** Takes the target down on a node if it is up, without the API. @returns whether it was up. */
  readonly takeDown: (node: string) => Promise<boolean>;
  /** Restarts the timer that would undo it. */
  readonly rearm: (node: string) => Promise<void>;
}

/** Keeps a target down on nodes: takes it down immediately, and checks repeatedly that it stays down. */
export class KeptDown implements RunningAttack {
  readonly #context: NodeContext;
  readonly #options: KeptDownOptions;
  readonly #underWay = new Set<Promise<void>>();
  readonly #failing = new Map<string, Error>();
  /** Nodes on which it was taken down at least once. */
  readonly #taken = new Set<string>();
  /** When the timer of each node was last set or restarted. */
  readonly #armedAt = new Map<string, number>();
  #stopped = false;
  #kills = 0;

  constructor(context: NodeContext, options: KeptDownOptions) {
    this.#context = context;
    this.#options = options;
    for (const node of context.watch.attacked) this.#check(node, RETRY_FROM_MS);
  }

  get kills(): number {
    return this.#kills;
  }

  get lastError(): Error | undefined {
    return [...this.#failing.values()].at(-1);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#underWay);
  }

  #check(node: string, retryMs: number): void {
    if (this.#stopped) return;
    const checking = this.#takeDown(node)
      .then((error) => {
        const nextMs = error === undefined ? CHECK_EVERY_MS : retryMs;
        const nextRetryMs = error === undefined ? RETRY_FROM_MS : Math.min(retryMs * 2, RETRY_UP_TO_MS);
        if (!this.#stopped) this.#context.after(nextMs, () => this.#check(node, nextRetryMs));
      })
      .finally(() => this.#underWay.delete(checking));
    this.#underWay.add(checking);
  }

  /** @returns the error; undefined: the target is down. */
  async #takeDown(node: string): Promise<Error | undefined> {
    const { now, emit, target } = this.#context;
    const sentAt = now();
    const record = (status: 0 | 200): void => {
      const body: RunEventBody = {
        type: "kill",
        object: nodeRef(target, node),
        reason: this.#taken.has(node) ? "recreated" : "initial",
        action: this.#options.action,
        status,
        tookMs: now() - sentAt,
      };
      emit(body, sentAt);
    };
    try {
      const wasUp = await this.#options.takeDown(node);
      this.#failing.delete(node);
      if (wasUp) {
        record(200);
        this.#kills += 1;
        this.#armedAt.set(node, sentAt);
      } else if (sentAt - (this.#armedAt.get(node) ?? -Infinity) >= REARM_EVERY_MS) {
        await this.#options.rearm(node);
        this.#armedAt.set(node, sentAt);
      }
      this.#taken.add(node);
      return undefined;
    } catch (error) {
      const problem = error instanceof Error ? error : new Error(String(error));
      this.#failing.set(node, problem);
      // Where the target was taken down before, only the check failed: that is not a failed kill.
      if (!this.#taken.has(node)) record(0);
      return problem;
    }
  }
}
