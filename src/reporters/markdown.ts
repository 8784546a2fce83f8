/** A summary for a comment on a pull request, and for the step summary of GitHub. */
import { DASH, duration, percent, plural } from "../common/figures.js";
import { cell, table } from "../report/markdown-text.js";
import { matrixRow } from "../report/row.js";
import {
  type CaseState,
  countStates,
  type FileReporter,
  nothingJudged,
  type Session,
  type Suite,
  worstOf,
} from "./reporter.js";

/** GitHub refuses a comment with more characters (65,536); some are left for what the caller adds. */
const MOST_CHARACTERS = 60_000;

const WORDS: Readonly<Record<CaseState, string>> = {
  passed: "✅ as expected",
  failure: "❌ failed",
  error: "🛑 error",
  skipped: "⏭️ skipped",
};

function row(suite: Suite): string[] {
  const { result } = suite;
  const word = WORDS[worstOf(suite)];
  if (result === undefined) return [suite.name, word, DASH, DASH, DASH, DASH, DASH];
  const { severity, writeAvailability, longestOutageMs, recoveryMs, functionState } = matrixRow(result);
  return [
    suite.name,
    word,
    severity,
    percent(writeAvailability),
    duration(longestOutageMs),
    duration(recoveryMs),
    functionState,
  ];
}

const HEADER = [
  "Experiment",
  "Result",
  "Severity",
  "app → DB writes",
  "Longest outage",
  "Recovery",
  "Own function",
];

/** What is wrong with a suite, or why it was skipped; empty: it passed. */
function troubles(suite: Suite, notes: readonly string[]): string[] {
  const worst = worstOf(suite);
  if (worst === "passed") return [];
  // A note says the same of a row that is worse than accepted.
  const shown = suite.cases.filter(({ state, message }) => state === worst && !notes.includes(message));
  const report = suite.report === undefined ? "" : ` Report: \`${suite.report}\`.`;
  return shown.map(({ name, message }) => `- **${cell(suite.name)}**, ${name}: ${cell(message)}${report}`);
}

function headline({ suites, exitCode }: Session): string {
  const count = countStates(suites.map(worstOf));
  const counts = (["error", "failure", "passed", "skipped"] as const)
    .filter((state) => count[state] > 0)
    .map((state) => `${count[state]} ${WORDS[state]}`);
  const code = exitCode === null ? "still running" : `exit code ${exitCode}`;
  return `${plural(suites.length, "experiment")}: ${counts.join(", ") || "none measured"} (${code})`;
}

/** Whole lines, up to so many characters (or bytes, by `size`). */
export function cutLines(text: string, most: number, size = (part: string): number => part.length): string {
  if (size(text) <= most) return text;
  const note = "\n*The rest is left out: it is too long for this place.*\n";
  const kept: string[] = [];
  let used = size(note);
  for (const line of text.split("\n")) {
    used += size(line) + 1;
    if (used > most) break;
    kept.push(line);
  }
  return `${kept.join("\n")}${note}`;
}

export function summaryMarkdown(session: Session): string {
  const problem = nothingJudged(session);
  const list = session.suites.flatMap((suite) => troubles(suite, session.notes));
  const parts = [
    `## kube-system chaos: \`${session.name}\``,
    headline(session),
    ...(problem === undefined ? [] : [`**${cell(problem)}**`]),
    ...(session.suites.length === 0 ? [] : [table(HEADER, session.suites.map(row), HEADER.slice(3, 6))]),
    ...(list.length === 0 ? [] : [list.join("\n")]),
    ...(session.notes.length === 0 ? [] : [session.notes.map((note) => `- ${cell(note)}`).join("\n")]),
  ];
  return `${parts.join("\n\n")}\n`;
}

export const markdown: FileReporter = {
  file: "summary.md",
  text: (session) => cutLines(summaryMarkdown(session), MOST_CHARACTERS),
};
