/**
 * Pages and parts of pages that are generated from the program and from the committed examples. `npm run docs` writes
 * them; a unit test compares them.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { format, resolveConfig } from "prettier";
import { packageRoot } from "../../src/common/package-root.js";
import type { RunResult } from "../../src/analysis/result.js";
import type { Matrix } from "../../src/report/matrix.js";
import { summaryLines } from "../../src/report/summary.js";
import { floorsTable, type Floors } from "./floors.js";
import { galleryPage } from "./gallery.js";
import { platformsPage } from "./platforms.js";
import { readmeMatrix } from "./readme-matrix.js";
import { referencePage } from "./reference.js";

/** The folder of the committed matrix, and the run whose timeline the README shows. */
const EXAMPLE = "reports/example";
const EXAMPLE_RUN = `${EXAMPLE}/example-kube-dns`;

/** Path below the package's folder → the text that the file must have. */
export async function pages(): Promise<ReadonlyMap<string, string>> {
  const matrix = JSON.parse(readPage(`${EXAMPLE}/impact-matrix.json`)) as Matrix;
  const result = JSON.parse(readPage(`${EXAMPLE_RUN}/result.json`)) as RunResult;
  const summary = ["```text", ...summaryLines(result, `${EXAMPLE_RUN}/report.md`), "```"].join("\n");
  const readme = withBlock(readPage("README.md"), "example", summary);
  const floors = await readFloors();
  const architecture = readPage("ARCHITECTURE.md");
  const texts: [string, string][] = [
    ["docs/reference.md", referencePage()],
    ["docs/platforms.md", await platformsPage()],
    ["docs/gallery.md", galleryPage(matrix, `../${EXAMPLE}/`)],
    ["README.md", withBlock(readme, "matrix", readmeMatrix(matrix, `${EXAMPLE}/`))],
    [
      "ARCHITECTURE.md",
      floors === undefined ? architecture : withBlock(architecture, "floors", floorsTable(floors)),
    ],
  ];
  return new Map(
    await Promise.all(texts.map(async ([path, text]) => [path, await formatted(path, text)] as const)),
  );
}

/** The page with a new text between the marks `<!-- NAME:begin -->` and `<!-- NAME:end -->`. */
function withBlock(page: string, name: string, block: string): string {
  const marks = new RegExp(`(<!-- ${name}:begin -->)[^]*(<!-- ${name}:end -->)`);
  if (!marks.test(page))
    throw new Error(`the page has no block ${name}. Add <!-- ${name}:begin --> and <!-- ${name}:end -->`);
  return page.replace(marks, (_, begin: string, end: string) => `${begin}\n\n${block}\n\n${end}`);
}

async function readFloors(): Promise<Floors | undefined> {
  const path = join(packageRoot(), "scripts/floors.mjs");
  if (!existsSync(path)) return undefined;
  return ((await import(pathToFileURL(path).href)) as { readonly FLOORS: Floors }).FLOORS;
}

/** Formatted with prettier, which checks these pages like every other file. */
async function formatted(path: string, text: string): Promise<string> {
  const file = join(packageRoot(), path);
  return await format(text, { ...(await resolveConfig(file)), filepath: file });
}

/** The text of a committed file. */
function readPage(path: string): string {
  return readFileSync(join(packageRoot(), path), "utf8");
}
