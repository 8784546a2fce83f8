/** Versions of Node, from the npm package `node`. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

/** The oldest that package.json allows, and the two newer lines with long-term support. */
export const NODE_VERSIONS = ["20.19", "22", "24"];

/**
 * @param version as npm reads it: "22" is the newest 22.
 * @returns the folder with the program `node`. It stays in the cache, by version; remove the folder to get a newer one.
 */
export async function nodeFolder(version: string): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kube-system-chaos", "node");
  const kept = join(cache, version);
  const bin = join(kept, "node_modules/node/bin");
  if (!existsSync(join(bin, "node"))) {
    await mkdir(cache, { recursive: true });
    const made = await mkdtemp(join(cache, "new-"));
    await writeFile(join(made, "package.json"), '{ "private": true }');
    await execa("npm", ["install", "--no-audit", "--no-fund", `node@${version}`], { cwd: made });
    await rm(kept, { recursive: true, force: true });
    await rename(made, kept);
  }
  return bin;
}
