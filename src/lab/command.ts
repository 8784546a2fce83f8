import { AsyncLocalStorage } from "node:async_hooks";
import { execa, ExecaError } from "execa";
import { ChaosError } from "../common/errors.js";

export interface CommandOptions {
  /** After this many milliseconds the command is killed (SIGTERM, then SIGKILL) and counts as failed. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the command's standard input. Default: the input is empty. */
  readonly input?: string;
  /** Called with each line that the command prints to stdout or stderr, to show progress. */
  readonly onLine?: (line: string) => void;
  /** What the user can do when the command fails: the last sentence of the error. */
  readonly advice?: string;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The parts of execa's errors that are used. */
type Failure = Pick<
  ExecaError,
  "timedOut" | "isCanceled" | "code" | "signal" | "exitCode" | "stdout" | "stderr"
>;

/** The signal of the work that a command belongs to. Kept here so that the steps need not pass it on. */
const signals = new AsyncLocalStorage<AbortSignal>();

/** Runs `work`. When the signal aborts, the commands that run in it are killed and fail. Nested, each signal counts. */
export async function interruptible<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return await work();
  const outer = signals.getStore();
  return await signals.run(outer === undefined ? signal : AbortSignal.any([outer, signal]), work);
}

/** How much of a failed command's output goes into the error message, in lines. */
const TAIL_LINES = 12;

function tail(text: string): string {
  return text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n  ");
}

function failureOf(error: Failure, options: CommandOptions): string {
  if (error.timedOut) return `timed out after ${Math.round(options.timeoutMs / 1000)} s`;
  if (error.isCanceled) return "was interrupted";
  if (error.code === "ENOENT") return "was not found";
  if (error.signal !== undefined) return `was killed by ${error.signal}`;
  return `failed with exit code ${error.exitCode ?? "unknown"}`;
}

/**
 * Runs a command and returns its output.
 *
 * @throws ChaosError when the command cannot be started, times out or exits with a code other than 0. The message has
 *   the command and the end of its output.
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
    const printed = output === "" ? "" : `. Its output:\n  ${output}`;
    const advice = options.advice === undefined ? "" : `\n${options.advice}`;
    throw new ChaosError(
      `"${[file, ...args].join(" ").slice(0, 300)}" ${failureOf(failure, options)}${printed}${advice}`,
    );
  }
}

/** Like `run`, but a failure is a result: the exit code, or -1 when the command could not run at all. */
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
