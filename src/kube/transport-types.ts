/** What the transport takes, gives and throws. `transport.ts` exports all of it again. */
import type { Agent as HttpAgent } from "node:http";
import type { AgentOptions } from "node:https";
import type { Readable } from "node:stream";
import { messageOf } from "../common/errors.js";

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface ApiRequest {
  readonly method: Method;
  /** Absolute and already percent-encoded, without a query: `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  /** Undefined values are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON; a string or a Buffer is sent as it is. */
  readonly body?: unknown;
  /** Of the body. Default: application/json. */
  readonly contentType?: string;
  /** The whole request with its retries and its answer's body, in ms. For a stream: until its headers. Default 10 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** `fast` has its own pool of warm sockets, for deletions: never queued behind anything else. */
  readonly lane?: "default" | "fast";
  /**
   * Default true: 429 is sent again when the server says (Retry-After, Status.details.retryAfterSeconds;
   * capped); GET also after a reset, a refusal, 502, 503 and 504. All within timeoutMs: a wait that does not
   * fit gives the last answer (or error) instead.
   */
  readonly retry?: boolean;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly body: Buffer;
}

export interface ApiStream {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** The caller destroys it. */
  readonly stream: Readable;
}

export interface Transport {
  /** Any status resolves; rejects only when there was no answer (ApiUnreachableError). */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** 2xx: the parsed JSON. Anything else rejects with ApiError. */
  json<T>(request: ApiRequest): Promise<T>;
  /** Opens a streaming GET (a watch). Any status resolves. Not retried. The caller destroys the stream. */
  stream(request: ApiRequest): Promise<ApiStream>;
  /**
   * Opens the fast lane's sockets ahead of need (GET /version on each). API servers close a socket after some
   * 90 s without use: call again before (each 20 s, say) to keep them warm; free sockets are used first.
   */
  warm(sockets: number): Promise<void>;
  /** Requests sent so far by method, retries and streams included, for the report. */
  readonly requestCounts: Readonly<Record<string, number>>;
  /** Closes every socket; requests under way end with ApiUnreachableError. */
  close(): void;
}

export interface TransportOptions {
  /** https://host:port, with a base path if need be; http:// for tests and kubectl proxy. */
  readonly server: string;
  readonly ca?: Buffer | string;
  readonly cert?: Buffer | string;
  readonly key?: Buffer | string;
  readonly rejectUnauthorized?: boolean;
  readonly servername?: string;
  /** Asked before every request (Authorization may change). Must be cheap: cache in there. */
  readonly headers?: () => Promise<Record<string, string>>;
  /** Told of a 401; the request is then sent once more with what `headers` gives anew. */
  readonly onUnauthorized?: () => void;
  /** Makes the agents, where a proxy is in the way. Default: those of node:https or node:http. */
  readonly createAgent?: (options: AgentOptions) => HttpAgent;
  readonly userAgent: string;
}

/** The parts that we read of a Kubernetes Status. */
interface StatusBody {
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
}

/** The Status in a body, or nothing of it when it is none (a proxy's HTML page, plain text). */
function statusOf(body: Buffer): StatusBody {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    // No JSON: then the text itself is the message. Nothing is lost.
    return { message: body.toString("utf8", 0, 300).trim() };
  }
}

/**
 * How long the server asks to wait, in ms, from Retry-After (seconds; the HTTP date form is not used by API
 * servers) or the Status. Undefined: it does not say.
 */
export function retryAfterMs(response: { headers: ResponseHeaders; body: Buffer }): number | undefined {
  const header = response.headers["retry-after"];
  const seconds = [
    typeof header === "string" ? Number(header) : undefined,
    statusOf(response.body).details?.retryAfterSeconds,
  ];
  const found = seconds.find((value) => typeof value === "number" && Number.isFinite(value) && value >= 0);
  return found === undefined ? undefined : found * 1000;
}

/** The API server answered, and not with 2xx. */
export class ApiError extends Error {
  readonly status: number;
  /** Status.reason (NotFound, Conflict, Forbidden, …), or "". */
  readonly reason: string;
  readonly path: string;
  readonly method: string;
  /** What the server asks to wait before the next try, ms. */
  readonly retryAfterMs: number | undefined;
  constructor(request: Pick<ApiRequest, "method" | "path">, response: ApiResponse) {
    const { reason = "", message = "" } = statusOf(response.body);
    const said = [reason, message].filter((text) => text !== "").join(": ");
    super(`${request.method} ${request.path}: HTTP ${response.status}${said === "" ? "" : ` ${said}`}`);
    this.name = "ApiError";
    this.status = response.status;
    this.reason = reason;
    this.path = request.path;
    this.method = request.method;
    this.retryAfterMs = retryAfterMs(response);
  }
}

/** There was no answer: refused, reset, timed out, no credentials, or the caller gave up. The cause is kept. */
export class ApiUnreachableError extends Error {
  /** The time limit ended it. */
  readonly timedOut: boolean;
  /** The caller's signal ended it (or the transport was closed). */
  readonly aborted: boolean;
  constructor(
    request: Pick<ApiRequest, "method" | "path">,
    options: { cause: unknown; timedOut?: boolean; aborted?: boolean },
  ) {
    super(`${request.method} ${request.path}: no answer: ${messageOf(options.cause)}`, {
      cause: options.cause,
    });
    this.name = "ApiUnreachableError";
    this.timedOut = options.timedOut ?? false;
    this.aborted = options.aborted ?? false;
  }
}
