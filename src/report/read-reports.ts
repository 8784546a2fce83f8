/** Reads folders of reports: what the matrix and the index are made from. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { messageOf, UsageError } from "../common/errors.js";
import { components } from "../components/all-components.js";
import type { ReportFile } from "./formats.js";
import { buildMatrix, type Matrix } from "./matrix.js";
import { resultFromJson } from "./matrix-read.js";
import type { MatrixEntry } from "./matrix-run.js";

const RESULT = "result.json";
const REPORT_FILES: readonly ReportFile[] = ["report.md", "timeline.svg", "report.html"];

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** Folders that may belong to a run: the folder and its subfolders. @throws UsageError when it is not a folder. */
async function runFolders(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return [folder, ...names.sort().map((name) => join(folder, name))];
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) throw error;
    // Without the cause, which would only repeat this.
    throw new UsageError(`${await notFolder(folder)}. Name a folder of reports, or one of a run`);
  }
}

/** What a path is that is not a folder. */
export async function notFolder(path: string): Promise<string> {
  if (path === "") return "a folder's name is empty";
  return (await exists(path)) ? `${path} is not a folder` : `${path} does not exist`;
}

type Found = { readonly entry: MatrixEntry } | { readonly warning: string };

/** The result in a folder; undefined: the folder has none. */
async function resultIn(folder: string, out: string): Promise<Found | undefined> {
  const path = join(folder, RESULT);
  let json: string;
  try {
    json = await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) return undefined;
    return { warning: `${path}: omitted: ${messageOf(error)}` };
  }
  const read = resultFromJson(json);
  if ("problem" in read) {
    const mend = read.ofRun ? ` (\`chaos report ${folder}\` recomputes it from the run's raw files)` : "";
    return { warning: `${path}: omitted: ${read.problem}${mend}` };
  }
  const lacks: ReportFile[] = [];
  for (const file of REPORT_FILES) if (!(await exists(join(folder, file)))) lacks.push(file);
  // Always with slashes, because it becomes a link.
  const link = relative(resolve(out), resolve(path)).split(sep).join("/");
  return { entry: { path: link, result: read.result, lacks } };
}

export interface Read {
  readonly matrix: Matrix;
  /** The runs that it was made from, the older ones, too. */
  readonly entries: readonly MatrixEntry[];
  readonly warnings: readonly string[];
}

/** No folder has a result: a matrix of them would only say that nothing was run. */
export class NoResultsError extends UsageError {}

/** The matrix of all results in some folders. @throws UsageError when one is not a folder, or none has a result. */
export async function readMatrix(folders: readonly string[], out: string): Promise<Read> {
  const entries: MatrixEntry[] = [];
  const warnings: string[] = [];
  const seen = new Set<string>();
  for (const given of folders) {
    for (const folder of await runFolders(given)) {
      const key = resolve(folder);
      if (seen.has(key)) continue;
      seen.add(key);
      const found = await resultIn(folder, out);
      if (found === undefined) continue;
      if ("entry" in found) entries.push(found.entry);
      else warnings.push(found.warning);
    }
  }
  if (entries.length === 0) {
    const omitted = warnings.map((each) => `${each}. `).join("");
    throw new NoResultsError(
      `${omitted}no results of runs in ${folders.join(", ")}. Name a folder of reports`,
    );
  }
  return { matrix: buildMatrix(entries, Object.values(components)), entries, warnings };
}
