/**
 * What the page shows of a lane at one zoom, in figures and words. No document: the browser's part is in `page/`. Pure.
 */
import { counts, duration, plural } from "../../common/figures.js";
import { columnsOf, type Drawn, reachOf } from "../timeline-bins.js";
import { type PageData, type PageLane, type State, STATES } from "./data.js";

/** How a sample looks. Failures of like causes look alike: five patterns can be told apart, eleven cannot. */
export const LOOKS = [
  "missed",
  "good",
  "slow",
  "no-answer",
  "no-connection",
  "no-name",
  "wrong-answer",
  "other",
] as const;
export type Look = (typeof LOOKS)[number];

const LOOK_OF: Readonly<Record<State, Look>> = {
  good: "good",
  late: "good",
  slow: "slow",
  missed: "missed",
  timeout: "no-answer",
  refused: "no-connection",
  reset: "no-connection",
  unreachable: "no-connection",
  nxdomain: "no-name",
  servfail: "no-name",
  "no-data": "no-name",
  "http-status": "wrong-answer",
  "bad-body": "wrong-answer",
  "no-target": "other",
  other: "other",
};

/** The worse one is drawn. Failures are equals: the first in a column is drawn. */
const RANK: Readonly<Record<Look, number>> = {
  missed: 1,
  good: 2,
  slow: 3,
  "no-answer": 4,
  "no-connection": 4,
  "no-name": 4,
  "wrong-answer": 4,
  other: 4,
};

export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Position of the first value that is not under `tMs`. */
function firstFrom(times: readonly number[], tMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? Infinity) < tMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

const stateAt = (lane: PageLane, index: number): State => STATES[lane.state[index] ?? 0] ?? "other";

/** The time at a place of the axis: "+12.35 s". */
export function clockText({ zeroMs }: Pick<PageData, "zeroMs">, tMs: number, digits = 2): string {
  const seconds = (tMs - zeroMs) / 1000;
  return `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(digits)} s`;
}

/** From this many pixels for each sample on, every sample is drawn and described on its own. */
const PIXELS_EACH = 4;

/** A lane with what is needed again at each zoom. */
export class LaneView {
  readonly lane: PageLane;
  readonly #points: readonly Drawn<Look>[];
  readonly #reachMs: number;

  constructor(lane: PageLane) {
    this.lane = lane;
    this.#points = lane.tMs.map((tMs, index) => ({ tMs, outcome: LOOK_OF[stateAt(lane, index)] }));
    this.#reachMs = reachOf(lane.tMs.map((tMs) => ({ tMs })));
  }

  get name(): string {
    return `${this.lane.probe} from ${this.lane.source}`;
  }

  /** Whether any sample failed or was slow. */
  get troubled(): boolean {
    return this.#points.some(({ outcome }) => RANK[outcome] >= RANK.slow);
  }

  /** The looks that appear, for the legend. */
  get looks(): ReadonlySet<Look> {
    return new Set(this.#points.map(({ outcome }) => outcome));
  }

  /** Positions of the samples that began in the range. */
  #within({ fromMs, toMs }: Range): readonly [first: number, end: number] {
    return [firstFrom(this.lane.tMs, fromMs), firstFrom(this.lane.tMs, toMs)];
  }

  /** Whether there is room for every sample of its own. */
  isRaw(range: Range, width: number): boolean {
    const [first, end] = this.#within(range);
    return (end - first) * PIXELS_EACH <= width;
  }

  /** The look of each column. */
  columns(range: Range, columns: number): (Look | undefined)[] {
    const [first, end] = this.#within(range);
    const points = this.#points.slice(Math.max(0, first - 1), end + 1);
    return columnsOf(points, range, columns, { rank: RANK, reachMs: this.#reachMs });
  }

  /** Every sample that covers a part of the range: its look, and its time. */
  samples(range: Range): { readonly look: Look; readonly fromMs: number; readonly toMs: number }[] {
    const [first, end] = this.#within(range);
    return this.#points.slice(Math.max(0, first - 1), end).map(({ tMs, outcome }, offset) => ({
      look: outcome,
      fromMs: tMs,
      toMs: Math.min(this.lane.tMs[Math.max(0, first - 1) + offset + 1] ?? Infinity, tMs + this.#reachMs),
    }));
  }

