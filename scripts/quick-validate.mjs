/** The bundle of `chaos validate` for valid files: separate, and with a small replacement for zod. */
import { fileURLToPath } from "node:url";

/** @param {string} path relative to the repository's root */
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export const requireBanner = {
  // CommonJS dependencies inside the bundle call require() for Node's own modules.
  js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
};

/**
 * What only a bad file needs: this bundle says nothing about bad files.
 *
 * @type {Readonly<Record<string, string>>}
 */
const EMPTY = {
  "src/load/foreign.ts": "export const foreignFile = () => undefined;",
  "src/experiment/aliases.ts": "export const ALIASES = {};",
};

/** @satisfies {import("esbuild").Plugin} */
const withoutBadFiles = {
  name: "without-bad-files",
  setup(/** @type {import("esbuild").PluginBuild} */ { onLoad }) {
    for (const [path, contents] of Object.entries(EMPTY))
      onLoad({ filter: new RegExp(`/${path}$`) }, () => ({ contents, loader: "ts" }));
  },
};

/** @satisfies {import("esbuild").BuildOptions} */
export const quickValidateBundle = {
  entryPoints: [at("src/commands/quick-validate.ts")],
  bundle: true,
  // A smaller file loads faster.
  minify: true,
  format: /** @type {const} */ ("esm"),
  platform: /** @type {const} */ ("node"),
  target: "node20",
  alias: {
    zod: at("src/experiment/quick-zod.ts"),
    // The same package as ES modules: only the parts that are used are bundled.
    yaml: at("node_modules/yaml/browser/index.js"),
  },
  plugins: [withoutBadFiles],
  banner: requireBanner,
  logLevel: /** @type {const} */ ("warning"),
};

/**
 * The main bundle imports that file instead of bundling it again.
 *
 * @satisfies {import("esbuild").Plugin}
 */
export const quickValidateApart = {
  name: "quick-validate-apart",
  setup(/** @type {import("esbuild").PluginBuild} */ { onResolve }) {
    onResolve({ filter: /\/quick-validate\.js$/ }, () => ({ path: "./quick-validate.js", external: true }));
  },
};
