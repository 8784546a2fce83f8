import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isLink } from "./read-file.js";
import { systemReason } from "./system-reason.js";

/** Why a folder cannot be created, as words that continue after its path; with the system error's `code`. */
class FolderError extends Error {
  readonly code: string | undefined;
  readonly syscall = "mkdir";
  constructor(
    readonly path: string,
    reason: string,
    cause: NodeJS.ErrnoException,
  ) {
    super(reason, { cause });
    this.name = "FolderError";
    this.code = cause.code;
  }
}

/**
 * Creates a folder and its missing parents; an existing one is left as it is. Node's recursive mkdir never returns for a
 * path below /proc (mkdir there fails with ENOENT although the parent exists) and reports a full disk as ENOENT
 * (nodejs/node issue 42808).
 *
 * @throws Error with the system error's code (EACCES, ENOSPC, EROFS, ENOTDIR; EEXIST when a file has the name). Its message
 * is the reason: it names a parent where that is in the way, not the folder.
 */
export async function makeFolder(path: string, options: { readonly mode?: number } = {}): Promise<void> {
  try {
    await createFolder(path, options);
  } catch (error) {
    const refused = error as NodeJS.ErrnoException;
    throw new FolderError(path, await reasonOf(refused, path), refused);
  }
}

async function createFolder(path: string, options: { readonly mode?: number }): Promise<void> {
  try {
    await mkdir(path, options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await isFolder(path))) return;
    const parent = dirname(path);
    if (code !== "ENOENT" || (await isFolder(parent))) throw error;
    await createFolder(parent, options);
    await createFolder(path, options);
  }
}

async function reasonOf(error: NodeJS.ErrnoException, wanted: string): Promise<string> {
  const { code, path = wanted } = error;
  const it = path === wanted ? "it" : path;
  if (code === "EEXIST") return `${it} is ${(await isLink(path)) ? "a broken link" : "a file"}, not a folder`;
  // The parent exists: the file system (/proc, for example) has only the folders that it makes itself.
  if (code === "ENOENT") return `no folder can be created in ${dirname(path)}`;
  return systemReason(error);
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );
}
