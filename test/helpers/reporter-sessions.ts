/** Sessions for the tests of reporters. */
import type { RunResult } from "../../src/analysis/result.js";
import { exitCodeOf } from "../../src/analysis/verdict.js";
import type { ExitCode } from "../../src/common/errors.js";
import type { Session, Suite } from "../../src/reporters/reporter.js";
import { type FinishedRun, suiteOf } from "../../src/reporters/suites.js";
import { matrixOf, OUTAGE } from "./matrix-results.js";

const START = "2026-08-01T12:00:00.000Z";

export function finished(result: RunResult, change: Partial<FinishedRun> = {}): FinishedRun {
  return {
    name: result.facts.experiment.name,
    file: result.facts.experiment.file,
    place: { line: 17, column: 3 },
    startedAt: START,
    tookMs: 125_400,
    exitCode: exitCodeOf(result),
    result,
    report: `reports/${result.facts.runId}/report.md`,
    ...change,
  };
}

/** A run that ended before it had a result. */
export function ended(exitCode: ExitCode, problem: string, name = "heapster"): Suite {
  const file = `experiments/${name}.yaml`;
  return suiteOf({ name, file, place: undefined, startedAt: START, tookMs: 400, exitCode, problem });
}

export function session(suites: readonly Suite[], change: Partial<Session> = {}): Session {
  return {
    name: "chaos run",
    startedAt: START,
    tookMs: 125_500,
    reportsFolder: "reports",
    suites,
    exitCode: 0,
    problem: undefined,
    notes: [],
    reports: () => Promise.resolve({ matrix: matrixOf(OUTAGE), entries: [] }),
    ...change,
  };
}
