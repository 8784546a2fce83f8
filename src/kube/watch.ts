/**
 * A list-and-watch loop. The client library's informers stop after one 429, 500 or reset, and swallow errors of
 * handlers. An attack that misses events does not keep the component down, and the report would be wrong.
 */
import { messageOf } from "../common/errors.js";
import { list } from "./api.js";
import type { KubeObject } from "./objects.js";
import { ApiError, ApiUnreachableError } from "./transport.js";
import type { ApiRequest, ApiStream, Transport } from "./transport.js";
import { after } from "../common/clock.js";
import { WatchState } from "./watch-state.js";
import type { WatchEvent } from "./watch-state.js";
import { LineSplitter, parseWatchLine } from "./watch-stream.js";

export type { WatchEvent } from "./watch-state.js";

/** Timers and a clock (ms), and random numbers (0 ≤ x < 1), injectable so that tests are deterministic. */
export interface WatchTimers {
  after(ms: number, work: () => void): () => void;
  now(): number;
  random(): number;
}

export interface WatchOptions<T> {
  readonly transport: Transport;
  /** The collection: `resourcePath(PODS, "kube-system")`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Ends the watch; `watch` then resolves. */
  readonly signal: AbortSignal;
  /**
   * Called synchronously for each event, inside the socket's data event, before anything else. An error that it throws
   * ends the watch and becomes the rejection.
   */
  readonly onEvent: (event: WatchEvent<T>) => void;
  /** Called after the first list (its objects are reported as ADDED) and after each re-list. */
  readonly onSynced?: () => void;
  /** Receives each end, stall, 410, 429 and error, and the reaction to it. */
  readonly onNote?: (note: string) => void;
  /**
   * Re-lists and compares at this interval, ms: a silent watch misses events for at most this long (at least 1 s when it
   * does not open; longer if the list is long). Reports the differences as events and reopens the watch. 0: never.
   * Default 0.
   */
  readonly resyncMs?: number;
  readonly timers?: WatchTimers;
}

/** Bookmarks come about once a minute: a watch that is silent for this long is dead, ms. */
const IDLE_MS = 90_000;
/** A watch that was open for this long has worked: its end resets the back-off, ms. */
const SETTLED_MS = 1_000;
/** Time limit for the watch's headers, ms. */
const OPEN_MS = 10_000;
const FIRST_BACKOFF_MS = 20;
const BACKOFF_CAP_MS = 2_000;
const RETRY_AFTER_DEFAULT_MS = 1_000;
const RETRY_AFTER_CAP_MS = 30_000;
/** After this many failed watches in a row the loop re-lists: with a proxy that cannot stream it becomes a poll. */
const FAILED_WATCHES = 4;
/** After a re-list, this many times as long as it took without one: a long list is not read all the time. */
const REST_AFTER_RESYNC = 10;
/**
 * Refusals in a row of a request that has worked before, until they count as final. An API server that has just
 * started refuses everyone for some seconds, until it has read its roles. With the back-off, about a minute.
 */
const REFUSALS = 30;

/** How a list or a watch ended, and the next step. */
interface End {
  readonly next: "list" | "watch";
  readonly what?: string;
  /** An ordinary end: after the first one in a row, the next try follows at once. */
  readonly ordinary?: boolean;
  /** The delay that the server asks for, ms. */
  readonly waitMs?: number;
  /** An answer that is usually permanent. */
  readonly refused?: ApiError;
}

const REAL_TIMERS: WatchTimers = { after, now: () => performance.now(), random: () => Math.random() };

/** Resolves when the signal aborts. Rejects only when a handler throws, or with a permanent 401, 403 or 404. */
export async function watch<T extends KubeObject>(options: WatchOptions<T>): Promise<void> {
  await new WatchLoop(options).run();
}

class WatchLoop<T extends KubeObject> {
  readonly #options: WatchOptions<T>;
  readonly #timers: WatchTimers;
  readonly #state: WatchState<T>;
  #resourceVersion = "";
  /** Ends in a row since a watch last received something or was open for SETTLED_MS. */
  #failures = 0;
  #refusals = 0;
  /** The steps that have worked before. A refusal of another step is final. */
  readonly #worked = new Set<"list" | "watch">();
  /** Object events received on streams. */
  #events = 0;

