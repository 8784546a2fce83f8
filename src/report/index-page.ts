/** `index.html` of a folder of reports: the matrix, each row with its run and what changed since the run before it. */
import { join } from "node:path";
import { comparedRow, DEFAULT_TOLERANCE, LAST_RUN } from "./compare.js";
import { writeWhole } from "./files.js";
import { pageAssets } from "./html/assets.js";
import { indexPage, type IndexRow } from "./html/index.js";
import { type MatrixEntry, matrixRun, url } from "./matrix-run.js";
import { shownRuns } from "./matrix.js";
import type { Read } from "./read-reports.js";

const started = ({ result: { facts } }: MatrixEntry): string => `${facts.startedAt} ${facts.runId}`;

/** The newest of the older runs of the same experiment; undefined: it is the first. */
function runBefore(entries: readonly MatrixEntry[], run: MatrixEntry): MatrixEntry | undefined {
  const older = entries.filter(
    (each) =>
      each.result.facts.experiment.name === run.result.facts.experiment.name && started(each) < started(run),
  );
  return older.sort((a, b) => (started(a) < started(b) ? 1 : -1))[0];
}

/** The page of a run, else its Markdown, relative to the index; null: it has neither. */
function pageOf({ path, lacks = [] }: MatrixEntry): string | null {
  const file = (["report.html", "report.md"] as const).find((name) => !lacks.includes(name));
  // Without "./" a folder's name such as "javascript:x" would be read as a scheme.
  return file === undefined ? null : `./${url(`${path.slice(0, path.lastIndexOf("/") + 1)}${file}`)}`;
}

/** The rows of the index, in the order of the matrix. Pure. */
export function indexRows({ matrix, entries }: Pick<Read, "matrix" | "entries">): IndexRow[] {
  const byRun = new Map(entries.map((entry) => [started(entry), entry]));
  return shownRuns(matrix).flatMap(({ group, run }): IndexRow[] => {
    const entry = byRun.get(`${run.row.startedAt} ${run.row.runId}`);
    if (entry === undefined) return [];
    const last = runBefore(entries, entry);
    return [
      {
        group,
        run,
        page: pageOf(entry),
        change: comparedRow(last && matrixRun(last), run, DEFAULT_TOLERANCE, LAST_RUN),
        before: last === undefined ? null : { page: pageOf(last), startedAt: last.result.facts.startedAt },
      },
    ];
  });
}

/**
 * Writes `index.html` of reports into a folder, to which their paths are relative.
 *
 * @returns its path.
 * @throws ChaosError if the package is not built.
 */
export async function writeIndex(read: Pick<Read, "matrix" | "entries">, folder: string): Promise<string> {
  const path = join(folder, "index.html");
  await writeWhole(path, indexPage(read.matrix, indexRows(read), await pageAssets()));
  return path;
}
