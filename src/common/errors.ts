import { systemReason } from "./system-reason.js";

/** The stable exit codes of the CLI. */
export const ExitCode = {
  asExpected: 0,
  differs: 1,
  inconclusive: 2,
  usage: 3,
  preflightRefused: 4,
  notRestored: 5,
  failed: 6,
  interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What each exit code means, for --help and the reference. */
export const EXIT_CODE_WORDS: Readonly<Record<ExitCode, string>> = {
  0: "as the file expects; other commands: done",
  1: "differs from the expectation; `doctor`: found errors or warnings; `matrix --baseline`: a row is worse than accepted",
  2: "inconclusive after an attack: the report names the reason; `matrix --baseline`: a row could not be compared",
  3: "bad file or usage; nothing was changed",
  4: "refused (preflight, lock, guard, or nothing could have been concluded: a report then names the reason), or the cluster cannot be used; nothing was attacked",
  5: "not restored: `chaos restore` finishes it",
  6: "the tool or its surroundings failed (a full disk, a missing program, an engine); nothing is left behind",
  130: "interrupted, and restored",
};

/**
 * An error with a message for the user: what failed, why, and what to do. `exitCode`: exit code of the CLI; default: 6,
 * the tool or its surroundings failed. Any other error is a bug.
 */
export class ChaosError extends Error {
  readonly exitCode: ExitCode;
  constructor(message: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ChaosError";
    this.exitCode = options.exitCode ?? ExitCode.failed;
  }
}

/** A bad file or bad usage: exit code 3, nothing was changed. */
export class UsageError extends ChaosError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, exitCode: ExitCode.usage });
    this.name = "UsageError";
  }
}

/** No kubeconfig is set or exists, and this is no pod: only then may a new cluster be made. */
export class NothingConfiguredError extends UsageError {}

/** Preflight, the guard or the lock refused: exit code 4, nothing was attacked. (A run that refuses later has a report.) */
export class RefusedError extends ChaosError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, exitCode: ExitCode.preflightRefused });
    this.name = "RefusedError";
  }
}

/**
 * The message of any thrown value with its causes, outermost first. A cause that is already in the text is not repeated:
 * many messages quote theirs, or say the same in words: those of {@link systemReason}, or with its code in brackets.
 */
export function messageOf(error: unknown): string {
  let text = "";
  const seen = new Set<unknown>();
  /** An error with the code of its cause says it in its own words. */
  const codes = new Set<string>();
  for (let each = error; each !== undefined && !seen.has(each); each = causeOf(each)) {
    seen.add(each);
    const own = text === "" ? ownMessage(each) : causeIn(text, each, codes);
    if (text === "") text = own;
    // After a sentence ("Nothing was changed."), a colon would say that the sentence has this reason.
    else if (own !== "" && !text.includes(own)) text += text.endsWith(".") ? ` (${own})` : `: ${own}`;
    const { code } = Object(each) as NodeJS.ErrnoException;
    if (code !== undefined) codes.add(code);
  }
  return text;
}

/** What a cause adds to the text of its error: "" if nothing. A path that the text names is not repeated. */
function causeIn(text: string, cause: unknown, codes: ReadonlySet<string>): string {
  const own = ownMessage(cause);
  if (!(cause instanceof Error)) return own;
  const { code, path } = cause as NodeJS.ErrnoException;
  const reason = systemReason(cause);
  if (text.includes(reason)) return "";
  if (code !== undefined && (codes.has(code) || text.includes(`(${code})`))) return "";
  return path !== undefined && text.includes(path) && !text.includes(own) ? reason : own;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function ownMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== "") return error.message;
  // Node's error when no address of a host answers has the reasons only in its parts.
  const parts = error instanceof AggregateError ? [...new Set(error.errors.map(messageOf))] : [];
  return parts.join("; ") || (error as NodeJS.ErrnoException).code || error.name;
}
