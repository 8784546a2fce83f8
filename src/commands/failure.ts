/** Any error at the end of a command → what to print, and the exit code. */
import { ChaosError, ExitCode, messageOf } from "../common/errors.js";
import { ApiError, ApiUnreachableError } from "../kube/transport.js";

export interface Failure {
  readonly text: string;
  readonly exitCode: ExitCode;
}

/**
 * Known errors say what failed, why and what to do. An error of the operating system names its file. Anything else is a
 * bug: one line, and how to see where it happened. Pure.
 *
 * @param debug print the stack of a bug (KUBE_SYSTEM_CHAOS_DEBUG).
 */
export function failureOf(error: unknown, debug = false): Failure {
  if (error instanceof ChaosError) return { text: messageOf(error), exitCode: error.exitCode };
  const exitCode = ExitCode.failed;
  if (error instanceof ApiError || error instanceof ApiUnreachableError)
    return { text: messageOf(error), exitCode };
  const system = systemWords(error);
  if (system !== undefined) return { text: system, exitCode };
  if (debug && error instanceof Error) return { text: error.stack ?? error.message, exitCode };
  const name = error instanceof Error ? `${error.name}: ` : "";
  const line = messageOf(error).replace(/\s+/g, " ");
  return {
    text: `unexpected error: ${name}${line.slice(0, 300)}. This is a bug. Please report it with what KUBE_SYSTEM_CHAOS_DEBUG=1 shows`,
    exitCode,
  };
}

/** Whether the user wants the stacks of bugs. */
export function isDebug(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env["KUBE_SYSTEM_CHAOS_DEBUG"] ?? "") !== "";
}

/** "cannot open /x: permission denied"; undefined: not an error of the operating system about a file or a program. */
function systemWords(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, syscall, path, message } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined || path === undefined) return undefined;
  if (syscall.startsWith("spawn"))
    return `cannot start ${path}: ${code === "ENOENT" ? "it was not found" : code}`;
  const why = /^[A-Z0-9]+: (.*?), /.exec(message)?.[1] ?? code;
  return `cannot ${syscall} ${path}: ${why}${ADVICE[code] ?? ""}`;
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: ". Free some space",
  EDQUOT: ". Free some space",
  EACCES: ". Change its permissions, or choose another place",
  EPERM: ". Change its permissions, or choose another place",
  EROFS: ". Choose another place",
};
