/** The time of one look: what is left of it, and questions that an outage answers with an error. */
import type { Stopwatch } from "../../common/clock.js";
import type { CallOptions } from "../../kube/api.js";
import { ApiError, ApiUnreachableError } from "../../kube/transport.js";
import { messageOf } from "../../common/errors.js";
import type { FunctionContext } from "./function-check.js";

/** A single request may take so long, ms: one that got lost must not use up the whole look. */
const REQUEST_MS = 2_000;

/** What is waited for is there, or why it is not (yet). */
export type Seen<T> = { readonly done: T } | { readonly not: string };

export class Look {
  readonly clock: Stopwatch;
  readonly signal: AbortSignal | undefined;
  readonly startedMs: number;
  readonly #endsMs: number;

  /** @param signal ends it early: what was waited for then counts as not there. */
  constructor(clock: Stopwatch, deadlineMs: number, signal?: AbortSignal) {
    this.clock = clock;
    this.signal = signal;
    this.startedMs = clock.now();
    this.#endsMs = this.startedMs + deadlineMs;
  }

  /** ms since it began. */
  get tookMs(): number {
    return this.clock.now() - this.startedMs;
  }

  /** ms until the deadline. */
  get leftMs(): number {
    return Math.max(0, this.#endsMs - this.clock.now());
  }

  /** Whether the deadline has passed, or the look was given up. */
  get over(): boolean {
    return this.leftMs <= 0 || this.signal?.aborted === true;
  }

  /** Options of a request: one try, at most `maxMs` and never beyond the deadline. */
  call(maxMs = REQUEST_MS): CallOptions {
    const timeoutMs = Math.max(1, Math.ceil(Math.min(maxMs, this.leftMs)));
    return { timeoutMs, retry: false, ...(this.signal === undefined ? {} : { signal: this.signal }) };
  }

  /**
   * Asks every so many ms until it is there, or the look is over. A question that the API does not answer, or
   * refuses, says why.
   */
  async until<T>(everyMs: number, question: () => Promise<Seen<T>>): Promise<Seen<T>> {
    let last: Seen<T> | undefined;
    while (!this.over) {
      const answer = await asked(question());
      if (!("not" in answer)) return answer;
      // A request that the deadline itself cut short knows less than the one before it.
      if (last === undefined || !this.over) last = answer;
      await this.clock.sleep(Math.min(everyMs, this.leftMs), this.signal);
    }
    return last ?? { not: "there was no time to ask" };
  }
}

/** The time of a preparation; an interruption of the run ends it. */
export function preparation(context: FunctionContext, limitMs: number): Look {
  return new Look(context.clock, limitMs, context.interrupted);
}

/** The answer; what an API that is away or unwell throws instead becomes the reason. Bugs are thrown on. */
export async function asked<T>(question: Promise<Seen<T>>): Promise<Seen<T>> {
  try {
    return await question;
  } catch (error) {
    return { not: outageOf(error) };
  }
}

/** Whether it was done; else the reason. */
export async function attempt<T>(work: Promise<T>): Promise<Seen<T>> {
  return await asked(work.then((done) => ({ done })));
}

/** How the API failed, without which path it was asked. Throws again what is no failure of the API. */
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
  if (error.aborted) return "given up";
  return KINDS[codeOf(error) ?? ""] ?? "no answer";
}

/** ECONNREFUSED, …; wherever in the causes it stands. */
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
