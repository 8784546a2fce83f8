/**
 * From a text that a stranger may have written to a YAML document without indirections, of bounded size and
 * depth; or what is wrong with the text, and where.
 */
import { isMap, isPair, isScalar, isSeq, parseDocument, type Document, type YAMLError } from "yaml";
import { cutText, escapeInvisible } from "./quote.js";
import { MAX_DEPTH, scanTokens, tooDeep } from "./scan.js";
import { checkText, type TextProblem } from "./text.js";

/** `duplicates`: keys that are written twice. The document is plain all the same: the last of them counts. */
export type ReadYaml =
  | { readonly document: Document.Parsed; readonly duplicates: readonly TextProblem[] }
  | { readonly problems: readonly TextProblem[] };

/**
 * Reads a YAML text. Pure; takes time and memory in proportion to the text, whatever is in it; never throws for
 * anything in the text.
 *
 * @param what the text should be, with its article, for the messages: "an experiment".
 */
export function readYaml(text: string, what: string): ReadYaml {
  const unreadable = checkText(text, what);
  if (unreadable !== undefined) return { problems: [unreadable] };
  const refused = scanTokens(text, what);
  if (refused.length > 0) return { problems: refused };

  const document = parseDocument(text, {
    prettyErrors: false,
    strict: true,
    uniqueKeys: true,
    logLevel: "error",
  });
  const syntax = document.errors.map((error) => explainSyntax(error, what));
  // What a broken text was meant to be is guesswork; with a key too many its other problems are still plain.
  if (document.errors.some((error) => error.code !== "DUPLICATE_KEY")) return { problems: syntax };
  const structural = checkStructure(document, what);
  if (structural.length > 0) return { problems: [...syntax, ...structural] };
  return { document, duplicates: syntax };
}

/** Whether a document holds nothing at all. */
export function isEmpty({ contents }: Document.Parsed): boolean {
  return contents === null || (isScalar(contents) && contents.source === "");
}

function explainSyntax(error: YAMLError, what: string): TextProblem {
  const offset = Math.max(0, error.pos[0]);
  if (error.code === "DUPLICATE_KEY") return { offset, message: "this key is written twice" };
  if (error.code === "MULTIPLE_DOCS") {
    return { offset, message: `a second document begins here: one ${withoutArticle(what)} a file` };
  }
  // Of the parser's own words the first line, without anything of the file that a terminal would obey.
  const words = escapeInvisible(cutText(error.message.split("\n")[0] ?? "", 200));
  return { offset, message: `not YAML: ${words}` };
}

/** What YAML allows and these files have no use for: depth, and keys that are no plain values. */
function checkStructure({ contents }: Document.Parsed, what: string): TextProblem[] {
  const found: TextProblem[] = [];
  const visit = (node: unknown, depth: number): void => {
    if (!isSeq(node) && !isMap(node)) return;
    if (depth > MAX_DEPTH) {
      found.push({ offset: rangeStart(node), message: tooDeep(what) });
      return;
    }
    for (const item of node.items) {
      if (!isPair(item)) {
        visit(item, depth + 1);
        continue;
      }
      if (!isScalar(item.key)) found.push({ offset: rangeStart(item.key), message: "a key must be a word" });
      visit(item.value, depth + 1);
    }
  };
  visit(contents, 1);
  return found;
}

function rangeStart(node: unknown): number {
  return (node as { range?: readonly number[] | null } | null)?.range?.[0] ?? 0;
}

function withoutArticle(what: string): string {
  return what.replace(/^an? /, "");
}
