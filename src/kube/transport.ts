/**
 * HTTP to the API server over kept-alive sockets. The generated client opens a new TLS connection for each call; a
 * deletion that has to win a race cannot wait for the two round trips of a handshake.
 */
import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import http from "node:http";
import https from "node:https";
import type { AgentOptions } from "node:https";
import { Readable, type Duplex } from "node:stream";
import { sleep } from "../common/clock.js";
import { exchange, ExchangeError, readBody, TCP_KEEP_ALIVE_MS } from "./exchange.js";
import { answerDelayMs, errorDelayMs } from "./retry.js";
import { ApiError, ApiUnreachableError, notJson } from "./transport-types.js";
import type { ApiRequest, ApiResponse, ApiStream, Transport, TransportOptions } from "./transport-types.js";

export * from "./transport-types.js";

/** Time limit of the whole request, ms. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** Sockets a lane may open; more requests at once wait for a free one. */
const DEFAULT_SOCKETS = 16;
const FAST_SOCKETS = 32;

/** The abort reason of the time limit, to distinguish it from the caller's abort. */
class TimeUp extends Error {
  readonly timeoutMs: number;
  constructor(timeoutMs: number, before?: unknown) {
    super(`no response within ${timeoutMs} ms`, before === undefined ? undefined : { cause: before });
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

/** A request's limits: one signal for the caller's abort, the time limit and the transport's closing. */
interface Limits {
  readonly signal: AbortSignal;
  /** Remaining time, ms. */
  leftMs(): number;
  dispose(): void;
}

function limitsOf(request: ApiRequest, closed: AbortSignal): Limits {
  const timeoutMs = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  const endsAt = performance.now() + timeoutMs;
  const timer = setTimeout(() => controller.abort(new TimeUp(timeoutMs)), timeoutMs);
  const sources = request.signal === undefined ? [closed] : [closed, request.signal];
  // Many requests and watches share one signal, each with a listener that it removes again: no leak.
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

/** A string or Buffer unchanged, anything else as JSON. A write without a body has Content-Length: 0. */
function bodyOf({ body, method }: ApiRequest): Buffer | undefined {
  if (Buffer.isBuffer(body)) return body;
  if (typeof body === "string") return Buffer.from(body);
  if (body !== undefined) return Buffer.from(JSON.stringify(body));
  return method === "GET" || method === "DELETE" ? undefined : Buffer.alloc(0);
}

/** The path with its query. */
export function pathOf({ path, query }: Pick<ApiRequest, "path" | "query">): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}

/**
 * Whether a request may be sent again after a kept-alive socket broke. Not a create (it would conflict with itself),
 * and a deletion only by uid: by name it could delete an object that was recreated since.
 */
function isSafeToRepeat(request: ApiRequest): boolean {
  if (request.method === "GET" || request.method === "PUT") return true;
  const body = request.body as { preconditions?: { uid?: unknown } } | undefined;
  return request.method === "DELETE" && typeof body?.preconditions?.uid === "string";
}

/** The request used a kept-alive socket, which the server may have closed before the request arrived. */
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
      // For a request whose kept-alive socket was closed: the second try must not use another stale socket.
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
    return jsonOf<T>(request, await this.request(request));
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    const limits = limitsOf(request, this.#closed.signal);
    try {
      const incoming = await this.#send(request, "stream", limits);
      const status = incoming.statusCode ?? 0;
      if (status < 200 || status > 299) {
        // A refusal has a short body: read it here, within the time limit.
        const body = await readBody(incoming);
        return { status, headers: incoming.headers, stream: Readable.from([body]) };
      }
      this.#destroyedBy(request.signal, incoming);
      return { status, headers: incoming.headers, stream: incoming };
    } catch (error) {
      throw this.#unreachable(request, error, limits);
    } finally {
      limits.dispose();
    }
  }

  async webSocket(request: Omit<ApiRequest, "body">, protocol: string): Promise<Duplex> {
    const limits = limitsOf(request, this.#closed.signal);
    try {
      const incoming = await this.#send(request, "fresh", limits, {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
        "Sec-WebSocket-Protocol": protocol,
      });
      const { statusCode: status = 0, headers, socket } = incoming;
      if (status !== 101) throw new ApiError(request, { status, headers, body: await readBody(incoming) });
      this.#destroyedBy(request.signal, socket);
      return socket;
    } catch (error) {
      throw error instanceof ApiError ? error : this.#unreachable(request, error, limits);
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

  /** A stream outlives the time limit, but not the caller's signal. Destroying it causes an expected error. */
  #destroyedBy(signal: AbortSignal | undefined, stream: Readable): void {
    stream.on("error", () => undefined);
    const abort = (): void => void stream.destroy();
    for (const source of [this.#closed.signal, signal]) {
      if (source?.aborted) abort();
      source?.addEventListener("abort", abort, { once: true });
      stream.once("close", () => source?.removeEventListener("abort", abort));
    }
  }

  #agent(lane: AgentOptions): http.Agent {
    const { ca, cert, key, rejectUnauthorized, servername, createAgent } = this.#options;
    const options: AgentOptions = {
      keepAlive: true,
      keepAliveMsecs: TCP_KEEP_ALIVE_MS,
      noDelay: true,
      // The most recently used socket is the least likely to be closed.
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
    /** How the previous try ended: the real cause of a time-out in the next one. */
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

  /** One try, and a second one with new credentials when the first gets 401. */
  async #send(
    request: ApiRequest,
    lane: Lane,
    limits: Limits,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<http.IncomingMessage> {
    const first = await this.#sendOnce(request, lane, limits, headers);
    if (first.statusCode !== 401 || this.#options.onUnauthorized === undefined) return first;
    first.resume();
    this.#options.onUnauthorized();
    return await this.#sendOnce(request, lane, limits, headers);
  }

  async #sendOnce(
    request: ApiRequest,
    lane: Lane,
    limits: Limits,
    headers: Readonly<Record<string, string>>,
  ): Promise<http.IncomingMessage> {
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
        ...headers,
        ...credentials,
      },
      certificate: this.#options.certificate?.(),
      body,
      signal: limits.signal,
    });
  }

  #unreachable(request: ApiRequest, error: unknown, limits: Limits, before?: unknown): ApiUnreachableError {
    let reason: unknown = limits.signal.aborted ? limits.signal.reason : undefined;
    const timedOut = reason instanceof TimeUp;
    if (reason instanceof TimeUp) reason = new TimeUp(reason.timeoutMs, before);
    // Unwrap the ExchangeError: its cause is the cause to report.
    const cause = reason ?? underlying(error);
    return new ApiUnreachableError(request, { cause, timedOut, aborted: reason !== undefined && !timedOut });
  }
}

/** The JSON of an answer. @throws ApiError for a status other than 2xx, ApiUnreachableError when it is not JSON. */
export function jsonOf<T>(request: ApiRequest, response: ApiResponse): T {
  if (response.status < 200 || response.status > 299) throw new ApiError(request, response);
  try {
    return JSON.parse(response.body.toString("utf8")) as T;
  } catch {
    // Not the parser's message: it quotes the body, which may contain a secret.
    throw new ApiUnreachableError(request, { cause: notJson(response) });
  }
}

/** Awaits the work, or rejects when the signal aborts first (a credential plugin may hang). */
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

/** A transport over node:https keep-alive agents: one each for calls, deletions and streams. */
export function createTransport(options: TransportOptions): Transport {
  return new HttpTransport(options);
}
