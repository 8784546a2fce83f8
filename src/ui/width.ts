/** Text for one line of a terminal: how wide it is, where to cut it, and what must not reach a terminal. */
import stringWidth from "string-width";

const ASCII = /^[\x20-\x7e]*$/;
let segmenter: Intl.Segmenter | undefined;

/** Escape sequences whole, so that nothing of them is left as text. */
// eslint-disable-next-line no-control-regex -- removing them is the point
const ESCAPE_SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
/** Control characters, line and paragraph separators, and marks that reverse the direction of the line. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu;

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
  return ASCII.test(text) ? text.length : stringWidth(text);
}

/** The text, or as much of it as fits into so many columns, with `…` where it was cut. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return "";
  if (width(text) <= columns) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of (segmenter ??= new Intl.Segmenter("en")).segment(text)) {
    used += stringWidth(segment);
    if (used > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
