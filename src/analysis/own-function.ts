/** The component's own function: what the looks at it, or the samples of a layer, say. Milliseconds. */
import { duration, threshold } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import type { RunFacts } from "../evidence/facts.js";
import { isControl } from "../experiment/attacks.js";
import type { ProbeName } from "../experiment/names.js";
import type { ClosedSpan, MeasuredSpans } from "./phases.js";
import type { FunctionPhase, FunctionResult, FunctionState, ProbeResult, Suppression } from "./result.js";
import { FUNCTION_LOST_BELOW, functionOf, worstInWindow } from "./severity.js";
import { flappingEveryMs } from "./times-down.js";

type Look = Extract<RunEvent, { type: "function" }>;

export interface OwnFunctionInput {
  readonly facts: RunFacts;
  /** In order of time. */
  readonly events: readonly RunEvent[];
  readonly probes: readonly ProbeResult[];
  /** Layers whose samples show the function, where they were measured. */
  readonly functionProbes: readonly ProbeName[];
  readonly spans: MeasuredSpans;
  /** From the window's end to the release, where the run has a phase of its own for looks that disturb. */
  readonly functionSpan: ClosedSpan | null;
  readonly firstKillMs: number | null;
  readonly releaseMs: number | null;
  readonly suppression: Suppression | null;
}

export interface OwnFunction {
  readonly result: FunctionResult;
  /** null: not measured, or inconclusive. */
  readonly lost: boolean | null;
  /** The figures that decided that, as the end of a sentence. */
  readonly because: string;
}

const endOf = (look: Look): number => look.tMs + look.tookMs;
const within = (look: Look, span: ClosedSpan | null): boolean =>
  span !== null && look.tMs >= span.fromMs && look.tMs < span.toMs;

const phaseOf = (looks: readonly Look[]): FunctionPhase => ({
  looks: looks.length,
  present: looks.filter(({ present }) => present).length,
});

/**
 * Looks that began while all was well: in the baseline, or where they disturb at any time before the window. One
 * that the kill overtook says nothing by being absent.
 */
function baselineChecks(
  { spans, firstKillMs }: OwnFunctionInput,
  looks: readonly Look[],
  disturbs: boolean,
): Look[] {
  const windowFromMs = spans.window?.fromMs ?? Infinity;
  return looks
    .filter((look) => (disturbs ? look.tMs < windowFromMs : within(look, spans.baseline)))
    .filter((look) => look.present || endOf(look) <= (firstKillMs ?? Infinity));
}

/** Since when a look counts for the window: since the target was down. null: it never was. */
function downSince({ facts, suppression, firstKillMs, spans }: OwnFunctionInput): number | null {
  if (isControl(facts.experiment.attack)) return spans.window?.fromMs ?? null;
  if (firstKillMs === null) return null;
  if (flappingEveryMs(facts) !== null) return firstKillMs;
  const downAfterMs = suppression?.downAfterMs ?? null;
  return downAfterMs === null ? null : firstKillMs + downAfterMs;
}

/**
 * Looks that began while the target was down, and where they disturb in the phase for them. One that ended after
 * the release says nothing by being present: what had come back by then may have done it.
 */
function windowChecks(input: OwnFunctionInput, looks: readonly Look[], disturbs: boolean): Look[] {
  const since = downSince(input);
  const releaseMs = input.releaseMs ?? Infinity;
  if (since === null || input.spans.window === null) return [];
  return looks
    .filter((look) => look.tMs >= since && look.tMs < releaseMs)
    .filter((look) => !disturbs || within(look, input.functionSpan))
    .filter((look) => !look.present || endOf(look) <= releaseMs);
}

function stateOf(baseline: FunctionPhase, window: FunctionPhase): FunctionState {
  if (baseline.looks === 0 || baseline.present < baseline.looks || window.looks === 0) return "inconclusive";
  if (window.present === 0) return "lost";
  return window.present === window.looks ? "kept" : "partly lost";
}

/** Whether the state counts as lost; one that is lost in part does when under half of the looks found it. */
function isLost(state: FunctionState, { looks, present }: FunctionPhase): boolean | null {
  if (state === "inconclusive" || state === "not measured") return null;
  return state === "lost" || (state === "partly lost" && present / looks < FUNCTION_LOST_BELOW);
}

const among = ({ looks, present }: FunctionPhase): string =>
  present === 0 ? `none of ${looks}` : `${present} of ${looks}`;

