import { execa, type Options } from "execa";

export type Env = Readonly<Record<string, string | undefined>>;

/** How a command ended. */
export interface Ran {
  readonly failed: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  /** Why it could not start, such as ENOENT; undefined: it started. */
  readonly notStarted?: string;
}

/**
 * Runs a command whose failure is an answer.
 *
 * @param env its whole environment, with the PATH on which it is found.
 */
export async function tryRun(
  env: Env,
  file: string,
  args: readonly string[],
  options: Pick<Options, "timeout" | "cancelSignal" | "detached">,
): Promise<Ran> {
  return ranOf(
    await execa(file, args, { ...options, env, extendEnv: false, stdin: "ignore", reject: false }),
  );
}

/** What execa reports, as far as it is used. */
interface Reported {
  readonly failed: boolean;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly timedOut: boolean;
  readonly isCanceled: boolean;
  readonly code?: string | undefined;
  readonly stdout?: unknown;
  readonly stderr?: unknown;
}

/** Why a command has no exit code. Without the library's words. Pure. */
export function whyNotStarted({ code, signal }: Pick<Reported, "code" | "signal">): string {
  if (code === "ENOENT") return "the program was not found (ENOENT)";
  if (code === "EACCES") return "the program is not executable (EACCES)";
  if (signal !== undefined) return `it was killed by ${signal}`;
  return `it could not be started${code === undefined ? "" : ` (${code})`}`;
}

const textOf = (output: unknown): string => (typeof output === "string" ? output : "");

/** Pure. */
export function ranOf(result: Reported): Ran {
  const started = !result.failed || result.exitCode !== undefined || result.signal !== undefined;
  return {
    failed: result.failed,
    stdout: textOf(result.stdout),
    stderr: textOf(result.stderr),
    timedOut: result.timedOut,
    ...(started || result.timedOut || result.isCanceled ? {} : { notStarted: whyNotStarted(result) }),
  };
}

/**
 * The end of a failed command's output; of kind's, what follows "ERROR:" (sigs.k8s.io/kind cmd/kind/app/main.go), without
 * the many flags of the engine's command. Pure.
 */
export function whyFailed({ timedOut, notStarted, stderr }: Omit<Ran, "failed" | "stdout">): string {
  if (timedOut) return "timed out";
  if (notStarted !== undefined) return notStarted;
  const lines = stderr.trim().split("\n");
  const from = lines.findIndex((line) => line.startsWith("ERROR:"));
  const end = (from < 0 ? lines.slice(-3) : lines.slice(from, from + 12)).join("\n");
  return end.replace(/(command "[^"\n]{60})[^"\n]+"/, '$1…"').slice(0, 1_500);
}
