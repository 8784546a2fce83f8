/** The report's sections on the component's own function and on what the cluster said meanwhile. */
import type { FunctionPhase, FunctionResult, RunResult } from "../analysis/result.js";
import { DASH, duration, percent, plural } from "../common/figures.js";
import { isControl } from "../experiment/attacks.js";
import { cell, list, table } from "./markdown-text.js";
import { FUNCTION_WORDS } from "./words.js";

/** A story of more lines than this is told in part: the rest is in `result.json`. */
const MOST_LINES = 60;

function phaseRow(name: string, phase: FunctionPhase | null): string[] {
  if (phase === null || phase.looks === 0) return [name, "0", DASH, DASH];
  const { looks, present } = phase;
  return [name, String(looks), String(present), percent(present / looks)];
}

/** What became of what had not arrived by its deadline; empty where everything did, or nothing was to arrive. */
function arrivals({ late, lostForGood }: FunctionResult): string {
  if (late + lostForGood === 0) return "";
  return (
    `Of what had not arrived by its deadline ${late} arrived late, after the recovery; ` +
    `${lostForGood} did not arrive at all.`
  );
}

/** The looks at the component's own function; empty where samples of a layer show it, or nothing does. */
export function ownFunctionSection(result: RunResult): readonly string[] {
  const { functionProbe, experiment } = result.facts;
  if (functionProbe === null) return [];
  const { state, because, baseline, window, recovery, backAfterMs, evidence } = result.ownFunction;
  const before = functionProbe.disturbs ? "before the baseline" : "baseline";
  const during = functionProbe.disturbs ? "after the window, still down" : "window, once it was down";
  const control = isControl(experiment.attack);
  const back =
    backAfterMs === null
      ? "It was not seen again after the release."
      : `Seen again ${duration(backAfterMs)} after the release.`;
  return [
    `**${FUNCTION_WORDS[state].en}**. ${cell(because)}`,
    `Probe \`${functionProbe.name}\`: ${cell(functionProbe.means)} Absent after ${duration(functionProbe.deadlineMs)}.`,
    table(
      ["Phase", "Looks", "Present", "Share"],
      [
        phaseRow(before, baseline),
        phaseRow(control ? "window" : during, window),
        phaseRow("after the release", recovery),
      ],
      ["Looks", "Present", "Share"],
    ),
    result.releaseMs === null || control ? "" : back,
    arrivals(result.ownFunction),
    evidence.length === 0 ? "" : `What was seen:\n\n${list(evidence.map(cell))}`,
  ];
}

/** What the cluster said meanwhile, in order; empty where it said nothing. */
export function story(result: RunResult): string {
  const lines = result.story.map(({ text }) => cell(text));
  if (lines.length <= MOST_LINES) return lines.length === 0 ? "" : list(lines);
  const more = `… and ${plural(lines.length - MOST_LINES, "more line")} in \`result.json\`.`;
  return `${list(lines.slice(0, MOST_LINES))}\n\n${more}`;
}
