import { cell } from "../../src/report/markdown-text.js";
import { isMain } from "../../src/report/matrix-notes.js";
import type { MatrixRun } from "../../src/report/matrix-run.js";
import type { MatrixGroup } from "../../src/report/matrix-summary.js";
import type { Matrix } from "../../src/report/matrix.js";
import { SEVERITY_WORDS } from "../../src/report/words.js";

/**
 * docs/gallery.md: every row of the committed matrix with the picture of its run.
 *
 * @param folder the matrix' folder, relative to the page.
 */
export function galleryPage(matrix: Matrix, folder: string): string {
  const sections = matrix.groups.flatMap((group) =>
    [...(group.main === null ? [] : [group.main]), ...group.variants].map((run) =>
      section(group, run, folder),
    ),
  );
  return [
    "<!-- Made by `npm run docs` from reports/example. -->",
    "# Gallery",
    "Every row of the study with the picture of its run, measured on [the lab](lab.md). Time runs from left to right; the window, in which the component was kept down, is shaded. A lane is a probe: green is good, the other colours are kinds of failures. A dagger marks a [substitute image](lab.md#what-is-a-substitute).",
    ...sections,
  ].join("\n\n");
}

function section(group: MatrixGroup, each: MatrixRun, folder: string): string {
  const { row, links } = each;
  const title = isMain(group, each) ? group.name : row.title;
  const run = links.report?.replace(/report\.md$/, "") ?? "";
  const severity = SEVERITY_WORDS[row.severity].en;
  return [
    `## ${cell(title)}${row.onStandIn ? " †" : ""}`,
    `**${severity}.** ${cell(row.behaviour.en)} [Report](${folder}${run}report.md)`,
    `![Timeline of ${cell(row.experiment)}: ${severity}](${folder}${run}timeline.svg)`,
  ].join("\n\n");
}
