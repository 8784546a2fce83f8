/**
 * Our own list-and-watch loop. The client library's informers stop for good after one 429, 500 or reset, and
 * swallow what a handler throws; an attack that has gone deaf would be a report of a component that was up.
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

/** Timers and chance, injectable so that tests are exact. ms; random: 0 ≤ x < 1. */
export interface WatchTimers {
  after(ms: number, work: () => void): () => void;
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
   * Called synchronously for each event, inside the socket's data event, before anything else. What it throws
   * ends the watch and rejects.
   */
  readonly onEvent: (event: WatchEvent<T>) => void;
  /** After the first list (its objects have been given as ADDED) and each relist. */
  readonly onSynced?: () => void;
  /** Told of each end, stall, 410, 429, error and what is done about it. */
  readonly onNote?: (note: string) => void;
  /**
   * Lists anew this often and compares, ms: a watch that has gone silent loses at most this much (1 s, if
   * less, when it does not even open). Differences found are given as events, and the watch is opened anew.
   * 0: never. Default 0.
   */
  readonly resyncMs?: number;
  readonly timers?: WatchTimers;
}

/** Bookmarks come about once a minute: a watch as silent as this is dead, ms. */
const IDLE_MS = 90_000;
/** A watch that has lived so long has worked: the next end is a first one again, ms. */
const SETTLED_MS = 1_000;
/** For the watch's headers, ms. */
const OPEN_MS = 10_000;
const FIRST_BACKOFF_MS = 20;
const BACKOFF_CAP_MS = 2_000;
const RETRY_AFTER_DEFAULT_MS = 1_000;
const RETRY_AFTER_CAP_MS = 30_000;
/** After so many fruitless watches in a row it is listed: a proxy that cannot stream becomes a poll. */
const FRUITLESS_WATCHES = 4;
/**
 * Refusals in a row of what has worked before, until they count as final: an API server that has just
 * started refuses everyone for some seconds, until it has read its roles. With the back-off, about a minute.
 */
const REFUSALS = 30;

/** How a list or a watch came to its end, and what is next. */
interface End {
  readonly next: "list" | "watch";
  readonly what?: string;
  /** An ordinary end: the first of its kind in a row is followed by the next try at once. */
  readonly ordinary?: boolean;
  /** What the server asks to wait, ms. */
  readonly waitMs?: number;
  /** An answer that will not heal by itself, as a rule. */
  readonly refused?: ApiError;
}

const REAL_TIMERS: WatchTimers = { after, random: () => Math.random() };

/** Resolves when the signal aborts; rejects only by a thrown handler or a 401/403/404 that will not heal. */
export async function watch<T extends KubeObject>(options: WatchOptions<T>): Promise<void> {
  await new WatchLoop(options).run();
}

class WatchLoop<T extends KubeObject> {
  readonly #options: WatchOptions<T>;
  readonly #timers: WatchTimers;
  readonly #state: WatchState<T>;
  #resourceVersion = "";
  /** Ends in a row since a watch last gave something, or lived for SETTLED_MS. */
  #fruitless = 0;
  #refusals = 0;
  /** What has worked before; a refusal of the rest is final. */
  readonly #worked = new Set<"list" | "watch">();
  /** Events of objects seen on streams. */
  #events = 0;

