import type { RunResult } from "../analysis/result.js";
import { duration, percent, plural } from "../common/figures.js";
import { matrixRow } from "./row.js";
import { EVIDENCE_WORDS, FUNCTION_WORDS } from "./words.js";

/** How well it was kept down. For a flapping target, how often it went down counts. */
function keptDown(result: RunResult): string[] {
  const { suppression } = result;
  if (suppression === null) return [];
  const { share, windowMs, downAfterMs, kills, evidence, timesDown, fight } = suppression;
  const parts = [
    ...(downAfterMs === null
      ? ["never down"]
      : [
          `down after ${duration(downAfterMs)}`,
          `kept down: ${percent(share)} of ${duration(windowMs - downAfterMs)}`,
        ]),
    ...(matrixRow(result).attack.everyMs === null ? [] : [`went down ${plural(timesDown, "time")}`]),
    plural(kills, "kill"),
    ...(fight.length === 0 ? [] : [`recreated ${plural(fight.length, "time")}`]),
    `evidence: ${EVIDENCE_WORDS[evidence].en}`,
  ];
  return [`  ${parts.join(", ")}`];
}

/** The result of a run in a few lines for the terminal. Pure. */
export function summaryLines(result: RunResult, reportPath: string): string[] {
  const row = matrixRow(result);
  const { recovery, ownFunction } = result;
  return [
    `${row.name}: ${result.severity} (${result.verdict})`,
    `  ${result.verdictBecause}`,
    `  ${row.behaviour.en}`,
    ...(result.client == null ? [] : [`  client: ${result.client.because}`]),
    ...(ownFunction.state === "not measured"
      ? []
      : [`  own function: ${FUNCTION_WORDS[ownFunction.state].en}. ${ownFunction.because}`]),
    ...keptDown(result),
    ...(recovery === null
      ? []
      : [
          `  recovery: ready after ${duration(recovery.readyMs)}, healthy after ${duration(recovery.healthyMs)}`,
        ]),
    ...result.reasons.map(({ code, message }) => `  ${code}: ${message}`),
    `  report: ${reportPath}`,
  ];
}
