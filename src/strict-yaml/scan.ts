/**
 * Refuses a text by its tokens, before the parser sees it. The parser recurses and builds objects; the lexer does not, so a
 * hostile file costs only time and memory in proportion to its size.
 *
 * An experiment does not need YAML's indirections. Without anchors there is no alias bomb; without tags and directives a
 * value is what it looks like.
 */
import { CST, Lexer } from "yaml";
import type { TextProblem } from "./text.js";

export const MAX_DEPTH = 50;
/**
 * Maximum number of tokens, with escapes; an experiment has about 500. The parser creates an object or an error for each,
 * and its search for duplicate keys is quadratic.
 */
const MAX_TOKENS = 10_000;
/** DepthGauge counts at most 2 per level. A text below this limit is shallow enough for recursion. */
const MAX_GAUGE = 2 * MAX_DEPTH;

/** @param what the file type with its article, for the message. */
export function tooDeep(what: string): string {
  return `nested more than ${MAX_DEPTH} levels deep: not ${what} file`;
}

const REFUSED: Readonly<Record<string, string>> = {
  anchor: "anchors (&) are not allowed: write the value where it is used",
  alias: "aliases (*) are not allowed: write the value out, or quote it if it is text",
  tag: "tags (!) are not allowed: quote the value if it is text",
  "directive-line": "directives (%) are not allowed",
};

/** Markers of the lexer without characters of the text. */
const WIDTHLESS = new Set<string>([CST.DOCUMENT, CST.FLOW_END, CST.SCALAR]);

/**
 * Everything that is refused, in order; each kind once, at its first position.
 *
 * @param what the file type with its article, for the messages.
 */
export function scanTokens(text: string, what: string, maxTokens = MAX_TOKENS): TextProblem[] {
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
    if (count > maxTokens) {
      add(offset, `more than ${maxTokens} tokens: not ${what} file`);
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

function isIndicator(type: string | null): boolean {
  return type === "seq-item-ind" || type === "explicit-key-ind";
}

function isBlank(type: string | null): boolean {
  return type === "space" || type === "comment" || type === "newline";
}

/**
 * Estimates the depth at each token, between half and twice the real depth plus one: it counts the columns of enclosing
 * indicators (`-`, `?`, `:`) and line starts, and open brackets.
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
    // Between brackets a colon opens nothing: a file may be JSON on one line.
    const isIndent = type === "map-value-ind" ? this.brackets === 0 : isIndicator(type);
    if (isIndent) this.push(offset - this.lineStart);
    this.followLines(token, offset);
    return this.columns.length + this.brackets;
  }

  /** The first token of a line closes everything at its column or to its right. */
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
    // A plain scalar over several lines ends within a line; the next token is not at the start of a line.
    this.atLineStart = lastBreak === token.length - 1;
  }
}
