/** The lanes of the live view: one line per probe, failed samples as bars. Pure. */
import type { LiveLane } from "./base.js";
import { width } from "./width.js";

/** From "no sample failed" to "all failed". */
const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** The probes of the application: their lanes stay even if there is little room. */
const FIRST: readonly string[] = ["app-write", "app-read"];

/** The narrowest useful bar chart, columns. */
const LEAST_BARS = 10;

/** One character: how many of a second's samples failed (a share); a space: there were none. */
export function bar(share: number | null): string {
  if (share === null) return " ";
  // One failure of many must be visible, and only a second without a good sample has the full bar.
  const top = BARS.length - 1;
  const height =
    share === 0 ? 0 : share === 1 ? top : Math.min(top - 1, Math.max(1, Math.round(share * top)));
  return BARS[height] ?? "";
}

/** A lane as a line, in parts for colours. */
export interface LaneLine {
  readonly name: string;
  readonly bars: string;
  readonly note: string;
}

/**
 * The lanes that fit, in their own order. With little room, those of the application and then those with failures stay.
 *
 * @param room lines and columns; a line is never wider.
 */
export function laneLines(
  lanes: readonly LiveLane[],
  room: { readonly lines: number; readonly columns: number },
): LaneLine[] {
  const rank = ({ probe, seconds }: LiveLane): number =>
    FIRST.includes(probe) ? 0 : seconds.some((share) => (share ?? 0) > 0) ? 1 : 2;
  const kept = new Set([...lanes].sort((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, room.lines)));
  const shown = lanes.filter((lane) => kept.has(lane));
  const names = Math.max(0, ...shown.map(({ probe }) => width(probe)));
  const notes = shown.map(({ failing, sources }) => (failing === 0 ? "" : `${failing} of ${sources} fail`));
  const widest = Math.max(0, ...notes.map(width));
  const left = room.columns - names - 2;
  const withNotes = left - widest - 2 >= LEAST_BARS;
  const bars = withNotes ? left - widest - 2 : left;
  if (bars < LEAST_BARS) return [];
  return shown.map(({ probe, seconds }, index) => ({
    name: probe.padEnd(names),
    bars: seconds.slice(-bars).map(bar).join(""),
    note: withNotes ? (notes[index] ?? "") : "",
  }));
}
