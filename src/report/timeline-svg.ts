/**
 * The run as a picture: one self-contained SVG file. White background (for light and dark pages), colours that
 * colour-blind readers can distinguish (by Okabe and Ito), and a difference in shape for every difference in colour:
 * good is thin and low, failed is tall, an outage is a bracket below.
 */
import { percent } from "../common/figures.js";
import type { ClosedSpan } from "../analysis/phases.js";
import type { Outage, ProbeResult, RunResult } from "../analysis/result.js";
import type { Series } from "../analysis/series.js";
import type { RunEvent } from "../evidence/events.js";
import {
  BOLD_BELOW,
  COLOUR,
  fit,
  fitEnd,
  LEFT,
  RIGHT,
  ROW,
  round,
  text,
  TOP,
  WIDTH,
  xOf,
  type Axis,
  xml,
} from "./timeline-base.js";
import { classify, runs, type Class } from "./timeline-bins.js";
import { attackLane, clusterLane, countLane, functionLane, LATE_STYLE, lateMarks } from "./timeline-lanes.js";
import {
  timelineOf,
  type DrawnPhase,
  type DrawnSpans,
  type ProbeLanes,
  type Timeline,
} from "./timeline-model.js";

const PHASE: Readonly<Record<DrawnPhase, { fill: string; label: string }>> = {
  baseline: { fill: "#f3f6fa", label: "baseline" },
  window: { fill: "#fdeee0", label: "window" },
  function: { fill: "#f6edf6", label: "function" },
  recovery: { fill: "#eaf5ef", label: "recovery" },
};

function phaseBands(spans: DrawnSpans, axis: Axis, bottom: number): string {
  const parts: string[] = [];
  for (const phase of ["baseline", "window", "function", "recovery"] as const) {
    const span = spans[phase];
    if (span === null) continue;
    const from = xOf(axis, span.fromMs);
    const width = round(xOf(axis, span.toMs) - from);
    const { fill, label } = PHASE[phase];
    parts.push(
      `<rect x="${from}" y="${TOP - 22}" width="${width}" height="${bottom - TOP + 22}" fill="${fill}"/>`,
    );
    // A phase that is too narrow for its name has no label, so that the next label stays readable.
    if (width > label.length * 6.6 + 6) {
      parts.push(text(from + width / 2, TOP - 9, label, { anchor: "middle", fill: COLOUR.faint }));
    }
  }
  return parts.join("\n");
}

/** Steps of 1, 2 or 5 times a power of ten, about ten to the axis. */
function tickStepMs(spanMs: number): number {
  const rough = Math.max(1, spanMs / 10);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? rough;
}

function xAxis(axis: Axis, y: number, zeroLabel: string): string {
  const step = tickStepMs(axis.toMs - axis.fromMs);
  const parts: string[] = [];
  const first = Math.ceil((axis.fromMs - axis.zeroMs) / step);
  const last = Math.floor((axis.toMs - axis.zeroMs) / step);
  for (let tick = first; tick <= last; tick += 1) {
    const x = xOf(axis, axis.zeroMs + tick * step);
    const seconds = String(Number(((tick * step) / 1000).toFixed(3))).replace("-", "−");
    parts.push(
      `<path d="M${x} ${TOP}V${y + 4}" stroke="${tick === 0 ? COLOUR.text : COLOUR.rule}" stroke-width="${tick === 0 ? 1.2 : 0.6}"/>`,
      text(x, y + 16, seconds, { anchor: "middle", fill: COLOUR.faint, size: 10 }),
    );
  }
  parts.push(
    text((LEFT + RIGHT) / 2, y + 31, `seconds since ${zeroLabel}`, { anchor: "middle", fill: COLOUR.faint }),
  );
  return parts.join("\n");
}

/** How the bracket of an intermittent failure differs from that of an outage. */
const INTERMITTENT = ` stroke-dasharray="3 2"`;

/** How a class of samples is drawn in its row: top, stroke width, colour and dashes. */
const MARK: Readonly<Record<Class, { y: number; width: number; colour: string; dash?: string }>> = {
  good: { y: 9.5, width: 3, colour: COLOUR.good },
  failed: { y: 6, width: 10, colour: COLOUR.failed },
  missed: { y: 9.5, width: 1.5, colour: COLOUR.missed, dash: "1.5 2" },
};

/**
 * One series: its samples by class, its source's own delays, and brackets below them: its outages, and dashed its
 * intermittent failures.
 */
