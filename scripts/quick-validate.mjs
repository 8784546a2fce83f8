/** How `chaos validate` is bundled for good files: by itself, and with what the schema uses of zod instead of zod. */
import { fileURLToPath } from "node:url";

/** @param {string} path from the repository's root */
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export const requireBanner = {
  // CommonJS dependencies inside the bundle call require() for Node's own modules.
  js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
};

/** @satisfies {import("esbuild").BuildOptions} */
export const quickValidateBundle = {
  entryPoints: [at("src/commands/quick-validate.ts")],
  bundle: true,
  // Less to read at the start. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  format: /** @type {const} */ ("esm"),
  platform: /** @type {const} */ ("node"),
  target: "node20",
  alias: {
    zod: at("src/experiment/quick-zod.ts"),
    // The same as ES modules, of which only what is used is bundled.
    yaml: at("node_modules/yaml/browser/index.js"),
  },
  banner: requireBanner,
  logLevel: /** @type {const} */ ("warning"),
};

/**
 * The rest of the command line takes that bundle as it is.
 *
 * @satisfies {import("esbuild").Plugin}
 */
export const quickValidateApart = {
  name: "quick-validate-apart",
  setup(/** @type {import("esbuild").PluginBuild} */ { onResolve }) {
    onResolve({ filter: /\/quick-validate\.js$/ }, () => ({ path: "./quick-validate.js", external: true }));
  },
};
