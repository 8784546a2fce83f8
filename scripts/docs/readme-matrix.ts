import { cell } from "../../src/report/markdown-text.js";
import { isMain } from "../../src/report/matrix-notes.js";
import type { MatrixRun } from "../../src/report/matrix-run.js";
import type { MatrixGroup } from "../../src/report/matrix-summary.js";
import type { Matrix } from "../../src/report/matrix.js";
import { SEVERITY_WORDS } from "../../src/report/words.js";

/**
 * The README's short form of the committed matrix: the study's five columns.
 * A dagger marks a row that was measured on a substitute image.
 *
 * @param folder the matrix' folder, relative to the README: prefix of its links.
 */
export function readmeMatrix(matrix: Matrix, folder: string): string {
  const rows = matrix.groups.flatMap((group) =>
    [...(group.main === null ? [] : [group.main]), ...group.variants].map((run) => rowOf(group, run, folder)),
  );
  const head = ["Name", "Type", "Count", "Severity", "Behaviour when stopped"];
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function rowOf(group: MatrixGroup, run: MatrixRun, folder: string): string[] {
  const { row, links } = run;
  const severity = SEVERITY_WORDS[row.severity].en;
  const shown = links.report === null ? severity : `[${severity}](${folder}${links.report})`;
  return [
    isMain(group, run) ? cell(group.name) : `↳ ${cell(row.title)}`,
    cell(row.type ?? "—"),
    String(row.count ?? "—"),
    row.onStandIn ? `${shown}†` : shown,
    cell(shortened(row.behaviour.en)),
  ];
}

/** Without the figures in brackets: the linked report has them. */
function shortened(behaviour: string): string {
  return behaviour.replaceAll(/ \([^()]*\)/g, "");
}