function seriesRow(
  series: Series,
  measured: ProbeResult,
  axis: Axis,
  y: number,
  late: readonly ClosedSpan[],
): string {
  const columns = Math.floor((RIGHT - LEFT) / 2);
  const classes = classify(series.points, axis, columns);
  const { availability } = measured.phases.window;
  const parts: string[] = late.length === 0 ? [] : [lateMarks(late, axis, y)];
  for (const kind of ["missed", "good", "failed"] as const) {
    const { y: dy, width, colour, dash } = MARK[kind];
    const stretches = runs(classes, kind).map(
      ({ from, length }) => `M${LEFT + from * 2} ${y + dy}h${length * 2}`,
    );
    if (stretches.length === 0) continue;
    const dashes = dash === undefined ? "" : ` stroke-dasharray="${dash}"`;
    parts.push(`<path d="${stretches.join("")}" stroke="${colour}" stroke-width="${width}"${dashes}/>`);
  }
  const bracket = (spans: readonly Outage[]): string =>
    spans
      .map(({ fromMs, toMs }) => {
        const from = xOf(axis, fromMs);
        const to = Math.max(from + 1, xOf(axis, toMs ?? axis.toMs));
        return `M${from} ${y + 12}v3H${round(to)}${toMs === null ? "" : "v-3"}`;
      })
      .join("");
  const { outages, intermittent = [] } = measured;
  for (const [spans, dashes] of [
    [outages, ""],
    [intermittent, INTERMITTENT],
  ] as const) {
    if (spans.length === 0) continue;
    parts.push(
      `<path d="${bracket(spans)}" fill="none" stroke="${COLOUR.outage}" stroke-width="1.3"${dashes}/>`,
    );
  }
  parts.push(
    text(RIGHT + 8, y + 13, percent(availability), { size: 10, bold: (availability ?? 1) < BOLD_BELOW }),
  );
  return parts.join("\n");
}

interface LegendItem {
  readonly draw: (x: number, y: number) => string;
  readonly label: string;
  readonly width: number;
}

const MARKS: readonly LegendItem[] = [
  {
    draw: (x, y) => `<path d="M${x} ${y}h18" stroke="${COLOUR.good}" stroke-width="3"/>`,
    label: "good",
    width: 70,
  },
  {
    draw: (x, y) => `<path d="M${x} ${y - 1}h18" stroke="${COLOUR.failed}" stroke-width="10"/>`,
    label: "failed",
    width: 76,
  },
  {
    draw: (x, y) =>
      `<path d="M${x} ${y}h18" stroke="${COLOUR.missed}" stroke-width="1.5" stroke-dasharray="1.5 2"/>`,
    label: "missed tick",
    width: 106,
  },
  {
    draw: (x, y) =>
      `<path d="M${x} ${y - 2}v4h18v-4" fill="none" stroke="${COLOUR.outage}" stroke-width="1.3"/>`,
    label: "outage (to the first answer)",
    width: 190,
  },
  {
    draw: (x, y) =>
      `<path d="M${x} ${y - 2}v4h18v-4" fill="none" stroke="${COLOUR.outage}" stroke-width="1.3"${INTERMITTENT}/>`,
    label: "intermittent",
    width: 102,
  },
];

function attackMarks(kill: string): LegendItem[] {
  return [
    {
      draw: (x, y) => `<path d="M${x + 8} ${y - 3}h6l-3 6z" fill="${COLOUR.text}"/>`,
      label: kill,
      width: 82,
    },
    {
      draw: (x, y) =>
        `<path d="M${x + 8} ${y + 2}h6l-3 -5z" fill="#ffffff" stroke="${COLOUR.text}" stroke-width="0.8"/>`,
      label: "recreated",
      width: 92,
    },
  ];
}

const NOT_READY: LegendItem = {
  draw: (x, y) =>
    `<path d="M${x} ${y - 4}v9M${x} ${y}h18M${x + 18} ${y - 4}v9" stroke="${COLOUR.text}" stroke-width="2.5"/>`,
  label: "node not Ready",
  width: 134,
};

const CHURN: LegendItem = {
  draw: (x, y) =>
    `<path d="M${x + 9} ${y - 5.5}l4 5.5l-4 5.5l-4 -5.5z" fill="#ffffff" stroke="${COLOUR.text}" stroke-width="1.2"/>`,
  label: "database pod replaced",
  width: 160,
};

const LATE: LegendItem = {
  draw: (x, y) => `<rect x="${x}" y="${y - 6}" width="18" height="12" ${LATE_STYLE}/>`,
  label: "measuring stalled: not counted",
  width: 184,
};

const anyLate = ({ probes, runnerLate }: Timeline): boolean =>
  runnerLate.length > 0 || probes.some(({ shown }) => shown.some(({ late }) => late.length > 0));

function legend(items: readonly LegendItem[], y: number): string {
  let x = LEFT;
  return items
    .map(({ draw, label, width }) => {
      const part = draw(x, y) + text(x + 23, y + 4, label, { size: 10, fill: COLOUR.faint });
      x += width;
      return part;
    })
    .join("\n");
}

