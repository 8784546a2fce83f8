/** What a reporter gets, and what it is. A new reporter: a file beside this one, and a line in all-reporters.ts. */
import type { RunResult } from "../analysis/result.js";
import type { ExitCode } from "../common/errors.js";
import type { Read } from "../report/read-reports.js";
import type { Place } from "../strict-yaml/positions.js";

/**
 * passed: as the file expects, or the file expects nothing. failure: measured, and different. error: the tool or its
 * surroundings failed, the cluster is not restored, or after an attack nothing can be concluded: it must never look like
 * a success. skipped: nothing was attacked, or there is nothing to judge.
 */
export type CaseState = "passed" | "failure" | "error" | "skipped";

/** One expectation of one experiment. */
export interface Case {
  /** The same in every run, so that CI systems can follow it: "application". */
  readonly name: string;
  readonly state: CaseState;
  /** The kind of a state other than passed: "differs", "inconclusive". */
  readonly type: string;
  /** The figures, as a sentence or two. */
  readonly message: string;
  readonly tookMs: number;
}

/** One experiment of a session, or one row of a matrix. */
export interface Suite {
  /** Name of the experiment. */
  readonly name: string;
  /** "kube-dns: outage (as expected)". */
  readonly headline: string;
  /** The experiment file; "": not known. */
  readonly file: string;
  /** Its expectation; undefined: the file cannot be read. */
  readonly place: Place | undefined;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly cases: readonly Case[];
  readonly properties: readonly (readonly [name: string, value: string])[];
  /** The result in a few lines. */
  readonly summary: readonly string[];
  /** Path of its report; undefined: there is none. */
  readonly report: string | undefined;
  readonly result: RunResult | undefined;
}

/** One command: its runs so far, or all of them. */
export interface Session {
  /** "chaos run". */
  readonly name: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly reportsFolder: string;
  readonly suites: readonly Suite[];
  /** The command's exit code; null: it is still running. */
  readonly exitCode: ExitCode | null;
  /** Why the command ended before its runs; undefined: it did not. */
  readonly problem: string | undefined;
  /** Further lines for people: the comparison with the accepted matrix. */
  readonly notes: readonly string[];
  /** All reports and their matrix, read once for all reporters. @throws when no run has a report. */
  readonly reports: () => Promise<Pick<Read, "matrix" | "entries">>;
}

/** Where a reporter that writes no file of its own sends what it says. */
export interface Outlets {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Prints a line that CI systems read. */
  readonly print: (line: string) => void;
}

/** A reporter that writes one file: again after each run, so that a session that is killed leaves what it has. */
export interface FileReporter {
  /** The file's name in the folder of the reports, if none is given; undefined: it prints, unless a file is given. */
  readonly file: string | undefined;
  readonly text: (session: Session) => string | Promise<string>;
}

/** A reporter that acts once, when the command ends. */
export interface EndReporter {
  readonly end: (session: Session, outlets: Outlets) => Promise<void>;
}

export type Reporter = FileReporter | EndReporter;

/** The worst state of a suite's cases. */
export function worstOf({ cases }: Pick<Suite, "cases">): CaseState {
  const states = cases.map(({ state }) => state);
  return (["error", "failure"] as const).find((state) => states.includes(state)) ?? passedOrSkipped(states);
}

/** A suite of which something was judged, and nothing is wrong, has passed. */
function passedOrSkipped(states: readonly CaseState[]): CaseState {
  return states.includes("passed") ? "passed" : "skipped";
}

/** How often each state is in a list. */
export function countStates(states: readonly CaseState[]): Readonly<Record<CaseState, number>> {
  const count = (state: CaseState): number => states.filter((each) => each === state).length;
  return {
    passed: count("passed"),
    failure: count("failure"),
    error: count("error"),
    skipped: count("skipped"),
  };
}

/** The cases of some suites by state. */
export function tally(suites: readonly Pick<Suite, "cases">[]): Readonly<Record<CaseState, number>> {
  return countStates(suites.flatMap(({ cases }) => cases.map(({ state }) => state)));
}

/** Why a session as a whole shows nothing; undefined: something was judged. */
export function nothingJudged({ suites, problem, exitCode }: Session): string | undefined {
  if (problem !== undefined) return problem;
  const judged = suites.some((suite) => worstOf(suite) !== "skipped");
  return judged || exitCode === null
    ? undefined
    : "No experiment was measured: every one was refused or not run.";
}
