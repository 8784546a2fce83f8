/** Samples → the class of each column of a picture. This keeps the picture small for any number of samples. */
import type { Point } from "../analysis/series.js";

/** A sample that covers the time up to the next one. */
export interface Drawn<C extends string> {
  readonly tMs: number;
  readonly outcome: C;
}

/** The class of a column in the SVG. */
export type Class = Point["outcome"];

/** Of the samples in a column, the class with the highest rank is drawn. Good samples never hide a failed one. */
const RANK: Readonly<Record<Class, number>> = { missed: 1, good: 2, failed: 3 };

/** A sample covers the time up to the next one, but at most this many usual distances. */
const MOST_DISTANCES = 2.5;

/** How long a sample covers at most, ms: a few times the usual (median) distance between two. */
export function reachOf(points: readonly { readonly tMs: number }[]): number {
  const distances = points.slice(1).map((point, index) => point.tMs - (points[index]?.tMs ?? point.tMs));
  distances.sort((a, b) => a - b);
  return (distances[Math.floor(distances.length / 2)] ?? 1000) * MOST_DISTANCES;
}

/**
 * The class of each column: the one with the highest rank of the samples that cover it; undefined: none does.
 *
 * @param points in order of their start.
 * @param range the time that the columns cover, ms.
 */
export function columnsOf<C extends string>(
  points: readonly Drawn<C>[],
  range: { readonly fromMs: number; readonly toMs: number },
  columns: number,
  { rank, reachMs }: { readonly rank: Readonly<Record<C, number>>; readonly reachMs: number },
): (C | undefined)[] {
  const classes = Array.from<C | undefined>({ length: columns });
  const perColumn = (range.toMs - range.fromMs) / columns;
  points.forEach((point, index) => {
    const until = Math.min(points[index + 1]?.tMs ?? Infinity, point.tMs + reachMs, range.toMs);
    if (until < range.fromMs || point.tMs >= range.toMs) return;
    const first = Math.max(0, Math.floor((point.tMs - range.fromMs) / perColumn));
    const last = Math.max(first, Math.ceil((until - range.fromMs) / perColumn) - 1);
    for (let column = first; column <= Math.min(last, columns - 1); column += 1) {
      const there = classes[column];
      if (there === undefined || rank[point.outcome] > rank[there]) classes[column] = point.outcome;
    }
  });
  return classes;
}

/** The columns of the SVG. A sample before the range is not drawn. */
export function classify(
  points: readonly Point[],
  range: { readonly fromMs: number; readonly toMs: number },
  columns: number,
): (Class | undefined)[] {
  const within = points.filter(({ tMs }) => tMs >= range.fromMs);
  return columnsOf(within, range, columns, { rank: RANK, reachMs: reachOf(points) });
}

/** Runs of neighbouring columns of one class. */
export function runs<C extends string>(
  classes: readonly (C | undefined)[],
  wanted: C,
): { readonly from: number; readonly length: number }[] {
  const stretches: { from: number; length: number }[] = [];
  classes.forEach((found, column) => {
    if (found !== wanted) return;
    const last = stretches.at(-1);
    if (last !== undefined && last.from + last.length === column) last.length += 1;
    else stretches.push({ from: column, length: 1 });
  });
  return stretches;
}
