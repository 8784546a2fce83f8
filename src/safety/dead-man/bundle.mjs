/**
 * How the program of the dead-man's switch is bundled: one file that needs nothing but Node 18, and fits a ConfigMap.
 * Used by scripts/build.mjs and by the test that holds it against its limits.
 */
import { fileURLToPath } from "node:url";

/** @param {string} name of a file beside this one */
const beside = (name) => fileURLToPath(new URL(name, import.meta.url));

/** @satisfies {import("esbuild").BuildOptions} */
export const deadManBundle = {
  entryPoints: [beside("main.ts")],
  bundle: true,
  minify: true,
  format: /** @type {const} */ ("esm"),
  platform: /** @type {const} */ ("node"),
  target: "node18",
  alias: { execa: beside("no-execa.ts") },
  logLevel: /** @type {const} */ ("warning"),
};
