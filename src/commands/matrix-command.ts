import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { messageOf, UsageError } from "../common/errors.js";
import { makeFolder } from "../common/make-folder.js";
import type { Language } from "../common/language.js";
import { components } from "../components/all-components.js";
import { matrixMarkdown } from "../report/matrix-markdown.js";
import { resultFromJson } from "../report/matrix-read.js";
import type { ReportFile } from "../report/formats.js";
import { type MatrixEntry } from "../report/matrix-run.js";
import { buildMatrix, matrixJson, shownRuns, type Matrix } from "../report/matrix.js";

export interface MatrixCommandOptions {
  /** Folders of reports, or of single runs. */
  readonly folders: readonly string[];
  /** Folder for the files; their links are relative to it. Default: the first folder. */
  readonly out?: string | undefined;
  /** Print this language's Markdown instead of writing files. */
  readonly lang?: Language | undefined;
  /** Print the data instead of writing files. */
  readonly json?: boolean;
}

export interface MatrixFiles {
  /** Number of runs in the table. */
  readonly rows: number;
  /** The written files. */
  readonly files: readonly string[];
  /** Omitted results, each with its path and the reason. */
  readonly warnings: readonly string[];
}

const RESULT = "result.json";
const REPORT_FILES: readonly ReportFile[] = ["report.md", "timeline.svg"];

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

async function exists(path: string): Promise<boolean> {
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
    throw new UsageError(`${folder}: this folder of reports does not exist`, { cause: error });
  }
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

/** The matrix of all results in some folders. @throws UsageError when one of them does not exist. */
async function readMatrix(
  folders: readonly string[],
  out: string,
): Promise<{ readonly matrix: Matrix; readonly warnings: string[] }> {
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
  if (entries.length === 0) warnings.push(`no results of runs in ${folders.join(", ")}`);
  return { matrix: buildMatrix(entries, Object.values(components)), warnings };
}

/** The files of a matrix, by name. */
function contents(matrix: Matrix): Readonly<Record<string, string>> {
  return {
    "impact-matrix.md": matrixMarkdown(matrix, "en"),
    "impact-matrix.ja.md": matrixMarkdown(matrix, "ja"),
    "impact-matrix.json": matrixJson(matrix),
  };
}

async function writeFiles(folders: readonly string[], out: string): Promise<MatrixFiles> {
  const { matrix, warnings } = await readMatrix(folders, out);
  await makeFolder(out);
  const files: string[] = [];
  for (const [name, text] of Object.entries(contents(matrix))) {
    const path = join(out, name);
    await writeFile(path, text);
    files.push(path);
  }
  return { rows: shownRuns(matrix).length, files, warnings };
}

/** Writes the matrix of all reports in a folder into that folder. Called after runs, so that it is always current. */
export async function writeMatrix(folder: string): Promise<MatrixFiles> {
  return await writeFiles([folder], folder);
}

/**
 * `chaos matrix`: all reports as one table.
 *
 * @returns `text` for standard output, and warnings.
 * @throws UsageError when a folder does not exist, or two forms of output are requested.
 */
export async function matrix(
  options: MatrixCommandOptions,
): Promise<{ readonly text: string; readonly warnings: readonly string[] }> {
  const { folders, lang, json = false } = options;
  const out = options.out ?? folders[0] ?? ".";
  if (lang !== undefined && json) {
    throw new UsageError("--lang prints Markdown and --json prints data: use only one of them");
  }
  if (lang === undefined && !json) {
    const { rows, files, warnings } = await writeFiles(folders, out);
    return { text: `${rows} ${rows === 1 ? "row" : "rows"}: ${files.join(", ")}\n`, warnings };
  }
  const { matrix: data, warnings } = await readMatrix(folders, out);
  // One line, as --json promises for every command.
  return { text: lang === undefined ? `${JSON.stringify(data)}\n` : matrixMarkdown(data, lang), warnings };
}
