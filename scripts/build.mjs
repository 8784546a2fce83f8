// Bundles the command line into dist/: an entry chunk with nothing but the argument parser, and everything
// else (the Kubernetes client above all) in chunks that are loaded when a command needs them. The program of the
// dead-man's switch, which runs in a pod, is a file of its own.
import { chmod, rm } from "node:fs/promises";
import { build } from "esbuild";
import { deadManBundle } from "../src/safety/dead-man/bundle.mjs";

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/cli.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  minify: false,
  sourcemap: "linked",
  format: "esm",
  platform: "node",
  target: "node20",
  // CommonJS dependencies inside the bundle call require() for Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
await build({ ...deadManBundle, outfile: "dist/dead-man.mjs" });
await chmod("dist/cli.js", 0o755);
