import type { RunResult } from "../analysis/result.js";
import type { Series } from "../analysis/series.js";
import type { RunEvent } from "../evidence/events.js";

/** The input of a format: the run's result, and the evidence from which it was computed. */
export interface ReportInput {
  readonly result: RunResult;
  readonly events: readonly RunEvent[];
  /** The samples in the runner's time. */
  readonly series: readonly Series[];
}
