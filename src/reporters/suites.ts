/** A finished run → the cases that reporters show. Pure. The exit code and the cases always agree: see the tests. */
import type { RunResult } from "../analysis/result.js";
import { ExitCode } from "../common/errors.js";
import { duration } from "../common/figures.js";
import { isControl } from "../experiment/attacks.js";
import type { Severity } from "../experiment/names.js";
import { PARTS, partOf } from "../report/environments.js";
import { summaryLines } from "../report/summary.js";
import type { Place } from "../strict-yaml/positions.js";
import type { Case, Suite } from "./reporter.js";

/** A run as the command knows it. */
export interface FinishedRun {
  /** Name of the experiment. */
  readonly name: string;
  readonly file: string;
  readonly place: Place | undefined;
  readonly startedAt: string;
  readonly tookMs: number;
  readonly exitCode: ExitCode;
  /** Absent: the run ended before it had one; `problem` says why. */
  readonly result?: RunResult;
  readonly problem?: string;
  /** Path of report.md. */
  readonly report?: string;
}

type Draft = Pick<Case, "state" | "type" | "message">;

const passed = (message: string): Draft => ({ state: "passed", type: "as expected", message });

/** What a severity says about the application alone. */
function ofApplication(severity: Severity): Severity {
  return severity === "function lost" ? "none" : severity;
}

/** Why nothing of a run can be judged; undefined: it can. */
function unjudged({
  result,
  exitCode,
}: {
  readonly result: RunResult;
  readonly exitCode: ExitCode;
}): Draft | undefined {
  const { verdict, verdictBecause, severity } = result;
  if (verdict === "interrupted") return { state: "error", type: verdict, message: verdictBecause };
  if (severity === "inconclusive" || verdict === "inconclusive") {
    // Without a window nothing was attacked, so nothing can be wrong with the cluster or the application.
    const state = result.phases.window === undefined ? "skipped" : "error";
    const type = state === "skipped" ? "refused" : "inconclusive";
    return { state, type, message: verdictBecause };
  }
  if (exitCode === ExitCode.inconclusive)
    return {
      state: "error",
      type: "evidence lost",
      message: `The evidence could not be written, so this cannot be verified: ${verdictBecause}`,
    };
  return undefined;
}

function application({ facts, severity, severityBecause, verdict, verdictBecause }: RunResult): Draft {
  const { attack, expectedImpact } = facts.experiment;
  if (isControl(attack) && verdict === "differs" && ["outage", "degraded"].includes(severity))
    return { state: "failure", type: "differs", message: verdictBecause };
  const measured = `${severity}. ${severityBecause}`;
  if (expectedImpact === null || isControl(attack)) return passed(`Measured: ${measured}`);
  const same = ofApplication(expectedImpact) === ofApplication(severity);
  return same
    ? passed(`Expected: ${expectedImpact}; measured: ${measured}`)
    : { state: "failure", type: "differs", message: `Expected: ${expectedImpact}; measured: ${measured}` };
}

function ownFunction({ facts, ownFunction: found, functionLost, verdict, verdictBecause }: RunResult): Draft {
  const { attack, expectedImpact } = facts.experiment;
  const message = `${found.state}. ${found.because}`;
  if (isControl(attack))
    return verdict === "differs"
      ? { state: "failure", type: "differs", message: verdictBecause }
      : passed(message);
  if (functionLost === null) return { state: "skipped", type: found.state, message };
  const differs =
    (expectedImpact === "function lost" && !functionLost) || (expectedImpact === "none" && functionLost);
  if (!differs) return passed(message);
  const expected = functionLost ? "kept" : "lost";
  return { state: "failure", type: "differs", message: `Expected: ${expected}; measured: ${message}` };
}

