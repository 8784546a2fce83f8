/** Samples → the class of each column of a picture. This keeps the picture small for any number of samples. */
import type { Point } from "../analysis/series.js";

/** The class of a column. Good samples never hide a failed one. */
export type Class = Point["outcome"];

const RANK: Readonly<Record<Class, number>> = { missed: 1, good: 2, failed: 3 };

/** A sample covers the time up to the next one, but at most this many usual distances. */
const MOST_DISTANCES = 2.5;

/** The usual distance between two samples, ms: the median. */
function usualDistance(points: readonly Point[]): number {
  const distances = points.slice(1).map((point, index) => point.tMs - (points[index]?.tMs ?? point.tMs));
  distances.sort((a, b) => a - b);
  return distances[Math.floor(distances.length / 2)] ?? 1000;
}

/**
 * The class of each column: the worst of the samples that cover it; undefined: none does.
 *
 * @param points in order of their start.
 * @param range the time that the columns cover, ms.
 */
export function classify(
  points: readonly Point[],
  range: { readonly fromMs: number; readonly toMs: number },
  columns: number,
): (Class | undefined)[] {
  const classes = Array.from<Class | undefined>({ length: columns });
  const perColumn = (range.toMs - range.fromMs) / columns;
  const reach = usualDistance(points) * MOST_DISTANCES;
  points.forEach((point, index) => {
    if (point.tMs < range.fromMs || point.tMs >= range.toMs) return;
    const until = Math.min(points[index + 1]?.tMs ?? Infinity, point.tMs + reach, range.toMs);
    const first = Math.floor((point.tMs - range.fromMs) / perColumn);
    const last = Math.max(first, Math.ceil((until - range.fromMs) / perColumn) - 1);
    for (let column = first; column <= Math.min(last, columns - 1); column += 1) {
      const there = classes[column];
      if (there === undefined || RANK[point.outcome] > RANK[there]) classes[column] = point.outcome;
    }
  });
  return classes;
}

/** Runs of neighbouring columns of one class. */
export function runs(
  classes: readonly (Class | undefined)[],
  wanted: Class,
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
