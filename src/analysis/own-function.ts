/** The component's own function, from function checks or from the samples of a layer. Milliseconds. */
import { duration, threshold } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import type { RunFacts } from "../evidence/facts.js";
import { isControl } from "../experiment/attacks.js";
import type { ProbeName } from "../experiment/names.js";
import type { ClosedSpan, MeasuredSpans } from "./phases.js";
import type { FunctionPhase, FunctionResult, FunctionState, ProbeResult, Suppression } from "./result.js";
import { FUNCTION_LOST_BELOW, functionLosses, functionOf } from "./severity.js";
import { flappingEveryMs } from "./times-down.js";

type FunctionCheck = Extract<RunEvent, { type: "function" }>;

export interface OwnFunctionInput {
  readonly facts: RunFacts;
  /** In order of time. */
  readonly events: readonly RunEvent[];
  readonly probes: readonly ProbeResult[];
  /** Layers whose samples show the function, if they were measured. */
  readonly functionProbes: readonly ProbeName[];
  readonly spans: MeasuredSpans;
  /** From the window's end to the release, if the run has a separate phase for disruptive function checks. */
  readonly functionSpan: ClosedSpan | null;
  readonly firstKillMs: number | null;
  readonly releaseMs: number | null;
  readonly suppression: Suppression | null;
}

export interface OwnFunction {
  readonly result: FunctionResult;
  /** null: not measured, or inconclusive. */
  readonly lost: boolean | null;
  /** The figures behind that, as the end of a sentence. */
  readonly because: string;
}

const endOf = (check: FunctionCheck): number => check.tMs + check.tookMs;
const within = (check: FunctionCheck, span: ClosedSpan | null): boolean =>
  span !== null && check.tMs >= span.fromMs && check.tMs < span.toMs;

const phaseOf = (checks: readonly FunctionCheck[]): FunctionPhase => ({
  looks: checks.length,
  present: checks.filter(({ present }) => present).length,
});

/**
 * Checks that began before the attack: in the baseline or, for disruptive ones, at any time before the window. If the
 * first kill came during a check, its absent result says nothing.
 */
function baselineChecks(
  { spans, firstKillMs }: OwnFunctionInput,
  checks: readonly FunctionCheck[],
  disturbs: boolean,
): FunctionCheck[] {
  const windowFromMs = spans.window?.fromMs ?? Infinity;
  return checks
    .filter((check) => (disturbs ? check.tMs < windowFromMs : within(check, spans.baseline)))
    .filter((check) => check.present || endOf(check) <= (firstKillMs ?? Infinity));
}

/** When checks start to count for the window: when the target went down. null: it never did. */
function downSince({ facts, suppression, firstKillMs, spans }: OwnFunctionInput): number | null {
  if (isControl(facts.experiment.attack)) return spans.window?.fromMs ?? null;
  if (firstKillMs === null) return null;
  if (flappingEveryMs(facts) !== null) return firstKillMs;
  const downAfterMs = suppression?.downAfterMs ?? null;
  return downAfterMs === null ? null : firstKillMs + downAfterMs;
}

/**
 * Checks that began while the target was down; disruptive ones only in their own phase. If a check ended after the
 * release, its present result says nothing: the restored component may have caused it.
 */
function windowChecks(
  input: OwnFunctionInput,
  checks: readonly FunctionCheck[],
  disturbs: boolean,
): FunctionCheck[] {
  const since = downSince(input);
  const releaseMs = input.releaseMs ?? Infinity;
  if (since === null || input.spans.window === null) return [];
  return checks
    .filter((check) => check.tMs >= since && check.tMs < releaseMs)
    .filter((check) => !disturbs || within(check, input.functionSpan))
    .filter((check) => !check.present || endOf(check) <= releaseMs);
}

function stateOf(baseline: FunctionPhase, window: FunctionPhase): FunctionState {
  if (baseline.looks === 0 || baseline.present < baseline.looks || window.looks === 0) return "inconclusive";
  if (window.present === 0) return "lost";
  return window.present === window.looks ? "kept" : "partly lost";
}

/** Whether the state counts as lost. A partly lost function does if less than half of the checks found it. */
function isLost(state: FunctionState, { looks, present }: FunctionPhase): boolean | null {
  if (state === "inconclusive" || state === "not measured") return null;
  return state === "lost" || (state === "partly lost" && present / looks < FUNCTION_LOST_BELOW);
}

const among = ({ looks, present }: FunctionPhase): string =>
  present === 0 ? `none of ${looks}` : `${present} of ${looks}`;

/** "present in 3 of 3 checks before". */
function before(baseline: FunctionPhase): string {
  if (baseline.looks === 0) return "not checked before (needed: at least one check)";
  const needed = baseline.present < baseline.looks ? " (needed: all)" : "";
  const checks = baseline.looks === 1 ? "check" : "checks";
  return `present in ${among(baseline)} ${checks} before${needed}`;
}