  constructor(options: WatchOptions<T>) {
    this.#options = options;
    this.#timers = options.timers ?? REAL_TIMERS;
    this.#state = new WatchState((event) => {
      // The handler may abort in the middle of a list: report nothing after that.
      if (!options.signal.aborted) options.onEvent(event);
    });
  }

  async run(): Promise<void> {
    const { signal, onNote } = this.#options;
    let step: End["next"] = "list";
    while (!signal.aborted) {
      const end: End = step === "list" ? await this.#list() : await this.#watch();
      // Read through the options: TypeScript would take `signal.aborted` as still false after the loop's condition.
      if (this.#options.signal.aborted) return;
      if (end.refused !== undefined) this.#countRefusal(step, end.refused);
      const failed = end.what !== undefined;
      if (failed) this.#failures++;
      const waitMs = failed ? (end.waitMs ?? this.#backoffMs(end.ordinary ?? false)) : 0;
      step = this.#failures >= FAILED_WATCHES ? nextAfterMany(end, step) : end.next;
      if (failed) onNote?.(`${end.what}; ${then(step, waitMs)}`);
      await this.#wait(waitMs);
    }
  }

  /** 20, 40, … 2000 ms, each increased by up to half; 0 after the first ordinary end. */
  #backoffMs(ordinary: boolean): number {
    const nth = this.#failures - (ordinary ? 2 : 1);
    if (nth < 0) return 0;
    const base = FIRST_BACKOFF_MS * 2 ** Math.min(nth, 10);
    return Math.min(BACKOFF_CAP_MS, Math.round(base * (1 + this.#timers.random() / 2)));
  }

  #countRefusal(step: End["next"], error: ApiError): void {
    this.#refusals++;
    if (!this.#worked.has(step) || this.#refusals >= REFUSALS) throw error;
  }

  #succeeded(step: End["next"]): void {
    this.#worked.add(step);
    this.#refusals = 0;
  }

  async #fetch(): ReturnType<typeof list<T>> {
    const { transport, path, labelSelector, fieldSelector, signal } = this.#options;
    return await list<T>(transport, path, {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      signal,
      // Only this loop decides about the back-off, and notes it.
      retry: false,
    });
  }

  async #list(): Promise<End> {
    let listed: Awaited<ReturnType<typeof list<T>>>;
    try {
      listed = await this.#fetch();
    } catch (error) {
      return endOfError("list", error);
    }
    this.#succeeded("list");
    this.#state.reconcile(listed.items);
    this.#resourceVersion = listed.resourceVersion;
    this.#options.onSynced?.();
    return { next: "watch" };
  }

  async #watch(): Promise<End> {
    const { transport, path, labelSelector, fieldSelector, signal, resyncMs = 0 } = this.#options;
    const request: ApiRequest = {
      method: "GET",
      path,
      query: {
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: this.#resourceVersion,
        // The server ends the watch. The random part keeps watches from ending at the same time.
        timeoutSeconds: 300 + Math.floor(this.#timers.random() * 300),
        labelSelector,
        fieldSelector,
      },
      timeoutMs: resyncMs > 0 ? Math.min(OPEN_MS, Math.max(resyncMs, 1_000)) : OPEN_MS,
      signal,
    };
    let opened: ApiStream;
    try {
      opened = await transport.stream(request);
      if (opened.status !== 200) throw await refusalOf(request, opened);
    } catch (error) {
      const end = endOfError("watch", error);
      // A server that does not open a watch within the resync period is silent too.
      return resyncMs > 0 && error instanceof ApiUnreachableError ? { ...end, next: "list" } : end;
    }
    this.#succeeded("watch");
    return await this.#follow(opened.stream);
  }

  /** Reads an open watch until it ends, fails or becomes silent, or the signal aborts. */
  async #follow(stream: ApiStream["stream"]): Promise<End> {
    const { signal, resyncMs = 0 } = this.#options;
    const timers = this.#timers;
    return await new Promise<End>((resolve, reject) => {
      const lines = new LineSplitter();
      let done = false;
      const close = (settle: () => void): void => {
        if (done) return;
        done = true;
        [idle, settled, resync].forEach((cancel) => cancel?.());
        signal.removeEventListener("abort", onAbort);
        stream.destroy();
        settle();
      };
      const finish = (end: End): void => close(() => resolve(end));
      const fail = (error: Error): void => close(() => reject(error));
      const onAbort = (): void => finish({ next: "watch" });
      const onIdle = (): void => finish({ next: "watch", what: `watch silent for ${IDLE_MS / 1000} s` });
      const onResync = (): void => {
        const startedMs = timers.now();
        this.#resync(() => done)
          .then((end) => {
            const restMs = (timers.now() - startedMs) * REST_AFTER_RESYNC;
            if (end !== undefined) finish(end);
            else if (!done) resync = timers.after(Math.max(resyncMs, restMs), onResync);
          })
          .catch(fail);
      };

      let idle = timers.after(IDLE_MS, onIdle);
      const settled = timers.after(SETTLED_MS, () => (this.#failures = 0));
      let resync = resyncMs > 0 ? timers.after(resyncMs, onResync) : undefined;
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      stream.on("data", (chunk: Buffer) => {
        try {
          for (const line of lines.push(chunk)) {
            const end = done ? undefined : this.#take(line);
            if (end !== undefined) finish(end);
          }
        } catch (error) {
          fail(error as Error);
        }
        if (done) return;
        idle();
        idle = timers.after(IDLE_MS, onIdle);
      });
      stream.once("error", (error) => finish({ next: "watch", what: `watch failed: ${messageOf(error)}` }));
      stream.once("close", () => finish({ next: "watch", what: "watch closed", ordinary: true }));
      stream.once("end", () => {
        const cut = lines.pending === 0 ? "" : `, ${lines.pending} bytes of an incomplete line dropped`;
        finish({ next: "watch", what: `watch ended by the server${cut}`, ordinary: true });
      });
    });
  }

  /** Handles one line of the stream; returns an End when the watch must stop. The handler's error is passed on. */
  #take(text: string): End | undefined {
    const line = parseWatchLine<T>(text);
    switch (line.type) {
      case "ADDED":
      case "MODIFIED":
      case "DELETED":
        this.#state.apply(line.type, line.object);
        this.#events++;
        this.#advance(line.object.metadata.resourceVersion);
        return undefined;
      case "BOOKMARK":
        this.#advance(line.resourceVersion);
        return undefined;
      case "ERROR":
        return line.code === 410
          ? { next: "list", what: "watch version too old (410)", ordinary: true }
          : { next: "list", what: `watch sent an error (${line.code}): ${line.message}` };
      case "INVALID":
        return { next: "watch", what: `watch sent ${line.why}` };
    }
  }

  #advance(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#failures = 0;
  }

  /**
   * Lists and compares while a watch is open. Undefined: nothing was missed, or it is unknown: the list failed, or
   * events arrived meanwhile, so the watch is alive and the list may be older than the events.
   */
  async #resync(isOver: () => boolean): Promise<End | undefined> {
    const before = this.#events;
    let listed: Awaited<ReturnType<typeof list<T>>>;
    try {
      listed = await this.#fetch();
    } catch (error) {
      if (!isOver()) this.#options.onNote?.(`resync failed: ${messageOf(error)}; the watch continues`);
      return undefined;
    }
    if (isOver() || this.#events !== before) return undefined;
    const differences = this.#state.reconcile(listed.items);
    if (differences === 0) return undefined;
    // Continue from the list's version: the stream would report these changes a second time.
    this.#resourceVersion = listed.resourceVersion;
    this.#options.onSynced?.();
    const what = `resync found ${differences} change(s) that the watch had missed`;
    // No back-off: the resync interval limits the rate.
    this.#failures = 0;
    return { next: "watch", what, waitMs: 0 };
  }

  /** Waits until the time is over or the signal aborts. */
  async #wait(ms: number): Promise<void> {
    const { signal } = this.#options;
    if (ms <= 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const over = (): void => {
        cancel();
        signal.removeEventListener("abort", over);
        resolve();
      };
      const cancel = this.#timers.after(ms, over);
      signal.addEventListener("abort", over, { once: true });
    });
  }
}

