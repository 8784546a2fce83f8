import { quote } from "./quote.js";

/** One problem of a file, with its position. */
export interface Problem {
  /** The file, as shown to the user. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units, as editors count. */
  readonly column: number;
  /** Dotted path of the key, such as `probes.interval`; empty: the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** Maximum number of lines for a file. The rest is counted. */
const MAX_PROBLEMS = 50;

/** `file:line:column: path: message`: the form that editors and CI turn into links. */
export function formatProblem(problem: Problem): string {
  const path = problem.path === "" ? "" : `${problem.path}: `;
  return `${problem.file}:${problem.line}:${problem.column}: ${path}${problem.message}`;
}

/** In file order, without duplicates, at most {@link MAX_PROBLEMS}; the last one counts the rest. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const sorted = [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()].sort(
    (a, b) => a.line - b.line || a.column - b.column || compareText(a.path, b.path),
  );
  if (sorted.length <= MAX_PROBLEMS) return sorted;
  const shown = sorted.slice(0, MAX_PROBLEMS);
  const next = sorted[MAX_PROBLEMS];
  if (next !== undefined) {
    shown.push({ ...next, path: "", message: `and ${sorted.length - MAX_PROBLEMS} more problems` });
  }
  return shown;
}

/** Dotted form of a path. Keys that are not plain words are quoted, so that a file cannot forge a line of output. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((key) => {
      const text = String(key);
      return /^[\w-]{1,64}$/.test(text) ? text : quote(text);
    })
    .join(".");
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