  constructor(options: WatchOptions<T>) {
    this.#options = options;
    this.#timers = options.timers ?? REAL_TIMERS;
    this.#state = new WatchState((event) => {
      // A handler that aborts in the middle of a list has had enough.
      if (!options.signal.aborted) options.onEvent(event);
    });
  }

  async run(): Promise<void> {
    const { signal, onNote } = this.#options;
    let step: End["next"] = "list";
    while (!signal.aborted) {
      const end: End = step === "list" ? await this.#list() : await this.#watch();
      // Asked of the options: the abort may have come meanwhile, which the loop's condition cannot show.
      if (this.#options.signal.aborted) return;
      if (end.refused !== undefined) this.#countRefusal(step, end.refused);
      const failed = end.what !== undefined;
      if (failed) this.#fruitless++;
      const waitMs = failed ? (end.waitMs ?? this.#backoffMs(end.ordinary ?? false)) : 0;
      step = this.#fruitless >= FRUITLESS_WATCHES ? nextAfterMany(end, step) : end.next;
      if (failed) onNote?.(`${end.what}; ${then(step, waitMs)}`);
      await this.#wait(waitMs);
    }
  }

  /** 20, 40, … 2000 ms and up to half as much again; an ordinary end's first try costs nothing. */
  #backoffMs(ordinary: boolean): number {
    const nth = this.#fruitless - (ordinary ? 2 : 1);
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
      // Our own back-off: one place that decides, and tells.
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
        // The server ends it; not all watches at the same moment.
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
      // A server that does not open a watch within the resync period has gone silent just as well.
      return resyncMs > 0 && error instanceof ApiUnreachableError ? { ...end, next: "list" } : end;
    }
    this.#succeeded("watch");
    return await this.#follow(opened.stream);
  }

  /** Reads an open watch until it ends, fails, falls silent, or the signal aborts. */
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
        this.#resync(() => done)
          .then((end) => {
            if (end !== undefined) finish(end);
            else if (!done) resync = timers.after(resyncMs, onResync);
          })
          .catch(fail);
      };

      let idle = timers.after(IDLE_MS, onIdle);
      const settled = timers.after(SETTLED_MS, () => (this.#fruitless = 0));
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
      stream.once("error", (error) => finish({ next: "watch", what: `watch broke: ${messageOf(error)}` }));
      stream.once("close", () => finish({ next: "watch", what: "watch closed", ordinary: true }));
      stream.once("end", () => {
        const cut = lines.pending === 0 ? "" : `, ${lines.pending} bytes of an unfinished line thrown away`;
        finish({ next: "watch", what: `watch ended by the server${cut}`, ordinary: true });
      });
    });
  }

  /** One line of the stream; an End when it is the last that matters. What the handler throws passes through. */
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
          ? { next: "list", what: "watch too old (410)", ordinary: true }
          : { next: "list", what: `watch gave an error (${line.code}): ${line.message}` };
      case "INVALID":
        return { next: "watch", what: `watch gave ${line.why}` };
    }
  }

  #advance(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#fruitless = 0;
  }

  /**
   * Lists and compares while a watch is open. Undefined: nothing was missed (or it cannot be told now: the
   * list failed, or events came meanwhile, so the watch is alive and the list may be older than they are).
   */
  async #resync(isOver: () => boolean): Promise<End | undefined> {
    const before = this.#events;
    let listed: Awaited<ReturnType<typeof list<T>>>;
    try {
      listed = await this.#fetch();
    } catch (error) {
      if (!isOver()) this.#options.onNote?.(`resync failed: ${messageOf(error)}; the watch goes on`);
      return undefined;
    }
    if (isOver() || this.#events !== before) return undefined;
    const differences = this.#state.reconcile(listed.items);
    if (differences === 0) return undefined;
    // The stream's own account of these changes, if it still comes, would be the second one.
    this.#resourceVersion = listed.resourceVersion;
    this.#options.onSynced?.();
    const what = `resync found ${differences} change(s) that the watch had not told`;
    // No back-off: the resync's period is one.
    this.#fruitless = 0;
    return { next: "watch", what, waitMs: 0 };
  }

  /** Waits, or until the signal aborts. 0: not at all. */
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

/** Many fruitless tries: a watch is given up for a list, a list is tried again. */
function nextAfterMany(end: End, step: End["next"]): End["next"] {
  return end.what === undefined ? end.next : step === "watch" ? "list" : end.next;
}

/** What is done next, for the note. */
function then(step: End["next"], waitMs: number): string {
  const when = waitMs === 0 ? "at once" : `in ${waitMs} ms`;
  return step === "list" ? `lists anew ${when}` : `resumes ${when}`;
}

async function refusalOf(request: ApiRequest, { status, headers, stream }: ApiStream): Promise<ApiError> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return new ApiError(request, { status, headers, body: Buffer.concat(chunks) });
}

/** What an error of a list or of a watch's opening means. */
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
