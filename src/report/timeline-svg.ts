/**
 * The run as a picture: one SVG file that needs nothing else. White ground (light and dark pages alike), colours
 * that colour-blind readers can tell apart (Okabe and Ito's), and a difference in shape wherever there is one in
 * colour: good is thin and low, failed is tall, an outage is a bracket below.
 */
import type { RunEvent } from "../analysis/events.js";
import { phaseSpans, measuredSpans, type ClosedSpan } from "../analysis/phases.js";
import type { MeasuredPhase, ProbeResult, RunResult } from "../analysis/result.js";
import type { Series } from "../analysis/series.js";
import { percent, xml } from "./format.js";
import { rowName } from "./pick.js";
import { classify, runs, type Class } from "./timeline-bins.js";

const WIDTH = 1000;
const LEFT = 208;
const RIGHT = 924;
const ROW = 17;
const TOP = 86;
const COLOUR = {
  good: "#0072B2",
  failed: "#D55E00",
  missed: "#7f7f7f",
  outage: "#000000",
  ready: "#009E73",
  text: "#1a1a1a",
  faint: "#5a5a5a",
  rule: "#d9d9d9",
} as const;
/** A share under this is written in bold. */
const BOLD_BELOW = 0.5;
const PHASE: Readonly<Record<MeasuredPhase, { fill: string; label: string }>> = {
  baseline: { fill: "#f3f6fa", label: "baseline" },
  window: { fill: "#fdeee0", label: "window" },
  recovery: { fill: "#eaf5ef", label: "recovery" },
};

/** How the picture's x axis lies over the run. */
interface Axis {
  readonly fromMs: number;
  readonly toMs: number;
  /** Zero of the axis. */
  readonly zeroMs: number;
}

const round = (value: number): number => Math.round(value * 10) / 10;

function xOf({ fromMs, toMs }: Axis, tMs: number): number {
  const share = (tMs - fromMs) / (toMs - fromMs);
  return round(LEFT + Math.min(1, Math.max(0, share)) * (RIGHT - LEFT));
}

interface TextStyle {
  readonly anchor?: "start" | "middle" | "end";
  readonly size?: number;
  readonly fill?: string;
  readonly bold?: boolean;
}

function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { anchor = "start", size = 11, fill = COLOUR.text, bold = false } = style;
  const weight = bold ? ' font-weight="bold"' : "";
  return (
    `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" font-size="${size}" ` +
    `fill="${fill}"${weight}>${xml(content)}</text>`
  );
}

/** Cuts a text that would be wider than `width` px. No font is loaded, so the width is an estimate (upper). */
function fit(content: string, width: number, size = 11): string {
  const most = Math.floor(width / (size * 0.58));
  return content.length <= most ? content : `${content.slice(0, Math.max(1, most - 1))}…`;
}

/** The same, cut at its beginning: nodes of a cluster differ at the end of their names. */
function fitEnd(content: string, width: number, size: number): string {
  const reversed = (text: string): string => [...text].reverse().join("");
  return reversed(fit(reversed(content), width, size));
}

