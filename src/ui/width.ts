/** Text for one line of a terminal: its width, where to cut it, and characters that must not reach a terminal. */
import stringWidth from "string-width";

const ASCII = /^[\x20-\x7e]*$/;
let segmenter: Intl.Segmenter | undefined;

/** Complete escape sequences, so that no part of them remains as text. */
// eslint-disable-next-line no-control-regex -- removing them is the point
const ESCAPE_SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
/** Control characters, line and paragraph separators, and marks that change the text direction. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu;

/** External text (for example an API server error) on one line, without terminal control sequences. */
export function oneLine(text: string): string {
  return ASCII.test(text) ? text : text.replace(ESCAPE_SEQUENCES, "").replace(UNPRINTABLE, " ").trim();
}

/** The same, but keeps leading spaces: they are the layout of a table or a list. */
export function oneLineIndented(text: string): string {
  const indent = /^ */.exec(text)?.[0] ?? "";
  return indent + oneLine(text.slice(indent.length));
}

/** Number of columns that a text needs. */
export function width(text: string): number {
  return ASCII.test(text) ? text.length : stringWidth(text);
}

/** The text, or as much of it as fits into the columns, with `…` where it was cut. */
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
