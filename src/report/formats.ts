/** The files of a run's report. `chaos run` and `chaos report` write every one of them. */
import { seriesOfRun } from "../analysis/analyse.js";
import type { RunResult } from "../analysis/result.js";
import type { RunEvent } from "../evidence/events.js";
import type { RawSamples } from "../evidence/sample.js";
import { reportMarkdown } from "./markdown.js";
import { resultJson } from "./result-json.js";
import { timelineSvg } from "./timeline-svg.js";

/** The input of a format: the run's result, and the raw evidence from which it was computed. */
export interface ReportInput {
  readonly result: RunResult;
  readonly events: readonly RunEvent[];
  readonly samples: readonly RawSamples[];
}

/** The text of each file, by its name in the run's folder. Pure. */
export const FORMATS = {
  "result.json": ({ result }) => resultJson(result),
  "timeline.svg": ({ result, events, samples }) => timelineSvg(result, events, seriesOfRun(events, samples)),
  "report.md": ({ result }) => reportMarkdown(result),
} as const satisfies Readonly<Record<string, (input: ReportInput) => string>>;

export type ReportFile = keyof typeof FORMATS;