function phaseBands(
  spans: Readonly<Record<MeasuredPhase, ClosedSpan | null>>,
  axis: Axis,
  bottom: number,
): string {
  const parts: string[] = [];
  for (const phase of ["baseline", "window", "recovery"] as const) {
    const span = spans[phase];
    if (span === null) continue;
    const from = xOf(axis, span.fromMs);
    const width = round(xOf(axis, span.toMs) - from);
    const { fill, label } = PHASE[phase];
    parts.push(
      `<rect x="${from}" y="${TOP - 22}" width="${width}" height="${bottom - TOP + 22}" fill="${fill}"/>`,
    );
    // A phase too narrow for its name goes without: the next one's must stay readable.
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

/** Kills as filled marks pointing down, re-creations as hollow ones pointing up below them. */
function attackLane(events: readonly RunEvent[], axis: Axis, y: number): string {
  const marks = (type: "kill" | "recreated"): number[] => [
    ...new Set(
      events
        .filter((event) => event.type === type && event.tMs >= axis.fromMs && event.tMs <= axis.toMs)
        .map((event) => Math.round(xOf(axis, event.tMs))),
    ),
  ];
  const kills = marks("kill").map((x) => `M${x - 3} ${y + 2}h6l-3 6z`);
  const back = marks("recreated").map((x) => `M${x - 3} ${y + 15}h6l-3 -5z`);
  return (
    `<path d="${kills.join("")}" fill="${COLOUR.text}"/>` +
    `<path d="${back.join("")}" fill="#ffffff" stroke="${COLOUR.text}" stroke-width="0.8"/>`
  );
}

/** Sum over the target's Services of endpoints that serve (ready, or serving while terminating), in steps. */
function endpointSteps(events: readonly RunEvent[]): { tMs: number; count: number }[] {
  const services = new Map<string, number>();
  const steps: { tMs: number; count: number }[] = [];
  for (const event of events) {
    if (event.type !== "endpoints") continue;
    services.set(
      `${event.service.namespace ?? ""}/${event.service.name}`,
      event.ready + event.servingTerminating,
    );
    steps.push({ tMs: event.tMs, count: [...services.values()].reduce((sum, count) => sum + count, 0) });
  }
  return steps;
}

/** The endpoints as an area whose height is their number; its greatest and its present number are written out. */
function endpointLane(events: readonly RunEvent[], axis: Axis, y: number): string {
  const steps = endpointSteps(events);
  const most = Math.max(1, ...steps.map(({ count }) => count));
  const height = ROW - 3;
  const base = y + ROW - 1;
  let path = "";
  let lastX = LEFT;
  let lastHeight = -1;
  steps.forEach((step, index) => {
    const x = xOf(axis, step.tMs);
    const next = steps[index + 1];
    // Steps within the same pixel: only the last is seen.
    if (next !== undefined && xOf(axis, next.tMs) - x < 0.5) return;
    const top = round((step.count / most) * height);
    if (top === lastHeight) return;
    path += path === "" ? `M${x} ${base}V${base - top}` : `H${x}V${base - top}`;
    [lastX, lastHeight] = [x, top];
  });
  if (path === "") return text(LEFT + 6, y + 13, "no Service", { fill: COLOUR.faint, size: 10 });
  return (
    `<path d="${path}H${Math.max(RIGHT, lastX)}V${base}z" fill="${COLOUR.ready}" fill-opacity="0.45" stroke="none"/>` +
    `<path d="${path}H${Math.max(RIGHT, lastX)}" fill="none" stroke="${COLOUR.ready}" stroke-width="1.2"/>` +
    text(RIGHT + 8, y + 13, `max ${most}`, { size: 10, fill: COLOUR.faint })
  );
}

/** Where a class of samples is drawn in its row: top, stroke width, colour, and dashes. */
const MARK: Readonly<Record<Class, { y: number; width: number; colour: string; dash?: string }>> = {
  good: { y: 9.5, width: 3, colour: COLOUR.good },
  failed: { y: 6, width: 10, colour: COLOUR.failed },
  missed: { y: 9.5, width: 1.5, colour: COLOUR.missed, dash: "1.5 2" },
};

/** One series: its samples by class, and its outages as brackets below them. */
function seriesRow(series: Series, measured: ProbeResult, axis: Axis, y: number): string {
  const columns = Math.floor((RIGHT - LEFT) / 2);
  const classes = classify(series.points, axis, columns);
  const { availability } = measured.phases.window;
  const parts: string[] = [];
  for (const kind of ["missed", "good", "failed"] as const) {
    const { y: dy, width, colour, dash } = MARK[kind];
    const stretches = runs(classes, kind).map(
      ({ from, length }) => `M${LEFT + from * 2} ${y + dy}h${length * 2}`,
    );
    if (stretches.length === 0) continue;
    const dashes = dash === undefined ? "" : ` stroke-dasharray="${dash}"`;
    parts.push(`<path d="${stretches.join("")}" stroke="${colour}" stroke-width="${width}"${dashes}/>`);
  }
  const brackets = measured.outages.map(({ fromMs, toMs }) => {
    const from = xOf(axis, fromMs);
    const to = Math.max(from + 1, xOf(axis, toMs ?? axis.toMs));
    return `M${from} ${y + 12}v3H${round(to)}${toMs === null ? "" : "v-3"}`;
  });
  if (brackets.length > 0) {
    parts.push(`<path d="${brackets.join("")}" fill="none" stroke="${COLOUR.outage}" stroke-width="1.3"/>`);
  }
  parts.push(
    text(RIGHT + 8, y + 13, percent(availability), { size: 10, bold: (availability ?? 1) < BOLD_BELOW }),
  );
  return parts.join("\n");
}

function legend(y: number): string {
  const items: { draw: (x: number) => string; label: string; width: number }[] = [
    {
      draw: (x) => `<path d="M${x} ${y}h18" stroke="${COLOUR.good}" stroke-width="3"/>`,
      label: "good",
      width: 70,
    },
    {
      draw: (x) => `<path d="M${x} ${y - 1}h18" stroke="${COLOUR.failed}" stroke-width="10"/>`,
      label: "failed",
      width: 76,
    },
    {
      draw: (x) =>
        `<path d="M${x} ${y}h18" stroke="${COLOUR.missed}" stroke-width="1.5" stroke-dasharray="1.5 2"/>`,
      label: "missed tick",
      width: 106,
    },
    {
      draw: (x) =>
        `<path d="M${x} ${y - 2}v4h18v-4" fill="none" stroke="${COLOUR.outage}" stroke-width="1.3"/>`,
      label: "outage (first failed to first of K good)",
      width: 260,
    },
    {
      draw: (x) => `<path d="M${x + 8} ${y - 3}h6l-3 6z" fill="${COLOUR.text}"/>`,
      label: "deletion",
      width: 82,
    },
    {
      draw: (x) =>
        `<path d="M${x + 8} ${y + 2}h6l-3 -5z" fill="#ffffff" stroke="${COLOUR.text}" stroke-width="0.8"/>`,
      label: "came back",
      width: 92,
    },
  ];
  let x = LEFT;
  return items
    .map(({ draw, label, width }) => {
      const part = draw(x) + text(x + 23, y + 4, label, { size: 10, fill: COLOUR.faint });
      x += width;
      return part;
    })
    .join("\n");
}

/** The rows of all series, with the probe's name before its first. */
function lanes(
  series: readonly Series[],
  result: RunResult,
  axis: Axis,
  top: number,
): { body: string; y: number } {
  const parts: string[] = [];
  let y = top;
  let previous = "";
  for (const measured of result.probes) {
    const { probe, source } = measured;
    const row = series.find((one) => one.probe === probe && one.source === source);
    if (row === undefined) continue;
    if (probe !== previous) {
      if (previous !== "") y += 3;
      parts.push(
        `<path d="M8 ${y}H${WIDTH - 8}" stroke="${COLOUR.rule}" stroke-width="0.8"/>`,
        text(10, y + 13, probe, { bold: true }),
      );
      previous = probe;
    }
    parts.push(
      text(LEFT - 6, y + 13, fitEnd(source, 96, 10), { anchor: "end", size: 10, fill: COLOUR.faint }),
      seriesRow(row, measured, axis, y),
    );
    y += ROW;
  }
  return { body: parts.join("\n"), y: y + 3 };
}

function axisOf(result: RunResult, spans: Readonly<Record<MeasuredPhase, ClosedSpan | null>>): Axis | null {
  const known = [spans.baseline, spans.window, spans.recovery].filter((span) => span !== null);
  const fromMs = Math.min(...known.map((span) => span.fromMs));
  const toMs = Math.max(...known.map((span) => span.toMs));
  if (known.length === 0 || toMs <= fromMs) return null;
  return { fromMs, toMs, zeroMs: result.firstKillMs ?? spans.window?.fromMs ?? fromMs };
}

function zeroLabel(result: RunResult): string {
  if (result.firstKillMs !== null) return "the first deletion";
  return result.phases.window === undefined ? "the baseline began" : "the window began";
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

/**
 * The timeline of a run.
 *
 * @param events those of the run: deletions, re-creations, endpoints.
 * @param series the samples in the runner's time: `seriesOfRun`. A series that is not in the result is not drawn.
 */
export function timelineSvg(
  result: RunResult,
  events: readonly RunEvent[],
  series: readonly Series[],
): string {
  const ordered = [...events].sort((a, b) => a.tMs - b.tMs);
  const spans = measuredSpans(phaseSpans(ordered), ordered.at(-1)?.tMs ?? 0);
  const axis = axisOf(result, spans);
  const standIn = result.onStandIn ? " (on a stand-in)" : "";
  const name = rowName(result);
  const heading = [
    text(10, 24, fit(`${name}: ${result.severity}${standIn}`, 700, 16), { size: 16, bold: true }),
    text(10, 44, fit(`${result.facts.experiment.title} · verdict: ${result.verdict}`, 980), {
      fill: COLOUR.faint,
    }),
  ].join("\n");
  const title = `Timeline of ${name}: ${result.severity}${standIn}`;
  if (axis === null) return svg(110, title, `${heading}\n${text(10, 84, "Nothing was measured.")}`);
  const { body, y } = lanes(series, result, axis, TOP + 2 * ROW + 8);
  const parts = [
    heading,
    phaseBands(spans, axis, y),
    text(RIGHT + 8, TOP - 20, "good in", { size: 10, fill: COLOUR.faint }),
    text(RIGHT + 8, TOP - 9, "window", { size: 10, fill: COLOUR.faint }),
    xAxis(axis, y, zeroLabel(result)),
    text(10, TOP + 13, "attack", { bold: true }),
    attackLane(ordered, axis, TOP),
    text(10, TOP + ROW + 16, "endpoints of the target", { bold: true }),
    endpointLane(ordered, axis, TOP + ROW + 3),
    body,
    legend(y + 52),
  ];
  return svg(y + 72, title, parts.join("\n"));
}
