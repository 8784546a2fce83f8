/** Facts, events and raw samples → the result of a run. Pure: the same files always give the same result. */
import { plural, threshold } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import { RESULT_SCHEMA_VERSION, type RunFacts } from "../evidence/facts.js";
import { type RawSamples, RUNNER_SOURCE } from "../evidence/sample.js";
import { isControl } from "../experiment/attacks.js";
import { clientOf } from "./client.js";
import { clocksOf, seriesOf } from "./clocks.js";
import { companionsOf, ofTarget } from "./companion-events.js";
import { disturbedReasons, type OwnDelays, runnerStalls } from "./disturbed.js";
import { absentChecks, ownFunctionOf, type OwnFunction } from "./own-function.js";
import {
  functionSpan,
  measuredSpans,
  phaseSpans,
  releaseOf,
  type ClosedSpan,
  type MeasuredSpans,
  type PhaseSpans,
} from "./phases.js";
import { countedPoints, measuredSpan, probeResults, type RunTimes } from "./probe-results.js";
import { functionReasons, reasonsOf, type Reason } from "./reasons.js";
import { recoveryOf } from "./recovery.js";
import {
  type ClientFinding,
  type DisturbedSource,
  type ProbeResult,
  type Recovery,
  type RunResult,
  type Suppression,
} from "./result.js";
import type { Point, Series } from "./series.js";
import { severityOf, slowestOf, type SeverityFinding } from "./severity.js";
import { type AttackedNodes, storyOf } from "./story.js";
import { compareWithStudy } from "./study.js";
import { downAtMs, firstKillOf, suppressionOf } from "./suppression.js";
import { isKeptDown, isLate } from "./times-down.js";
import { verdictOf, type VerdictInput } from "./verdict.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

function ofType<T extends RunEvent["type"]>(events: readonly RunEvent[], type: T): EventOf<T>[] {
  return events.filter((event): event is EventOf<T> => event.type === type);
}

/** The runner's warnings, and how often each watch failed (the evidence then has gaps). */
function warningsOf(events: readonly RunEvent[]): string[] {
  const watches = new Map<string, number>();
  for (const { resource, what } of ofType(events, "watch")) {
    const key = `The watch of ${resource}: ${what}`;
    watches.set(key, (watches.get(key) ?? 0) + 1);
  }
  return [
    ...ofType(events, "warning").map(({ text }) => text),
    ...[...watches].map(([text, count]) =>
      count === 1 ? `${text}.` : `${text} (${plural(count, "time")}).`,
    ),
  ];
}

/** Facts in the current form: older runs have no function checks. */
function completed(facts: RunFacts): RunFacts {
  const { functionProbe } = facts as Partial<RunFacts>;
  return { ...facts, functionProbe: functionProbe ?? null };
}

/** The times of the run, from the events alone. */
interface Timeline {
  /** In order of time. */
  readonly events: readonly RunEvent[];
  /** The events about the target. */
  readonly ofTarget: readonly RunEvent[];
  readonly phases: PhaseSpans;
  readonly spans: MeasuredSpans;
  readonly functionSpan: ClosedSpan | null;
  readonly firstKillMs: number | null;
  readonly releaseMs: number | null;
  /** When the target stopped being kept down: the release, or the end of an interrupted run. */
  readonly downToMs: number;
}

/**
 * When the target was first down, from the events so far; null: not yet. The rule is that of the result, so the runner
 * and the result count from the same moment.
 *
 * @param events in any order.
 */
export function downSoFar(facts: RunFacts, events: readonly RunEvent[], nowMs: number): number | null {
  const ordered = [...events].sort((a, b) => a.tMs - b.tMs);
  return downAtMs(ofTarget(ordered, facts.target?.object), nowMs, facts.target?.nodes);
}

function timelineOf(facts: RunFacts, events: readonly RunEvent[]): Timeline {
  const ordered = [...events].sort((a, b) => a.tMs - b.tMs);
  const endMs = ordered.at(-1)?.tMs ?? 0;
  const phases = phaseSpans(ordered);
  const spans = measuredSpans(phases, endMs);
  const afterWindow = functionSpan(phases, endMs);
  const targets = ofTarget(ordered, facts.target?.object);
  const releaseMs = releaseOf(phases);
  return {
    events: ordered,
    ofTarget: targets,
    phases,
    spans,
    functionSpan: afterWindow,
    firstKillMs: firstKillOf(targets),
    releaseMs,
    downToMs: releaseMs ?? afterWindow?.toMs ?? spans.window?.toMs ?? endMs,
  };
}

function suppressionIn(
  facts: RunFacts,
  time: Timeline,
  disturbed: readonly DisturbedSource[],
): Suppression | null {
  const { window } = time.spans;
  if (window === null) return null;
  const stalls = runnerStalls(disturbed);
  return suppressionOf(time.ofTarget, window.fromMs, time.downToMs, facts.target?.nodes, stalls);
}

