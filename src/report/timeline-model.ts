/**
 * What the pictures of a run show, as data: the SVG for Markdown and the page draw the same timeline from it. Pure. Times are
 * milliseconds since the run began.
 */
import { objectName } from "../common/object-name.js";
import { plural } from "../common/figures.js";
import { functionSpan, measuredSpans, phaseSpans, type ClosedSpan } from "../analysis/phases.js";
import type { MeasuredPhase, ProbeResult, RunResult } from "../analysis/result.js";
import type { Point, Series } from "../analysis/series.js";
import type { ObjectRef, RunEvent } from "../evidence/events.js";
import { RUNNER_SOURCE } from "../evidence/sample.js";
import { killWords } from "../experiment/attacks.js";
import { pickedByProbe, rowName } from "./pick.js";
import type { Axis } from "./timeline-base.js";
import {
  clusterMarks,
  endpointSteps,
  nodeSteps,
  type CountStep,
  type FunctionCheck,
} from "./timeline-lanes.js";

/** `function`: the application's window has ended, the component is still down and checked. */
export type DrawnPhase = MeasuredPhase | "function";
export type DrawnSpans = Readonly<Record<DrawnPhase, ClosedSpan | null>>;
type Spans = readonly ClosedSpan[];

/** The samples of one probe from one source. */
export interface SampleLane {
  readonly measured: ProbeResult;
  readonly series: Series;
  /** When its source stalled. */
  readonly late: Spans;
  /** A good sample from this length on is drawn as slow, ms; null: it had no good samples at the baseline. */
  readonly slowFromMs: number | null;
}

/** The lanes of one probe. `others`: of many sources, those that are not among the worst. */
export interface ProbeLanes {
  readonly shown: readonly SampleLane[];
  readonly others: readonly SampleLane[];
}

/** The target's instances, in steps. */
interface CountLane {
  readonly label: string;
  readonly steps: readonly CountStep[];
  /** Shown when there are no steps. */
  readonly none: string;
}

export interface Timeline {
  readonly name: string;
  /** "outage (on a substitute image)" */
  readonly severity: string;
  /** null: nothing was measured. */
  readonly axis: Axis | null;
  /** What happened at zero: "the first kill". */
  readonly zeroLabel: string;
  readonly spans: DrawnSpans;
  readonly probes: readonly ProbeLanes[];
  readonly instances: CountLane;
  readonly checks: { readonly probe: string; readonly list: readonly FunctionCheck[] } | null;
  readonly cluster: ReturnType<typeof clusterMarks>;
  readonly runnerLate: Spans;
  /** What the pictures call a kill. */
  readonly kill: "deletion" | "kill";
  /** In order of time. */
  readonly events: readonly RunEvent[];
}

/** When a source stalled. */
function lateSpans({ disturbed = [] }: RunResult, source: string): Spans {
  return disturbed.find((each) => each.source === source)?.spans ?? [];
}

/** The verdict's rule for the p95 of a series, applied to one sample: it picks what is drawn, it decides nothing. */
function slowFrom(
  { slowFactor, slowFrom: leastMs }: RunResult["facts"]["experiment"]["thresholds"],
  { phases }: ProbeResult,
): number | null {
  const { p95Ms } = phases.baseline;
  return p95Ms === null ? null : Math.max(leastMs, slowFactor * p95Ms);
}

/** Whether a sample is drawn as slow. One that its late prober made longer is not. */
export const isSlow = (point: Point, fromMs: number | null): boolean =>
  point.outcome === "good" && point.disturbed !== true && fromMs !== null && point.durationMs >= fromMs;

/** Up to so many samples are held while the pictures are drawn: several read each of them. */
const MOST_HELD = 200_000;

function probeLanes(result: RunResult, series: readonly Series[]): ProbeLanes[] {
  const count = result.probes.reduce(
    (sum, { phases }) =>
      Object.values(phases).reduce((all, { samples, missed }) => all + samples + missed, sum),
    0,
  );
  // The copy has the points themselves instead of an access that makes them again.
  const rows = new Map(
    series.map((one) => [`${one.probe} ${one.source}`, count <= MOST_HELD ? { ...one } : one]),
  );
  const lane = (measured: ProbeResult): SampleLane[] => {
    const { probe, source } = measured;
    const row = rows.get(`${probe} ${source}`);
    const slowFromMs = slowFrom(result.facts.experiment.thresholds, measured);
    return row === undefined ? [] : [{ measured, series: row, late: lateSpans(result, source), slowFromMs }];
  };
  return pickedByProbe(result.probes).map(({ shown, others }) => ({
    shown: shown.flatMap(lane),
    others: others.flatMap(lane),
  }));
}

