import { setMaxListeners } from "node:events";
import type { Stopwatch } from "../common/clock.js";
import { messageOf } from "../common/errors.js";
import type { AnswerFollower } from "../kube/followed-transport.js";
import { UNAUTHORIZED_WORDS } from "../kube/transport.js";

/**
 * How long the API server may refuse the run's credentials before the run ends, ms, and then until it gives up. Long
 * enough that the transport has read them again (`credentials.ts` does not within 5 s), and far shorter than the six
 * minutes for which each step of the end would retry.
 */
const REFUSED_LIMIT_MS = 10_000;

/**
 * How long the end of a run waits for an API server that does not answer, ms, all its steps together: longer than an API
 * server that is restarted takes (60 to 120 s), so that a cluster that is gone is given up within three minutes.
 */
export const API_AWAY_LIMIT_MS = 150_000;

/**
 * When the run stops trying: the user wants to end it, or the API server is lost (it refuses the credentials, or does not
 * answer any more). What is left then waits for `chaos restore`. Pure; follows the answers of the API server.
 */
export class GivingUp implements AnswerFollower {
  readonly #clock: Pick<Stopwatch, "now">;
  readonly #refused = new AbortController();
  readonly #lost = new AbortController();
  readonly #byUser: AbortSignal;
  /** Aborted by the user or because the API server is lost. The reason is a sentence. */
  readonly any: AbortSignal;
  /** Whether the attack may be why the API server does not answer, or cannot check credentials. */
  #mayBeTheAttack = false;
  #refusedSinceMs: number | undefined;
  #awaySinceMs: number | undefined;
  /** undefined: the run does not end yet. */
  #ending: { readonly sinceMs: number; readonly limitMs: number } | undefined;

  /** @param byUser aborted when the user ends the restore; its reason is a sentence. */
  constructor(clock: Pick<Stopwatch, "now">, byUser: AbortSignal = new AbortController().signal) {
    this.#clock = clock;
    this.#byUser = byUser;
    this.any = AbortSignal.any([byUser, this.#lost.signal]);
    // Many undos at once listen to them, and remove their listeners again: no leak.
    setMaxListeners(0, byUser, this.#lost.signal, this.any);
  }

  /**
   * Aborted when the API server refuses the credentials: the run ends. At its end it tries them again, because what checks
   * them (a webhook, an OIDC provider in the cluster) may have come back. The reason is a sentence.
   */
  get credentialsRefused(): AbortSignal {
    return this.#refused.signal;
  }

  /** Aborted when the API server is lost. The reason is a sentence. */
  get apiLost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Aborted when the user ends the restore. */
  get byUser(): AbortSignal {
    return this.#byUser;
  }

  /** Why the run stopped trying; undefined: it did not. */
  get why(): string | undefined {
    return this.any.aborted ? String(this.any.reason) : undefined;
  }

  /** From now on the attack is on the control plane: refused credentials and silence may be its effect. */
  expectOutage(): void {
    this.#mayBeTheAttack = true;
  }

  /** The run ends. From now on an API server that has not answered for `limitMs` is given up. */
  end(limitMs: number = API_AWAY_LIMIT_MS): void {
    this.#ending = { sinceMs: this.#clock.now(), limitMs };
  }

  answered(status: number): void {
    const now = this.#clock.now();
    if (status !== 401) {
      this.#refusedSinceMs = this.#awaySinceMs = undefined;
      return;
    }
    if (this.#mayBeTheAttack) {
      // An API server whose storage is down cannot check tokens, and answers 401.
      this.#away(now, "HTTP 401");
      return;
    }
    this.#awaySinceMs = undefined;
    this.#refusedSinceMs ??= now;
    if (now - this.#refusedSinceMs >= REFUSED_LIMIT_MS) this.#refused.abort(UNAUTHORIZED_WORDS);
    if (this.#ending === undefined) return;
    if (now - Math.max(this.#ending.sinceMs, this.#refusedSinceMs) >= REFUSED_LIMIT_MS)
      this.#lost.abort(UNAUTHORIZED_WORDS);
  }

  notAnswered(error: unknown): void {
    this.#away(this.#clock.now(), messageOf(error));
  }

  #away(now: number, last: string): void {
    this.#awaySinceMs ??= now;
    if (this.#ending === undefined) return;
    const { sinceMs, limitMs } = this.#ending;
    if (now - Math.max(sinceMs, this.#awaySinceMs) < limitMs) return;
    this.#lost.abort(
      `the API server has not answered for ${Math.round(limitMs / 1000)} s (${last}). Check whether the cluster still exists`,
    );
  }
}
