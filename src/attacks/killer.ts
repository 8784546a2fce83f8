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
  /** Names the run and the replicas before it, for anyone who finds the object scaled down. */
  readonly fieldManager: string;
}

export type Kill = Deletion | Scaling;

/**
 * Limits of deletions per second and at once: a runaway fight must not become a load test. They grow with the target: all of
 * its pods, and once all of their successors, at once; then as many per second as it has. (The ReplicaSet controller creates
 * 20 per second, `--kube-api-qps` of the controller manager.) The fast lane's sockets limit the requests in flight.
 *
 * One DELETE for each object, not one for the collection: the API server lists a collection and deletes its objects itself,
 * one after the other (`--delete-collection-workers` is 1), without a condition on their uids and without telling when
 * each was deleted; it would also delete what has the labels but another owner.
 */
const RATE_PER_SECOND = { least: 30, most: 500 };
const BURST = { least: 60, most: 1_000 };
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
  readonly #perSecond: number;
  readonly #burst: number;
  /** Negative: that many requests are waiting, each with its own time. */
  #tokens: number;
  #refilledAt: number;
  #stopped = false;
  #kills = 0;

  constructor(context: WorkloadContext) {
    this.#context = context;
    const { count } = context.target;
    this.#perSecond = Math.min(Math.max(count, RATE_PER_SECOND.least), RATE_PER_SECOND.most);
    this.#burst = Math.min(Math.max(2 * count, BURST.least), BURST.most);
    this.#tokens = this.#burst;
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
    const waitMs = this.#takeToken();
    if (waitMs === 0) this.#sendNow(kill, retryMs);
    // Whatever went away meanwhile needs no request.
    else
      this.#later(() => {
        if (!this.#gone.has(keyOf(kill))) this.#sendNow(kill, retryMs);
      }, waitMs);
  }

  #sendNow(kill: Kill, retryMs: number): void {
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

  /** Takes a token from the bucket. @returns 0, or in how many ms it will be there. */
  #takeToken(): number {
    const now = this.#context.now();
    const refilled = this.#tokens + ((now - this.#refilledAt) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#burst, refilled) - 1;
    this.#refilledAt = now;
    return Math.max(0, Math.ceil((-this.#tokens * 1000) / this.#perSecond));
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
    query: { fieldManager: kill.fieldManager },
    contentType: "application/merge-patch+json",
    body: {
      metadata: { uid: kill.object.metadata.uid },
      spec: { replicas: 0 },
    },
  };
  const response = await transport.request(request);
  const { status } = response;
  if (status < 300 || status === 404 || status === 409) return { status };
  throw new ApiError(request, response);
}
