import { downSoFar } from "../../analysis/analyse.js";
import { isKeptDown, windowEndMs } from "../../analysis/times-down.js";
import type { RunEvent } from "../../evidence/events.js";
import type { RunState } from "../run-state.js";

/** The parts of a run's state that decide when the window ends. */
interface Followed {
  readonly facts: RunState["facts"];
  readonly context: {
    readonly clock: Pick<RunState["context"]["clock"], "now">;
    readonly recorder: { readonly events: readonly RunEvent[] };
  };
}

/** Follows when the target was down, and so when the window ends. */
export class WindowEnd {
  /** The window's length counts from the start of the attack: a control run, or flapping. */
  readonly fixed: boolean;
  readonly #state: Followed;
  readonly #fromMs: number;
  #downMs: number | null = null;

  /** @param fromMs when the attack starts. */
  constructor(state: Followed, fromMs: number) {
    this.#state = state;
    this.#fromMs = fromMs;
    this.fixed = !isKeptDown(state.facts);
  }

  get isDown(): boolean {
    return this.#downMs !== null;
  }

  /** Time until the end of the window, ms; 0: it is over. */
  leftMs(): number {
    const { facts, context } = this.#state;
    const nowMs = context.clock.now();
    const windowMs = facts.experiment.phases.window;
    const left = (): number => Math.max(0, windowEndMs(this.#fromMs, windowMs, this.#downMs) - nowMs);
    // Read again at the end: a runtime's answer may have shown meanwhile that it was down later than it seemed.
    if (this.fixed || (this.isDown && left() > 0)) return left();
    this.#downMs = downSoFar(facts, context.recorder.events, nowMs);
    return left();
  }
}
