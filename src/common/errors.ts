/** The stable exit codes of the CLI. */
export const ExitCode = {
  asExpected: 0,
  differs: 1,
  inconclusive: 2,
  usage: 3,
  preflightRefused: 4,
  notRestored: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What each exit code means, for --help and the reference. */
export const EXIT_CODE_WORDS: Readonly<Record<ExitCode, string>> = {
  0: "as the file expects",
  1: "differs from the expectation",
  2: "inconclusive (the report names the reason), or an unexpected error",
  3: "bad file or usage; nothing was changed",
  4: "preflight, lock or guard refused; nothing was attacked",
  5: "not restored: `chaos restore` finishes it",
  130: "interrupted, and restored",
};

/**
 * An error with a message for the user: what failed, why, and what to do. `exitCode`: exit code of the CLI. Any other
 * error is a bug, and the CLI prints its stack.
 */
export class ChaosError extends Error {
  readonly exitCode: ExitCode;
  constructor(message: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ChaosError";
    this.exitCode = options.exitCode ?? ExitCode.inconclusive;
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

/** Preflight, the guard or the lock refused: exit code 4, nothing was attacked. */
export class RefusedError extends ChaosError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, exitCode: ExitCode.preflightRefused });
    this.name = "RefusedError";
  }
}

/** The message of any thrown value, with its causes, on one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `: ${messageOf(error.cause)}`;
  const code = (error as NodeJS.ErrnoException).code;
  const text = error.message || code || error.name;
  return cause !== "" && text.endsWith(cause.slice(2)) ? text : `${text}${cause}`;
}
