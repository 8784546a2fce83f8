/** Draws the lanes: paths of an SVG as wide as its place. Every look differs in height or pattern, too. */
import { type LaneView, LOOKS, type Look, type Range } from "../lane-view.js";
import { runs } from "../../timeline-bins.js";
import type { PageData } from "../data.js";
import { shape } from "./dom.js";

/** Height of a lane, px; the style has the same. */
export const HEIGHT = 18;
const COLUMN = 2;

/** Top and height of each look, px. */
const BAR: Readonly<Record<Look, readonly [top: number, height: number]>> = {
  missed: [8, 1],
  good: [7, 3],
  slow: [4, 8],
  "no-answer": [1, 13],
  "no-connection": [1, 13],
  "no-name": [1, 13],
  "wrong-answer": [1, 13],
  other: [1, 13],
};

const round = (value: number): number => Math.round(value * 10) / 10;

/** Where a time is, px. */
export const xOf = ({ fromMs, toMs }: Range, width: number, tMs: number): number =>
  ((tMs - fromMs) / (toMs - fromMs)) * width;

function box(x: number, width: number, [top, height]: readonly [number, number]): string {
  return `M${round(x)} ${top}h${round(width)}v${height}h${round(-width)}z`;
}

/** The path of each look. */
function pathsOf(view: LaneView, range: Range, width: number): Map<Look, string> {
  const paths = new Map<Look, string>();
  const add = (look: Look, path: string): void => {
    paths.set(look, (paths.get(look) ?? "") + path);
  };
  if (view.isRaw(range, width)) {
    for (const { look, fromMs, toMs } of view.samples(range)) {
      const from = Math.max(0, xOf(range, width, fromMs));
      const to = Math.min(width, xOf(range, width, toMs));
      // One pixel shorter than its time, so that every sample is visible.
      if (to > from) add(look, box(from, Math.max(1, to - from - 1), BAR[look]));
    }
    return paths;
  }
  const classes = view.columns(range, Math.max(1, Math.floor(width / COLUMN)));
  for (const look of LOOKS) {
    for (const { from, length } of runs(classes, look))
      add(look, box(from * COLUMN, length * COLUMN, BAR[look]));
  }
  return paths;
}

type Pairs = readonly (readonly [number, number | null])[];

/** The visible part of spans, px. */
function visible(spans: Pairs, range: Range, width: number): { from: number; to: number; open: boolean }[] {
  return spans.flatMap(([fromMs, toMs]) => {
    const from = Math.max(-2, xOf(range, width, fromMs));
    const to = Math.min(width + 2, xOf(range, width, toMs ?? range.toMs));
    return to < 0 || from > width ? [] : [{ from, to: Math.max(from + 1, to), open: toMs === null }];
  });
}

/** Brackets below the samples, as in timeline.svg. */
function brackets(spans: Pairs, range: Range, width: number): string {
  return visible(spans, range, width)
    .map(({ from, to, open }) => `M${round(from)} 14v2.5H${round(to)}${open ? "" : "v-2.5"}`)
    .join("");
}

const wide = (spans: Pairs, range: Range, width: number): string =>
  visible(spans, range, width)
    .map(({ from, to }) => `M${round(from)} 0H${round(to)}V${HEIGHT}H${round(from)}z`)
    .join("");

/** What is behind every lane: the phases, and the zero. */
export function backdrop(
  { phases, zeroMs }: PageData,
  range: Range,
  width: number,
  height: number,
): SVGElement[] {
  const zero = xOf(range, width, zeroMs);
  return [
    ...phases.flatMap(([name, fromMs, toMs]) =>
      visible([[fromMs, toMs]], range, width).map(({ from, to }) =>
        shape("rect", { class: `phase ${name}`, x: round(from), y: 0, width: round(to - from), height }),
      ),
    ),
    ...(zero < 0 || zero > width ? [] : [shape("path", { class: "zero", d: `M${round(zero)} 0V${height}` })]),
  ];
}

export function drawLane(svg: SVGElement, view: LaneView, data: PageData, range: Range, width: number): void {
  const { lane } = view;
  const paths = pathsOf(view, range, width);
  svg.replaceChildren(
    ...backdrop(data, range, width, HEIGHT),
    shape("path", { class: "stall", d: wide(lane.stalls, range, width) }),
    ...LOOKS.flatMap((look) => {
      const d = paths.get(look);
      return d === undefined ? [] : [shape("path", { class: `look ${look}`, d })];
    }),
    shape("path", { class: "bracket", d: brackets(lane.outages, range, width) }),
    shape("path", { class: "bracket dashed", d: brackets(lane.intermittent, range, width) }),
  );
}

export type PageEvents = PageData["events"][number];

/** A mark at x, from the top of a lane. */
const SIGNS: Readonly<Record<string, (x: number) => string>> = {
  kill: (x) => `M${round(x - 4)} 4h8l-4 8z`,
  refused: (x) => `M${round(x - 3)} 5l6 6m0 -6l-6 6`,
  recreated: (x) => `M${round(x - 4)} 13h8l-4 -8z`,
  restored: (x) => `M${round(x - 4)} 13h8l-4 -8z`,
  diamond: (x) => `M${round(x)} 3l4 6l-4 6l-4 -6z`,
  dot: (x) => `M${round(x - 2.5)} 9a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z`,
};

function spanMark(shapeName: string, from: number, to: number): string {
  if (shapeName === "present") return box(from, Math.max(2, to - from - 1), [7, 3]);
  if (shapeName === "absent") return box(from, Math.max(2, to - from - 1), [3, 12]);
  return box(from, Math.max(2, to - from), [6, 6]);
}

export function drawEvents(
  svg: SVGElement,
  { marks, steps }: PageEvents,
  data: PageData,
  range: Range,
  width: number,
): void {
  const paths = new Map<string, string>();
  for (const [fromMs, toMs, name] of marks) {
    const from = xOf(range, width, fromMs);
    const to = toMs === null ? from : xOf(range, width, toMs);
    if (to < -5 || from > width + 5) continue;
    const sign = SIGNS[name];
    const path =
      sign === undefined ? spanMark(name, Math.max(-2, from), Math.min(width + 2, to)) : sign(from);
    paths.set(name, (paths.get(name) ?? "") + path);
  }
  svg.replaceChildren(
    ...backdrop(data, range, width, HEIGHT),
    ...area(steps, range, width),
    // Where a count is drawn, its changes are what the dots would show.
    ...[...paths].flatMap(([name, d]) =>
      steps.length > 0 ? [] : [shape("path", { class: `mark ${name}`, d })],
    ),
  );
}

function area(steps: PageEvents["steps"], range: Range, width: number): SVGElement[] {
  if (steps.length === 0) return [];
  const most = Math.max(1, ...steps.map(([, count]) => count));
  const base = HEIGHT - 1;
  let line = "";
  steps.forEach(([tMs, count], index) => {
    const x = round(Math.min(width, Math.max(0, xOf(range, width, tMs))));
    const y = round(base - (count / most) * (HEIGHT - 4));
    line += index === 0 ? `M${x} ${y}` : `H${x}V${y}`;
  });
  line += `H${width}`;
  const first = steps[0]?.[0] ?? 0;
  const start = round(Math.min(width, Math.max(0, xOf(range, width, first))));
  return [
    shape("path", { class: "area", d: `${line}V${base}H${start}z` }),
    shape("path", { class: "count", d: line }),
  ];
}
