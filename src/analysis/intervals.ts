/**
 * Samples of one series → the times in which it failed, and how. Times are milliseconds of one clock.
 *
 * An impairment begins with the first failed sample. It ends once every target that failed in it has given K good samples
 * in a row, and then lasts to the first answer that such a target gave after the last failed sample. (The answer, not the
 * start of its sample: the kernel sends a lost SYN again after 1 s, so a sample that began while packets were still lost
 * may end well.) A target that is not asked any more ends nothing. Behind a single target (a Service, the cluster's DNS)
 * there may be several instances, of which chance picks one: there a failure soon after belongs to the same impairment.
 *
 * In it, the series was unreachable while every sample failed, else intermittent. A request that waited, and was answered
 * after the last failed one was sent, shows the end and no gap. Where good and failed samples
 * alternate, a stretch of failed ones alone is unreachable if it is too long to be chance.
 */
import type { Outage } from "./result.js";
import { inOrder, type Point } from "./series.js";

export interface ImpairedSpan extends Outage {
  readonly kind: "unreachable" | "intermittent";
  readonly failed: number;
  readonly samples: number;
}

export interface Impairment extends Outage {
  /** The starts of its failed samples, in order. */
  readonly failedMs: readonly number[];
  /** One after the other; together all failed samples. */
  readonly spans: readonly ImpairedSpan[];
}

/** A stretch without a good sample is chance if it is likelier than this. */
const CHANCE = 1 / 1000;

/** Soon: within this many times K samples of a single target. One of three that fail leaves such a gap once in 100 times. */
const SOON = 4;

/** Positions of the first and last sample, both included. */
interface Stretch {
  readonly first: number;
  readonly last: number;
}

/** Samples of every target are good for a sample that had none: no front end was known. */
const NO_TARGET = "";

const targetOf = ({ target = NO_TARGET }: Point): string => target;

const answeredMs = ({ tMs, durationMs }: Point): number => tMs + durationMs;

const isFailed = (point: Point | undefined): boolean => point?.outcome === "failed";

/** The targets that failed in an impairment, and which of them are not good again. */
class FailedTargets {
  /** Good samples in a row and position of the last sample; the one asked least recently first. */
  readonly #open = new Map<string, { good: number; last: number }>();
  /** Position at which a target had been good K times in a row. */
  readonly #recovered = new Map<string, number>();
  readonly #asked = new Set<string>();
  readonly #goodInARow: number;

  constructor(goodInARow: number) {
    this.#goodInARow = goodInARow;
  }

  /** @returns whether no failed target is left. */
  add(point: Point, index: number): boolean {
    const target = targetOf(point);
    this.#asked.add(target);
    if (point.outcome === "failed") {
      this.#reopen(target, { good: 0, last: index });
      this.#recovered.delete(target);
      return false;
    }
    for (const key of target === NO_TARGET ? [target] : [target, NO_TARGET]) {
      const state = this.#open.get(key);
      if (state === undefined) continue;
      if (state.good + 1 < this.#goodInARow) this.#reopen(key, { good: state.good + 1, last: index });
      else this.#recover(key, index);
    }
    this.#forget(index);
    return this.#open.size === 0;
  }

  get single(): boolean {
    return this.#asked.size === 1;
  }

  /** Whether the target had failed and was not good again at this position. */
  failing(target: string, index: number): boolean {
    return this.#open.has(target) || (this.#recovered.get(target) ?? -1) > index;
  }

  #reopen(target: string, state: { good: number; last: number }): void {
    this.#open.delete(target);
    this.#open.set(target, state);
  }

  #recover(target: string, index: number): void {
    this.#open.delete(target);
    this.#recovered.set(target, index);
  }

  /** Targets are asked in turn. One that missed more than K turns is not asked any more. */
  #forget(index: number): void {
    for (const [target, { last }] of this.#open) {
      if (index - last <= (this.#goodInARow + 1) * this.#asked.size) return;
      this.#open.delete(target);
    }
  }
}

/** The first answer after a position, of the samples up to another that began before it came. */
function firstAnswer(
  points: readonly Point[],
  after: number,
  until: number,
  counts: (point: Point) => boolean,
): number {
  let answer = Infinity;
  for (let index = after + 1; index < points.length; index += 1) {
    const point = points[index];
    if (point === undefined || (index > until && point.tMs >= answer)) break;
    if (isFailed(point)) return Math.min(answer, point.tMs);
    if (counts(point)) answer = Math.min(answer, answeredMs(point));
  }
  return answer;
}

/** Longest stretches of failed samples alone, at least `least` long. */
function failedStretches(points: readonly Point[], { first, last }: Stretch, least: number): Stretch[] {
  const stretches: Stretch[] = [];
  let from = first;
  for (let index = first; index <= last + 1; index += 1) {
    if (index <= last && isFailed(points[index])) continue;
    if (index - from >= least) stretches.push({ first: from, last: index - 1 });
    from = index + 1;
  }
  return stretches;
}

