/**
 * The timeline as the page gets it: packed by the report, unpacked in the browser. Both sides are here, so that they cannot
 * differ. No module of Node is imported: the page's bundle contains this file.
 */
import { FAILURE_KINDS } from "../../evidence/sample.js";
import type { Point } from "../../analysis/series.js";
import { type EventLane, isSlow, type SampleLane, type Timeline } from "../timeline-model.js";

/** What a sample is drawn as: its position here is what the page gets. `late`: its own length counts for nothing. */
export const STATES = ["good", "late", "slow", "missed", ...FAILURE_KINDS] as const;
export type State = (typeof STATES)[number];

/** With more samples than this, the good ones of a lane are binned. */
const MOST_RAW = 40_000;
/** All bins of a file, about. */
const MOST_BINS = 12_000;
/** Error messages that are kept, characters in all. */
const MOST_MESSAGES = 40_000;
/** Marks of one lane that are kept: a fight may have thousands of kills. */
const MOST_MARKS = 2_000;

/** A lane of samples. All arrays have one entry for each sample or bin. */
export interface PageLane {
  readonly probe: string;
  readonly source: string;
  /** Not one of the worst of many sources: hidden at first. */
  readonly other: boolean;
  /** Good samples of the window, 0 to 1. */
  readonly availability: number | null;
  readonly outages: readonly (readonly [number, number | null])[];
  readonly intermittent: readonly (readonly [number, number | null])[];
  readonly stalls: readonly (readonly [number, number | null])[];
  /** Whole ms; in order. Of a bin: its first sample. */
  readonly tMs: readonly number[];
  /** ms, three digits. Of a bin: the median. */
  readonly dMs: readonly number[];
  /** Positions in `STATES`. */
  readonly state: readonly number[];
  /** Positions in `PageData.targets` and `PageData.messages`, −1: none. Absent: no sample has one. */
  readonly target?: readonly number[];
  readonly message?: readonly number[];
  /** Samples of a bin, 1: a single sample; and the length of its longest, ms. Absent: nothing is binned. */
  readonly count?: readonly number[];
  readonly mostMs?: readonly number[];
}

export interface PageData {
  readonly fromMs: number;
  readonly toMs: number;
  readonly zeroMs: number;
  readonly zeroLabel: string;
  readonly phases: readonly (readonly [name: string, fromMs: number, toMs: number])[];
  readonly lanes: readonly PageLane[];
  readonly events: readonly {
    readonly label: string;
    readonly marks: readonly (readonly [fromMs: number, toMs: number | null, shape: string, text: string])[];
    readonly steps: readonly (readonly [tMs: number, count: number])[];
  }[];
  readonly targets: readonly string[];
  readonly messages: readonly string[];
}

/** The same with shorter numbers, which is what the file has. */
export interface Packed extends Omit<PageData, "lanes"> {
  /** `tMs`: differences. `state`: pairs of a state and how often it follows. */
  readonly lanes: readonly PageLane[];
}

const whole = (value: number): number => Math.round(value);

/** A length with three digits: what the prober's clock is good for. */
const shortened = (ms: number): number => Number(ms.toPrecision(3));

/** Strings → positions, as long as there is room. */
class Words {
  readonly list: string[] = [];
  readonly #known = new Map<string, number>();
  #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  positionOf(word: string | undefined): number {
    if (word === undefined) return -1;
    const known = this.#known.get(word);
    if (known !== undefined) return known;
    this.#room -= word.length;
    if (this.#room < 0) return -1;
    this.#known.set(word, this.list.length);
    return this.list.push(word) - 1;
  }
}

function stateOf(point: Point, slowFromMs: number | null): State {
  if (point.outcome === "failed") return point.kind ?? "other";
  if (point.outcome === "missed") return "missed";
  if (point.disturbed === true) return "late";
  return isSlow(point, slowFromMs) ? "slow" : "good";
}

/** What becomes one entry of a lane: one sample, or good ones that began close together. */
interface Entry {
  readonly point: Point;
  readonly state: State;
  /** More than one: the lengths of a bin. */
  readonly lengths: readonly number[];
}

/** @param binMs good samples that began in the same time of this length are one entry; null: each is its own. */
function entriesOf(points: readonly Point[], slowFromMs: number | null, binMs: number | null): Entry[] {
  const entries: { point: Point; state: State; lengths: number[] }[] = [];
  let bin: { index: number; lengths: number[] } | undefined;
  for (const point of points) {
    const state = stateOf(point, slowFromMs);
    if (binMs === null || state !== "good") {
      entries.push({ point, state, lengths: [] });
      continue;
    }
    const index = Math.floor(point.tMs / binMs);
    if (bin?.index === index) bin.lengths.push(point.durationMs);
    else {
      bin = { index, lengths: [point.durationMs] };
      entries.push({ point, state, lengths: bin.lengths });
    }
  }
  return entries;
}

function median(lengths: readonly number[]): number {
  return [...lengths].sort((a, b) => a - b)[Math.ceil(lengths.length / 2) - 1] ?? 0;
}

/** Differences between neighbours; the first one stays. */
const differences = (values: readonly number[]): number[] =>
  values.map((value, index) => value - (values[index - 1] ?? 0));

function sums(steps: readonly number[]): number[] {
  let sum = 0;
  return steps.map((step) => (sum += step));
}

