/** Whether a request is retried, and after which delay. */
import { ExchangeError } from "./exchange.js";
import { retryAfterMs } from "./transport-types.js";
import type { ApiRequest, ApiResponse } from "./transport-types.js";

/** Longest Retry-After that is respected before one retry, ms. */
const RETRY_AFTER_CAP_MS = 5_000;
/** The delay after a 429 without Retry-After, ms. */
const RETRY_AFTER_DEFAULT_MS = 1_000;
const FIRST_BACKOFF_MS = 50;
const BACKOFF_CAP_MS = 1_000;
/** Temporary failures of the server or a gateway: a GET may be retried. */
const PASSING_STATUS = new Set([502, 503, 504]);
const PASSING_ERRORS = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE", "ECONNABORTED"]);

/** 50, 100, … 1000 ms, each reduced by up to half, so that many callers do not retry at the same time. */
function backoffMs(attempt: number): number {
  const full = Math.min(BACKOFF_CAP_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempt, 10));
  return full * (1 - Math.random() / 2);
}

/** ms until the retry after this answer; undefined: no retry. */
export function answerDelayMs(
  request: ApiRequest,
  response: ApiResponse,
  attempt: number,
): number | undefined {
  if (request.retry === false) return undefined;
  if (response.status === 429) {
    const askedMs = Math.min(retryAfterMs(response) ?? RETRY_AFTER_DEFAULT_MS, RETRY_AFTER_CAP_MS);
    // Up to 10 % more than the server asks, never less: callers refused together do not retry together.
    return Math.max(askedMs, 5) * (1 + Math.random() / 10);
  }
  if (request.method !== "GET" || !PASSING_STATUS.has(response.status)) return undefined;
  return Math.max(backoffMs(attempt), Math.min(retryAfterMs(response) ?? 0, RETRY_AFTER_CAP_MS));
}

/** ms until the retry after this error; undefined: no retry. */
export function errorDelayMs(request: ApiRequest, error: unknown, attempt: number): number | undefined {
  if (request.retry === false || request.method !== "GET") return undefined;
  if (!(error instanceof ExchangeError) || !PASSING_ERRORS.has(error.code)) return undefined;
  return backoffMs(attempt);
}
