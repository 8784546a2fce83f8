/** Maps errors to failure kinds, and judges responses of the guestbook. */
import type { FailedLine, FailureKind, GoodLine, MissedLine } from "../../evidence/sample.js";

type Failure = Pick<FailedLine, "ok" | "kind" | "message">;

/** The result of one sample. */
export type Outcome =
  Pick<GoodLine, "ok" | "target"> | (Failure & Pick<FailedLine, "target">) | Pick<MissedLine, "missed">;

/** Maximum length of a sample's error text, characters. */
export const MESSAGE_LIMIT = 200;
/** A read may return a token this many writes old: followers lag, and writes overlap. */
const RECENT_WRITES = 64;

const KIND_OF_CODE: ReadonlyMap<unknown, FailureKind> = new Map(
  Object.entries({
    ETIMEDOUT: "timeout",
    ETIMEOUT: "timeout", // the spelling of c-ares
    ECONNABORTED: "reset",
    ECONNRESET: "reset",
    EPIPE: "reset",
    ECONNREFUSED: "refused",
    EREFUSED: "refused", // the DNS server answered REFUSED
    EHOSTUNREACH: "unreachable",
    EHOSTDOWN: "unreachable",
    ENETUNREACH: "unreachable",
    ENETDOWN: "unreachable",
    ENOTFOUND: "nxdomain",
    ESERVFAIL: "servfail",
    ENODATA: "no-data",
  } as const),
);

/** A failed outcome, its message cut to MESSAGE_LIMIT. */
export function failed(kind: FailureKind, message?: string): Failure {
  return message ? { ok: false, kind, message: message.slice(0, MESSAGE_LIMIT) } : { ok: false, kind };
}

/** The failure for an error. An unknown error is `other`, with its message. */
export function failureOf(error: unknown): Failure {
  const code = (error as { code?: unknown } | undefined)?.code;
  const text = error instanceof Error && error.message !== "" ? error.message : String(code ?? error);
  return failed(KIND_OF_CODE.get(code) ?? "other", text);
}

/** The text of a response without tags: PHP wraps its errors in HTML. */
function stripTags(body: string): string {
  return body
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

/**
 * The tokens that one arm writes: a prefix that is new at each start of the agent, and a count.
 *
 * Reads are judged by them. A token is recent if it is at most RECENT_WRITES older than the last acknowledged one.
 * Every token sent later is recent, too: a write whose response was lost may have succeeded. While writes fail, the
 * followers continue to serve the last successful one, which is a good read.
 */
export class Tokens {
  #sent = 0;
  #acknowledged = 0;

  /** @param prefix letters, digits and '-' only: it is not escaped in URLs and JSON */
  constructor(readonly prefix: string) {}

  /** A new token, counted as sent. */
  next(): string {
    this.#sent += 1;
    return `${this.prefix}-${this.#sent}`;
  }

  /** @param token from `next` */
  acknowledge(token: string): void {
    this.#acknowledged = Math.max(this.#acknowledged, this.#countOf(token) ?? 0);
  }

  /** Before the first acknowledged write there may be nothing to read, so no read can be judged. */
  get canJudge(): boolean {
    return this.#acknowledged > 0;
  }

  isRecent(text: string): boolean {
    const count = this.#countOf(text);
    return count !== undefined && count <= this.#sent && count > this.#acknowledged - RECENT_WRITES;
  }

  #countOf(text: string): number | undefined {
    if (!text.startsWith(`${this.prefix}-`)) return undefined;
    const digits = text.slice(this.prefix.length + 1);
    return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : undefined;
  }
}

/**
 * The JSON object in a body, or undefined. The guestbook prints only JSON on success; a PHP error (with status 200) is
 * not JSON.
 */
function jsonObject(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** A failure, or undefined for 200. */
export function judgeStatus(status: number, body: string): Failure | undefined {
  return status === 200 ? undefined : failed("http-status", `${status} ${stripTags(body)}`.trim());
}

function badBody(body: string): Failure {
  return failed("bad-body", stripTags(body) || "(empty)");
}

/** A good write is status 200 and the guestbook's `{"message": "Updated"}`. */
export function judgeWrite(status: number, body: string): Outcome {
  const failure = judgeStatus(status, body);
  if (failure !== undefined) return failure;
  return jsonObject(body)?.["message"] === "Updated" ? { ok: true } : badBody(body);
}

/** A good read is status 200 and JSON whose `data` is a token written recently. */
export function judgeRead(status: number, body: string, tokens: Tokens): Outcome {
  const failure = judgeStatus(status, body);
  if (failure !== undefined) return failure;
  const data = jsonObject(body)?.["data"];
  return typeof data === "string" && tokens.isRecent(data) ? { ok: true } : badBody(body);
}