/** 3, 3, 3, 1 → 3, 3, 1, 1: each value and how often it follows. */
function runLengths(values: readonly number[]): number[] {
  const pairs: number[] = [];
  for (const value of values) {
    if (pairs.at(-2) === value) pairs[pairs.length - 1] = (pairs.at(-1) ?? 0) + 1;
    else pairs.push(value, 1);
  }
  return pairs;
}

function fromRunLengths(pairs: readonly number[]): number[] {
  const values: number[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    for (let left = pairs[index + 1] ?? 0; left > 0; left -= 1) values.push(pairs[index] ?? 0);
  }
  return values;
}

const any = (values: readonly number[], none: number): boolean => values.some((value) => value !== none);

type SpanList = readonly { readonly fromMs: number; readonly toMs: number | null }[];
const pairsOf = (spans: SpanList): (readonly [number, number | null])[] =>
  spans.map(({ fromMs, toMs }) => [whole(fromMs), toMs === null ? null : whole(toMs)]);

function packLane(
  { measured, series, late, slowFromMs }: SampleLane,
  other: boolean,
  { targets, messages, binMs }: { targets: Words; messages: Words; binMs: number | null },
): PageLane {
  const entries = entriesOf(series.points, slowFromMs, binMs);
  const state = entries.map(({ state: each }) => STATES.indexOf(each));
  const target = entries.map(({ point, lengths }) =>
    lengths.length > 1 ? -1 : targets.positionOf(point.target),
  );
  const message = entries.map(({ point }) => messages.positionOf(point.message));
  const count = entries.map(({ lengths }) => Math.max(1, lengths.length));
  return {
    probe: measured.probe,
    source: measured.source,
    other,
    availability: measured.phases.window.availability,
    outages: pairsOf(measured.outages),
    intermittent: pairsOf(measured.intermittent ?? []),
    stalls: pairsOf(late),
    tMs: differences(entries.map(({ point }) => whole(point.tMs))),
    dMs: entries.map(({ point, lengths }) =>
      shortened(lengths.length > 1 ? median(lengths) : point.durationMs),
    ),
    state: runLengths(state),
    ...(any(target, -1) ? { target } : {}),
    ...(any(message, -1) ? { message: runLengths(message) } : {}),
    ...(any(count, 1)
      ? {
          count: runLengths(count),
          mostMs: entries.map(({ lengths }) => (lengths.length > 1 ? shortened(Math.max(...lengths)) : 0)),
        }
      : {}),
  };
}

function packEvents({ label, marks, steps = [] }: EventLane): PageData["events"][number] {
  const kept = marks.slice(0, MOST_MARKS);
  const left = marks.length - kept.length;
  const last = marks[kept.length];
  return {
    label,
    marks: [
      ...kept.map(
        ({ fromMs, toMs, shape, text }) =>
          [whole(fromMs), toMs === null ? null : whole(toMs), shape, text] as const,
      ),
      ...(last === undefined
        ? []
        : [
            [
              whole(last.fromMs),
              null,
              "dot",
              `and ${left} more from here on: events.ndjson has them`,
            ] as const,
          ]),
    ],
    steps: steps.map(({ tMs, count }) => [whole(tMs), count] as const),
  };
}

/** The samples of a timeline, all lanes. */
export const samplesIn = ({ probes }: Timeline): number =>
  probes.reduce(
    (sum, { shown, others }) =>
      [...shown, ...others].reduce(
        (all, { measured: { phases } }) =>
          Object.values(phases).reduce((each, { samples, missed }) => each + samples + missed, all),
        sum,
      ),
    0,
  );

/** How long a bin is, ms; null: every sample is in the page. */
export function binLength(timeline: Timeline): number | null {
  const { axis, probes } = timeline;
  if (axis === null || samplesIn(timeline) <= MOST_RAW) return null;
  const lanes = probes.reduce((sum, { shown, others }) => sum + shown.length + others.length, 0);
  return Math.ceil(((axis.toMs - axis.fromMs) * lanes) / MOST_BINS / 100) * 100;
}

/** @returns null: nothing was measured. */
export function packed(timeline: Timeline, events: readonly EventLane[]): Packed | null {
  const { axis, spans, probes } = timeline;
  if (axis === null) return null;
  const room = {
    targets: new Words(MOST_MESSAGES),
    messages: new Words(MOST_MESSAGES),
    binMs: binLength(timeline),
  };
  const lanes = probes.flatMap(({ shown, others }) => [
    ...shown.map((lane) => packLane(lane, false, room)),
    ...others.map((lane) => packLane(lane, true, room)),
  ]);
  return {
    fromMs: whole(axis.fromMs),
    toMs: whole(axis.toMs),
    zeroMs: whole(axis.zeroMs),
    zeroLabel: timeline.zeroLabel,
    phases: Object.entries(spans).flatMap(([name, span]) =>
      span === null ? [] : [[name, whole(span.fromMs), whole(span.toMs)] as const],
    ),
    lanes,
    events: events.map(packEvents),
    targets: room.targets.list,
    messages: room.messages.list,
  };
}

export function unpacked(data: Packed): PageData {
  return {
    ...data,
    lanes: data.lanes.map((lane) => ({
      ...lane,
      tMs: sums(lane.tMs),
      state: fromRunLengths(lane.state),
      ...(lane.message === undefined ? {} : { message: fromRunLengths(lane.message) }),
      ...(lane.count === undefined ? {} : { count: fromRunLengths(lane.count) }),
    })),
  };
}
