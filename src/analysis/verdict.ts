/** The verdict of a run and its exit code. */
import { ExitCode } from "../common/errors.js";
import { duration, plural } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import type { RunFacts } from "../evidence/facts.js";
import { isControl } from "../experiment/attacks.js";
import type { Severity } from "../experiment/names.js";
import { interruptedWords, type Reason } from "./reasons.js";
import type { InconclusiveReason, RunResult, Verdict } from "./result.js";

export interface VerdictInput {
  readonly facts: RunFacts;
  /** In order of time. */
  readonly events: readonly RunEvent[];
  readonly reasons: readonly Reason[];
  readonly severity: Severity;
  readonly severityBecause: string;
  readonly releaseMs: number | null;
  /** A failure that a client saw although it is too small for the severity, as a sentence; undefined: none. */
  readonly clientSaw: string | undefined;
  /** Checks of the component's own function in the whole run, and how many of them did not find it. */
  readonly functionChecks: { readonly total: number; readonly absent: number };
}

export interface VerdictFinding {
  readonly verdict: Verdict;
  /** One sentence or two. */
  readonly because: string;
}

/** Whether a kill may have changed something: accepted, or without a clear answer (0, 5xx). A 4xx changed nothing. */
function changedSomething(events: readonly RunEvent[]): boolean {
  return events.some((event) => event.type === "kill" && (event.status < 400 || event.status >= 500));
}

/** What is missing before the run counts as restored; empty: nothing. */
function missingForRestored(events: readonly RunEvent[], releaseMs: number | null): string[] {
  if (!changedSomething(events)) return [];
  const lastKill = events.findLast((event) => event.type === "kill")?.tMs ?? 0;
  const since = Math.max(lastKill, releaseMs ?? lastKill);
  const seen = (type: RunEvent["type"]): boolean =>
    events.some((event) => event.type === type && event.tMs >= since);
  const missing: string[] = [];
  if (!seen("target-ready")) missing.push("the target was not seen ready again");
  // After a foreign change of the application, its probes can no longer show whether the cluster is healthy.
  const changed = events.some((event) => event.type === "stopped" && event.code === "application-changed");
  if (!seen("healthy") && !changed) missing.push("the probes were not all healthy again");
  return missing;
}

/** Nothing was taken down, so neither the application nor the component's own function may be affected. */
function ofControl({ severity, severityBecause, clientSaw, functionChecks }: VerdictInput): VerdictFinding {
  const fault = "The method or the cluster is at fault.";
  if (severity !== "none") {
    return {
      verdict: "differs",
      because: `Control run: nothing was taken down, but: ${severityBecause} ${fault}`,
    };
  }
  if (functionChecks.absent > 0) {
    const { total, absent: count } = functionChecks;
    const absent = `${count} of ${plural(total, "check")} did not find the component's own function.`;
    return {
      verdict: "differs",
      because: `Control run: nothing was taken down, but: ${absent} ${fault}`,
    };
  }
  if (clientSaw !== undefined)
    return { verdict: "control", because: `Control run: nothing was taken down. ${clientSaw}` };
  return {
    verdict: "control",
    because: "Control run: nothing was taken down and nothing was affected, so measuring alone does no harm.",
  };
}

function ofValidRun(input: VerdictInput): VerdictFinding {
  const { facts, severity, severityBecause } = input;
  if (isControl(facts.experiment.attack)) return ofControl(input);
  const expected = facts.experiment.expectedImpact;
  if (expected === null) {
    return {
      verdict: "as expected",
      because: `No expectation was given; measured: ${severity}. ${severityBecause}`,
    };
  }
  return expected === severity
    ? { verdict: "as expected", because: `Expected and measured: ${severity}. ${severityBecause}` }
    : { verdict: "differs", because: `Expected: ${expected}; measured: ${severity}. ${severityBecause}` };
}

const sentence = (text: string): string => (text.endsWith(".") ? text : `${text}.`);

/** Reasons that are known before the attack, and that `--anyway` overrides (known-before.ts). */
const OVERRIDABLE: readonly InconclusiveReason[] = [
  "baseline-unhealthy",
  "control-arm-failed",
  "no-samples",
  "function-not-measured",
  "churn-not-harmless",
];

function whatToDo({ code }: Reason): string {
  return OVERRIDABLE.includes(code)
    ? " Repair what the reason names and run it again, or attack anyway with --anyway."
    : "";
}

/**
 * The verdict. The most urgent case comes first: a cluster that is not restored, then an interruption, then an
 * inconclusive run.
 */
export function verdictOf(input: VerdictInput): VerdictFinding {
  const { events, reasons, facts } = input;
  const missing = missingForRestored(events, input.releaseMs);
  if (missing.length > 0) {
    const limit = duration(facts.experiment.phases.recovery);
    const text = `Not restored: ${missing.join(", and ")} (time limit: ${limit}).`;
    return {
      verdict: "not restored",
      because: `${text} Run \`chaos restore\`: it completes the restore from the journal.`,
    };
  }
  const signal = events.find((event) => event.type === "signal");
  if (signal !== undefined) {
    const state = changedSomething(events)
      ? "Everything that was taken down is restored."
      : "Nothing was taken down.";
    return {
      verdict: "interrupted",
      because: `${interruptedWords(signal)}. ${state}`,
    };
  }
  const [first] = reasons;
  if (first !== undefined) {
    const more = reasons.length > 1 ? ` (${plural(reasons.length - 1, "more reason")} below.)` : "";
    const restored =
      first.code === "aborted" && changedSomething(events)
        ? " Everything that was taken down is restored."
        : "";
    // Without a window nothing was attacked: see `exitCodeOf`.
    const begun = events.some((event) => event.type === "phase" && event.phase === "window");
    const refused = begun ? "" : ` Nothing was attacked.${whatToDo(first)}`;
    return {
      verdict: "inconclusive",
      because: `Nothing can be concluded: ${sentence(first.message)}${restored}${refused}${more}`,
    };
  }
  return ofValidRun(input);
}

const EXIT_CODES: Readonly<Record<Verdict, ExitCode>> = {
  "as expected": ExitCode.asExpected,
  control: ExitCode.asExpected,
  differs: ExitCode.differs,
  inconclusive: ExitCode.inconclusive,
  "not restored": ExitCode.notRestored,
  interrupted: ExitCode.interrupted,
};

/** The exit code for this result. A run that ended before its window refused to attack: nothing could be concluded. */
export function exitCodeOf({ verdict, phases }: Pick<RunResult, "verdict" | "phases">): ExitCode {
  if (verdict === "inconclusive" && phases.window === undefined) return ExitCode.preflightRefused;
  return EXIT_CODES[verdict];
}
