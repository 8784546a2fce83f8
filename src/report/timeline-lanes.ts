/** The lanes above the probes' rows: the attack, the target, the component's own function, the cluster's nodes. */
import type { RunEvent } from "../evidence/events.js";
import type { FunctionPhase } from "../analysis/result.js";
import { nodeAnswer } from "../analysis/serving-nodes.js";
import { BOLD_BELOW, COLOUR, LEFT, RIGHT, ROW, round, text, xOf, type Axis } from "./timeline-base.js";

/** Kills as filled marks pointing down. Recreated or released objects as hollow marks pointing up below them. */
export function attackLane(events: readonly RunEvent[], axis: Axis, y: number): string {
  const marks = (...types: readonly RunEvent["type"][]): number[] => [
    ...new Set(
      events
        .filter((event) => types.includes(event.type) && event.tMs >= axis.fromMs && event.tMs <= axis.toMs)
        .map((event) => Math.round(xOf(axis, event.tMs))),
    ),
  ];
  const kills = marks("kill").map((x) => `M${x - 3} ${y + 2}h6l-3 6z`);
  const back = marks("recreated", "let-up").map((x) => `M${x - 3} ${y + 15}h6l-3 -5z`);
  return (
    `<path d="${kills.join("")}" fill="${COLOUR.text}"/>` +
    `<path d="${back.join("")}" fill="#ffffff" stroke="${COLOUR.text}" stroke-width="0.8"/>`
  );
}

/** The count from `tMs` on. */
export interface CountStep {
  readonly tMs: number;
  readonly count: number;
}

