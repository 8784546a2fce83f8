/**
 * Writes the types of the package's API to build/types/api.d.ts: one file with all types that src/api.ts mentions.
 * `npm pack` runs it. An installed package has no dependencies, so neither may its types.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { generateDtsBundle } from "dts-bundle-generator";

/** @param {string} path relative to the repository's root */
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

await mkdir(at("build/types"), { recursive: true });
// `npm test` checks the types; here they are only collected.
await writeFile(
  at("build/types/tsconfig.json"),
  JSON.stringify({
    extends: "../../tsconfig.json",
    compilerOptions: { noCheck: true },
    include: ["../../src/api.ts"],
  }),
);
const [text = ""] = generateDtsBundle(
  [
    {
      filePath: at("src/api.ts"),
      output: { exportReferencedTypes: false, noBanner: true, sortNodes: false },
      failOnClass: false,
    },
  ],
  { preferredConfigPath: at("build/types/tsconfig.json"), followSymlinks: false },
);
const needed = text.match(/\bz\.\w+|^import .*$/m)?.[0];
if (needed !== undefined)
  throw new Error(
    `the types of the API need ${needed}: a user's installation has no packages. Write this type out`,
  );
await writeFile(at("build/types/api.d.ts"), text);
