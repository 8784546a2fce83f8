import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ExitCode, UsageError } from "../common/errors.js";
import { makeFolder } from "../common/make-folder.js";
import type { Language } from "../common/language.js";
import { withHint } from "../load/choose.js";
import { acceptedFromJson } from "../report/accepted-read.js";
import {
  compare,
  comparedRuns,
  type ComparedRun,
  type Comparison,
  type Tolerance,
} from "../report/compare.js";
import { comparisonLines } from "../report/compare-words.js";
import { writeWhole } from "../report/files.js";
import { matrixMarkdown } from "../report/matrix-markdown.js";
import { matrixJson, shownRuns, type Matrix } from "../report/matrix.js";
import { codeOf, exists, NoResultsError, notFolder, readMatrix, type Read } from "../report/read-reports.js";
import { exitCodeOfWhole, openReporters } from "../reporters/open.js";
import type { Outlets } from "../reporters/reporter.js";
import type { Requested } from "../reporters/requested.js";
import { matrixSuites } from "./matrix-reports.js";
import { toleranceOf, type ToleranceFlags } from "./tolerance.js";

export interface MatrixCommandOptions {
  /** Folders of reports, or of single runs. */
  readonly folders: readonly string[];
  /** Folder for the files; their links are relative to it. Default: the first folder. */
  readonly out?: string | undefined;
  /** Print this language's Markdown instead of writing files. */
  readonly lang?: Language | undefined;
  /** Print the data instead of writing files. */
  readonly json?: boolean;
  /** The accepted matrix: a folder of reports, or an impact-matrix.json. */
  readonly baseline?: string | undefined;
  /** Compare only these experiments, by name; empty: all. */
  readonly only?: readonly string[];
  readonly tolerances?: ToleranceFlags;
  readonly reporters?: readonly Requested[];
  readonly outlets?: Outlets;
}

export interface MatrixOutput {
  /** For standard output. */
  readonly text: string;
  readonly warnings: readonly string[];
  readonly exitCode: ExitCode;
  readonly matrix: Matrix;
  /** The written files. */
  readonly files: readonly string[];
}

export interface MatrixFiles {
  /** Number of runs in the table. */
  readonly rows: number;
  /** The written files. */
  readonly files: readonly string[];
  /** Omitted results, each with its path and the reason. */
  readonly warnings: readonly string[];
}

const MATRIX_JSON = "impact-matrix.json";

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
    [MATRIX_JSON]: matrixJson(matrix),
  };
}