/** The stretches that chance does not explain, at the share of good samples outside of them. */
function unreachableIn(points: readonly Point[], all: Stretch, good: number, goodInARow: number): Stretch[] {
  const targets = new Set(points.slice(all.first, all.last + 1).map(targetOf));
  const length = ({ first, last }: Stretch): number => last - first + 1;
  const long = failedStretches(points, all, Math.max(goodInARow, targets.size));
  const outside = long.reduce((rest, stretch) => rest - length(stretch), length(all));
  const failing = Math.max(0, 1 - good / Math.max(1, outside));
  return long.filter((stretch) => failing ** length(stretch) * length(all) < CHANCE);
}

/** A part of an impairment: its times, and the samples at the positions. */
function spanOf(
  points: readonly Point[],
  kind: ImpairedSpan["kind"],
  time: Outage,
  { first, last }: Stretch,
): ImpairedSpan {
  const within = points.slice(first, last + 1);
  const failed = within.filter(isFailed).length;
  return { kind, ...time, failed, samples: within.length };
}

/** @param all its samples, up to the last one that was answered before it ended. */
function spansOf(points: readonly Point[], time: Outage, all: Stretch, goodInARow: number): ImpairedSpan[] {
  const good = points.slice(all.first, all.last + 1).filter((point) => !isFailed(point)).length;
  if (good === 0) return [spanOf(points, "unreachable", time, all)];
  const spans: ImpairedSpan[] = [];
  let cursor = { fromMs: time.fromMs, first: all.first };
  const upTo = (toMs: number | null, last: number): void => {
    const { fromMs, first } = cursor;
    const span = spanOf(points, "intermittent", { fromMs, toMs }, { first, last });
    if (span.failed > 0) spans.push(span);
  };
  for (const stretch of unreachableIn(points, all, good, goodInARow)) {
    const fromMs = points[stretch.first]?.tMs ?? cursor.fromMs;
    upTo(fromMs, stretch.first - 1);
    const answer = firstAnswer(points, stretch.last, stretch.last + 1, () => true);
    const rest = failedStretches(points, { first: stretch.last + 1, last: all.last }, 1).length > 0;
    const toMs = rest ? answer : time.toMs;
    spans.push(spanOf(points, "unreachable", { fromMs, toMs }, stretch));
    cursor = { fromMs: toMs ?? fromMs, first: stretch.last + 1 };
  }
  upTo(time.toMs, all.last);
  return spans;
}

/** The impairments of one series, in order. One that lasts to the last sample has no end. */
export function impairmentsOf(all: readonly Point[], goodInARow: number): Impairment[] {
  const points = inOrder(all).filter(({ outcome }) => outcome !== "missed");
  const found: Impairment[] = [];
  let first = 0;
  let lastFailed = -1;
  let targets: FailedTargets | undefined;
  /** Position at which all of them were good again. */
  let goodFrom: number | undefined;
  const close = (until: number, ended: boolean): void => {
    const failing = targets;
    const fromMs = points[first]?.tMs ?? 0;
    let toMs: number | null = null;
    if (ended && failing !== undefined) {
      const itsOwn = (point: Point): boolean =>
        failing.failing(targetOf(point), lastFailed) || failing.failing(NO_TARGET, lastFailed);
      toMs = firstAnswer(points, lastFailed, until, itsOwn);
      if (toMs === Infinity) toMs = firstAnswer(points, lastFailed, lastFailed + 1, () => true);
    }
    let last = lastFailed;
    for (let index = lastFailed + 1; index <= until; index += 1) {
      const point = points[index];
      if (point !== undefined && answeredMs(point) < (toMs ?? Infinity)) last = index;
    }
    const failedMs = points
      .slice(first, lastFailed + 1)
      .flatMap((point) => (isFailed(point) ? point.tMs : []));
    const lastFailedMs = failedMs.at(-1) ?? fromMs;
    const shown = points
      .slice(first, last + 1)
      .filter((point) => isFailed(point) || point.tMs > lastFailedMs || answeredMs(point) <= lastFailedMs);
    const spans = spansOf(shown, { fromMs, toMs }, { first: 0, last: shown.length - 1 }, goodInARow);
    found.push({ fromMs, toMs, failedMs, spans });
    targets = undefined;
  };
  for (const [index, point] of points.entries()) {
    if (isFailed(point)) {
      const soon = targets?.single === true && index - lastFailed <= SOON * goodInARow;
      if (goodFrom !== undefined && !soon) close(goodFrom, true);
      goodFrom = undefined;
      if (targets === undefined) first = index;
      lastFailed = index;
      targets ??= new FailedTargets(goodInARow);
    }
    if (targets?.add(point, index) === true) goodFrom ??= index;
  }
  if (targets !== undefined) close(goodFrom ?? points.length - 1, goodFrom !== undefined);
  return found;
}

function lengths(outages: readonly Outage[], untilMs: number): number[] {
  return outages.map((outage) => Math.max(0, (outage.toMs ?? untilMs) - outage.fromMs));
}

/** Length of the longest outage, ms; one without an end counts up to `untilMs`. 0 without outages. */
export function longestMs(outages: readonly Outage[], untilMs: number): number {
  return lengths(outages, untilMs).reduce((longest, length) => Math.max(longest, length), 0);
}

/** Total length of all outages, ms; one without an end counts up to `untilMs`. */
export function totalMs(outages: readonly Outage[], untilMs: number): number {
  return lengths(outages, untilMs).reduce((total, length) => total + length, 0);
}
