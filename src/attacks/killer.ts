import { remove } from "../cluster/api.js";
import type { KubeObject } from "../cluster/objects.js";
import { ApiError, ApiUnreachableError } from "../cluster/transport.js";
import { refOf } from "../target/target.js";
import type { AttackContext, RunningAttack } from "./attack.js";

/** How one object is deleted. */
export interface Kill {
  readonly kind: string;
  readonly path: string;
  readonly object: KubeObject;
  readonly reason: "initial" | "swept" | "recreated";
  /** Pods only, seconds. */
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Background";
}

/** At most so many deletions a second, and so many at once: a runaway fight must not become a load test. */
const RATE_PER_SECOND = 30;
const BURST = 60;
/** A deletion that failed is tried again after this, doubling up to the second figure, ms. */
const RETRY_FROM_MS = 100;
const RETRY_UP_TO_MS = 2_000;
/** What a server may make a deletion wait, ms. */
const RETRY_AFTER_CAP_MS = 5_000;

/**
 * Deletes each object once, by its uid, over the warm sockets, and goes on trying while it must: a refused or
 * lost request is not a component that is down.
 */
export class Killer {
  readonly #context: AttackContext;
  readonly #asked = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #failing = new Map<string, Error>();
  #tokens = BURST;
  #refilledAt: number;
  #stopped = false;
  #kills = 0;

  constructor(context: AttackContext) {
    this.#context = context;
    this.#refilledAt = context.now();
  }

  /** The attack that this killer serves: its end also takes the reaction off the watch. */
  asAttack(): RunningAttack {
    const kills = (): number => this.#kills;
    const lastError = (): Error | undefined => [...this.#failing.values()].at(-1);
    return {
      stop: async () => {
        this.#context.watch.listener = undefined;
        await this.#stop();
      },
      get kills() {
        return kills();
      },
      get lastError() {
        return lastError();
      },
    };
  }

  /** Sends the deletion now (or as soon as the rate allows). An object that was asked for already is left alone. */
  kill(kill: Kill): void {
    const { uid } = kill.object.metadata;
    if (this.#stopped || this.#asked.has(uid)) return;
    this.#asked.add(uid);
    this.#launch(kill, RETRY_FROM_MS);
  }

  /** The object is gone: nothing to try again. */
  forget(uid: string): void {
    this.#gone.add(uid);
    this.#failing.delete(uid);
  }

  /** No new deletion from now on; resolves when those under way have been answered. */
  async #stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#underWay);
  }

  #launch(kill: Kill, retryMs: number): void {
    const waitMs = this.#waitForToken();
    if (waitMs > 0) {
      this.#later(() => this.#launch(kill, retryMs), waitMs);
      return;
    }
    const sending = this.#send(kill, retryMs).finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  async #send(kill: Kill, retryMs: number): Promise<void> {
    const { transport, now, emit } = this.#context;
    const { uid } = kill.object.metadata;
    const sentAt = now();
    const record = (status: number): void => {
      emit(
        {
          type: "kill",
          object: refOf(kill.kind, kill.object),
          reason: kill.reason,
          status,
          tookMs: now() - sentAt,
        },
        sentAt,
      );
    };
    try {
      const { status } = await remove(transport, kill.path, {
        uid,
        lane: "fast",
        // Our own: a wait in the transport would hold up the end of the window.
        retry: false,
        ...(kill.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: kill.gracePeriodSeconds }),
        ...(kill.propagationPolicy === undefined ? {} : { propagationPolicy: kill.propagationPolicy }),
      });
      record(status);
      if (status < 300) this.#kills += 1;
      // 409: another object has the name, and this one's end is on its way; or the server's storage was busy.
      if (status === 409) throw new Error(`${kill.path}: conflict`);
      this.#failing.delete(uid);
    } catch (error) {
      // Without an answer it may have been done or not: 0.
      if (error instanceof ApiError) record(error.status);
      else if (error instanceof ApiUnreachableError) record(0);
      // Whatever the answer: there is nothing to try again.
      if (this.#gone.has(uid)) return;
      this.#failing.set(uid, error instanceof Error ? error : new Error(String(error)));
      if (this.#stopped) return;
      const askedMs = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_CAP_MS) : 0;
      this.#later(
        () => {
          if (this.#failing.has(uid)) this.#launch(kill, Math.min(retryMs * 2, RETRY_UP_TO_MS));
        },
        Math.max(retryMs, askedMs),
      );
    }
  }

  #later(work: () => void, ms: number): void {
    this.#context.setTimeout(() => {
      if (!this.#stopped) work();
    }, ms);
  }

  /** Takes a token of the bucket; returns how long to wait for one, ms, when there is none. */
  #waitForToken(): number {
    const now = this.#context.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#refilledAt) * RATE_PER_SECOND) / 1000);
    this.#refilledAt = now;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return Math.ceil(((1 - this.#tokens) * 1000) / RATE_PER_SECOND);
  }
}