async function writeFiles(read: Read, out: string): Promise<MatrixFiles> {
  const { matrix, warnings } = read;
  await makeOut(out);
  const files: string[] = [];
  for (const [name, text] of Object.entries(contents(matrix))) {
    const path = join(out, name);
    await writeWhole(path, text);
    files.push(path);
  }
  // Loaded late: its templates are not needed to print the matrix.
  files.push(await (await import("../report/index-page.js")).writeIndex(read, out));
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

interface Accepted {
  readonly runs: readonly ComparedRun[];
  /** Why it has none; undefined: it has some. */
  readonly problem?: string;
}

/** The accepted matrix: of the runs in a folder; of a folder without runs: its impact-matrix.json; or such a file. */
async function readAccepted(path: string): Promise<Accepted> {
  if (!(await exists(path))) return { runs: [], problem: `${path} does not exist` };
  const isFolder = (await stat(path)).isDirectory();
  if (isFolder) {
    try {
      return { runs: comparedRuns((await readMatrix([path], path)).matrix) };
    } catch (error) {
      if (!(error instanceof NoResultsError)) throw error;
    }
  }
  const file = isFolder ? join(path, MATRIX_JSON) : path;
  if (!(await exists(file)))
    return { runs: [], problem: `${path} has no results of runs, and no ${MATRIX_JSON}` };
  const read = acceptedFromJson(await readFile(file, "utf8"));
  if ("problem" in read)
    throw new UsageError(`${file}: ${read.problem}. Name a folder of reports with --baseline`);
  return read.runs.length === 0 ? { runs: [], problem: `${file} has no row` } : read;
}

/** @throws UsageError when two forms of output are requested, or flags that belong to --baseline without it. */
function checkFlags({
  lang,
  json = false,
  baseline,
  only = [],
  tolerances = {},
}: MatrixCommandOptions): Tolerance {
  if (lang !== undefined && json)
    throw new UsageError("--lang prints Markdown and --json prints data: use only one of them");
  if (lang !== undefined && baseline !== undefined)
    throw new UsageError("--lang prints the table and --baseline the comparison: use only one of them");
  const tolerance = toleranceOf(tolerances);
  if (
    baseline === undefined &&
    (only.length > 0 || Object.values(tolerances).some((flag) => flag !== undefined))
  )
    throw new UsageError("--only and --tolerance… need --baseline: they say how to compare");
  return tolerance;
}

/**
 * `chaos matrix`: all reports as one table. With `baseline`: compared with the accepted one.
 *
 * @throws UsageError when a folder does not exist or none has a result, or the flags contradict each other. Nothing was
 *   written then.
 */
export async function matrix(options: MatrixCommandOptions): Promise<MatrixOutput> {
  const { folders, lang, json = false } = options;
  const startedAt = new Date();
  const tolerance = checkFlags(options);
  const out = options.out ?? folders[0] ?? ".";
  const read = await readMatrix(folders, out);
  const compared = await compareWithAccepted(options, read, tolerance);
  const warnings = [...read.warnings];
  const reporters = await openReporters({
    ...{ requested: options.reporters ?? [], reportsFolder: out, env: {}, print: () => undefined },
    ...options.outlets,
    warn: (text) => warnings.push(text),
  });
  const { comparison, notes, exitCode } = compared;
  const { text, files = [] } =
    lang === undefined && !json ? await filesText(read, out) : { text: dataText(read, comparison, lang) };
  const whole = await reporters.end({
    ...{ name: "chaos matrix", startedAt: startedAt.toISOString(), reportsFolder: out, exitCode, notes },
    ...{ tookMs: Date.now() - startedAt.getTime(), problem: undefined },
    reports: () => Promise.resolve(read),
    suites: await matrixSuites(read.matrix, read.entries, comparison, out),
  });
  return {
    text: text + (json ? [] : notes).map((line) => `${line}\n`).join(""),
    warnings,
    matrix: read.matrix,
    files,
    exitCode: exitCodeOfWhole(exitCode, whole),
  };
}

interface Compared {
  /** undefined: nothing was to be compared. */
  readonly comparison: Comparison | undefined;
  readonly notes: readonly string[];
  readonly exitCode: ExitCode;
}

/** @throws UsageError when neither matrix has one of the experiments: a misspelt name would compare less than was asked for. */
function checkOnly(only: readonly string[], runs: readonly ComparedRun[]): void {
  const known = [...new Set(runs.map(({ row }) => row.experiment))];
  const unknown = only.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new UsageError(
      `--only: no run of ${unknown.map((name) => withHint(name, known)).join(", ")}. There are runs of ${known.join(", ")}`,
    );
}

async function compareWithAccepted(
  { baseline, only = [] }: MatrixCommandOptions,
  { matrix: present }: Read,
  tolerance: Tolerance,
): Promise<Compared> {
  if (baseline === undefined) return { comparison: undefined, notes: [], exitCode: ExitCode.asExpected };
  const { runs, problem } = await readAccepted(baseline);
  checkOnly(only, [...runs, ...comparedRuns(present)]);
  const comparison = compare(runs, comparedRuns(present), tolerance, only);
  const notes = comparisonLines(comparison, baseline, problem);
  return { comparison, notes, exitCode: comparison.exitCode };
}

/** Writes the files. @returns them, and the line that names them. */
async function filesText(read: Read, out: string): Promise<Pick<MatrixOutput, "text" | "files">> {
  const { rows, files } = await writeFiles(read, out);
  return { text: `${rows} ${rows === 1 ? "row" : "rows"}: ${files.join(", ")}\n`, files };
}

/** The data on one line, as --json promises for every command; or a language's Markdown. */
function dataText(
  { matrix: data }: Read,
  comparison: Comparison | undefined,
  lang: Language | undefined,
): string {
  return lang === undefined ? `${JSON.stringify(comparison ?? data)}\n` : matrixMarkdown(data, lang);
}
