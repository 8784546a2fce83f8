/** Text on several lines of limited width. Pure. */
import { width } from "./width.js";

/** How wide plans and comments in files are at most. */
export const MAX_COLUMNS = 100;

/** A command in backquotes is one word: a line break in it would end it when it is pasted. */
const WORDS = /(?:[^\s`]|`[^`]*`|`)+/g;

/** A line that is a command. */
const COMMAND = /^ *(?:[A-Z_]+=\S+ )*(?:chaos|npx|kubectl|node|\/\S+) /;

/** Columns of a table: more than one space between two words. */
const TABLE = /\S {2,}\S/;

/** The words of a text on lines of at most `columns`; a longer word has a line of its own. White space is not kept. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const [word] of text.matchAll(WORDS)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && width(longer) > columns) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === "" ? lines : [...lines, line];
}

/** "head" before the first line of the wrapped text, and as much space before the others. */
export function hanging(head: string, text: string, columns = MAX_COLUMNS): string[] {
  const indent = width(head);
  const [first = "", ...rest] = wrap(text, columns - indent);
  return [`${head}${first}`.trimEnd(), ...rest.map((line) => `${" ".repeat(indent)}${line}`)];
}

/**
 * One line for a terminal: wrapped between words, with its indent on each line. A command and a row of a table stay whole:
 * the terminal breaks them.
 */
export function wrapLine(text: string, columns: number): string {
  if (width(text) <= columns || COMMAND.test(text) || TABLE.test(text)) return text;
  const indent = /^ */.exec(text)?.[0] ?? "";
  return hanging(indent, text.slice(indent.length), columns).join("\n");
}
