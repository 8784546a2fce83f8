/** Reads an untrusted file: only a regular file, and never more than a limit. */
import { constants, type Stats } from "node:fs";
import { lstat, open, stat, type FileHandle } from "node:fs/promises";

/** The path is a folder, a pipe, a device or a socket. */
export class NotRegularFileError extends Error {
  /** "a folder", "a pipe", … */
  readonly kind: string;
  constructor(status: Stats) {
    super("not a regular file");
    this.name = "NotRegularFileError";
    this.kind = kindOf(status);
  }
}

function kindOf(status: Stats): string {
  if (status.isDirectory()) return "a folder";
  if (status.isFIFO()) return "a pipe";
  return status.isSocket() ? "a socket" : "a device";
}

/**
 * The bytes of a regular file; undefined if it has more than `maxBytes`. A file that is too large by its size is not read.
 * A file that grows meanwhile is read only up to the limit.
 *
 * @throws NotRegularFileError, or the system's error (ENOENT, EACCES, ELOOP, …).
 */
export async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  // Check before opening: opening a device can have side effects.
  const before = await stat(path);
  if (!before.isFile()) throw new NotRegularFileError(before);
  // Check again after opening: the path may be another file by now. O_NONBLOCK, because opening a pipe waits for its
  // writer otherwise (Windows has neither).
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw new NotRegularFileError(status);
    if (status.size > maxBytes) return undefined;
    const bytes = await readAtMost(handle, maxBytes + 1);
    return bytes.length > maxBytes ? undefined : bytes;
  } finally {
    await handle.close();
  }
}

/** Whether there is a symbolic link at the path, also a broken one. */
export async function isLink(path: string): Promise<boolean> {
  return await lstat(path).then(
    (status) => status.isSymbolicLink(),
    () => false,
  );
}

/** The first bytes of a file. Its size may be wrong (a growing file, or a file of /proc). */
async function readAtMost(handle: FileHandle, limit: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(limit);
  let length = 0;
  while (length < limit) {
    const { bytesRead } = await handle.read(buffer, length, limit - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}