  /** The sample that covers a time, or the next one; −1: the lane is empty. */
  indexAt(tMs: number): number {
    const next = firstFrom(this.lane.tMs, tMs + 0.5);
    const before = next - 1;
    if (before < 0) return this.lane.tMs.length === 0 ? -1 : 0;
    const distance = tMs - (this.lane.tMs[before] ?? 0);
    return distance > this.#reachMs && next < this.lane.tMs.length ? next : before;
  }

  /** The next sample (`step` 1) or the one before it (−1) that failed or was slow; −1: none. */
  trouble(index: number, step: 1 | -1): number {
    let at = index + step;
    while (this.#points[at] !== undefined && RANK[this.#points[at]?.outcome ?? "good"] < RANK.slow)
      at += step;
    return this.#points[at] === undefined ? -1 : at;
  }

  /** One sample, or one bin of good ones, in words. */
  describe(index: number, data: PageData): string[] {
    const { lane } = this;
    const state = stateAt(lane, index);
    const tMs = lane.tMs[index] ?? 0;
    const count = lane.count?.[index] ?? 1;
    const length = duration(lane.dMs[index] ?? 0);
    const lines = [
      clockText(data, tMs, 3),
      count > 1
        ? `${count} good samples from here on, binned in this file: median ${length}, longest ${duration(lane.mostMs?.[index] ?? 0)}`
        : outcomeText(state, length),
    ];
    const target = data.targets[lane.target?.[index] ?? -1];
    const message = data.messages[lane.message?.[index] ?? -1];
    if (target !== undefined) lines.push(`asked: ${target}`);
    if (message !== undefined) lines.push(`“${message}”`);
    return lines;
  }

  /** All samples that began in a range, counted. */
  summarise({ fromMs, toMs }: Range, data: PageData): string[] {
    const [first, end] = this.#within({ fromMs, toMs });
    const by: Partial<Record<State, number>> = {};
    const lengths: number[] = [];
    for (let index = first; index < end; index += 1) {
      const state = stateAt(this.lane, index);
      const count = this.lane.count?.[index] ?? 1;
      by[state] = (by[state] ?? 0) + count;
      if (["good", "slow"].includes(state)) lengths.push(this.lane.dMs[index] ?? 0);
    }
    lengths.sort((a, b) => a - b);
    const middle = lengths[Math.ceil(lengths.length / 2) - 1];
    return [
      `${clockText(data, fromMs, 1)} to ${clockText(data, toMs, 1)}`,
      countsText(by),
      ...(middle === undefined
        ? []
        : [`good ones: median ${duration(middle)}, longest ${duration(lengths.at(-1) ?? 0)}`]),
    ];
  }
}

/** "4 samples: 3 good, 1 failed (1 timeout)". */
function countsText(by: Readonly<Partial<Record<State, number>>>): string {
  const { good = 0, late = 0, slow = 0, missed = 0, ...failures } = by;
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  const each: readonly (readonly [number, string])[] = [
    [good + late, "good"],
    [slow, "slow"],
    [failed, `failed (${counts(failures)})`],
    [missed, "missed"],
  ];
  const parts = each.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  if (parts.length === 0) return "no samples";
  return `${plural(good + late + slow + failed + missed, "sample")}: ${parts.join(", ")}`;
}

function outcomeText(state: State, length: string): string {
  if (state === "missed") return "missed: the prober could not run it on time; not counted";
  if (state === "good") return `good, ${length}`;
  if (state === "slow") return `slow: good, but after ${length}`;
  if (state === "late") return `good, ${length}; the prober was late itself, so the length does not count`;
  return `failed: ${state} after ${length}`;
}

/** The failed and slow samples of some lanes in a range, in order of time; at most so many. */
export function troubles(
  lanes: readonly LaneView[],
  { fromMs, toMs }: Range,
  most: number,
): { readonly view: LaneView; readonly index: number }[] {
  const found = lanes.flatMap((view) => {
    const all: { view: LaneView; index: number }[] = [];
    let index = view.trouble(firstFrom(view.lane.tMs, fromMs) - 1, 1);
    while (index !== -1 && (view.lane.tMs[index] ?? Infinity) < toMs && all.length < most) {
      all.push({ view, index });
      index = view.trouble(index, 1);
    }
    return all;
  });
  const at = ({ view, index }: (typeof found)[number]): number => view.lane.tMs[index] ?? 0;
  return found.sort((a, b) => at(a) - at(b)).slice(0, most);
}
