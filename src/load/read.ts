import { relative, resolve, sep } from "node:path";
import { UsageError, messageOf } from "../common/errors.js";
import { parseExperiment, toProblems, WHAT } from "./parse.js";
import { LineIndex } from "../strict-yaml/positions.js";
import { formatProblem, type Problem } from "../strict-yaml/problems.js";
import { escapeInvisible } from "../strict-yaml/quote.js";
import { NotRegularFileError, readBounded } from "../common/read-file.js";
import type { Experiment } from "../experiment/schema.js";
import { decodeUtf8, MAX_FILE_BYTES, tooLarge } from "../strict-yaml/text.js";

export { parseExperiment } from "./parse.js";
export { formatProblem, type Problem } from "../strict-yaml/problems.js";
export { resolveReference, type ReferenceOptions } from "./references.js";

/** An experiment and the file that it came from. */
export interface LoadedExperiment {
  readonly experiment: Experiment;
  /** As it is shown to the user: relative to the working folder when it is below it. */
  readonly file: string;
  /** What the file holds, for the copy in the report. */
  readonly text: string;
}

/** An experiment file with mistakes: its message is one line a mistake, `file:line:column: path: message`. */
export class InvalidExperimentError extends UsageError {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "InvalidExperimentError";
    this.problems = problems;
  }
}

/**
 * Reads and validates an experiment file.
 *
 * @param cwd the folder that relative paths start from and that messages are relative to.
 * @throws InvalidExperimentError with all mistakes of the file.
 * @throws UsageError when the file cannot be read.
 */
export async function loadExperiment(path: string, cwd: string = process.cwd()): Promise<LoadedExperiment> {
  const file = displayName(path, cwd);
  const bytes = await readFileOf(resolve(cwd, path), file);
  if (bytes === undefined) {
    throw new InvalidExperimentError([{ file, line: 1, column: 1, path: "", message: tooLarge(WHAT) }]);
  }
  const parsed = parseExperimentBytes(bytes, file);
  if ("problems" in parsed) throw new InvalidExperimentError(parsed.problems);
  return { experiment: parsed.experiment, file, text: parsed.text };
}

/**
 * What {@link loadExperiment} makes of a file's bytes. Pure; never throws for anything in them.
 *
 * @param file what the problems call the file.
 */
export function parseExperimentBytes(
  bytes: Uint8Array,
  file: string,
): { readonly experiment: Experiment; readonly text: string } | { readonly problems: Problem[] } {
  const { text, problem } = decodeUtf8(bytes);
  if (problem !== undefined) return { problems: toProblems(file, new LineIndex(text), [problem]) };
  const parsed = parseExperiment(text, file);
  return "problems" in parsed ? parsed : { ...parsed, text };
}

/** A path as the user would write it: relative when it is below the working folder, absolute otherwise. */
function displayName(path: string, cwd: string): string {
  const absolute = resolve(cwd, path);
  const below = relative(cwd, absolute);
  const shown = below === "" || below === ".." || below.startsWith(`..${sep}`) ? absolute : below;
  // A file's name may come from a stranger, too.
  return escapeInvisible(shown);
}

/** The bytes of the file; undefined when it is too large. */
async function readFileOf(path: string, file: string): Promise<Uint8Array | undefined> {
  try {
    return await readBounded(path, MAX_FILE_BYTES);
  } catch (error) {
    const problem =
      error instanceof NotRegularFileError ? error.message : `cannot be read: ${messageOf(error)}`;
    throw new UsageError(`${file}: ${escapeInvisible(problem)}`, { cause: error });
  }
}
