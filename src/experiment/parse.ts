import { isMap, isPair, isScalar, isSeq, parseDocument, type Document, type YAMLError } from "yaml";
import { crossCheck } from "./cross-checks.js";
import { explainIssues, type Finding } from "./explain.js";
import { messageOfIssue } from "./messages.js";
import { LineIndex, Positions } from "./positions.js";
import { formatPath, sortProblems, type Problem } from "./problems.js";
import { escapeInvisible } from "./quote.js";
import { MAX_DEPTH, scanTokens, TOO_DEEP } from "./scan.js";
import { experimentSchema, type Experiment } from "./schema.js";
import { checkText, type TextProblem } from "./text.js";

export type ParsedExperiment = { readonly experiment: Experiment } | { readonly problems: Problem[] };

/**
 * Reads the text of an experiment file. Pure; takes time and memory in proportion to the text, whatever is in
 * it; never throws for anything in the text.
 *
 * @param fileName what the problems call the file.
 */
export function parseExperiment(text: string, fileName: string): ParsedExperiment {
  const lines = new LineIndex(text);
  const atOffsets = (found: readonly TextProblem[]): ParsedExperiment => ({
    problems: toProblems(fileName, lines, found),
  });
  const unreadable = checkText(text);
  if (unreadable !== undefined) return atOffsets([unreadable]);
  const refused = scanTokens(text);
  if (refused.length > 0) return atOffsets(refused);

  const document = parseDocument(text, {
    prettyErrors: false,
    strict: true,
    uniqueKeys: true,
    logLevel: "error",
  });
  const syntax = document.errors.map(explainSyntax);
  // What a broken text was meant to be is guesswork; with a key too many its other problems are still plain.
  if (document.errors.some((error) => error.code !== "DUPLICATE_KEY")) return atOffsets(syntax);
  const structural = checkStructure(document);
  if (structural.length > 0) return atOffsets([...syntax, ...structural]);

  const value: unknown = document.toJS({ maxAliasCount: 0 });
  const parsed = experimentSchema.safeParse(value, { error: messageOfIssue });
  const positions = new Positions(document, lines);
  const own = parsed.success ? [] : explainIssues(parsed.error.issues, value);
  const across = crossCheck(
    value,
    own.map(({ path }) => path),
    (path) => positions.has(path),
  );
  const findings = [...own, ...across].map((finding) => toProblem(fileName, positions, finding));
  const problems = sortProblems([...toProblems(fileName, lines, syntax), ...findings]);
  return parsed.success && problems.length === 0 ? { experiment: parsed.data } : { problems };
}

/** Problems of a text (or of its bytes) at offsets. */
export function toProblems(file: string, lines: LineIndex, found: readonly TextProblem[]): Problem[] {
  return sortProblems(
    found.map(({ offset, message }) => ({ file, ...lines.placeOf(offset), path: "", message })),
  );
}

function toProblem(file: string, positions: Positions, { path, part, message }: Finding): Problem {
  return { file, ...positions.place(path, part), path: formatPath(path), message };
}

function explainSyntax(error: YAMLError): TextProblem {
  const offset = Math.max(0, error.pos[0]);
  if (error.code === "DUPLICATE_KEY") return { offset, message: "this key is written twice" };
  if (error.code === "MULTIPLE_DOCS") {
    return { offset, message: "a second document begins here: one experiment a file" };
  }
  // Of the parser's own words the first line, without anything of the file that a terminal would obey.
  const words = escapeInvisible(error.message.split("\n")[0] ?? "").slice(0, 200);
  return { offset, message: `not YAML: ${words}` };
}

/** What YAML allows and this format has no use for: nothing at all, depth, and keys that are no plain values. */
function checkStructure(document: Document.Parsed): TextProblem[] {
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.source === "")) {
    return [{ offset: 0, message: "the file is empty: it must describe an experiment" }];
  }
  const found: TextProblem[] = [];
  const visit = (node: unknown, depth: number): void => {
    if (!isSeq(node) && !isMap(node)) return;
    if (depth > MAX_DEPTH) {
      found.push({ offset: rangeStart(node), message: TOO_DEEP });
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
