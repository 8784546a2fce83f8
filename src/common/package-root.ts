import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The folder of this package (with its package.json), whether the code runs bundled from dist/ or as TypeScript from
 * src/. It contains the assets of the package (the programs of pods, the lab's Dockerfiles).
 *
 * @throws Error if no package.json is found above this file.
 */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    if (existsSync(join(folder, "package.json"))) return folder;
    const parent = dirname(folder);
    if (parent === folder) {
      throw new Error(
        `no package.json above ${fileURLToPath(import.meta.url)}: the installation is incomplete`,
      );
    }
    folder = parent;
  }
}

/** The version in the package's package.json. */
export function packageVersion(): string {
  const manifest = readFileSync(join(packageRoot(), "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
