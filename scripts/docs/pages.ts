/**
 * The pages, and the blocks of pages, that are made from the program and from the committed example: `npm run docs`
 * writes them, a unit test compares them.
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
import { readmeMatrix } from "./readme-matrix.js";
import { referencePage } from "./reference.js";

/** Where the committed matrix is, and the run whose picture the README shows. */
const EXAMPLE = "reports/example";
const EXAMPLE_RUN = `${EXAMPLE}/example-kube-dns`;

/** Path below the package's folder → the text that the file has to have. */
export async function pages(): Promise<ReadonlyMap<string, string>> {
  const matrix = JSON.parse(readPage(`${EXAMPLE}/impact-matrix.json`)) as Matrix;
  const result = JSON.parse(readPage(`${EXAMPLE_RUN}/result.json`)) as RunResult;
  const summary = ["```text", ...summaryLines(result, `${EXAMPLE_RUN}/report.md`), "```"].join("\n");
  const readme = withBlock(readPage("README.md"), "example", summary);
  const floors = await readFloors();
  const architecture = readPage("ARCHITECTURE.md");
  const texts: [string, string][] = [
    ["docs/reference.md", referencePage()],
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

/** The text between the marks `<!-- NAME:begin -->` and `<!-- NAME:end -->`, replaced. */
function withBlock(page: string, name: string, block: string): string {
  const marks = new RegExp(`(<!-- ${name}:begin -->)[^]*(<!-- ${name}:end -->)`);
  if (!marks.test(page)) throw new Error(`the page has no block ${name}: write its two marks`);
  return page.replace(marks, (_, begin: string, end: string) => `${begin}\n\n${block}\n\n${end}`);
}

async function readFloors(): Promise<Floors | undefined> {
  const path = join(packageRoot(), "scripts/floors.mjs");
  if (!existsSync(path)) return undefined;
  return ((await import(pathToFileURL(path).href)) as { readonly FLOORS: Floors }).FLOORS;
}

/** As the formatter wants it: the pages are checked like every other file. */
async function formatted(path: string, text: string): Promise<string> {
  const file = join(packageRoot(), path);
  return await format(text, { ...(await resolveConfig(file)), filepath: file });
}

/** The text of a file that is committed. */
function readPage(path: string): string {
  return readFileSync(join(packageRoot(), path), "utf8");
}