function axisOf(result: RunResult, spans: DrawnSpans): Axis | null {
  const known = [spans.baseline, spans.window, spans.recovery].filter((span) => span !== null);
  const fromMs = Math.min(...known.map((span) => span.fromMs));
  const toMs = Math.max(...known.map((span) => span.toMs));
  if (known.length === 0 || toMs <= fromMs) return null;
  return { fromMs, toMs, zeroMs: result.firstKillMs ?? spans.window?.fromMs ?? fromMs };
}

/** Whether every kill was a deletion. If so, the picture calls it "deletion". */
const onlyDeleted = ({ suppression }: RunResult): boolean => (suppression?.blows ?? []).length === 0;

function zeroLabel(result: RunResult): string {
  if (result.firstKillMs !== null) return onlyDeleted(result) ? "the first deletion" : "the first kill";
  return result.phases.window === undefined ? "the baseline began" : "the window began";
}

function instancesOf({ facts }: RunResult, events: readonly RunEvent[]): CountLane {
  const nodes = facts.target?.nodes;
  return nodes === undefined
    ? { label: "endpoints of the target", steps: endpointSteps(events), none: "no Service" }
    : { label: "nodes that run the target", steps: nodeSteps(events, nodes), none: "not asked" };
}

function checksOf({ facts }: RunResult, events: readonly RunEvent[]): Timeline["checks"] {
  const probe = facts.functionProbe?.name;
  const list = events.filter(
    (event): event is FunctionCheck => event.type === "function" && event.probe === probe,
  );
  return probe === undefined || list.length === 0 ? null : { probe, list };
}

/**
 * @param events the run's events: kills, recreations, endpoints, function checks, nodes.
 * @param series the samples in the runner's time: `analysisOf`. A series that is not in the result is not drawn.
 */
export function timelineOf(
  result: RunResult,
  events: readonly RunEvent[],
  series: readonly Series[],
): Timeline {
  const ordered = [...events].sort((a, b) => a.tMs - b.tMs);
  const phases = phaseSpans(ordered);
  const endMs = ordered.at(-1)?.tMs ?? 0;
  const spans = { ...measuredSpans(phases, endMs), function: functionSpan(phases, endMs) };
  const axis = axisOf(result, spans);
  return {
    name: rowName(result),
    severity: `${result.severity}${result.onStandIn ? " (on a substitute image)" : ""}`,
    axis,
    zeroLabel: zeroLabel(result),
    spans,
    probes: probeLanes(result, series),
    instances: instancesOf(result, ordered),
    checks: checksOf(result, ordered),
    cluster: axis === null ? { notReady: [], churnMs: [] } : clusterMarks(ordered, axis),
    runnerLate: lateSpans(result, RUNNER_SOURCE),
    kill: onlyDeleted(result) ? "deletion" : "kill",
    events: ordered,
  };
}

/** How a mark is drawn. Each differs in shape, not in colour alone. */
type MarkShape =
  "kill" | "refused" | "recreated" | "restored" | "present" | "absent" | "bar" | "diamond" | "dot";

/** One thing that happened, for a lane below the samples. */
interface Mark {
  readonly fromMs: number;
  /** null: a moment. */
  readonly toMs: number | null;
  readonly shape: MarkShape;
  readonly text: string;
}

/** A lane below the samples. `steps`: a count over time, drawn behind the marks. */
export interface EventLane {
  readonly label: string;
  readonly marks: readonly Mark[];
  readonly steps?: readonly CountStep[];
}

const mark = (fromMs: number, shape: MarkShape, text: string, toMs: number | null = null): Mark => ({
  fromMs,
  toMs,
  shape,
  text,
});

const isDone = (status: number): boolean => status >= 200 && status < 300;

