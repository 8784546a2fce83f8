/**
 * HTTP to the API server over kept-alive sockets. The generated client opens a new TLS connection for each
 * call; a deletion that has to win a race cannot wait for two round trips of handshake.
 */
import { setMaxListeners } from "node:events";
import http from "node:http";
import https from "node:https";
import type { AgentOptions } from "node:https";
import { Readable } from "node:stream";
import { sleep } from "../common/clock.js";
import { exchange, ExchangeError, readBody, TCP_KEEP_ALIVE_MS } from "./exchange.js";
import { answerDelayMs, errorDelayMs } from "./retry.js";
import { ApiError, ApiUnreachableError } from "./transport-types.js";
import type { ApiRequest, ApiResponse, ApiStream, Transport, TransportOptions } from "./transport-types.js";

export * from "./transport-types.js";

/** The whole request, ms. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** Sockets a lane may open; more requests at once wait for a free one. */
const DEFAULT_SOCKETS = 16;
const FAST_SOCKETS = 32;

/** The time limit's own reason, to tell it from a caller's abort. */
class TimeUp extends Error {
  readonly timeoutMs: number;
  constructor(timeoutMs: number, before?: unknown) {
    super(`nothing within ${timeoutMs} ms`, before === undefined ? undefined : { cause: before });
    this.name = "TimeUp";
    this.timeoutMs = timeoutMs;
  }
}

class Closed extends Error {
  constructor() {
    super("the connection was closed by this program");
    this.name = "Closed";
  }
}

/** A request's limits: one signal for the caller's abort, the time limit and the transport's end. */
interface Limits {
  readonly signal: AbortSignal;
  /** Left of the time limit, ms. */
  leftMs(): number;
  dispose(): void;
}

function limitsOf(request: ApiRequest, closed: AbortSignal): Limits {
  const timeoutMs = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  const endsAt = performance.now() + timeoutMs;
  const timer = setTimeout(() => controller.abort(new TimeUp(timeoutMs)), timeoutMs);
  const sources = request.signal === undefined ? [closed] : [closed, request.signal];
  // Many requests and watches hang on one signal, each with a listener that it takes away again: no leak.
  setMaxListeners(0, ...sources);
  const removers = sources.map((source) => {
    const abort = (): void => controller.abort(source.reason);
    if (source.aborted) abort();
    source.addEventListener("abort", abort, { once: true });
    return () => source.removeEventListener("abort", abort);
  });
  return {
    signal: controller.signal,
    leftMs: () => endsAt - performance.now(),
    dispose: () => {
      clearTimeout(timer);
      removers.forEach((remove) => remove());
    },
  };
}

/** A string or Buffer as it is, anything else as JSON. An empty write says Content-Length: 0. */
function bodyOf({ body, method }: ApiRequest): Buffer | undefined {
  if (Buffer.isBuffer(body)) return body;
  if (typeof body === "string") return Buffer.from(body);
  if (body !== undefined) return Buffer.from(JSON.stringify(body));
  return method === "GET" || method === "DELETE" ? undefined : Buffer.alloc(0);
}

function pathOf({ path, query }: ApiRequest): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}

/**
 * May it be sent again when a kept-alive socket broke? Not a create (it would conflict with itself), and a
 * deletion only of one very object: by name it could take the one that has come back since.
 */
function isSafeToRepeat(request: ApiRequest): boolean {
  if (request.method === "GET" || request.method === "PUT") return true;
  const body = request.body as { preconditions?: { uid?: unknown } } | undefined;
  return request.method === "DELETE" && typeof body?.preconditions?.uid === "string";
}

/** The socket had been kept alive, and the server had (perhaps) closed it before the request came. */
function isStale(error: unknown): boolean {
  return error instanceof ExchangeError && error.reusedSocket;
}

function underlying(error: unknown): unknown {
  return error instanceof ExchangeError ? error.cause : error;
}

type Lane = "default" | "fast" | "stream" | "fresh";

