import { ChaosError, UsageError } from "../common/errors.js";
import {
  displayName,
  InvalidExperimentError,
  loadExperiment,
  type LoadedExperiment,
  type Problem,
} from "./read.js";
import { resolveReference, type ReferenceOptions } from "./references.js";

/** One file with its experiment, or with its problems. */
type Outcome = LoadedExperiment | BadFile;

interface BadFile {
  readonly file: string;
  /** One for each problem: `file:line:column: path: message`, in the order of the file. */
  readonly lines: readonly string[];
  /** The same with positions. A file that cannot be read has one, at its start. */
  readonly problems: readonly Problem[];
}

export interface LoadedFiles {
  /** Each file once, in the order of the references. */
  readonly files: readonly Outcome[];
  /** Messages for the references that match nothing, in their order. */
  readonly unmatched: readonly string[];
}

/** Loads all files of all references. Bad files and references end nothing: the user gets all problems at once. */
export async function loadFiles(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<LoadedFiles> {
  const paths = new Set<string>();
  const unmatched: string[] = [];
  for (const reference of references) {
    try {
      for (const path of await resolveReference(reference, options)) paths.add(path);
    } catch (error) {
      unmatched.push(messageFor(error));
    }
  }
  const files: Outcome[] = [];
  for (const path of paths) {
    try {
      files.push(await loadExperiment(path, options.cwd));
    } catch (error) {
      files.push(badFile(displayName(path, options.cwd), error));
    }
  }
  return { files, unmatched: [...new Set(unmatched)] };
}

function badFile(file: string, error: unknown): BadFile {
  const message = messageFor(error);
  const whole = { file, line: 1, column: 1, path: "", message };
  const problems = error instanceof InvalidExperimentError ? error.problems : [whole];
  return { file, lines: message.split("\n"), problems };
}

/** The lines about files (a good file has the text of `describe`), sorted by file, then about references, then a summary. */
export function linesOf(
  { files, unmatched }: LoadedFiles,
  describe: (good: LoadedExperiment) => string | undefined,
): string[] {
  const sorted = [...files].sort((a, b) => (a.file < b.file ? -1 : Number(a.file > b.file)));
  const about = sorted.flatMap((each) => ("lines" in each ? each.lines : (describe(each) ?? [])));
  return [...about, ...unmatched.flatMap((message) => message.split("\n")), ...summaryOf(files, unmatched)];
}

/** Nothing for a single file or reference, and if all is good. */
function summaryOf(files: readonly Outcome[], unmatched: readonly string[]): string[] {
  const bad = files.filter((each) => "lines" in each);
  if (bad.length + unmatched.length === 0 || files.length + unmatched.length === 1) return [];
  const problems = bad.reduce((sum, { lines }) => sum + lines.length, 0);
  const parts = [
    ...(bad.length === 0
      ? []
      : [`${bad.length} of ${count(files.length, "file")} cannot be used: ${count(problems, "problem")}`]),
    ...(unmatched.length === 0 ? [] : [`${count(unmatched.length, "argument")} matched no file`]),
  ];
  return [parts.join("; ")];
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** @throws the error if it is none about a file. */
function messageFor(error: unknown): string {
  if (!(error instanceof ChaosError)) throw error;
  return error.message;
}

/** All experiments. @throws UsageError with the problems of all files and references. */
export async function loadGood(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<LoadedExperiment[]> {
  const loaded = await loadFiles(references, options);
  const good = loaded.files.filter((each): each is LoadedExperiment => !("lines" in each));
  if (good.length < loaded.files.length || loaded.unmatched.length > 0)
    throw new UsageError(linesOf(loaded, () => undefined).join("\n"));
  return good;
}
