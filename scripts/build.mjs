// Bundles the command line into dist/: an entry chunk with the argument parser alone, and everything else (above all
// the Kubernetes client) in chunks that a command loads when it needs them. Programs that run in pods are separate
// files.
import { chmod, rm } from "node:fs/promises";
import { build } from "esbuild";
import { buildPodPrograms } from "./pod-programs.mjs";
import { quickValidateApart, quickValidateBundle, requireBanner } from "./quick-validate.mjs";
import { buildReportPage } from "./report-page.mjs";

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/cli.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  // A smaller file loads faster. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: "linked",
  format: "esm",
  platform: "node",
  target: "node20",
  // CommonJS dependencies inside the bundle call require() for Node's own modules.
  banner: requireBanner,
  plugins: [quickValidateApart],
  logLevel: "warning",
});
await build({ ...quickValidateBundle, outfile: "dist/quick-validate.js" });
await buildPodPrograms();
await buildReportPage();
await chmod("dist/cli.js", 0o755);