/** The rows of all series, with the probe's name before its first. */
function lanes(probes: readonly ProbeLanes[], axis: Axis, top: number): { body: string; y: number } {
  const parts: string[] = [];
  let y = top;
  for (const { shown, others } of probes) {
    const probe = shown[0]?.measured.probe;
    if (probe === undefined) continue;
    if (y > top) y += 3;
    parts.push(
      `<path d="M8 ${y}H${WIDTH - 8}" stroke="${COLOUR.rule}" stroke-width="0.8"/>`,
      text(10, y + 13, probe, { bold: true }),
      ...(others.length === 0
        ? []
        : [text(10, y + 27, `and ${others.length} others`, { size: 10, fill: COLOUR.faint })]),
    );
    for (const { series, measured, late } of shown) {
      parts.push(
        text(LEFT - 6, y + 13, fitEnd(measured.source, 96, 10), {
          anchor: "end",
          size: 10,
          fill: COLOUR.faint,
        }),
        seriesRow(series, measured, axis, y, late),
      );
      y += ROW;
    }
  }
  return { body: parts.join("\n"), y: y + 3 };
}

function svg(height: number, title: string, body: string): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`,
    ` role="img" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" fill="none">`,
    `<title>${xml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    body,
    "</svg>\n",
  ].join("\n");
}

/** A lane above the probes' rows. */
interface Lane {
  readonly label: string;
  /** Fainter, to the right of the label. A long text is cut at its start. */
  readonly detail?: string;
  readonly draw: (y: number) => string;
}

/** Lanes that only some runs have: function checks, nodes and churn. */
function moreLanes({ checks, cluster }: Timeline, result: RunResult, axis: Axis): Lane[] {
  const ofNodes = cluster.notReady.length > 0;
  const lanes: Lane[] = [];
  if (checks !== null) {
    lanes.push({
      label: "function",
      detail: checks.probe,
      draw: (y) => functionLane(checks.list, result.ownFunction.window, axis, y),
    });
  }
  if (ofNodes || cluster.churnMs.length > 0) {
    lanes.push({
      label: [...(ofNodes ? ["nodes not Ready"] : []), ...(cluster.churnMs.length > 0 ? ["churn"] : [])].join(
        ", ",
      ),
      draw: (y) => clusterLane(cluster, axis, y),
    });
  }
  return lanes;
}

/** Maximum width of a lane's detail, px: the room beside the label "function". */
const DETAIL_WIDTH = 140;

function drawLanes(lanes: readonly Lane[], top: number): string {
  return lanes
    .flatMap(({ label, detail, draw }, index) => {
      const y = top + index * (ROW + 3);
      return [
        text(10, y + 13, label, { bold: true }),
        ...(detail === undefined
          ? []
          : [
              text(LEFT - 6, y + 13, fitEnd(detail, DETAIL_WIDTH, 10), {
                anchor: "end",
                size: 10,
                fill: COLOUR.faint,
              }),
            ]),
        draw(y),
      ];
    })
    .join("\n");
}

/** The legend's lines. The second explains marks that only some runs have. */
function legends(timeline: Timeline, y: number): string[] {
  const { notReady, churnMs } = timeline.cluster;
  const more = [
    ...(notReady.length > 0 ? [NOT_READY] : []),
    ...(churnMs.length > 0 ? [CHURN] : []),
    ...(anyLate(timeline) ? [LATE] : []),
  ];
  const first = legend([...MARKS, ...attackMarks(timeline.kill)], y);
  return more.length === 0 ? [first] : [first, legend(more, y + 20)];
}

/** The timeline of a run. The parameters are those of `timelineOf`. */
export function timelineSvg(
  result: RunResult,
  events: readonly RunEvent[],
  series: readonly Series[],
): string {
  return drawnSvg(result, timelineOf(result, events, series));
}

export function drawnSvg(result: RunResult, timeline: Timeline): string {
  const { name, severity, axis, spans, instances } = timeline;
  const heading = [
    text(10, 24, fit(`${name}: ${severity}`, 700, 16), { size: 16, bold: true }),
    text(10, 44, fit(`${result.facts.experiment.title} · verdict: ${result.verdict}`, 980), {
      fill: COLOUR.faint,
    }),
  ].join("\n");
  const title = `Timeline of ${name}: ${severity}`;
  if (axis === null) return svg(110, title, `${heading}\n${text(10, 84, "Nothing was measured.")}`);
  const above: Lane[] = [
    {
      label: "attack",
      draw: (y) => lateMarks(timeline.runnerLate, axis, y) + attackLane(timeline.events, axis, y),
    },
    { label: instances.label, draw: (y) => countLane(instances.steps, axis, y, instances.none) },
    ...moreLanes(timeline, result, axis),
  ];
  const { body, y } = lanes(timeline.probes, axis, TOP + above.length * ROW + (above.length - 2) * 3 + 8);
  const below = legends(timeline, y + 52);
  const parts = [
    heading,
    phaseBands(spans, axis, y),
    text(RIGHT + 8, TOP - 20, "good in", { size: 10, fill: COLOUR.faint }),
    text(RIGHT + 8, TOP - 9, "window", { size: 10, fill: COLOUR.faint }),
    xAxis(axis, y, timeline.zeroLabel),
    drawLanes(above, TOP),
    body,
    ...below,
  ];
  return svg(y + 52 + 20 * below.length, title, parts.join("\n"));
}