function killMark(event: Extract<RunEvent, { type: "kill" }>): Mark {
  const name = objectName(event.object);
  const done =
    event.action === undefined || event.action === "deleted"
      ? `${name} deleted`
      : killWords(event.action, name);
  const why = event.reason === "initial" ? "" : `; it was ${event.reason}`;
  return isDone(event.status)
    ? mark(event.tMs, "kill", `${done}${why}`)
    : mark(event.tMs, "refused", `attempt that took nothing down: ${done} (status ${event.status})`);
}

const HOW: Readonly<Record<string, string>> = { found: "found restored", returned: "moved back" };

/** What someone else, the attack itself or the runner restored. */
function restorerMark(event: RunEvent): Mark[] {
  const { tMs, type } = event;
  if (type === "target-ready") return [mark(tMs, "dot", "the target is ready")];
  if (type === "healthy") return [mark(tMs, "dot", "every probe is healthy")];
  if (type !== "recreated" && type !== "let-up" && type !== "restored") return [];
  const name = objectName(event.object);
  if (type === "let-up") return [mark(tMs, "recreated", `${name} restored by the attack itself`)];
  if (type === "restored")
    return [mark(tMs, "restored", `${name} ${HOW[event.how] ?? event.how} by ${event.by}`)];
  const by = event.by === undefined ? "" : ` by ${event.by}`;
  return [mark(tMs, "recreated", `${name} recreated${by}`)];
}

/** The changes of the target's instances, in words; unchanged states are left out. */
function instanceMarks(events: readonly RunEvent[]): Mark[] {
  const before = new Map<string, string>();
  const keyOf = ({ uid, name }: ObjectRef): string => uid ?? name;
  return events.flatMap((event): Mark[] => {
    if (event.type === "instance") {
      const { object, node, ready, terminating, podPhase } = event;
      const state = `${terminating ? "terminating" : ready ? "ready" : podPhase.toLowerCase()}`;
      if (before.get(keyOf(object)) === state) return [];
      before.set(keyOf(object), state);
      return [
        mark(event.tMs, "dot", `${objectName(object)}: ${state}${node === undefined ? "" : ` on ${node}`}`),
      ];
    }
    if (event.type === "gone") return [mark(event.tMs, "dot", `${objectName(event.object)}: gone`)];
    if (event.type !== "endpoints") return [];
    const { service, ready, servingTerminating } = event;
    const also = servingTerminating === 0 ? "" : `, ${servingTerminating} serving while terminating`;
    return [mark(event.tMs, "dot", `${objectName(service)}: ${plural(ready, "endpoint")} ready${also}`)];
  });
}

/** The lanes below the samples, those without content left out. */
export function eventLanes({ events, instances, checks, cluster, runnerLate }: Timeline): EventLane[] {
  const lanes: EventLane[] = [
    {
      label: instances.label,
      steps: instances.steps,
      marks: instanceMarks(events),
    },
    { label: "kills", marks: events.flatMap((event) => (event.type === "kill" ? [killMark(event)] : [])) },
    { label: "restorers", marks: events.flatMap(restorerMark) },
    {
      label: checks === null ? "" : `function: ${checks.probe}`,
      marks: (checks?.list ?? []).map(({ tMs, tookMs, present, evidence }) =>
        mark(
          tMs,
          present ? "present" : "absent",
          `${present ? "present" : "absent"}: ${evidence}`,
          tMs + tookMs,
        ),
      ),
    },
    {
      label: "nodes, churn",
      marks: [
        ...cluster.notReady.map(({ node, fromMs, toMs }) =>
          mark(fromMs, "bar", `${node} was not Ready`, toMs ?? Infinity),
        ),
        ...events.flatMap((event) =>
          event.type === "churn"
            ? [mark(event.tMs, "diamond", `database pod replaced: ${event.detail}`)]
            : [],
        ),
      ].sort((a, b) => a.fromMs - b.fromMs),
    },
    {
      label: "runner stalled",
      marks: runnerLate.map(({ fromMs, toMs }) =>
        mark(fromMs, "bar", "the runner stalled: not counted", toMs),
      ),
    },
  ];
  return lanes.filter(({ marks, steps = [] }) => marks.length + steps.length > 0);
}
