/** Reading a file that a stranger may have written: a regular one, and never more of it than the limit. */
import { constants } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";

/** What was named is a folder, a pipe, a device or a socket. */
export class NotRegularFileError extends Error {
  constructor() {
    super("not a regular file");
    this.name = "NotRegularFileError";
  }
}

/**
 * The bytes of a regular file; undefined when it has more than `maxBytes`. What its size already tells is not
 * read, and a file that grows while it is read is read up to the limit only.
 *
 * @throws NotRegularFileError, or what the system says (ENOENT, EACCES, ELOOP, …).
 */
export async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  // To open a device can be an act of its own, so it is looked at first.
  if (!(await stat(path)).isFile()) throw new NotRegularFileError();
  // And once more when it is open: another file may have taken its name. Opening a pipe would wait for its
  // writer; with O_NONBLOCK (which Windows does not know, nor such pipes) it does not.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw new NotRegularFileError();
    if (status.size > maxBytes) return undefined;
    const bytes = await readAtMost(handle, maxBytes + 1);
    return bytes.length > maxBytes ? undefined : bytes;
  } finally {
    await handle.close();
  }
}

/** The first bytes of a file; its size may be wrong (it grows, or it is one of /proc). */
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
