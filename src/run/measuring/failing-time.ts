/** How long something has failed without a break, from answers that come in pieces, late and out of order. Pure. */

/** What one question (or one sample) said. "not known": there was no answer that says anything. */
export interface Observation {
  /** When it was asked, the runner's ms. */
  readonly atMs: number;
  readonly state: "good" | "failing" | "not known";
  /** Why it is not good. */
  readonly detail: string;
}

/** Failing without a good answer in between. */
export interface Failing {
  /** When it was asked for the first time that failed. */
  readonly sinceMs: number;
  /** Of the time since then, what it is known to have failed, ms. */
  readonly forMs: number;
  /** Why it failed the last time. */
  readonly detail: string;
}

/**
 * Follows the answers of one series. An answer holds until the next one was asked, at most for `holdMs`; a failure
 * that no later failure has confirmed counts for no time yet. So a good answer begins everything anew, and time in
 * which nothing is known (answers that say so, or none at all) neither counts nor begins anything anew.
 *
 * Answers may come in any order: what is said of a set of them (asked at different moments) is always the same.
 */
export class FailingTime {
  readonly #holdMs: number;
  #lastGoodMs = -Infinity;
  /** Answers that were asked after the last good one, in order of time. */
  #since: Observation[] = [];

  /** @param holdMs how long an answer holds at most, where the next one is missing. */
  constructor(holdMs: number) {
    this.#holdMs = holdMs;
  }

  add(observation: Observation): void {
    const { atMs, state } = observation;
    if (atMs < this.#lastGoodMs) return;
    if (state === "good") {
      this.#lastGoodMs = atMs;
      this.#since = this.#since.filter((other) => other.atMs > atMs);
    } else if (atMs > this.#lastGoodMs) {
      // Nearly always the newest: a sample that timed out comes after those that failed at once.
      const index = this.#since.findLastIndex((other) => other.atMs <= atMs) + 1;
      this.#since.splice(index, 0, observation);
    }
  }

  /** undefined: it is not failing, as far as is known. */
  get failing(): Failing | undefined {
    const known = this.#since.filter(({ state }) => state === "failing");
    const first = known[0];
    const last = known.at(-1);
    if (first === undefined || last === undefined) return undefined;
    let forMs = 0;
    for (const [index, { atMs, state }] of this.#since.entries()) {
      const next = this.#since[index + 1];
      if (state !== "failing" || next === undefined || atMs >= last.atMs) continue;
      forMs += Math.min(next.atMs - atMs, this.#holdMs);
    }
    return { sinceMs: first.atMs, forMs, detail: last.detail };
  }

  /** The newest answer was good; else what it said; "no answer" where there is none. */
  get notGood(): string | undefined {
    const newest = this.#since.at(-1);
    if (newest !== undefined) return `${newest.state}: ${newest.detail}`;
    return this.#lastGoodMs === -Infinity ? "no answer" : undefined;
  }
}
