/** Any error at the end of a command → what to print, and the exit code. */
import { ChaosError, ExitCode, messageOf } from "../common/errors.js";
import { INTERRUPTED_WORDS } from "../common/interrupted.js";
import { systemReason } from "../common/system-reason.js";
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

/** The codes of commands that end before they change anything. */
const BEFORE_A_CHANGE: readonly ExitCode[] = [ExitCode.usage, ExitCode.preflightRefused];

/** The exit code of a command that was interrupted and ended with this one. Pure. */
export function codeOfInterrupted(code: ExitCode | undefined): ExitCode {
  return code === undefined || BEFORE_A_CHANGE.includes(code) ? ExitCode.interrupted : code;
}

/** The error of a command that was interrupted and failed with this one. Pure. */
export function errorOfInterrupted(error: unknown): unknown {
  const { text, exitCode } = failureOf(error);
  // What failed because it was interrupted is neither the cluster's nor the tool's own trouble.
  const said = BEFORE_A_CHANGE.includes(exitCode) ? INTERRUPTED_WORDS : text;
  if (exitCode !== ExitCode.failed && said === text) return error;
  return new ChaosError(said, { exitCode: ExitCode.interrupted });
}

/** Whether the user wants the stacks of bugs. */
export function isDebug(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env["KUBE_SYSTEM_CHAOS_DEBUG"] ?? "") !== "";
}

/** "cannot open /x: permission denied"; undefined: not an error of the operating system about a file or a program. */
function systemWords(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return undefined;
  if (syscall.startsWith("spawn"))
    return path === undefined ? undefined : `cannot start ${path}: ${SPAWN[code] ?? code}`;
  const verb = VERBS[syscall];
  // Operations on an open file name no path; other ones without a path are not about a file.
  const what = path ?? (OF_OPEN_FILE.has(syscall) && code in ADVICE ? "a file" : undefined);
  if (what === undefined) return undefined;
  return `cannot ${verb ?? "use"} ${what}: ${systemReason(error)}. ${ADVICE[code] ?? "Check this path"}`;
}

const SPAWN: Readonly<Record<string, string>> = {
  ENOENT: "it was not found. Install it, or add its folder to PATH",
  EACCES: "permission denied. Make it executable",
};

/** What Node's system calls do to a path. */
const VERBS: Readonly<Record<string, string>> = {
  access: "read",
  chmod: "change the permissions of",
  copyfile: "copy",
  fdatasync: "write",
  fsync: "write",
  ftruncate: "write",
  link: "create a link to",
  lstat: "read",
  mkdir: "create the folder",
  mkdtemp: "create the folder",
  open: "open",
  opendir: "read the folder",
  read: "read",
  readlink: "read the link",
  realpath: "find",
  rename: "rename",
  rm: "remove",
  rmdir: "remove the folder",
  scandir: "read the folder",
  stat: "read",
  statfs: "read",
  symlink: "create a link to",
  unlink: "remove",
  utime: "write",
  write: "write",
};
const OF_OPEN_FILE = new Set(["fdatasync", "fsync", "ftruncate", "read", "write"]);

const SPACE = "Free some space";
const PERMISSIONS = "Change its permissions, or choose another place";
const ELSEWHERE = "Choose another place";
const ADVICE: Readonly<Record<string, string>> = {
  EACCES: PERMISSIONS,
  EDQUOT: SPACE,
  EEXIST: "Choose another place, or move the file away",
  EIO: "Check the disk",
  EISDIR: "Name a file",
  ELOOP: "Correct the links",
  EMFILE: "Raise the limit (ulimit -n)",
  ENAMETOOLONG: "Choose a shorter name",
  ENFILE: "Raise the limit (fs.file-max)",
  ENOSPC: SPACE,
  ENOTDIR: ELSEWHERE,
  EPERM: PERMISSIONS,
  EROFS: ELSEWHERE,
};
