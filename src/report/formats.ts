/** The files of a run's report. `chaos run` and `chaos report` write every one of them. */
import type { RunResult } from "../analysis/result.js";
import type { Series } from "../analysis/series.js";
import type { RunEvent } from "../evidence/events.js";
import { reportMarkdown } from "./markdown.js";
import { resultJson } from "./result-json.js";
import { timelineSvg } from "./timeline-svg.js";

/** The input of a format: the run's result, and the evidence from which it was computed. */
export interface ReportInput {
  readonly result: RunResult;
  readonly events: readonly RunEvent[];
  /** The samples in the runner's time. */
  readonly series: readonly Series[];
}

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
