/**
 * Turns an untrusted text into a YAML document without indirections, of bounded size and depth; or into its problems with
 * their positions.
 */
import {
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  parseDocument,
  type Document,
  type YAMLError,
} from "yaml";
import { cutText, escapeInvisible } from "./quote.js";
import { MAX_DEPTH, scanTokens, tooDeep } from "./scan.js";
import { checkText, type TextProblem } from "./text.js";

export type YamlDocument = Document.Parsed;

/**
 * `duplicates`: duplicate keys. The document is valid otherwise; the last value of such a key counts. `first`: the first of
 * several documents.
 */
export type ReadYaml =
  | { readonly document: YamlDocument; readonly duplicates: readonly TextProblem[] }
  | { readonly problems: readonly TextProblem[]; readonly first?: YamlDocument };

const OPTIONS = { prettyErrors: false, strict: true, uniqueKeys: true, logLevel: "error" } as const;

/**
 * Reads a YAML text. Pure. Time and memory are proportional to the size of any text. Never throws because of the text.
 *
 * @param what the file type with its article, for the messages: "an experiment".
 */
export function readYaml(text: string, what: string): ReadYaml {
  const unreadable = checkText(text, what);
  if (unreadable !== undefined) return { problems: [unreadable] };
  const refused = scanTokens(text, what);
  if (refused.length > 0) return { problems: refused };

  const { document, second } = documentsOf(text);
  const syntax = document.errors.map((error) => explainSyntax(error));
  if (second !== undefined) {
    const message = `a second document starts here: a file contains one ${withoutArticle(what)}`;
    const problems = [...syntax, { offset: rangeStart(second), message }];
    return document.errors.length > 0 ? { problems } : { problems, first: document };
  }
  // After a syntax error other findings are guesswork. After a duplicate key they are still reliable.
  if (document.errors.some((error) => error.code !== "DUPLICATE_KEY")) return { problems: syntax };
  const structural = checkStructure(document, what);
  if (structural.length > 0) return { problems: [...syntax, ...structural] };
  return { document, duplicates: syntax };
}

/**
 * The first two documents that have contents. A marker (`---`, `...`) at the start or at the end, or above a comment, makes
 * no second one.
 */
function documentsOf(text: string): { document: YamlDocument; second?: YamlDocument } {
  const only = parseDocument(text, OPTIONS);
  if (!only.errors.some(({ code }) => code === "MULTIPLE_DOCS")) return { document: only };
  const all: readonly YamlDocument[] = parseAllDocuments(text, OPTIONS);
  const [document, second] = all.filter((each) => !isEmpty(each) || each.errors.length > 0);
  if (document === undefined) return { document: all[0] ?? only };
  return second === undefined ? { document } : { document, second };
}

/** Whether a document is empty. */
export function isEmpty({ contents }: YamlDocument): boolean {
  return contents === null || (isScalar(contents) && contents.source === "");
}

function explainSyntax(error: YAMLError): TextProblem {
  const offset = Math.max(0, error.pos[0]);
  if (error.code === "DUPLICATE_KEY") return { offset, message: "duplicate key" };
  // The first line of the parser's message, without terminal control characters from the file.
  const words = escapeInvisible(cutText(error.message.split("\n")[0] ?? "", 200));
  return { offset, message: `not YAML: ${words}` };
}

/** Problems that YAML allows and these files do not need: deep nesting, and keys that are not scalars. */
function checkStructure({ contents }: YamlDocument, what: string): TextProblem[] {
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
      if (!isScalar(item.key))
        found.push({ offset: rangeStart(item.key), message: "a key must be plain text" });
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
