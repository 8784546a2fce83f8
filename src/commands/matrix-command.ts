import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../common/errors.js";
import { makeFolder } from "../common/make-folder.js";
import type { Language } from "../common/language.js";
import { matrixMarkdown } from "../report/matrix-markdown.js";
import { matrixJson, shownRuns, type Matrix } from "../report/matrix.js";
import { codeOf, NoResultsError, notFolder, readMatrix, type Read } from "../report/read-reports.js";

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

/** The files of a matrix, by name. */
function contents(matrix: Matrix): Readonly<Record<string, string>> {
  return {
    "impact-matrix.md": matrixMarkdown(matrix, "en"),
    "impact-matrix.ja.md": matrixMarkdown(matrix, "ja"),
    "impact-matrix.json": matrixJson(matrix),
  };
}

async function writeFiles(read: Read, out: string): Promise<MatrixFiles> {
  const { matrix, warnings } = read;
  await makeOut(out);
  const files: string[] = [];
  for (const [name, text] of Object.entries(contents(matrix))) {
    const path = join(out, name);
    await writeFile(path, text);
    files.push(path);
  }
  // Loaded late: its templates are not needed to print the matrix.
  files.push(await (await import("../report/index-page.js")).writeIndexOf(read, out));
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

/**
 * `chaos matrix`: all reports as one table.
 *
 * @returns `text` for standard output, and warnings.
 * @throws UsageError when a folder does not exist or none has a result, or two forms of output are requested. Nothing was
 *   written then.
 */
export async function matrix(
  options: MatrixCommandOptions,
): Promise<{ readonly text: string; readonly warnings: readonly string[] }> {
  const { folders, lang, json = false } = options;
  const out = options.out ?? folders[0] ?? ".";
  if (lang !== undefined && json) {
    throw new UsageError("--lang prints Markdown and --json prints data: use only one of them");
  }
  const read = await readMatrix(folders, out);
  if (lang === undefined && !json) {
    const { rows, files, warnings } = await writeFiles(read, out);
    return { text: `${rows} ${rows === 1 ? "row" : "rows"}: ${files.join(", ")}\n`, warnings };
  }
  const { matrix: data, warnings } = read;
  // One line, as --json promises for every command.
  return { text: lang === undefined ? `${JSON.stringify(data)}\n` : matrixMarkdown(data, lang), warnings };
}