/** After many failed tries: re-list instead of a watch; a list is tried again. */
function nextAfterMany(end: End, step: End["next"]): End["next"] {
  return end.what === undefined ? end.next : step === "watch" ? "list" : end.next;
}

/** The next step, for the note. */
function then(step: End["next"], waitMs: number): string {
  const when = waitMs === 0 ? "immediately" : `in ${waitMs} ms`;
  return step === "list" ? `re-lists ${when}` : `resumes ${when}`;
}

async function refusalOf(request: ApiRequest, { status, headers, stream }: ApiStream): Promise<ApiError> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return new ApiError(request, { status, headers, body: Buffer.concat(chunks) });
}

/** The End for an error of a list or of opening a watch. */
function endOfError(step: End["next"], error: unknown): End {
  const what = `${step} failed: ${messageOf(error)}`;
  if (!(error instanceof ApiError)) {
    if (error instanceof ApiUnreachableError) return { next: step, what };
    throw error;
  }
  if (error.status === 410) return { next: "list", what, ordinary: true };
  if (error.status === 429) {
    const waitMs = Math.min(error.retryAfterMs ?? RETRY_AFTER_DEFAULT_MS, RETRY_AFTER_CAP_MS);
    return { next: step, what, waitMs };
  }
  const passing = error.status >= 500 || error.status === 408 || error.status === 409;
  return passing ? { next: step, what } : { next: step, what, refused: error };
}
