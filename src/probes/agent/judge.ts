/** Maps errors to failure kinds, and judges responses of the guestbook; judge-own.ts judges those of others. */
import type { FailedLine, FailureKind, GoodLine, MissedLine } from "../../evidence/sample.js";

type Failure = Pick<FailedLine, "ok" | "kind" | "message">;

/** The result of one sample. */
export type Outcome =
  | Pick<GoodLine, "ok" | "target" | "reused">
  | (Failure & Pick<FailedLine, "target" | "reused">)
  | Pick<MissedLine, "missed">;

/** Maximum length of a sample's error text, characters. */
export const MESSAGE_LIMIT = 200;
/**
 * A value may still be read this long after a newer one was known, ms: followers lag, and writes overlap. One that stays
 * longer comes from a follower that no longer replicates.
 */
export const RECENT_MS = 15_000;

/** How many tokens are remembered: those of a minute. What a follower returns again and again stays among them. */
const KEPT_TOKENS = 1000;

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
export function stripTags(body: string): string {
  return body
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

/** The parts of a token. None of them needs an escape in a URL or in JSON, which the public front end does not write. */
const SEPARATOR = "~";

/** "RUN~WRITER~SENT": which run wrote it, who in that run, and when by the writer's own clock, ms. */
export function tokenOf(runId: string, writer: string, sentMs: number): string {
  return [runId, writer, sentMs.toFixed(3)].join(SEPARATOR);
}

/**
 * What a prober knows of the tokens of its run. The public front end has one key for everyone, so a read returns the
 * token that any prober of the run, or the probe from outside, wrote last.
 *
 * A token is known to be written when this prober's own write of it succeeds, or when a read returns it. A read is good
 * if its token became known at most RECENT_MS before the newest known one. While all writes fail, the followers continue
 * to serve the last successful one, which is a good read. The time of writing does not count: a front end that waits for
 * DNS writes long after the prober has given up (measured: 31 s), and a value that has just arrived is not stale.
 */
export class Tokens {
  /** When each became known, ms. The one that was read or written last is at the end. */
  readonly #knownMs = new Map<string, number>();
  #newestMs = -Infinity;

  /** @param writer this prober's name, unique for each of its starts. @param now its monotonic clock, ms */
  constructor(
    readonly runId: string,
    readonly writer: string,
    readonly now: () => number,
  ) {}

  /** The one that was read or written last; undefined: none is known. */
  get last(): string | undefined {
    return [...this.#knownMs.keys()].at(-1);
  }

  next(): string {
    return tokenOf(this.runId, this.writer, this.now());
  }

  /** When the newest known token became known, ms; -Infinity: none is known, so no read can be judged. */
  get newestMs(): number {
    return this.#newestMs;
  }

  /** Notes a token that is certainly written. @returns when it became known, ms; undefined: it is not one of this run. */
  written(token: string): number | undefined {
    const [runId, writer = "", sent = "", ...rest] = token.split(SEPARATOR);
    if (runId !== this.runId || writer === "" || rest.length > 0 || !/^\d{1,15}\.\d{3}$/.test(sent))
      return undefined;
    const knownMs = this.#knownMs.get(token) ?? this.now();
    this.#knownMs.delete(token);
    this.#knownMs.set(token, knownMs);
    for (const [oldest] of this.#knownMs) {
      if (this.#knownMs.size <= KEPT_TOKENS) break;
      this.#knownMs.delete(oldest);
    }
    this.#newestMs = Math.max(this.#newestMs, knownMs);
    return knownMs;
  }
}

/**
 * The JSON object in a body, or undefined. The guestbook prints only JSON on success; a PHP error (with status 200) is
 * not JSON.
 */
function jsonObject(body: string): Record<string, unknown> | undefined {
  const value = jsonIn(body);
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
}

/** undefined: the body is not JSON. */
export function jsonIn(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** A failure, or undefined for 200. */
export function judgeStatus(status: number, body: string): Failure | undefined {
  return status === 200 ? undefined : failed("http-status", `${status} ${stripTags(body)}`.trim());
}

export function badBody(body: string): Failure {
  return failed("bad-body", stripTags(body) || "(empty)");
}

/** A good write is status 200 and the guestbook's `{"message": "Updated"}`. */
export function judgeWrite(status: number, body: string): Outcome {
  const failure = judgeStatus(status, body);
  if (failure !== undefined) return failure;
  return jsonObject(body)?.["message"] === "Updated" ? { ok: true } : badBody(body);
}

/**
 * A good read is status 200 and JSON whose `data` is a recent token of the run: see Tokens.
 *
 * @param newestMs when the newest token that was known as the read began had become known
 */
export function judgeRead(status: number, body: string, tokens: Tokens, newestMs: number): Outcome {
  const failure = judgeStatus(status, body);
  if (failure !== undefined) return failure;
  const data = jsonObject(body)?.["data"];
  const knownMs = typeof data === "string" ? tokens.written(data) : undefined;
  if (knownMs === undefined) return badBody(body);
  const behindMs = newestMs - knownMs;
  if (behindMs <= RECENT_MS) return { ok: true };
  return failed("bad-body", `a value that was overwritten ${Math.round(behindMs / 1000)} s ago: ${body}`);
}