/** "present in 3 of 3 looks before". */
function before(baseline: FunctionPhase): string {
  if (baseline.looks === 0) return "not looked at before (needed: at least one look)";
  const needed = baseline.present < baseline.looks ? " (needed: all)" : "";
  const looks = baseline.looks === 1 ? "look" : "looks";
  return `present in ${among(baseline)} ${looks} before${needed}`;
}

/** The figures of both phases: "present in 3 of 3 looks before, in none of 4 while it was down." */
function figures(state: FunctionState, baseline: FunctionPhase, window: FunctionPhase, when: string): string {
  if (window.looks === 0) return `${before(baseline)}, and no look was finished ${when} (needed: one).`;
  const rule = state === "partly lost" ? ` (lost: under ${threshold(FUNCTION_LOST_BELOW)})` : "";
  return `${before(baseline)}, ${baseline.looks === 0 ? "present " : ""}in ${among(window)} ${when}${rule}.`;
}

/** What became of what had not arrived in time; the last word on each look counts. */
function arrivals(events: readonly RunEvent[], probe: Look["probe"]): { late: number; lostForGood: number } {
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

const word = ({ present }: Look): string => (present ? "present" : "absent");

/** The first look of the window, its last, and the first good one after the release, each with its time. */
function evidenceOf(input: OwnFunctionInput, window: readonly Look[], back: Look | undefined): string[] {
  const zeroMs = input.firstKillMs ?? input.spans.window?.fromMs ?? 0;
  const of = window.length > 1 ? [window[0], window.at(-1)] : [window[0]];
  const lines = of
    .filter((look) => look !== undefined)
    .map((look) => `+${duration(look.tMs - zeroMs)}, ${word(look)}: ${look.evidence}`);
  if (back === undefined || input.releaseMs === null) return lines;
  return [
    ...lines,
    `${duration(back.tMs - input.releaseMs)} after the release, ${word(back)}: ${back.evidence}`,
  ];
}

function fromChecks(input: OwnFunctionInput, probe: NonNullable<RunFacts["functionProbe"]>): OwnFunction {
  const { releaseMs } = input;
  const looks = input.events.filter(
    (event): event is Look => event.type === "function" && event.probe === probe.name,
  );
  const inWindow = windowChecks(input, looks, probe.disturbs);
  const after = releaseMs === null ? [] : looks.filter(({ tMs }) => tMs >= releaseMs);
  const back = after.find(({ present }) => present);
  const baseline = phaseOf(baselineChecks(input, looks, probe.disturbs));
  const window = phaseOf(inWindow);
  const state = stateOf(baseline, window);
  const text = figures(state, baseline, window, downWord(input.facts));
  return {
    result: {
      state,
      because: `Looks at ${probe.name}: ${text}`,
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

/** When the looks of the window were taken, in words. */
function downWord(facts: RunFacts): string {
  if (isControl(facts.experiment.attack)) return "in the window";
  return flappingEveryMs(facts) === null ? "while it was down" : "while it was taken down again and again";
}

/** Samples know only more and less: under half is lost, as good as the application must be is kept. */
function sampledState(input: OwnFunctionInput, lost: boolean | null): FunctionState {
  if (input.functionProbes.length === 0) return "not measured";
  if (lost === null) return "inconclusive";
  if (lost) return "lost";
  const availability = worstInWindow(input.probes, input.functionProbes)?.phases.window.availability ?? 0;
  return availability < input.facts.experiment.thresholds.degradedBelow ? "partly lost" : "kept";
}

/** The figures as a sentence of their own. */
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
 * The component's own function before, during and after: by the looks of its function probe where it has one,
 * else by the samples of the layers that show it.
 */
export function ownFunctionOf(input: OwnFunctionInput): OwnFunction {
  const { functionProbe } = input.facts;
  return functionProbe === null ? fromSamples(input) : fromChecks(input, functionProbe);
}

/** How many looks of the whole run there were, and how many of them did not find the function. */
export function absentChecks(
  facts: RunFacts,
  events: readonly RunEvent[],
): { readonly looks: number; readonly absent: number } {
  const looks = events.filter(
    (event): event is Look => event.type === "function" && event.probe === facts.functionProbe?.name,
  );
  return { looks: looks.length, absent: looks.filter(({ present }) => !present).length };
}
