import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ChaosError } from "./errors.js";
import { packageRoot } from "./package-root.js";

/**
 * The text of a program that runs in a pod, as `npm run build` bundles it.
 *
 * @param file its name in dist/, such as "agent.mjs".
 * @throws ChaosError if the package is not built.
 */
export async function podProgram(file: string): Promise<string> {
  const path = join(packageRoot(), "dist", file);
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new ChaosError(`cannot read the program ${path}. Build it with \`npm run build\``, {
      cause: error,
    });
  }
}
