import { relative, resolve, sep } from "node:path";
import { UsageError } from "../common/errors.js";
import { parseExperiment, toProblems, WHAT } from "./parse.js";
import { LineIndex } from "../strict-yaml/positions.js";
import { formatProblem, type Problem } from "../strict-yaml/problems.js";
import { escapeInvisible } from "../strict-yaml/quote.js";
import { isLink, NotRegularFileError, readBounded } from "../common/read-file.js";
import { systemReason } from "../common/system-reason.js";
import type { Experiment } from "../experiment/schema.js";
import { decodeUtf8, MAX_FILE_BYTES, tooLarge } from "../strict-yaml/text.js";

export { parseExperiment } from "./parse.js";
export { formatProblem, type Problem } from "../strict-yaml/problems.js";
export { resolveReference, type ReferenceOptions } from "./references.js";

/** An experiment and its file. */
export interface LoadedExperiment {
  readonly experiment: Experiment;
  /** As shown to the user: relative if it is below the working directory. */
  readonly file: string;
  /** Content of the file, for the copy in the report. */
  readonly text: string;
}

/** An invalid experiment file. The message has one line per problem: `file:line:column: path: message`. */
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
 * @param cwd base of relative paths, in arguments and in messages.
 * @throws InvalidExperimentError with all problems of the file.
 * @throws UsageError if the file cannot be read.
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
 * Parses the bytes of a file for {@link loadExperiment}. Pure. Never throws because of the bytes.
 *
 * @param file name of the file in the problems.
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

/** A path as the user would write it: relative if it is below the working directory, absolute otherwise. */
export function displayName(path: string, cwd: string = process.cwd()): string {
  const absolute = resolve(cwd, path);
  const below = relative(cwd, absolute);
  const shown = below === "" || below === ".." || below.startsWith(`..${sep}`) ? absolute : below;
  // A file's name is untrusted, too.
  return escapeInvisible(shown);
}

/** The bytes of the file; undefined if it is too large. */
async function readFileOf(path: string, file: string): Promise<Uint8Array | undefined> {
  try {
    return await readBounded(path, MAX_FILE_BYTES);
  } catch (error) {
    const isBroken = (error as NodeJS.ErrnoException).code === "ENOENT" && (await isLink(path));
    const reason = isBroken ? "it is a broken link" : systemReason(error);
    const problem = error instanceof NotRegularFileError ? error.message : `cannot be read: ${reason}`;
    throw new UsageError(`${file}: ${escapeInvisible(problem)}`, { cause: error });
  }
}
