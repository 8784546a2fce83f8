/**
 * What is refused by looking at the tokens alone, before the parser, which recurses and builds objects, sees the
 * text: the lexer needs neither, so a hostile file costs time and memory in proportion to its size only.
 *
 * An experiment needs none of YAML's indirections. Without anchors there is no alias bomb; without tags and
 * directives a value is what it looks like.
 */
import { CST, Lexer } from "yaml";
import type { TextProblem } from "./text.js";

export const MAX_DEPTH = 50;
/**
 * Words, signs, spaces, lines and escapes; an experiment has some five hundred. The parser makes an object or an
 * error of each, and looking for duplicate keys takes the square of their number.
 */
const MAX_TOKENS = 10_000;
/** The gauge counts up to two for a level. What passes it is shallow enough to recurse into. */
const MAX_GAUGE = 2 * MAX_DEPTH;

/** `what`: what the file should be, with its article. */
export function tooDeep(what: string): string {
  return `nested more than ${MAX_DEPTH} levels deep: not ${what} file`;
}

const REFUSED: Readonly<Record<string, string>> = {
  anchor: "anchors (&) are not allowed: write the value where it is used",
  alias: "aliases (*) are not allowed: write the value out, or quote it if it is text",
  tag: "tags (!) are not allowed: quote the value if it is text",
  "directive-line": "directives (%) are not allowed",
};

/** Markers of the lexer's own that stand for no character of the text. */
const WIDTHLESS = new Set<string>([CST.DOCUMENT, CST.FLOW_END, CST.SCALAR]);

/**
 * Everything that is refused, in order; each kind once, at its first place.
 *
 * @param what the text should be, with its article, for the messages.
 */
export function scanTokens(text: string, what: string): TextProblem[] {
  const found = new Map<string, TextProblem>();
  const add = (offset: number, message: string): void => {
    if (!found.has(message)) found.set(message, { offset, message });
  };
  const depth = new DepthGauge();
  let offset = 0;
  let count = 0;
  let isScalarText = false;
  for (const token of new Lexer().lex(text)) {
    if (WIDTHLESS.has(token)) {
      isScalarText = token === CST.SCALAR;
      continue;
    }
    const type = isScalarText ? "scalar" : CST.tokenType(token);
    isScalarText = false;
    if (type !== null && type in REFUSED) add(offset, REFUSED[type] ?? "");
    count += 1 + (type === "double-quoted-scalar" ? token.split("\\").length - 1 : 0);
    if (count > MAX_TOKENS) {
      add(offset, `more than ${MAX_TOKENS} words, signs and lines: not ${what} file`);
      break;
    }
    if (depth.take(type, token, offset) > MAX_GAUGE) {
      add(offset, tooDeep(what));
      break;
    }
    offset += token.length;
  }
  return [...found.values()];
}

function isBlank(type: string | null): boolean {
  return type === "space" || type === "comment" || type === "newline";
}

/**
 * A measure of the depth at each token, between half the real depth and twice it plus one: the columns of the
 * indicators (`-`, `?`, `:`) and line starts that enclose the token, and its open brackets.
 */
class DepthGauge {
  private readonly columns: number[] = [];
  private brackets = 0;
  private lineStart = 0;
  private atLineStart = true;

  take(type: string | null, token: string, offset: number): number {
    if (!isBlank(type)) this.startLine(offset);
    if (type === "flow-map-start" || type === "flow-seq-start") this.brackets++;
    if (type === "flow-map-end" || type === "flow-seq-end") this.brackets = Math.max(0, this.brackets - 1);
    if (type === "seq-item-ind" || type === "explicit-key-ind" || type === "map-value-ind") {
      this.push(offset - this.lineStart);
    }
    this.followLines(token, offset);
    return this.columns.length + this.brackets;
  }

  /** The first token of a line closes everything that stands at its column or to the right of it. */
  private startLine(offset: number): void {
    if (!this.atLineStart || this.brackets > 0) return;
    this.atLineStart = false;
    const column = offset - this.lineStart;
    while ((this.columns.at(-1) ?? -1) >= column) this.columns.pop();
    this.push(column);
  }

  private push(column: number): void {
    if (column > (this.columns.at(-1) ?? -1)) this.columns.push(column);
  }

  private followLines(token: string, offset: number): void {
    const lastBreak = token.lastIndexOf("\n");
    if (lastBreak === -1) return;
    this.lineStart = offset + lastBreak + 1;
    // A plain scalar over several lines ends within a line; what follows it there begins nothing.
    this.atLineStart = lastBreak === token.length - 1;
  }
}
