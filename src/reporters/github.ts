/**
 * GitHub Actions: an annotation on the expectation of each experiment that did not pass, the step summary, and outputs.
 * Workflow commands are escaped as in actions/toolkit, packages/core/src/command.ts.
 */
import { appendFile, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { plural } from "../common/figures.js";
import { cutLines, summaryMarkdown } from "./markdown.js";
import {
  type CaseState,
  countStates,
  type EndReporter,
  nothingJudged,
  type Outlets,
  type Session,
  type Suite,
  worstOf,
} from "./reporter.js";

/** GitHub shows so many annotations of each kind and step (community discussion 26680); the rest is dropped silently. */
const MOST_ANNOTATIONS = 10;
/** A longer step summary is not shown at all: "supports content up to a size of 1024k". */
const MOST_SUMMARY_BYTES = 1024 * 1024;

const data = (text: string): string =>
  text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const property = (text: string): string => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

/** A workflow command: `::error file=…,line=…::message`. */
export function command(
  kind: "error" | "warning",
  properties: Readonly<Record<string, string | number | undefined>>,
  message: string,
): string {
  const pairs = Object.entries(properties)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key, value]) => `${key}=${property(String(value))}`);
  return `::${kind}${pairs.length === 0 ? "" : ` ${pairs.join(",")}`}::${data(message)}`;
}

const KINDS: Readonly<Record<CaseState, "error" | "warning" | undefined>> = {
  error: "error",
  failure: "error",
  // Something was not measured: not wrong, but not hidden either.
  skipped: "warning",
  passed: undefined,
};

/** Annotations of files outside the repository are not shown, and paths must be relative to it. */
function inRepository(file: string, workspace: string | undefined): string {
  if (workspace === undefined || workspace === "" || file === "") return file;
  const below = relative(resolve(workspace), resolve(file));
  return below.startsWith("..") || isAbsolute(below) ? file : below.split(sep).join("/");
}

function annotation(suite: Suite, workspace: string | undefined): { kind: string; line: string } | undefined {
  const worst = worstOf(suite);
  const kind = KINDS[worst];
  if (kind === undefined) return undefined;
  const { place, file, name, cases, headline } = suite;
  const shown = cases.filter(({ state }) => state === worst);
  const where = { file: inRepository(file, workspace), line: place?.line, col: place?.column };
  const title = `${name}: ${shown.map((each) => `${each.name} ${each.type}`).join(", ")}`;
  const message = [headline, ...shown.map((each) => each.message)].join("\n");
  return { kind, line: command(kind, { ...where, title }, message) };
}

/** At most so many of each kind, errors first; the last one counts the rest. */
function annotations(session: Session, workspace: string | undefined): string[] {
  const all = session.suites.flatMap((suite) => annotation(suite, workspace) ?? []);
  const problem = nothingJudged(session);
  const lines = problem === undefined ? [] : [command("error", { title: session.name }, problem)];
  for (const kind of ["error", "warning"] as const) {
    const of = all.filter((each) => each.kind === kind).map(({ line }) => line);
    const room = MOST_ANNOTATIONS - (kind === "error" ? lines.length : 0);
    const more = of.length - room;
    if (more <= 0) lines.push(...of);
    else {
      const rest = `${plural(more + 1, "more experiment")}: see the summary of this step`;
      lines.push(...of.slice(0, room - 1), command(kind, { title: session.name }, rest));
    }
  }
  return lines;
}

/** Appends as much of the summary as the step has room for: other programs of the step write there, too. */
async function appendSummary(session: Session, path: string): Promise<void> {
  const used = await stat(path).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return 0;
    },
  );
  const bytes = (text: string): number => Buffer.byteLength(text);
  await appendFile(path, cutLines(summaryMarkdown(session), MOST_SUMMARY_BYTES - used - 1, bytes));
}

/** Values for later steps. None has a line end, so `name=value` suffices. */
function outputs(session: Session): string {
  const { error, failure, passed, skipped } = countStates(session.suites.map(worstOf));
  const values = {
    "exit-code": session.exitCode ?? "",
    experiments: session.suites.length,
    passed,
    failed: failure,
    errors: error,
    skipped,
    reports: session.reportsFolder.replace(/[\r\n]/g, " "),
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

export const github: EndReporter = {
  end: async (session: Session, { env, print }: Outlets) => {
    for (const line of annotations(session, env["GITHUB_WORKSPACE"])) print(line);
    const { GITHUB_STEP_SUMMARY: summary = "", GITHUB_OUTPUT: output = "" } = env;
    if (summary !== "") await appendSummary(session, summary);
    if (output !== "") await appendFile(output, outputs(session));
  },
};
