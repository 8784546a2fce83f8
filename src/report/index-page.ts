/** `index.html` of a folder of reports: the matrix, each row with its run and what changed since the run before it. */
import { join } from "node:path";
import { compare, type ComparedRow, DEFAULT_TOLERANCE } from "./compare.js";
import { writeWhole } from "./files.js";
import { pageAssets } from "./html/assets.js";
import { indexPage, type IndexRow } from "./html/index.js";
import { type MatrixEntry, matrixRun, url } from "./matrix-run.js";
import { shownRuns } from "./matrix.js";
import { readMatrix, type Read } from "./read-reports.js";

const started = ({ result: { facts } }: MatrixEntry): string => `${facts.startedAt} ${facts.runId}`;

/** Every older run of the same experiment, the newest first. */
function olderRuns(entries: readonly MatrixEntry[], run: MatrixEntry): MatrixEntry[] {
  const older = entries.filter(
    (each) =>
      each.result.facts.experiment.name === run.result.facts.experiment.name && started(each) < started(run),
  );
  return older.sort((a, b) => (started(a) < started(b) ? 1 : -1));
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
  const of = new Map(shownRuns(matrix).map(({ group, run }) => [run, group]));
  const rows = [...of].flatMap(([run, group]): IndexRow[] => {
    const entry = byRun.get(`${run.row.startedAt} ${run.row.runId}`);
    if (entry === undefined) return [];
    const older = olderRuns(entries, entry);
    const before = older[0] === undefined ? null : matrixRun(older[0]);
    const change: ComparedRow | undefined = compare(before === null ? [] : [before], [run], DEFAULT_TOLERANCE)
      .rows[0];
    return [
      {
        group,
        run,
        page: pageOf(entry),
        change: change ?? null,
        before:
          older[0] === undefined
            ? null
            : { page: pageOf(older[0]), startedAt: older[0].result.facts.startedAt },
      },
    ];
  });
  return rows;
}

/** Writes the index of reports that are read already. @returns its path. */
export async function writeIndexOf(read: Pick<Read, "matrix" | "entries">, folder: string): Promise<string> {
  const path = join(folder, "index.html");
  await writeWhole(path, indexPage(read.matrix, indexRows(read), await pageAssets()));
  return path;
}

/**
 * Writes `index.html` of a folder of reports into it.
 *
 * @returns its path.
 * @throws UsageError when the folder is none, or has no result; ChaosError if the package is not built.
 */
export async function writeIndex(reportsFolder: string): Promise<string> {
  return await writeIndexOf(await readMatrix([reportsFolder], reportsFolder), reportsFolder);
}