/** The figures of both phases: "present in 3 of 3 checks before, in none of 4 while it was down." */
function figures(state: FunctionState, baseline: FunctionPhase, window: FunctionPhase, when: string): string {
  if (window.looks === 0) return `${before(baseline)}, and no check finished ${when} (needed: one).`;
  const rule = state === "partly lost" ? ` (lost: under ${threshold(FUNCTION_LOST_BELOW)})` : "";
  return `${before(baseline)}, ${baseline.looks === 0 ? "present " : ""}in ${among(window)} ${when}${rule}.`;
}

/** What happened to items that had not arrived in time. The last event for each check counts. */
function arrivals(
  events: readonly RunEvent[],
  probe: FunctionCheck["probe"],
): { late: number; lostForGood: number } {
  const outcomes = new Map<number, "late" | "lost">();
  for (const event of events) {
    if (event.type === "function-late" && event.probe === probe) outcomes.set(event.look, event.outcome);
  }
  const all = [...outcomes.values()];
  return {
    late: all.filter((outcome) => outcome === "late").length,
    lostForGood: all.filter((outcome) => outcome === "lost").length,
  };
}

const word = ({ present }: FunctionCheck): string => (present ? "present" : "absent");

/** The first and last check of the window and the first good one after the release, each with its time. */
function evidenceOf(
  input: OwnFunctionInput,
  window: readonly FunctionCheck[],
  back: FunctionCheck | undefined,
): string[] {
  const zeroMs = input.firstKillMs ?? input.spans.window?.fromMs ?? 0;
  const of = window.length > 1 ? [window[0], window.at(-1)] : [window[0]];
  const lines = of
    .filter((check) => check !== undefined)
    .map((check) => `+${duration(check.tMs - zeroMs)}, ${word(check)}: ${check.evidence}`);
  if (back === undefined || input.releaseMs === null) return lines;
  return [
    ...lines,
    `${duration(back.tMs - input.releaseMs)} after the release, ${word(back)}: ${back.evidence}`,
  ];
}

function fromChecks(input: OwnFunctionInput, probe: NonNullable<RunFacts["functionProbe"]>): OwnFunction {
  const { releaseMs } = input;
  const checks = input.events.filter(
    (event): event is FunctionCheck => event.type === "function" && event.probe === probe.name,
  );
  const inWindow = windowChecks(input, checks, probe.disturbs);
  const after = releaseMs === null ? [] : checks.filter(({ tMs }) => tMs >= releaseMs);
  const back = after.find(({ present }) => present);
  const baseline = phaseOf(baselineChecks(input, checks, probe.disturbs));
  const window = phaseOf(inWindow);
  const state = stateOf(baseline, window);
  const text = figures(state, baseline, window, downWord(input.facts));
  return {
    result: {
      state,
      because: `Checks of ${probe.name}: ${text}`,
      baseline,
      window,
      recovery: phaseOf(after),
      backAfterMs: back === undefined || releaseMs === null ? null : endOf(back) - releaseMs,
      ...arrivals(input.events, probe.name),
      evidence: evidenceOf(input, inWindow, back),
    },
    lost: isLost(state, window),
    because: `${probe.name}: ${text}`,
  };
}

/** When the checks of the window ran, in words. */
function downWord(facts: RunFacts): string {
  if (isControl(facts.experiment.attack)) return "in the window";
  return flappingEveryMs(facts) === null ? "while it was down" : "while it was taken down repeatedly";
}

/**
 * Samples give a share: under half is lost; under the application's `degradedBelow` threshold, and more than noise
 * explains, is partly lost.
 */
function sampledState(input: OwnFunctionInput, lost: boolean | null): FunctionState {
  if (input.functionProbes.length === 0) return "not measured";
  if (lost === null) return "inconclusive";
  if (lost) return "lost";
  const { degradedBelow } = input.facts.experiment.thresholds;
  const losses = functionLosses(input.probes, input.functionProbes, degradedBelow);
  return losses.length > 0 ? "partly lost" : "kept";
}

/** The figures as a full sentence. */
function sampledBecause(because: string, lost: boolean | null): string {
  return lost === null ? `${because.charAt(0).toUpperCase()}${because.slice(1)}` : `Samples of ${because}`;
}

function fromSamples(input: OwnFunctionInput): OwnFunction {
  const { lost, because } = functionOf(input.probes, input.functionProbes);
  const state = sampledState(input, lost);
  return {
    result: {
      state,
      because: sampledBecause(because, lost),
      baseline: null,
      window: null,
      recovery: null,
      backAfterMs: null,
      late: 0,
      lostForGood: 0,
      evidence: [],
    },
    lost,
    because,
  };
}

/**
 * The component's own function before, during and after the attack: from its function checks if it has any, else
 * from the samples of the layers that show it.
 */
export function ownFunctionOf(input: OwnFunctionInput): OwnFunction {
  const { functionProbe } = input.facts;
  return functionProbe === null ? fromSamples(input) : fromChecks(input, functionProbe);
}

/** How many function checks the whole run had, and how many of them did not find the function. */
export function absentChecks(
  facts: RunFacts,
  events: readonly RunEvent[],
): { readonly total: number; readonly absent: number } {
  const checks = events.filter(
    (event): event is FunctionCheck => event.type === "function" && event.probe === facts.functionProbe?.name,
  );
  return { total: checks.length, absent: checks.filter(({ present }) => !present).length };
}
