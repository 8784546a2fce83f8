import { duration, percent } from "../../src/common/figures.js";
import { cell, table } from "../../src/report/markdown-text.js";
import type { MatrixRun } from "../../src/report/matrix-run.js";
import type { MatrixGroup } from "../../src/report/matrix-summary.js";
import type { Matrix } from "../../src/report/matrix.js";
import { FUNCTION_WORDS, ON_STAND_IN, SEVERITY_WORDS, STUDY_WORDS } from "../../src/report/words.js";

/** The README's short form of the committed matrix; links start from the README's folder. */
export function readmeMatrix(matrix: Matrix): string {
  const rows = matrix.groups.flatMap((group) => [
    ...(group.main === null ? [] : [rowOf(group, group.main)]),
    ...group.variants.map((run) => rowOf(group, run)),
  ]);
  const head = [
    "Name",
    "Severity",
    "app → DB writes",
    "Longest outage",
    "Own function",
    "Study (impact / function)",
  ];
  return table(head, rows);
}

function rowOf({ name, main }: MatrixGroup, run: MatrixRun): string[] {
  const { row, ownFunction, links } = run;
  const isMain = run === main;
  const study =
    !isMain || row.study.impact === "not in the study"
      ? "—"
      : `${STUDY_WORDS[row.study.impact].en} / ${STUDY_WORDS[row.study.function].en}`;
  const severity = SEVERITY_WORDS[row.severity].en;
  return [
    isMain ? cell(name) : `↳ ${cell(row.title)}`,
    links.report === null ? severity : `[${severity}](reports/${links.report})`,
    row.writeAvailability === null ? "—" : percent(row.writeAvailability),
    row.longestOutageMs === null || row.longestOutageMs === 0 ? "—" : duration(row.longestOutageMs),
    FUNCTION_WORDS[ownFunction.state].en,
    `${study}${row.onStandIn ? ` (${ON_STAND_IN.en})` : ""}`,
  ];
}
