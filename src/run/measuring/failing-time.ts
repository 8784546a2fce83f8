/** How long something has failed without a break, from answers that arrive in batches, late and out of order. Pure. */

/** The result of one request (or one sample). "not known": there was no conclusive answer. */
export interface Answer {
  /** When the request was sent, in the runner's ms. */
  readonly atMs: number;
  readonly state: "good" | "failing" | "not known";
  /** Why it is not good. */
  readonly detail: string;
}

/** Failing without a good answer in between. */
export interface Failing {
  /** When the first request that failed was sent. */
  readonly sinceMs: number;
  /** How long it is known to have failed since then, ms. */
  readonly forMs: number;
  /** Why the last request failed. */
  readonly detail: string;
}

/**
 * Follows the answers of one series. An answer is valid until the next request, at most for `validMs`. A failure
 * counts for no time until a later failure confirms it. A good answer resets the failing time. Unknown time (answers
 * that say so, or no answers) neither counts nor resets it.
 *
 * Answers may arrive in any order: the same set of answers always gives the same result.
 */
export class FailingTime {
  readonly #validMs: number;
  #lastGoodMs = -Infinity;
  /** Answers to requests after the last good one, in order of time. */
  #since: Answer[] = [];

  /** @param validMs how long an answer is valid at most if the next one is missing. */
  constructor(validMs: number) {
    this.#validMs = validMs;
  }

  add(answer: Answer): void {
    const { atMs, state } = answer;
    if (atMs < this.#lastGoodMs) return;
    if (state === "good") {
      this.#lastGoodMs = atMs;
      this.#since = this.#since.filter((other) => other.atMs > atMs);
    } else if (atMs > this.#lastGoodMs) {
      // Nearly always at the end. A sample that timed out arrives after samples that failed immediately.
      const index = this.#since.findLastIndex((other) => other.atMs <= atMs) + 1;
      this.#since.splice(index, 0, answer);
    }
  }

  /** undefined: not failing, as far as is known. */
  get failing(): Failing | undefined {
    const known = this.#since.filter(({ state }) => state === "failing");
    const first = known[0];
    const last = known.at(-1);
    if (first === undefined || last === undefined) return undefined;
    let forMs = 0;
    for (const [index, { atMs, state }] of this.#since.entries()) {
      const next = this.#since[index + 1];
      if (state !== "failing" || next === undefined || atMs >= last.atMs) continue;
      forMs += Math.min(next.atMs - atMs, this.#validMs);
    }
    return { sinceMs: first.atMs, forMs, detail: last.detail };
  }

  /** undefined: the newest answer was good; otherwise its state and detail, or "no answer". */
  get notGood(): string | undefined {
    const newest = this.#since.at(-1);
    if (newest !== undefined) return `${newest.state}: ${newest.detail}`;
    return this.#lastGoodMs === -Infinity ? "no answer" : undefined;
  }
}
