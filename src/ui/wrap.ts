/** Text on several lines of limited width. Pure. */
import { width } from "./width.js";

/** How wide plans and comments in files are at most. */
export const MAX_COLUMNS = 100;

/** The words of a text on lines of at most `columns`; a longer word has a line of its own. White space is not kept. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((each) => each !== "")) {
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
