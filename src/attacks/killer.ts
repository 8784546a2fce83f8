import { remove } from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import { ApiError, type ApiRequest, ApiUnreachableError, type Transport } from "../kube/transport.js";
import { refOf } from "../targets/target.js";
import type { RunningAttack, WorkloadContext } from "./attack.js";

interface KillBase {
  readonly kind: string;
  readonly path: string;
  readonly object: KubeObject;
  readonly reason: "initial" | "swept" | "recreated";
}

/** One deletion of an object. */
interface Deletion extends KillBase {
  /** Pods only, seconds. */
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Background";
}

/** One scaling of a workload to 0 replicas, for one of its generations: a later generation may need it again. */
interface Scaling extends KillBase {
  readonly key: string;
  /** The run and the replicas before it: written on the object, for anyone who finds it scaled down. */
  readonly annotations: Readonly<Record<string, string>>;
}

export type Kill = Deletion | Scaling;

/** Limits of deletions per second and at once: a runaway fight must not become a load test. */
const RATE_PER_SECOND = 30;
const BURST = 60;
/** The first retry of a failed deletion comes after this time, ms. It doubles up to the second figure. */
const RETRY_FROM_MS = 100;
const RETRY_UP_TO_MS = 2_000;
/** The longest Retry-After that a deletion respects, ms. */
const RETRY_AFTER_CAP_MS = 5_000;

/**
 * Deletes each object once, by its uid (or scales it down once per generation), over warm sockets. Retries until the
 * request is accepted: a refused or lost request does not take a component down.
 */
export class Killer {
  readonly #context: WorkloadContext;
  readonly #asked = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #failing = new Map<string, Error>();
  #tokens = BURST;
  #refilledAt: number;
  #stopped = false;
  #kills = 0;

  constructor(context: WorkloadContext) {
    this.#context = context;
    this.#refilledAt = context.now();
  }

  /** This killer as a running attack. Its stop also removes the listener from the watch. */
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

  /** Sends the request now, or as soon as the rate allows. Sends none for an object that already has one. */
  kill(kill: Kill): void {
    const key = keyOf(kill);
    if (this.#stopped || this.#asked.has(key)) return;
    this.#asked.add(key);
    this.#launch(kill, RETRY_FROM_MS);
  }

  /** The object is gone (key: a deletion's uid) or has a new generation (a scaling's key): no more retries. */
  forget(key: string): void {
    this.#gone.add(key);
    this.#failing.delete(key);
  }

  /** Resolves when every request in flight has been answered. */
  async answered(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Sends no new requests. Resolves when those in flight have been answered. */
  async #stop(): Promise<void> {
    this.#stopped = true;
    await this.answered();
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
    const key = keyOf(kill);
    const sentAt = now();
    const record = (status: number): void => {
      emit(
        {
          type: "kill",
          object: refOf(kill.kind, kill.object),
          reason: kill.reason,
          ...("key" in kill ? { action: "scaled" } : {}),
          status,
          tookMs: now() - sentAt,
        },
        sentAt,
      );
    };
    try {
      const { status } = "key" in kill ? await scaleDown(transport, kill) : await deleteIt(transport, kill);
      record(status);
      if (status < 300) this.#kills += 1;
      // 409: another object has the name, and this one's DELETED event is on its way; or the server's storage was
      // busy.
      if (status === 409) throw new Error(`${kill.path}: conflict`);
      this.#failing.delete(key);
    } catch (error) {
      // Without an answer nobody knows whether it was done: status 0.
      if (error instanceof ApiError) record(error.status);
      else if (error instanceof ApiUnreachableError) record(0);
      // The object is gone: there is nothing to retry.
      if (this.#gone.has(key)) return;
      this.#failing.set(key, error instanceof Error ? error : new Error(String(error)));
      if (this.#stopped) return;
      const askedMs = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_CAP_MS) : 0;
      this.#later(
        () => {
          if (this.#failing.has(key)) this.#launch(kill, Math.min(retryMs * 2, RETRY_UP_TO_MS));
        },
        Math.max(retryMs, askedMs),
      );
    }
  }

  #later(work: () => void, ms: number): void {
    this.#context.after(ms, () => {
      if (!this.#stopped) work();
    });
  }

  /** Takes a token from the bucket. @returns 0, or how long to wait for one when the bucket is empty, ms. */
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

function keyOf(kill: Kill): string {
  return "key" in kill ? kill.key : kill.object.metadata.uid;
}

/** The transport does not retry: its wait would delay the end of the window. */
const CALL = { lane: "fast", retry: false } as const;

async function deleteIt(transport: Transport, kill: Deletion): Promise<{ status: number }> {
  const { gracePeriodSeconds, propagationPolicy } = kill;
  return await remove(transport, kill.path, {
    ...CALL,
    uid: kill.object.metadata.uid,
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
  });
}

/**
 * Sets a workload to 0 replicas. Sends no resourceVersion, so that other changes do not get in the way, but sends the
 * uid: the API server refuses the request for another object of the same name.
 */
async function scaleDown(transport: Transport, kill: Scaling): Promise<{ status: number }> {
  const request: ApiRequest = {
    ...CALL,
    method: "PATCH",
    path: kill.path,
    contentType: "application/merge-patch+json",
    body: {
      metadata: { uid: kill.object.metadata.uid, annotations: kill.annotations },
      spec: { replicas: 0 },
    },
  };
  const response = await transport.request(request);
  const { status } = response;
  if (status < 300 || status === 404 || status === 409) return { status };
  throw new ApiError(request, response);
}
