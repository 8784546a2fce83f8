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
    // Without the cause, which would only repeat this.
    throw new UsageError(`${await notFolder(folder)}. Name a folder of reports, or one of a run`);
  }
}

/** What a path is that is not a folder. */
async function notFolder(path: string): Promise<string> {
  if (path === "") return "a folder's name is empty";
  return (await exists(path)) ? `${path} is not a folder` : `${path} does not exist`;
}

/** Creates the folder for the files unless it exists. @throws UsageError when it cannot be one. */
async function makeOut(out: string): Promise<void> {
  try {
    await makeFolder(out);
  } catch (error) {
    const code = codeOf(error) ?? "";
    if (out !== "" && !["EEXIST", "ENOTDIR"].includes(code)) throw error;
    const what = code === "ENOTDIR" ? `${out} is below a file` : await notFolder(out);
    throw new UsageError(`${what}. Name a folder for the files with --out`);
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

interface Read {
  readonly matrix: Matrix;
  readonly warnings: readonly string[];
}

/** No folder has a result: a matrix of them would only say that nothing was run. */
class NoResultsError extends UsageError {}

/** The matrix of all results in some folders. @throws UsageError when one is not a folder, or none has a result. */
async function readMatrix(folders: readonly string[], out: string): Promise<Read> {
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

async function writeFiles({ matrix, warnings }: Read, out: string): Promise<MatrixFiles> {
  await makeOut(out);
  const files: string[] = [];
  for (const [name, text] of Object.entries(contents(matrix))) {
    const path = join(out, name);
    await writeFile(path, text);
    files.push(path);
  }
  return { rows: shownRuns(matrix).length, files, warnings };
}

/**
 * Writes the matrix of all reports in a folder into that folder. Called after runs, so that it is always current. Without
 * results, whatever is there stays.
 */
export async function writeMatrix(folder: string): Promise<MatrixFiles> {
  try {
    return await writeFiles(await readMatrix([folder], folder), folder);
  } catch (error) {
    if (!(error instanceof NoResultsError)) throw error;
    return { rows: 0, files: [], warnings: [error.message] };
  }
}

export interface MatrixOutcome extends Pick<MatrixFiles, "files" | "warnings"> {
  readonly matrix: Matrix;
  /** For standard output. */
  readonly text: string;
}

/**
 * `chaos matrix`: all reports as one table.
 *
 * @throws UsageError when a folder does not exist or none has a result, or two forms of output are requested. Nothing was
 *   written then.
 */
export async function matrix(options: MatrixCommandOptions): Promise<MatrixOutcome> {
  const { folders, lang, json = false } = options;
  const out = options.out ?? folders[0] ?? ".";
  if (lang !== undefined && json) {
    throw new UsageError("--lang prints Markdown and --json prints data: use only one of them");
  }
  const read = await readMatrix(folders, out);
  if (lang === undefined && !json) {
    const { rows, files, warnings } = await writeFiles(read, out);
    const text = `${rows} ${rows === 1 ? "row" : "rows"}: ${files.join(", ")}\n`;
    return { matrix: read.matrix, text, files, warnings };
  }
  const { matrix: data, warnings } = read;
  // One line, as --json promises for every command.
  const text = lang === undefined ? `${JSON.stringify(data)}\n` : matrixMarkdown(data, lang);
  return { matrix: data, text, files: [], warnings };
}
