import { open, stat } from "node:fs/promises";
import { relative, resolve, sep } from "node:path";
import { UsageError, messageOf } from "../errors.js";
import { parseExperiment, toProblems } from "./parse.js";
import { LineIndex } from "./positions.js";
import { formatProblem, type Problem } from "./problems.js";
import type { Experiment } from "./schema.js";
import { decodeUtf8, MAX_FILE_BYTES, TOO_LARGE } from "./text.js";

export { parseExperiment } from "./parse.js";
export { formatProblem, type Problem } from "./problems.js";
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
  const bytes = await readBounded(resolve(cwd, path), file);
  if (bytes === undefined) {
    throw new InvalidExperimentError([{ file, line: 1, column: 1, path: "", message: TOO_LARGE }]);
  }
  const { text, problem } = decodeUtf8(bytes);
  if (problem !== undefined) {
    throw new InvalidExperimentError(toProblems(file, new LineIndex(text), [problem]));
  }
  const parsed = parseExperiment(text, file);
  if ("problems" in parsed) throw new InvalidExperimentError(parsed.problems);
  return { experiment: parsed.experiment, file, text };
}

/** A path as the user would write it: relative when it is below the working folder, absolute otherwise. */
export function displayName(path: string, cwd: string): string {
  const absolute = resolve(cwd, path);
  const below = relative(cwd, absolute);
  return below === "" || below === ".." || below.startsWith(`..${sep}`) ? absolute : below;
}

/** The bytes of a regular file; undefined when it is too large. Never reads more than the limit. */
async function readBounded(path: string, file: string): Promise<Uint8Array | undefined> {
  try {
    // A device or a pipe may have no end, and opening a pipe waits for its writer.
    if (!(await stat(path)).isFile()) throw new UsageError(`${file}: not a regular file`);
    const bytes = await readAtMost(path, MAX_FILE_BYTES + 1);
    return bytes.length > MAX_FILE_BYTES ? undefined : bytes;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** The first bytes of a file. */
async function readAtMost(path: string, limit: number): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const buffer = Buffer.alloc(limit);
    let length = 0;
    while (length < limit) {
      const { bytesRead } = await handle.read(buffer, length, limit - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  } finally {
    await handle.close();
  }
}
