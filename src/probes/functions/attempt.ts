/** The time budget of one function check, and requests whose errors count as an outage. */
import type { Stopwatch } from "../../common/clock.js";
import type { CallOptions } from "../../kube/api.js";
import { ApiError, ApiUnreachableError } from "../../kube/transport.js";
import { messageOf } from "../../common/errors.js";
import type { FunctionContext } from "./function-check.js";

/** Limit for one request, ms: a lost request must not use up the whole check. */
const REQUEST_MS = 2_000;

/** What was waited for, or why it is missing (so far). */
export type Seen<T> = { readonly done: T } | { readonly not: string };

/** The time of one check. */
export class CheckTime {
  readonly clock: Stopwatch;
  readonly signal: AbortSignal | undefined;
  readonly startedMs: number;
  readonly #endsMs: number;

  /** @param signal ends it early: what was waited for then counts as missing. */
  constructor(clock: Stopwatch, deadlineMs: number, signal?: AbortSignal) {
    this.clock = clock;
    this.signal = signal;
    this.startedMs = clock.now();
    this.#endsMs = this.startedMs + deadlineMs;
  }

  /** ms since the start. */
  get tookMs(): number {
    return this.clock.now() - this.startedMs;
  }

  /** ms until the deadline. */
  get leftMs(): number {
    return Math.max(0, this.#endsMs - this.clock.now());
  }

  /** Whether the deadline has passed or the check was cancelled. */
  get over(): boolean {
    return this.leftMs <= 0 || this.signal?.aborted === true;
  }

  /** Options for a request: one try, at most `maxMs`, never past the deadline. */
  call(maxMs = REQUEST_MS): CallOptions {
    const timeoutMs = Math.max(1, Math.ceil(Math.min(maxMs, this.leftMs)));
    return { timeoutMs, retry: false, ...(this.signal === undefined ? {} : { signal: this.signal }) };
  }

  /**
   * Asks every `everyMs` until there is a result or the check is over. If the API does not answer or refuses, that is
   * the reason.
   */
  async until<T>(everyMs: number, question: () => Promise<Seen<T>>): Promise<Seen<T>> {
    let last: Seen<T> | undefined;
    while (!this.over) {
      const answer = await asked(question());
      if (!("not" in answer)) return answer;
      // A request cut short by the deadline tells less than the one before it.
      if (last === undefined || !this.over) last = answer;
      await this.clock.sleep(Math.min(everyMs, this.leftMs), this.signal);
    }
    return last ?? { not: "no time was left to ask" };
  }
}

/** The time of a preparation. An interruption of the run ends it. */
export function preparation(context: FunctionContext, limitMs: number): CheckTime {
  return new CheckTime(context.clock, limitMs, context.interrupted);
}

/** The answer. An error of an unavailable or failing API becomes the reason; any other error is rethrown. */
export async function asked<T>(question: Promise<Seen<T>>): Promise<Seen<T>> {
  try {
    return await question;
  } catch (error) {
    return { not: outageOf(error) };
  }
}

/** The result of `work`, or why it failed. */
export async function attempt<T>(work: Promise<T>): Promise<Seen<T>> {
  return await asked(work.then((done) => ({ done })));
}

/** How the API failed, without the path. Rethrows an error that is not a failure of the API. */
export function outageOf(error: unknown): string {
  if (error instanceof ApiError) return error.message.replace(`${error.method} ${error.path}: `, "");
  if (!(error instanceof ApiUnreachableError)) throw error;
  return `${kindOf(error)}: ${messageOf(error.cause)}`;
}

const KINDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
};

function kindOf(error: ApiUnreachableError): string {
  if (error.timedOut) return "timed out";
  if (error.aborted) return "cancelled";
  return KINDS[codeOf(error) ?? ""] ?? "no answer";
}

/** ECONNREFUSED, …, from anywhere in the chain of causes. */
export function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
  }
  return undefined;
}

/** "1.4 s". */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