function restored({ verdict, verdictBecause, firstKillMs, recovery }: RunResult, exitCode: ExitCode): Draft {
  if (verdict === "not restored") return { state: "error", type: verdict, message: verdictBecause };
  if (exitCode === ExitCode.notRestored)
    return {
      state: "error",
      type: "not restored",
      message: "Something is left to undo. `chaos restore` finishes it.",
    };
  if (firstKillMs === null)
    return { state: "skipped", type: "unchanged", message: "Nothing was taken down." };
  const healthy = recovery?.healthyMs ?? null;
  return passed(healthy === null ? "Restored." : `Restored; healthy ${duration(healthy)} after the release.`);
}

/** The only case of a run without a result. */
function withoutResult({ exitCode, problem = "no result" }: FinishedRun): Case {
  const refused = exitCode === ExitCode.preflightRefused;
  return {
    name: "application",
    state: refused ? "skipped" : "error",
    type: refused ? "refused" : exitCode === ExitCode.interrupted ? "interrupted" : "failed",
    message: problem,
    tookMs: 0,
  };
}

function casesOf(run: FinishedRun): Case[] {
  const { result, exitCode } = run;
  if (result === undefined) return [withoutResult(run)];
  const nothing = unjudged({ result, exitCode });
  let impact = nothing ?? application(result);
  const own: Draft =
    nothing === undefined
      ? ownFunction(result)
      : { state: "skipped", type: nothing.type, message: "Not judged: see the application." };
  const after = restored(result, exitCode);
  // Whatever the reason of the verdict is, a run that differs never looks as if it had passed.
  if (
    result.verdict === "differs" &&
    ![impact, own].some(({ state }) => ["failure", "error"].includes(state))
  )
    impact = { state: "failure", type: "differs", message: result.verdictBecause };
  const window = result.phases.window;
  const windowMs = window?.toMs == null ? 0 : window.toMs - window.fromMs;
  return [
    { name: "application", ...impact, tookMs: windowMs },
    { name: "own function", ...own, tookMs: 0 },
    { name: "restored", ...after, tookMs: result.recovery?.healthyMs ?? 0 },
  ];
}

/** What the run depends on, for people who compare runs. */
function propertiesOf({ result, file, place, exitCode, report }: FinishedRun): [string, string][] {
  const where: [string, string][] = [
    ["experiment.file", file],
    ...(place === undefined ? [] : [["experiment.line", String(place.line)] as [string, string]]),
    ["exit code", String(exitCode)],
    ...(report === undefined ? [] : [["report", report] as [string, string]]),
  ];
  if (result === undefined) return where;
  const { facts } = result;
  const { environment, cluster, target } = facts;
  const parts =
    environment === undefined
      ? [["Kubernetes", cluster.version] as [string, string]]
      : PARTS.flatMap(([key, words]): [string, string][] => {
          const value = partOf(environment, key);
          return value === undefined ? [] : [[words.en, value]];
        });
  return [
    ["run", facts.runId],
    ...where,
    ["tool version", facts.toolVersion],
    ["verdict", result.verdict],
    ["severity", result.severity],
    ["attack", facts.experiment.attack.type],
    ["component", target?.component ?? ""],
    ["cluster", `${cluster.provider}, context ${cluster.context}`],
    ...parts,
  ];
}

export function suiteOf(run: FinishedRun): Suite {
  const { name, file, place, startedAt, tookMs, result, problem = "no result", report, exitCode } = run;
  const summary = result === undefined ? [`${name}: ${problem}`] : summaryLines(result, report ?? "");
  return {
    name,
    headline: result === undefined ? `${name}: not measured (exit ${exitCode})` : (summary[0] ?? name),
    file,
    place,
    startedAt,
    tookMs,
    cases: casesOf(run),
    properties: propertiesOf(run),
    summary,
    report,
    result,
  };
}

/** An experiment that the session did not reach. */
export function notReached(run: Pick<FinishedRun, "name" | "file" | "place" | "startedAt">): Suite {
  const message = "Not run: the session ended before it.";
  return {
    ...run,
    headline: `${run.name}: not run`,
    tookMs: 0,
    cases: [{ name: "application", state: "skipped", type: "not run", message, tookMs: 0 }],
    properties: [["experiment.file", run.file]],
    summary: [`${run.name}: ${message}`],
    report: undefined,
    result: undefined,
  };
}
