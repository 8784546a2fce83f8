/** When a request is sent again, and after how long. */
import { ExchangeError } from "./exchange.js";
import { retryAfterMs } from "./transport-types.js";
import type { ApiRequest, ApiResponse } from "./transport-types.js";

/** What a server may make us wait at most before one retry, ms. */
const RETRY_AFTER_CAP_MS = 5_000;
/** When a 429 does not say how long, ms. */
const RETRY_AFTER_DEFAULT_MS = 1_000;
const FIRST_BACKOFF_MS = 50;
const BACKOFF_CAP_MS = 1_000;
/** Nothing has been done by a server (or gateway) that answers so; a read may be asked again. */
const PASSING_STATUS = new Set([502, 503, 504]);
const PASSING_ERRORS = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE", "ECONNABORTED"]);

/** 50, 100, … 1000 ms, each with up to half of it taken off, so that many callers do not come back as one. */
function backoffMs(attempt: number): number {
  const full = Math.min(BACKOFF_CAP_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempt, 10));
  return full * (1 - Math.random() / 2);
}

/** ms until the next try after this answer; undefined: the answer stands. */
export function answerDelayMs(
  request: ApiRequest,
  response: ApiResponse,
  attempt: number,
): number | undefined {
  if (request.retry === false) return undefined;
  if (response.status === 429) {
    const askedMs = Math.min(retryAfterMs(response) ?? RETRY_AFTER_DEFAULT_MS, RETRY_AFTER_CAP_MS);
    // A little more than asked for, never less: whoever was refused together does not come back together.
    return Math.max(askedMs, 5) * (1 + Math.random() / 10);
  }
  if (request.method !== "GET" || !PASSING_STATUS.has(response.status)) return undefined;
  return Math.max(backoffMs(attempt), Math.min(retryAfterMs(response) ?? 0, RETRY_AFTER_CAP_MS));
}

/** ms until the next try after this error; undefined: there is none. */
export function errorDelayMs(request: ApiRequest, error: unknown, attempt: number): number | undefined {
  if (request.retry === false || request.method !== "GET") return undefined;
  if (!(error instanceof ExchangeError) || !PASSING_ERRORS.has(error.code)) return undefined;
  return backoffMs(attempt);
}
