/** The rows of a matrix, and their comparison with the accepted one, as reporters show them. */
import { dirname, join } from "node:path";
import { exitCodeOf } from "../analysis/verdict.js";
import type { ComparedRow, Comparison } from "../report/compare.js";
import { rowText } from "../report/compare-words.js";
import type { MatrixEntry } from "../report/matrix-run.js";
import { type Matrix, shownRuns } from "../report/matrix.js";
import { placeInFile } from "../reporters/place.js";
import type { Case, Suite } from "../reporters/reporter.js";
import { suiteOf } from "../reporters/suites.js";

/** What has no history has not passed: only "as accepted" and "better" do. */
function comparisonCase(row: ComparedRow): Case {
  const { change } = row;
  const passed = change === "as accepted" || change === "better";
  const state = passed ? "passed" : change === "worse" ? "failure" : "error";
  return { name: "accepted matrix", state, type: change, message: rowText(row), tookMs: 0 };
}

async function suiteOfRun({ path, result, lacks = [] }: MatrixEntry, out: string): Promise<Suite> {
  const { experiment, startedAt } = result.facts;
  return suiteOf({
    name: experiment.name,
    file: experiment.file,
    place: await placeInFile(experiment.file),
    startedAt,
    tookMs: Math.max(0, ...Object.values(result.phases).map(({ toMs }) => toMs ?? 0)),
    exitCode: exitCodeOf(result),
    result,
    ...(lacks.includes("report.md") ? {} : { report: join(out, dirname(path), "report.md") }),
  });
}

/** A row that was accepted and has no present run. */
function missingSuite(row: ComparedRow): Suite {
  const text = rowText(row);
  return {
    ...{
      name: row.experiment,
      headline: text,
      file: "",
      place: undefined,
      startedAt: new Date(0).toISOString(),
    },
    ...{ tookMs: 0, cases: [comparisonCase(row)], properties: [], summary: [text] },
    ...{ report: undefined, result: undefined },
  };
}

export async function matrixSuites(
  matrix: Matrix,
  entries: readonly MatrixEntry[],
  comparison: Comparison | undefined,
  out: string,
): Promise<Suite[]> {
  const rows = new Map(comparison?.rows.map((row) => [row.experiment, row]));
  const suites: Suite[] = [];
  for (const { run } of shownRuns(matrix)) {
    const { runId, startedAt, experiment } = run.row;
    const row = rows.get(experiment);
    // Not compared: --only leaves it out.
    if (comparison !== undefined && row === undefined) continue;
    rows.delete(experiment);
    const entry = entries.find(
      ({ result: { facts } }) => facts.runId === runId && facts.startedAt === startedAt,
    );
    if (entry === undefined) continue;
    const suite = await suiteOfRun(entry, out);
    // Only the accepted matrix decides: a row that differs from its file as it did when it was accepted is a pass.
    suites.push(row === undefined ? suite : { ...suite, cases: [comparisonCase(row)] });
  }
  return [...suites, ...[...rows.values()].map(missingSuite)];
}