class HttpTransport implements Transport {
  readonly requestCounts: Record<string, number> = {};
  readonly #options: TransportOptions;
  readonly #server: URL;
  readonly #agents: Readonly<Record<Lane, http.Agent>>;
  readonly #closed = new AbortController();

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#server = new URL(options.server);
    this.#agents = {
      default: this.#agent({ maxSockets: DEFAULT_SOCKETS }),
      fast: this.#agent({ maxSockets: FAST_SOCKETS }),
      stream: this.#agent({}),
      // For a request whose kept-alive socket turned out to be closed: never a second stale one.
      fresh: this.#agent({ keepAlive: false }),
    };
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    const limits = limitsOf(request, this.#closed.signal);
    try {
      return await this.#withRetries(request, limits);
    } finally {
      limits.dispose();
    }
  }

  async json<T>(request: ApiRequest): Promise<T> {
    const response = await this.request(request);
    if (response.status < 200 || response.status > 299) throw new ApiError(request, response);
    try {
      return JSON.parse(response.body.toString("utf8")) as T;
    } catch {
      // The parser's message quotes the body, and a body may hold a secret: its length has to do.
      const text = `HTTP ${response.status} with ${response.body.length} bytes that are not JSON`;
      throw new ApiUnreachableError(request, { cause: new Error(text) });
    }
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    const limits = limitsOf(request, this.#closed.signal);
    try {
      const incoming = await this.#send(request, "stream", limits);
      const status = incoming.statusCode ?? 0;
      if (status < 200 || status > 299) {
        // A refusal is short and ends: read here, it is under the time limit too.
        const body = await readBody(incoming);
        return { status, headers: incoming.headers, stream: Readable.from([body]) };
      }
      // It outlives the time limit, not the caller's signal; a destroyed stream's error has been asked for.
      incoming.on("error", () => undefined);
      const abort = (): void => void incoming.destroy();
      for (const signal of [this.#closed.signal, request.signal]) {
        if (signal?.aborted) abort();
        signal?.addEventListener("abort", abort, { once: true });
        incoming.once("close", () => signal?.removeEventListener("abort", abort));
      }
      return { status, headers: incoming.headers, stream: incoming };
    } catch (error) {
      throw this.#unreachable(request, error, limits);
    } finally {
      limits.dispose();
    }
  }

  async warm(sockets: number): Promise<void> {
    const ping: ApiRequest = { method: "GET", path: "/version", lane: "fast" };
    await Promise.all(Array.from({ length: Math.min(sockets, FAST_SOCKETS) }, () => this.request(ping)));
  }

  close(): void {
    this.#closed.abort(new Closed());
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  #agent(lane: AgentOptions): http.Agent {
    const { ca, cert, key, rejectUnauthorized, servername, createAgent } = this.#options;
    const options: AgentOptions = {
      keepAlive: true,
      keepAliveMsecs: TCP_KEEP_ALIVE_MS,
      noDelay: true,
      // The socket used last is the one least likely to have been closed.
      scheduling: "lifo",
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
      ...(servername === undefined ? {} : { servername }),
      ...lane,
    };
    if (createAgent !== undefined) return createAgent(options);
    return this.#server.protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
  }

  async #withRetries(request: ApiRequest, limits: Limits): Promise<ApiResponse> {
    let lane: Lane = request.lane ?? "default";
    /** How the try before ended: what a time-out in the next one is really about. */
    let before: unknown;
    for (let attempt = 0; ; attempt++) {
      let delayMs: number | undefined;
      try {
        const incoming = await this.#send(request, lane, limits);
        const body = await readBody(incoming);
        const response = { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
        delayMs = answerDelayMs(request, response, attempt);
        if (delayMs === undefined || delayMs >= limits.leftMs()) return response;
        before = new Error(`HTTP ${response.status}`);
      } catch (error) {
        if (lane !== "fresh" && !limits.signal.aborted && isStale(error) && isSafeToRepeat(request)) {
          lane = "fresh";
          continue;
        }
        delayMs = errorDelayMs(request, error, attempt);
        if (limits.signal.aborted || delayMs === undefined || delayMs >= limits.leftMs()) {
          throw this.#unreachable(request, error, limits, before);
        }
        before = underlying(error);
      }
      await sleep(delayMs, limits.signal);
    }
  }

  /** One try, and a second with new credentials when the first was refused (401). */
  async #send(request: ApiRequest, lane: Lane, limits: Limits): Promise<http.IncomingMessage> {
    const first = await this.#sendOnce(request, lane, limits);
    if (first.statusCode !== 401 || this.#options.onUnauthorized === undefined) return first;
    first.resume();
    this.#options.onUnauthorized();
    return await this.#sendOnce(request, lane, limits);
  }

  async #sendOnce(request: ApiRequest, lane: Lane, limits: Limits): Promise<http.IncomingMessage> {
    const body = bodyOf(request);
    const credentials = await untilAborted(this.#options.headers?.() ?? {}, limits.signal);
    this.requestCounts[request.method] = (this.requestCounts[request.method] ?? 0) + 1;
    return await exchange({
      server: this.#server,
      agent: this.#agents[lane],
      method: request.method,
      path: pathOf(request),
      headers: {
        Accept: "application/json, */*",
        "User-Agent": this.#options.userAgent,
        ...(body === undefined ? {} : { "Content-Type": request.contentType ?? "application/json" }),
        ...credentials,
      },
      body,
      signal: limits.signal,
    });
  }

  #unreachable(request: ApiRequest, error: unknown, limits: Limits, before?: unknown): ApiUnreachableError {
    let reason: unknown = limits.signal.aborted ? limits.signal.reason : undefined;
    const timedOut = reason instanceof TimeUp;
    if (reason instanceof TimeUp) reason = new TimeUp(reason.timeoutMs, before);
    // The exchange's wrapper has told what it knew: what lies under it is the cause.
    const cause = reason ?? underlying(error);
    return new ApiUnreachableError(request, { cause, timedOut, aborted: reason !== undefined && !timedOut });
  }
}

/** A promise that the signal can end before it settles (a credential plugin that hangs, say). */
async function untilAborted<T>(work: T | Promise<T>, signal: AbortSignal): Promise<T> {
  if (!(work instanceof Promise)) return work;
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A transport over node:https keep-alive agents, one each for calls, deletions and streams. */
export function createTransport(options: TransportOptions): Transport {
  return new HttpTransport(options);
}
