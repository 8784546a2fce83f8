/**
 * The programs that run in pods. Each is bundled into one file that needs only Node 18 and fits into a ConfigMap. Tests
 * start the same files and check these limits.
 */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** @param {string} path relative to the repository's root */
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const common = {
  bundle: true,
  format: /** @type {const} */ ("esm"),
  platform: /** @type {const} */ ("node"),
  target: "node18",
  logLevel: /** @type {const} */ ("warning"),
  metafile: /** @type {const} */ (true),
};

/** Keys: the file's name in dist/ and in the ConfigMap. @satisfies {Record<string, import("esbuild").BuildOptions>} */
export const podPrograms = {
  "agent.mjs": { ...common, entryPoints: [at("src/probes/agent/main.ts")] },
  // Not in a ConfigMap: an argument of its container.
  "front-end.mjs": { ...common, entryPoints: [at("src/application/front-end/main.ts")], minify: true },
  "node-agent.mjs": { ...common, entryPoints: [at("src/nodes/agent/node-agent.ts")] },
  "sink.mjs": { ...common, entryPoints: [at("src/addons/sink/main.ts")] },
  "dead-man.mjs": {
    ...common,
    entryPoints: [at("src/safety/dead-man/main.ts")],
    minify: true,
  },
};

/** Writes all programs to dist/. */
export async function buildPodPrograms() {
  return await Promise.all(
    Object.entries(podPrograms).map(([file, options]) => build({ ...options, outfile: at(`dist/${file}`) })),
  );
}
