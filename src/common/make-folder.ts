import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Creates a folder and its missing parents; an existing one is left as it is. Node's recursive mkdir never returns for a
 * path below /proc (mkdir there fails with ENOENT although the parent exists) and reports a full disk as ENOENT
 * (nodejs/node issue 42808).
 *
 * @throws the system's error: EACCES, ENOSPC, EROFS, ENOTDIR; EEXIST when a file has the name.
 */
export async function makeFolder(path: string, options: { readonly mode?: number } = {}): Promise<void> {
  try {
    await mkdir(path, options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await isFolder(path))) return;
    const parent = dirname(path);
    if (code !== "ENOENT" || (await isFolder(parent))) throw error;
    await makeFolder(parent, options);
    await makeFolder(path, options);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );
}
