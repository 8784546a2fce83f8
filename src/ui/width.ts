/** Text for one line of a terminal: how wide it is, where to cut it, and what must not reach a terminal. */

const ASCII = /^[\x20-\x7e]*$/;
/** Blocks that terminals draw two columns wide (Unicode's East Asian Width W and F, coarsely). */
const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f000}-\u{1faff}]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})/u;
/** Drawn in no column of its own. */
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;
const VARIATION_EMOJI = "\ufe0f";

/** Escape sequences whole, so that nothing of them is left as text. */
// eslint-disable-next-line no-control-regex -- removing them is the point
const ESCAPE_SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
/** Control characters, line and paragraph separators, and marks that reverse the direction of the line. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu;

let segmenter: Intl.Segmenter | undefined;

/** Foreign text (an error of the API server, say) on one line, with nothing in it that a terminal would obey. */
export function oneLine(text: string): string {
  return ASCII.test(text) ? text : text.replace(ESCAPE_SEQUENCES, "").replace(UNPRINTABLE, " ").trim();
}

/** The same, but spaces at the beginning stay: they are the shape of a table or a list. */
export function oneLineIndented(text: string): string {
  const indent = /^ */.exec(text)?.[0] ?? "";
  return indent + oneLine(text.slice(indent.length));
}

/** Columns that a text takes. */
export function width(text: string): number {
  if (ASCII.test(text)) return text.length;
  let columns = 0;
  for (const cluster of clusters(text)) columns += clusterWidth(cluster);
  return columns;
}

/** The text, or as much of it as fits into so many columns, with `…` where it was cut. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return "";
  if (width(text) <= columns) return text;
  let kept = "";
  let used = 0;
  for (const cluster of clusters(text)) {
    used += clusterWidth(cluster);
    if (used > columns - 1) break;
    kept += cluster;
  }
  return `${kept}…`;
}

/** `0.4 s`, `12.3 s`, `3 min 5 s`. */
export function seconds(ms: number): string {
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : wholeSeconds(ms);
}

/** `41 s`, `3 min 5 s`; begun seconds count, so that a countdown ends with 0. */
export function wholeSeconds(ms: number): string {
  const total = Math.max(0, Math.ceil(ms / 1000));
  return total < 120 ? `${total} s` : `${Math.floor(total / 60)} min ${total % 60} s`;
}

function* clusters(text: string): Generator<string> {
  segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  for (const { segment } of segmenter.segment(text)) yield segment;
}

function clusterWidth(cluster: string): number {
  if (NO_WIDTH.test(cluster)) return 0;
  return WIDE.test(cluster) || cluster.includes(VARIATION_EMOJI) ? 2 : 1;
}
