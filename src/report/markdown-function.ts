/** The report's sections on the component's own function and on what happened in the cluster during the run. */
import type { FunctionPhase, FunctionResult, RunResult } from "../analysis/result.js";
import { DASH, duration, percent, plural } from "../common/figures.js";
import { isControl } from "../experiment/attacks.js";
import { cell, list, table } from "./markdown-text.js";
import { FUNCTION_WORDS } from "./words.js";

/** A story with more lines than this is cut. The rest is in `result.json`. */
const MOST_LINES = 60;

function phaseRow(name: string, phase: FunctionPhase | null): string[] {
  if (phase === null || phase.looks === 0) return [name, "0", DASH, DASH];
  const { looks, present } = phase;
  return [name, String(looks), String(present), percent(present / looks)];
}

/** What happened to items that missed their deadline; empty: none did. */
function arrivals({ late, lostForGood }: FunctionResult): string {
  if (late + lostForGood === 0) return "";
  return (
    `Of the items that missed their deadline, ${late} arrived late, after the recovery; ` +
    `${lostForGood} never arrived.`
  );
}

/** The checks of the component's own function; empty: samples of a layer show it, or nothing does. */
export function ownFunctionSection(result: RunResult): readonly string[] {
  const { functionProbe, experiment } = result.facts;
  if (functionProbe === null) return [];
  const { state, because, baseline, window, recovery, backAfterMs, evidence } = result.ownFunction;
  const before = functionProbe.disturbs ? "before the baseline" : "baseline";
  const during = functionProbe.disturbs ? "after the window, still down" : "window, once it was down";
  const control = isControl(experiment.attack);
  const seenAgain =
    backAfterMs === null
      ? "Not seen again after the release."
      : `Seen again ${duration(backAfterMs)} after the release.`;
  return [
    `**${FUNCTION_WORDS[state].en}**. ${cell(because)}`,
    `Function check \`${functionProbe.name}\`: ${cell(functionProbe.means)} (deadline: ${duration(functionProbe.deadlineMs)}).`,
    table(
      ["Phase", "Checks", "Present", "Share"],
      [
        phaseRow(before, baseline),
        phaseRow(control ? "window" : during, window),
        phaseRow("after the release", recovery),
      ],
      ["Checks", "Present", "Share"],
    ),
    result.releaseMs === null || control ? "" : seenAgain,
    arrivals(result.ownFunction),
    evidence.length === 0 ? "" : `Evidence:\n\n${list(evidence.map(cell))}`,
  ];
}

/** What happened in the cluster during the run, in order; empty: nothing. */
export function story(result: RunResult): string {
  const lines = result.story.map(({ text }) => cell(text));
  if (lines.length <= MOST_LINES) return lines.length === 0 ? "" : list(lines);
  const more = `… and ${plural(lines.length - MOST_LINES, "more line")} in \`result.json\`.`;
  return `${list(lines.slice(0, MOST_LINES))}\n\n${more}`;
}
