/** Why the operating system refused a file or a folder, in words that name no path: the sentence around them has it. */

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of its path is a file, not a folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ELOOP: "a loop of links",
  EISDIR: "it is a folder",
  EIO: "the disk has an error",
  EEXIST: "a file of this name exists already",
  ENAMETOOLONG: "its name is too long",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  ENOTEMPTY: "the folder is not empty",
  EBUSY: "it is in use",
  ETXTBSY: "it is in use",
  EINVAL: "the file system does not allow this",
  ENXIO: "there is no such device",
  ENODEV: "there is no such device",
  ESTALE: "the network file system has lost it",
};

/**
 * The reason of an error about a path that the sentence names already; other errors: their own message. Pure.
 */
export function systemReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message } = error as NodeJS.ErrnoException;
  // Node writes "ENOENT: no such file or directory, open '/x'"; an error with other words has chosen them.
  if (code === undefined || !message.startsWith(`${code}:`)) return message === "" ? error.name : message;
  return WORDS[code] ?? /^[A-Z0-9]+: (.*?)(, |$)/.exec(message)?.[1] ?? code;
}

/** Advice about a path that starts with ~; otherwise "". */
export function tildeAdvice(path: string): string {
  return path.startsWith("~")
    ? `. The shell has not replaced the ~ (it is quoted, or after "=" or ":"): write $HOME instead`
    : "";
}