/** What the sources tell about their own delay, from the start of the baseline to the end of the last measured phase. */
function disturbedIn({ spans }: Timeline, delays: ReadonlyMap<string, OwnDelays>): DisturbedSource[] {
  const span = measuredSpan(spans);
  return [...delays].flatMap(([source, own]) => own.within(source, span) ?? []);
}

/** When the target was first down; null: never, or nothing was killed. */
function downIn({ firstKillMs }: Timeline, suppression: Suppression | null): number | null {
  const downAfterMs = suppression?.downAfterMs ?? null;
  return firstKillMs === null || downAfterMs === null ? null : firstKillMs + downAfterMs;
}

/**
 * The spans in which samples are counted. If the target is kept down, the window begins when it was down: what the
 * application did while it still served shows nothing of its loss. If it was down too late, nothing is concluded.
 */
function sampledSpans(facts: RunFacts, { spans }: Timeline, downMs: number | null): MeasuredSpans {
  const { window } = spans;
  if (window === null || downMs === null || !isKeptDown(facts)) return spans;
  if (isLate(downMs, window.toMs, facts.experiment.phases.window)) return spans;
  return { ...spans, window: { fromMs: Math.max(window.fromMs, downMs), toMs: window.toMs } };
}

function recoveryIn(facts: RunFacts, time: Timeline, probes: readonly ProbeResult[]): Recovery | null {
  const { recovery, window } = time.spans;
  const harmedFromMs = time.firstKillMs ?? window?.fromMs;
  if (recovery === null || harmedFromMs === undefined) return null;
  return recoveryOf(time.ofTarget, probes, harmedFromMs, recovery, facts.target?.nodes);
}

/** What a client saw in the window, from the first kill; null: there was no window. */
function clientIn(
  facts: RunFacts,
  time: Timeline,
  series: readonly Series[],
  probes: readonly ProbeResult[],
  times: RunTimes,
): ClientFinding | null {
  const { window } = time.spans;
  if (window === null) return null;
  const measured = probes.flatMap((result, index) => {
    const one = series[index];
    if (one === undefined || result.source === RUNNER_SOURCE || !/^app-(write|read)$/.test(result.probe))
      return [];
    // Only a failure needs them: a long run without one is not unpacked for nothing.
    let points: readonly Point[] | undefined;
    return [
      {
        result,
        get points() {
          return (points ??= countedPoints(one.points, times));
        },
      },
    ];
  });
  const placed = ofType(time.events, "front-ends").flatMap(({ pods }) => pods);
  const slowest = slowestOf(
    measured.map(({ result }) => result),
    facts.experiment.thresholds,
  );
  return clientOf(
    measured,
    {
      harmed: { fromMs: time.firstKillMs ?? window.fromMs, toMs: window.toMs },
      goodInARow: times.goodInARow,
      nodeOf: new Map(placed.map(({ name, node }) => [name, node])),
    },
    slowest?.result,
  );
}

/** The nodes of a unit that was stopped: without a kubelet or a container runtime a node does not stay Ready. */
function attackedNodes(facts: RunFacts, { firstKillMs, releaseMs }: Timeline): AttackedNodes | undefined {
  const { target } = facts;
  if (target?.nodes === undefined || target.object.kind !== "SystemdUnit") return undefined;
  if (firstKillMs === null || releaseMs === null || !isKeptDown(facts)) return undefined;
  return { nodes: target.nodes, firstKillMs, releaseMs };
}

/** A failure that noise does not explain but that is too small for the severity: said, so that both are understood. */
function smallFailure(
  { severity }: SeverityFinding,
  client: ClientFinding | null,
  { degradedBelow }: RunFacts["experiment"]["thresholds"],
): string | undefined {
  if (severity !== "none" && severity !== "function lost") return undefined;
  if (client?.class !== "unreachable" && client?.class !== "intermittent") return undefined;
  return `A client saw a failure that is too small to count: ${client.because} (degraded: over ${threshold(1 - degradedBelow)} of the window's samples).`;
}

/** What the measurements allow to conclude, and why the rest cannot be concluded. */
function conclusion(
  facts: RunFacts,
  time: Timeline,
  measured: SeverityFinding & Pick<VerdictInput, "clientSaw">,
  ownFunction: OwnFunction,
  others: readonly Reason[],
): Pick<
  RunResult,
  "verdict" | "verdictBecause" | "reasons" | "severity" | "severityBecause" | "study" | "onStandIn"
