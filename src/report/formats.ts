/** The files of a run's report. `chaos run` and `chaos report` write every one of them. */
import { reportMarkdown } from "./markdown.js";
import type { ReportInput } from "./report-input.js";
import { resultJson } from "./result-json.js";
import { timelineSvg } from "./timeline-svg.js";

/**
 * The text of each file, by its name in the run's folder. Pure, but the page needs the assets of the package. It is loaded
 * late: its templates are not needed at the start.
 */
export const FORMATS = {
  "result.json": ({ result }) => resultJson(result),
  "timeline.svg": ({ result, events, series }) => timelineSvg(result, events, series),
  "report.md": ({ result }) => reportMarkdown(result),
  "report.html": async (input) => await (await import("./html/report.js")).reportHtml(input),
} as const satisfies Readonly<Record<string, (input: ReportInput) => string | Promise<string>>>;

export type ReportFile = keyof typeof FORMATS;
