/** The transport's inputs, outputs and errors. `transport.ts` re-exports them. */
import type { Agent as HttpAgent } from "node:http";
import type { AgentOptions } from "node:https";
import type { Duplex, Readable } from "node:stream";
import { messageOf } from "../common/errors.js";
import { escapeInvisible } from "../strict-yaml/quote.js";

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A list is sent as several headers of the same name. */
export type RequestHeaders = Readonly<Record<string, string | string[]>>;

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface ApiRequest {
  readonly method: Method;
  /** Absolute and already percent-encoded, without a query: `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  /** Undefined values are omitted. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON; a string or a Buffer is sent unchanged. */
  readonly body?: unknown;
  /** Content type of the body. Default: application/json. */
  readonly contentType?: string;
  /** Time limit of the request with its retries and the answer's body, ms. For a stream: until its headers. Default 10 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** `fast` has its own pool of warm sockets for deletions, which never queue behind other requests. */
  readonly lane?: "default" | "fast";
  /**
   * Default true: retries after a 429 when the server says (Retry-After, Status.details.retryAfterSeconds; capped),
   * and a GET also after a connection reset or refusal, 502, 503 and 504. All within timeoutMs: when the next delay does
   * not fit, the last answer (or error) is the result.
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
  /** Any status resolves; rejects only without an answer (ApiUnreachableError). */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** 2xx: the parsed JSON. Anything else rejects with ApiError. */
  json<T>(request: ApiRequest): Promise<T>;
  /** Opens a streaming GET (a watch). Any status resolves. Not retried. The caller destroys the stream. */
  stream(request: ApiRequest): Promise<ApiStream>;
  /**
   * Opens a WebSocket with this subprotocol (a GET that answers 101) on a connection of its own. Rejects with ApiError on
   * any other answer. Not retried. `timeoutMs` is until the answer. The caller destroys the socket.
   */
  webSocket(request: Omit<ApiRequest, "body">, protocol: string): Promise<Duplex>;
  /**
   * Opens the fast lane's sockets in advance (GET /version on each). API servers close a socket after about 90 s
   * without use: call again earlier (every 20 s, for example) to keep them warm. Free sockets are used first.
   */
  warm(sockets: number): Promise<void>;
  /** Requests sent so far by method, retries and streams included, for the report. */
  readonly requestCounts: Readonly<Record<string, number>>;
  /** Closes every socket; pending requests reject with ApiUnreachableError. */
  close(): void;
}

export interface TransportOptions {
  /** https://host:port, optionally with a base path; http:// for tests and kubectl proxy. */
  readonly server: string;
  readonly ca?: Buffer | string;
  readonly cert?: Buffer | string;
  readonly key?: Buffer | string;
  readonly rejectUnauthorized?: boolean;
  readonly servername?: string;
  /** Called before every request (Authorization may change). Must be cheap, so it must cache. */
  readonly headers?: () => Promise<RequestHeaders>;
  /** Called after `headers`: the client certificate, if it can change. New connections use it. */
  readonly certificate?: () => { readonly cert: Buffer | string; readonly key: Buffer | string } | undefined;
  /** Called after a 401; the request is then sent once more with new `headers`. */
  readonly onUnauthorized?: () => void;
  /** Creates the agents for a connection through a proxy. Default: the agents of node:https or node:http. */
  readonly createAgent?: (options: AgentOptions) => HttpAgent;
  readonly userAgent: string;
}

/** The fields of a Kubernetes Status that are used here. */
interface StatusBody {
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
}

/** The Status in a body. Another body (a proxy's HTML page, plain text) becomes the message. */
function statusOf(body: Buffer): StatusBody {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    return { message: body.toString("utf8", 0, 300).trim() };
  }
}

/**
 * The delay that the server asks for, ms, from Retry-After (seconds; API servers do not use the HTTP date form) or
 * the Status. Undefined: none.
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

/** The API server answered with a status other than 2xx. */
export class ApiError extends Error {
  readonly status: number;
  /** Status.reason (NotFound, Conflict, Forbidden, …), or "". */
  readonly reason: string;
  readonly path: string;
  readonly method: string;
  /** The delay before a retry that the server asks for, ms. */
  readonly retryAfterMs: number | undefined;
  /** Scheme and host that a redirect leads to; API servers do not redirect. */
  readonly location: string | undefined;
  constructor(request: Pick<ApiRequest, "method" | "path">, response: ApiResponse) {
    const { reason = "", message = "" } = statusOf(response.body);
    const said = escapeInvisible([reason, message].filter((text) => text !== "").join(": "));
    super(`${request.method} ${request.path}: HTTP ${response.status}${said === "" ? "" : ` ${said}`}`);
    this.name = "ApiError";
    this.status = response.status;
    this.reason = reason;
    this.path = request.path;
    this.method = request.method;
    this.retryAfterMs = retryAfterMs(response);
    this.location = redirectOf(response);
  }
}

/** The server knows the credentials no more. The transport has read them again and tried once more before this. */
export function isUnauthorized(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 401;
}

/** What a refusal of the credentials means, and what to do. */
export const UNAUTHORIZED_WORDS =
  "the API server refuses the credentials (HTTP 401), also after they were read again: they were revoked or have " +
  "expired. Sign in again, or name other credentials with --kubeconfig and --context";

function redirectOf({ status, headers }: ApiResponse): string | undefined {
  const location = status >= 300 && status < 400 ? headers["location"] : undefined;
  if (typeof location !== "string") return undefined;
  return URL.canParse(location) ? new URL(location).origin : "another path";
}

/**
 * The answer has a good status but is not the API's: a sign-in page, or another program, also one that speaks JSON. The
 * message never quotes it, because its text may have a secret.
 */
export class ForeignAnswerError extends Error {
  constructor(what: string) {
    super(what);
    this.name = "ForeignAnswerError";
  }
}

/** What an answer is that is not JSON. */
export function notJson({ status, body }: ApiResponse): ForeignAnswerError {
  const isHtml = /^\s*(<!--.*?-->\s*)*<(!doctype\s+html|html)/is.test(body.toString("latin1", 0, 1000));
  return new ForeignAnswerError(
    `HTTP ${status} with ${isHtml ? "an HTML page" : `${body.length} bytes that are not JSON`}`,
  );
}

/** There was no answer: refused, reset, timed out, no credentials, or aborted by the caller. Keeps the cause. */
export class ApiUnreachableError extends Error {
  /** The time limit ended the request. */
  readonly timedOut: boolean;
  /** The caller's signal ended the request (or the transport was closed). */
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
