import { AsyncLocalStorage } from "node:async_hooks";
import { execa, ExecaError } from "execa";
import { ChaosError } from "../common/errors.js";

export interface CommandOptions {
  /** After this many milliseconds the command is ended (SIGTERM, then SIGKILL) and counts as failed. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the command's standard input; without it the command reads from nothing. */
  readonly input?: string;
  /** Called with each line the command prints on either output, to show that something moves. */
  readonly onLine?: (line: string) => void;
  /** What the user can do when it fails; the last sentence of the error. */
  readonly advice?: string;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What is read of execa's errors. */
type Failure = Pick<
  ExecaError,
  "timedOut" | "isCanceled" | "code" | "signal" | "exitCode" | "stdout" | "stderr"
>;

/** The signal of the work that a command belongs to; kept here so that every step need not hand it on. */
const signals = new AsyncLocalStorage<AbortSignal>();

/** Does `work`; when the signal is aborted, whatever command runs in it is ended and fails. */
export async function interruptible<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  return signal === undefined ? await work() : await signals.run(signal, work);
}

/** How much of a failed command's output goes into the error message, in lines. */
const TAIL_LINES = 12;

function tail(text: string): string {
  return text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n  ");
}

function failureOf(error: Failure, options: CommandOptions): string {
  if (error.timedOut) return `did not end within ${Math.round(options.timeoutMs / 1000)} s`;
  if (error.isCanceled) return "was interrupted";
  if (error.code === "ENOENT") return "was not found";
  if (error.signal !== undefined) return `was ended by ${error.signal}`;
  return `ended with exit code ${error.exitCode ?? "unknown"}`;
}

/**
 * Runs a command to its end and returns what it printed.
 *
 * @throws ChaosError when it cannot be started, runs out of time or ends with another code than 0; the message
 *   carries the command and the end of its output.
 */
export async function run(
  file: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const signal = signals.getStore();
  try {
    const child = execa(file, args, {
      timeout: options.timeoutMs,
      forceKillAfterDelay: 5_000,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
      ...(signal === undefined ? {} : { cancelSignal: signal }),
    });
    if (options.onLine !== undefined) {
      const { onLine } = options;
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => {
          const line = chunk.toString().trim().split("\n").at(-1);
          if (line !== undefined && line !== "") onLine(line);
        });
      }
    }
    const result = await child;
    return { exitCode: 0, stdout: result.stdout, stderr: result.stderr };
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    const failure = error as Failure;
    const output = tail([failure.stdout, failure.stderr].filter((text) => text !== "").join("\n"));
    const said = output === "" ? "" : `; it said:\n  ${output}`;
    const advice = options.advice === undefined ? "" : `\n${options.advice}`;
    throw new ChaosError(
      `"${[file, ...args].join(" ").slice(0, 300)}" ${failureOf(failure, options)}${said}${advice}`,
    );
  }
}

/** Like `run`, for questions: a failure is an answer (its exit code, -1 when it could not run at all). */
export async function ask(
  file: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const result = await execa(file, args, {
    timeout: options.timeoutMs,
    forceKillAfterDelay: 1_000,
    reject: false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
  });
  return { exitCode: result.exitCode ?? -1, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
}
