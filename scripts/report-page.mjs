/** The style and the script of report.html and index.html: `src/report/html/page/` → two files in dist/. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** @param {string} path relative to the repository's root */
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Writes dist/report-page.js and dist/report-page.css. */
export async function buildReportPage() {
  return await build({
    metafile: true,
    entryPoints: ["main.ts", "page.css"].map((file) => ({
      in: at(`src/report/html/page/${file}`),
      out: "report-page",
    })),
    outdir: at("dist"),
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    // The page unpacks its data by DecompressionStream, which these have.
    target: ["chrome103", "firefox113", "safari16.4"],
    charset: "ascii",
    logLevel: "warning",
  });
}
