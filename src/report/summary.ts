import type { RunResult } from "../analysis/result.js";
import { duration, percent } from "./format.js";
import { matrixRow } from "./row.js";

/** What a run came to, in a few lines for the terminal. Pure. */
export function summaryLines(result: RunResult, reportPath: string): string[] {
  const row = matrixRow(result);
  const { suppression, recovery } = result;
  return [
    `${row.name}: ${result.severity} (${result.verdict})`,
    `  ${result.verdictBecause}`,
    `  ${row.behaviour.en}`,
    ...(suppression === null
      ? []
      : [
          `  kept down: ${percent(suppression.share)} of ${duration(suppression.windowMs)}, ${suppression.kills} deletions, evidence: ${suppression.evidence}`,
        ]),
    ...(recovery === null
      ? []
      : [
          `  recovery: ready after ${duration(recovery.readyMs)}, healthy after ${duration(recovery.healthyMs)}`,
        ]),
    ...result.reasons.map(({ code, message }) => `  ${code}: ${message}`),
    `  report: ${reportPath}`,
  ];
}
