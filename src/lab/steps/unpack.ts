import { lstat, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command.js";

/**
 * Unpacks Debian packages into a folder, without running their scripts. Moves their files from /bin, /lib and so on to
 * /usr, where Debian 12 has them.
 */
export async function unpackDebs(debs: readonly string[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const deb of debs) await run("dpkg-deb", ["-x", deb, folder], { timeoutMs: 300_000 });
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    const stray = join(folder, name);
    const info = await lstat(stray).catch(() => undefined);
    if (info === undefined || info.isSymbolicLink()) continue;
    await mkdir(join(folder, "usr", name), { recursive: true });
    await run("cp", ["-a", `${stray}/.`, join(folder, "usr", name)], { timeoutMs: 60_000 });
    await rm(stray, { recursive: true });
  }
}
