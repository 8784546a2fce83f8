// Bundles the command line into dist/: an entry chunk with the argument parser alone, and everything else (above all
// the Kubernetes client) in chunks that a command loads when it needs them. The package's API is another entry chunk.
// Programs that run in pods are separate files.
import { chmod, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { bundledPackages, noticesText } from "./notices.mjs";
import { buildPodPrograms } from "./pod-programs.mjs";
import { quickValidateApart, quickValidateBundle, requireBanner } from "./quick-validate.mjs";
import { buildReportPage } from "./report-page.mjs";

await rm("dist", { recursive: true, force: true });
const main = await build({
  entryPoints: ["src/cli.ts", "src/api.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  // A smaller file loads faster. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  format: "esm",
  platform: "node",
  target: "node20",
  // CommonJS dependencies inside the bundle call require() for Node's own modules.
  banner: requireBanner,
  plugins: [quickValidateApart],
  logLevel: "warning",
  metafile: true,
});
const quick = await build({ ...quickValidateBundle, outfile: "dist/quick-validate.js", metafile: true });
const programs = [...(await buildPodPrograms()), await buildReportPage()];
const bundled = await bundledPackages([main, quick, ...programs].map(({ metafile }) => metafile));
await writeFile("dist/THIRD_PARTY_NOTICES", noticesText(bundled));
await chmod("dist/cli.js", 0o755);