> {
  const reasons = others.length > 0 ? others : functionReasons(facts, measured.severity, ownFunction.result);
  const open = reasons.length > 0;
  const severity = open ? "inconclusive" : measured.severity;
  const { clientSaw } = measured;
  const observed = clientSaw === undefined ? measured.because : `${measured.because} ${clientSaw}`;
  const severityBecause = open ? `Nothing can be concluded. Observed: ${observed}` : observed;
  const { events, releaseMs } = time;
  const functionChecks = absentChecks(facts, events);
  const finding = verdictOf({
    facts,
    events,
    reasons,
    severity,
    severityBecause,
    releaseMs,
    clientSaw,
    functionChecks,
  });
  const onStandIn = facts.standIns.some(({ victim }) => victim);
  return {
    verdict: finding.verdict,
    verdictBecause: finding.because,
    reasons,
    severity,
    severityBecause,
    study: compareWithStudy(facts.study, {
      // The application's result is known even if the function's is not.
      severity: others.length > 0 ? "inconclusive" : measured.severity,
      functionLost: ownFunction.lost,
      functionState: ownFunction.result.state,
      onStandIn,
      control: isControl(facts.experiment.attack),
    }),
    onStandIn,
  };
}

/**
 * @param given the facts of the run.
 * @param events in any order; those of the same millisecond keep the order in which they are given.
 * @param samples one entry for each file of samples; the lines of a file in the file's order.
 * @param notes problems found while reading the files (for example a torn line). They become warnings.
 */
export function analyse(
  given: RunFacts,
  events: readonly RunEvent[],
  samples: readonly RawSamples[],
  notes: readonly string[] = [],
): RunResult {
  return analysisOf(given, events, samples, notes).result;
}

/** As `analyse`, and the series in the runner's time, as the timeline draws them: the samples are read only once. */
export function analysisOf(
  given: RunFacts,
  events: readonly RunEvent[],
  samples: readonly RawSamples[],
  notes: readonly string[] = [],
): { readonly result: RunResult; readonly series: readonly Series[] } {
  const facts = completed(given);
  const time = timelineOf(facts, events);
  const { spans, phases, firstKillMs, releaseMs } = time;
  const clocks = clocksOf(time.events);
  const notMeasured = new Set(facts.notMeasured.map(({ probe }) => probe));
  const placed = seriesOf(samples, clocks);
  const series = placed.series.filter(({ probe }) => !notMeasured.has(probe));
  const disturbed = disturbedIn(time, placed.delays);
  const suppression = suppressionIn(facts, time, disturbed);
  const downMs = downIn(time, suppression);
  const sampled = { ...time, spans: sampledSpans(facts, time, downMs) };
  const { goodInARow, interval: intervalMs } = facts.experiment.probes;
  const times = { ...sampled, goodInARow, intervalMs, leftOut: time.functionSpan };
  const probes = probeResults(series, times);
  const recovery = recoveryIn(facts, time, probes);
  const functionProbes = facts.functionProbes.filter((probe) => !notMeasured.has(probe));
  const ownFunction = ownFunctionOf({ ...time, facts, probes, functionProbes, suppression });
  const { workers, of } = facts.sampling ?? {};
  const everyWorker = workers === of ? "every worker" : "every sampled worker";
  const { thresholds } = facts.experiment;
  const client = clientIn(facts, time, series, probes, times);
  const finding = severityOf(probes, thresholds, ownFunction, everyWorker);
  const measured = { ...finding, clientSaw: smallFailure(finding, client, thresholds) };
  const others = reasonsOf({
    facts,
    events: time.events,
    probes,
    spans: sampled.spans,
    suppression,
    downMs,
    disturbed: disturbedReasons(facts, disturbed, sampled.spans, suppression),
  });
  const concluded = conclusion(facts, time, measured, ownFunction, others);
  const windowFromMs = spans.window?.fromMs ?? null;
  const result: RunResult = {
    schemaVersion: RESULT_SCHEMA_VERSION,
    facts,
    verdict: concluded.verdict,
    verdictBecause: concluded.verdictBecause,
    reasons: concluded.reasons,
    severity: concluded.severity,
    severityBecause: concluded.severityBecause,
    client,
    ownFunction: ownFunction.result,
    functionLost: ownFunction.lost,
    functionBecause: ownFunction.because,
    story: storyOf(time.events, windowFromMs, firstKillMs ?? windowFromMs ?? 0, attackedNodes(facts, time)),
    study: concluded.study,
    onStandIn: concluded.onStandIn,
    firstKillMs,
    releaseMs,
    phases,
    suppression,
    companions: companionsOf(time.events, facts.target?.object),
    recovery,
    restored: ofType(time.events, "restored").map(({ object, how, by, tMs }) => ({ object, how, by, tMs })),
    probes,
    clocks,
    checks: ofType(time.events, "check").map(({ name, ok, detail, assumed }) => ({
      name,
      ok,
      detail,
      ...(assumed === undefined ? {} : { assumed }),
    })),
    warnings: [...notes, ...placed.warnings, ...warningsOf(time.events)],
    ...(disturbed.length === 0 ? {} : { disturbed }),
  };
  return { result, series: placed.series };
}
