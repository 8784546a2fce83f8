import { crossCheck } from "./cross-checks.js";
import { explainIssues, type Finding } from "../strict-yaml/explain.js";
import { foreignFile } from "./foreign.js";
import { ALIASES } from "../experiment/aliases.js";
import { messagesWith } from "../strict-yaml/messages.js";
import { LineIndex, Positions } from "../strict-yaml/positions.js";
import { formatPath, sortProblems, type Problem } from "../strict-yaml/problems.js";
import { experimentSchema, type Experiment } from "../experiment/schema.js";
import { checkCharacters, type TextProblem } from "../strict-yaml/text.js";
import { isEmpty, readYaml, type YamlDocument } from "../strict-yaml/yaml.js";

export type ParsedExperiment = { readonly experiment: Experiment } | { readonly problems: Problem[] };

/** The file type, for messages. */
export const WHAT = "an experiment";

/**
 * Parses the text of an experiment file. Pure. Time and memory are proportional to the size of any text. Never throws
 * because of the text.
 *
 * @param fileName name of the file in the problems.
 */
export function parseExperiment(text: string, fileName: string): ParsedExperiment {
  const lines = new LineIndex(text);
  const atOffsets = (found: readonly TextProblem[]): ParsedExperiment => ({
    problems: toProblems(fileName, lines, found),
  });
  const read = readYaml(text, WHAT);
  if ("problems" in read) {
    const foreign =
      read.first === undefined ? undefined : foreignProblem(fileName, lines, read.first, valueOf(read.first));
    return foreign ?? atOffsets(read.problems);
  }
  const { document, duplicates } = read;
  if (isEmpty(document)) {
    return atOffsets([{ offset: 0, message: "the file is empty: it must describe an experiment" }]);
  }

  const value = valueOf(document);
  const foreign = foreignProblem(fileName, lines, document, value);
  if (foreign !== undefined) return foreign;
  const parsed = experimentSchema.safeParse(value, { error: messagesWith(ALIASES) });
  const positions = new Positions(document, lines);
  const issues = parsed.success ? [] : explainIssues(parsed.error.issues, value, ALIASES);
  const own = [...issues, ...escapedCharacters(value)];
  const across = crossCheck(
    value,
    own.map(({ path }) => path),
    (path) => positions.has(path),
  );
  const findings = [...own, ...across].map((finding) => toProblem(fileName, positions, finding));
  const problems = sortProblems([...toProblems(fileName, lines, duplicates), ...findings]);
  return parsed.success && problems.length === 0 ? { experiment: parsed.data } : { problems };
}

function valueOf(document: YamlDocument): unknown {
  return document.toJS({ maxAliasCount: 0 });
}

/** One problem for a file of another tool: what an experiment lacks would not help its author. */
function foreignProblem(
  file: string,
  lines: LineIndex,
  document: YamlDocument,
  value: unknown,
): ParsedExperiment | undefined {
  const foreign = foreignFile(value);
  if (foreign === undefined) return undefined;
  const { path, message } = foreign;
  const place = new Positions(document, lines).place(path, "key");
  return { problems: [{ file, ...place, path: "", message }] };
}

/** Forbidden characters that a value contains as an escape ("\\e[31m"). */
function escapedCharacters(value: unknown, path: readonly PropertyKey[] = []): Finding[] {
  if (typeof value === "string") {
    const problem = checkCharacters(value);
    return problem === undefined ? [] : [{ path, part: "value", message: problem.message }];
  }
  if (typeof value !== "object" || value === null) return [];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, inner]) => escapedCharacters(inner, [...path, key]));
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