/** Number of serving endpoints (ready, or serving while terminating) of all the target's Services, in steps. */
export function endpointSteps(events: readonly RunEvent[]): CountStep[] {
  const services = new Map<string, number>();
  const steps: CountStep[] = [];
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

/** Number of attacked nodes that ran the target when last asked, in steps. */
export function nodeSteps(events: readonly RunEvent[], nodes: readonly string[]): CountStep[] {
  const running = new Map<string, boolean>();
  return events.flatMap((event) => {
    const answer = nodeAnswer(event, nodes);
    if (answer === undefined) return [];
    running.set(answer.node, answer.runs);
    return [{ tMs: answer.tMs, count: [...running.values()].filter(Boolean).length }];
  });
}

/** A count as an area of that height, with its maximum as text. `none`: the text if there are no steps. */
export function countLane(steps: readonly CountStep[], axis: Axis, y: number, none: string): string {
  const most = Math.max(1, ...steps.map(({ count }) => count));
  const height = ROW - 3;
  const base = y + ROW - 1;
  let path = "";
  let lastX = LEFT;
  let lastHeight = -1;
  steps.forEach((step, index) => {
    const x = xOf(axis, step.tMs);
    const next = steps[index + 1];
    // Of several steps within one pixel only the last is visible.
    if (next !== undefined && xOf(axis, next.tMs) - x < 0.5) return;
    const top = round((step.count / most) * height);
    if (top === lastHeight) return;
    path += path === "" ? `M${x} ${base}V${base - top}` : `H${x}V${base - top}`;
    [lastX, lastHeight] = [x, top];
  });
  if (path === "") return text(LEFT + 6, y + 13, none, { fill: COLOUR.faint, size: 10 });
  return (
    `<path d="${path}H${Math.max(RIGHT, lastX)}V${base}z" fill="${COLOUR.ready}" fill-opacity="0.45" stroke="none"/>` +
    `<path d="${path}H${Math.max(RIGHT, lastX)}" fill="none" stroke="${COLOUR.ready}" stroke-width="1.2"/>` +
    text(RIGHT + 8, y + 13, `max ${most}`, { size: 10, fill: COLOUR.faint })
  );
}

export type FunctionCheck = Extract<RunEvent, { type: "function" }>;

/**
 * The checks of the component's own function, each from its start to its end, in the shapes of the samples: present is
 * thin and low, absent is tall. On the right: how many checks of the window found it.
 */
export function functionLane(
  checks: readonly FunctionCheck[],
  window: FunctionPhase | null,
  axis: Axis,
  y: number,
): string {
  const draw = (present: boolean): string => {
    const stretches = checks
      .filter(
        (check) =>
          check.present === present && check.tMs < axis.toMs && check.tMs + check.tookMs > axis.fromMs,
      )
      .map(({ tMs, tookMs }) => {
        const x = xOf(axis, tMs);
        // One pixel shorter than its time, so that two checks without a pause stay distinct.
        const width = round(Math.max(2, xOf(axis, tMs + tookMs) - x - 1));
        return `M${x} ${y + (present ? 9.5 : 6)}h${width}`;
      });
    if (stretches.length === 0) return "";
    const [colour, width] = present ? [COLOUR.good, 3] : [COLOUR.failed, 10];
    return `<path d="${stretches.join("")}" stroke="${colour}" stroke-width="${width}"/>`;
  };
  const share = window === null || window.looks === 0 ? null : window.present / window.looks;
  const figure = share === null || window === null ? "—" : `${window.present} of ${window.looks}`;
  return (
    draw(true) + draw(false) + text(RIGHT + 8, y + 13, figure, { size: 10, bold: (share ?? 1) < BOLD_BELOW })
  );
}

/** A node was not Ready from `fromMs` to `toMs`; null: to the end. */
export interface NotReady {
  readonly node: string;
  readonly fromMs: number;
  readonly toMs: number | null;
}

/** When nodes were not Ready, according to the API. */
function notReadySpans(events: readonly RunEvent[]): NotReady[] {
  const since = new Map<string, number>();
  const spans: NotReady[] = [];
  for (const event of events) {
    if (event.type !== "node-ready") continue;
    const { node, ready, tMs } = event;
    const fromMs = since.get(node);
    if (ready !== "True") since.set(node, fromMs ?? tMs);
    else if (fromMs !== undefined) {
      spans.push({ node, fromMs, toMs: tMs });
      since.delete(node);
    }
  }
  return [...spans, ...[...since].map(([node, fromMs]) => ({ node, fromMs, toMs: null }))];
}

/** The marks for the lane of nodes and churn, within the axis. */
export function clusterMarks(
  events: readonly RunEvent[],
  axis: Axis,
): { readonly notReady: readonly NotReady[]; readonly churnMs: readonly number[] } {
  return {
    notReady: notReadySpans(events).filter(
      ({ fromMs, toMs }) => fromMs < axis.toMs && (toMs ?? Infinity) > axis.fromMs,
    ),
    churnMs: events
      .filter((event) => event.type === "churn" && event.tMs >= axis.fromMs && event.tMs <= axis.toMs)
      .map(({ tMs }) => tMs),
  };
}

/** Nodes that are not Ready as bars with a mark at both ends, the churn as diamonds. */
export function clusterLane(
  { notReady, churnMs }: ReturnType<typeof clusterMarks>,
  axis: Axis,
  y: number,
): string {
  const bars = notReady.map(({ fromMs, toMs }) => {
    const from = xOf(axis, fromMs);
    const to = Math.max(from + 1, xOf(axis, toMs ?? axis.toMs));
    return `M${from} ${y + 4}v9M${from} ${y + 8.5}H${round(to)}${toMs === null ? "" : `M${round(to)} ${y + 4}v9`}`;
  });
  const diamonds = churnMs.map((tMs) => `M${xOf(axis, tMs)} ${y + 3}l4 5.5l-4 5.5l-4 -5.5z`);
  const nodes = new Set(notReady.map(({ node }) => node)).size;
  const parts = [
    bars.length === 0
      ? ""
      : `<path d="${bars.join("")}" stroke="${COLOUR.text}" stroke-width="2.5"/>` +
        text(RIGHT + 8, y + 13, `${nodes} ${nodes === 1 ? "node" : "nodes"}`, {
          size: 10,
          fill: COLOUR.faint,
        }),
    diamonds.length === 0
      ? ""
      : `<path d="${diamonds.join("")}" fill="#ffffff" stroke="${COLOUR.text}" stroke-width="1.2"/>`,
  ];
  return parts.join("");
}

/** The times in which a source was late itself: grey, as high as the row. */
export const LATE_STYLE = `fill="${COLOUR.missed}" fill-opacity="0.3"`;

/** The times in which a row's source was late; at least one pixel wide. */
export function lateMarks(
  spans: readonly { readonly fromMs: number; readonly toMs: number }[],
  axis: Axis,
  y: number,
): string {
  const bars: { from: number; to: number }[] = [];
  for (const { fromMs, toMs } of spans) {
    const from = xOf(axis, fromMs);
    const to = Math.max(from + 1, xOf(axis, toMs));
    const last = bars.at(-1);
    // Bars closer than a pixel are one: the picture stays small on a machine that is late all the time.
    if (last !== undefined && from - last.to < 1) last.to = to;
    else bars.push({ from, to });
  }
  if (bars.length === 0) return "";
  const path = bars.map(({ from, to }) => `M${from} ${y + 1}H${round(to)}v${ROW - 2}H${from}z`);
  return `<path d="${path.join("")}" ${LATE_STYLE}/>`;
}
