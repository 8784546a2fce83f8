import { createReadStream, createWriteStream } from "node:fs";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Readable, pipeline as joined } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { analysisOf } from "../analysis/analyse.js";
import type { RunResult } from "../analysis/result.js";
import { exitCodeOf } from "../analysis/verdict.js";
import { ExitCode, messageOf, UsageError } from "../common/errors.js";
import type { RunFacts } from "../evidence/facts.js";
import type { Recorder } from "../evidence/recorder.js";
import type { RawSamples } from "../evidence/sample.js";
import { eventsOf, linesOf, samplesOf } from "../evidence/serialise.js";
import { factsFromJson } from "./facts-read.js";
import { FORMATS } from "./formats.js";
import type { ReportInput } from "./report-input.js";

/**
 * Compresses the samples of a finished run: `SOURCE.ndjson` → `SOURCE.ndjson.gz`. If this fails, the file stays as it
 * is.
 *
 * @throws the file system's error, for example when the disk is full.
 */
async function packSamples(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, "samples"))) {
    if (!name.endsWith(".ndjson")) continue;
    const path = join(folder, "samples", name);
    try {
      await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz`));
    } catch (error) {
      // An incomplete .gz beside the complete file would be read as a second source.
      await rm(`${path}.gz`, { force: true });
      throw error;
    }
    await rm(path);
  }
}

/**
 * What a run's raw files alone show (run.json, events.ndjson, samples).
 *
 * @throws UsageError when the folder does not belong to a run, or its raw files are damaged.
 */
export async function analyseFolder(folder: string): Promise<ReportInput> {
  const facts = await readFacts(join(folder, "run.json"));
  const eventsFile = join(folder, "events.ndjson");
  const events = await ofRun(eventsFile, async () => await eventsOf(linesOf(createReadStream(eventsFile))));
  const notes = [...events.notes];
  const samples: RawSamples[] = [];
  for (const name of await sampleFiles(join(folder, "samples"))) {
    const source = basename(name).replace(/\.ndjson(\.gz)?$/, "");
    const path = join(folder, "samples", name);
    const read = await ofRun(path, async () => await samplesOf(linesOf(contentOf(path)), source));
    samples.push(read.value);
    notes.push(...read.notes);
  }
  return { ...analysisOf(facts, events.value, samples, notes), events: events.value };
}

/**
 * Recomputes a run's result from its raw files and writes it in every format. A result that has more samples than the raw
 * files have is never replaced.
 *
 * @throws UsageError as {@link analyseFolder}, and when the raw files are fewer than the existing result counts. Nothing was
 *   written then.
 */
export async function buildReport(folder: string): Promise<RunResult> {
  const input = await analyseFolder(folder);
  await refuseLess(folder, input.result);
  for (const [name, text] of textsOf(input)) await writeWhole(join(folder, name), await text());
  return input.result;
}

/** The raw files may be lost or damaged since the result was written: then the result is the better evidence. */
async function refuseLess(folder: string, result: RunResult): Promise<void> {
  const path = join(folder, "result.json");
  const before = countedSamples(await readFile(path, "utf8").catch(() => ""));
  const now = countedSamples(JSON.stringify(result));
  if (before <= now) return;
  throw new UsageError(
    `cannot recompute ${path}: it has ${before} samples, but the raw files have only ${now} of them. Nothing was written. ` +
      "Restore the raw files, or move result.json to another folder first",
  );
}

/**
 * How many samples of all probes a result.json knows; 0: it is not the result of a run. With the missed ones: which samples
 * count may change from one version to the next.
 */
function countedSamples(json: string): number {
  try {
    const { probes } = JSON.parse(json) as RunResult;
    return probes.reduce((sum, { phases }) => {
      return sum + Object.values(phases).reduce((all, { samples, missed }) => all + samples + missed, 0);
    }, 0);
  } catch {
    return 0;
  }
}

/** The files of a report. Each text is produced when its file is written. */
function textsOf(input: ReportInput): [string, () => string | Promise<string>][] {
  return Object.entries(FORMATS).map(([name, text]) => [name, () => text(input)]);
}

/** Writes the whole file or nothing: the matrix cannot read half a result.json. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const part = `${path}.part`;
  try {
    await writeFile(part, text);
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

export interface FinishedReport {
  readonly result: RunResult;
  /** What could not be written, and why; empty: every file is on disk. */
  readonly problems: readonly string[];
}

/**
 * Writes the files of a finished run. If the disk is full, files are lost but not the result: it is computed from the
 * runner's memory and lists the missing files as warnings. Disk errors are never thrown.
 */
export async function finishReport(recorder: Recorder, facts: RunFacts): Promise<FinishedReport> {
  const { folder } = recorder;
  await recorder.write("run.json", factsJson(facts));
  await recorder.close();
  const problems = recorder.failures.map(({ file, error }) => problemOf(join(folder, file), error));
  if (problems.length === 0) {
    await packSamples(folder).catch((error: unknown) =>
      problems.push(problemOf("the compressed samples", error)),
    );
    try {
      return { result: await buildReport(folder), problems };
    } catch (error) {
      // A bug in the analysis appears again below, where nothing is read from disk.
      problems.push(problemOf(`the report in ${folder}`, error));
    }
  }
  const { events, samples } = recorder;
  const analysis = analysisOf(facts, events, samples, problems);
  for (const [name, text] of textsOf({ ...analysis, events })) {
    // A format that cannot be made does not cost the others.
    try {
      await writeWhole(join(folder, name), await text());
    } catch (error) {
      problems.push(problemOf(join(folder, name), error));
    }
  }
  return { result: analysis.result, problems: [...new Set(problems)] };
}

function problemOf(what: string, error: unknown): string {
  return `${what} could not be written: ${messageOf(error)}`;
}

/** The text of run.json. */
export function factsJson(facts: RunFacts): string {
  return `${JSON.stringify(facts, null, 2)}\n`;
}

/**
 * The exit code of the command. Pure. If the evidence could not be written, the verdict is shown but the exit code is 2
 * instead of 0 or 1, because the verdict cannot be verified.
 *
 * @param whole whether the cluster is fully restored.
 */
export function exitCodeOfReport({ result, problems }: FinishedReport, whole: boolean): ExitCode {
  if (!whole) return ExitCode.notRestored;
  const code = exitCodeOf(result);
  const judged = code === ExitCode.asExpected || code === ExitCode.differs;
  return judged && problems.length > 0 ? ExitCode.inconclusive : code;
}

/** A file's content, unpacked if it is a .gz. Its reader gets the error of either. */
function contentOf(path: string): Readable {
  const file = createReadStream(path);
  return path.endsWith(".gz") ? joined(file, createGunzip(), () => undefined) : file;
}

async function readFacts(path: string): Promise<RunFacts> {
  const text = await ofRun(path, async () => await readFile(path, "utf8"));
  const read = factsFromJson(text);
  if ("facts" in read) return read.facts;
  throw new UsageError(
    `${path} is damaged, or not of a run: ${read.problem}. Restore it from a copy of the folder, or name another one`,
  );
}

/** The names of the files of samples, sorted. While X is packed, X is complete and X.gz may be cut. */
async function sampleFiles(folder: string): Promise<string[]> {
  const names = await ofRun(folder, async () => await readdir(folder));
  return names.filter((name) => !names.includes(name.replace(/\.gz$/, "")) || !name.endsWith(".gz")).sort();
}

/** @throws UsageError when what every folder of a run has does not exist, is not a folder, not a file, or damaged. */
async function ofRun<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    // zlib's codes: Z_DATA_ERROR, Z_BUF_ERROR.
    if (code.startsWith("Z_"))
      throw new UsageError(`${path} is damaged. Restore it from a copy of the folder`, { cause: error });
    if (!["ENOENT", "ENOTDIR", "EISDIR"].includes(code)) throw error;
    const folder = dirname(path);
    // Without the cause, which would only repeat this.
    throw new UsageError(
      code === "ENOTDIR"
        ? `${folder} is not a folder. Name the folder of a run, which has run.json`
        : `no ${basename(path)} in ${folder}: this is not the folder of a run, or it is incomplete. Name a folder that \`chaos run\` has written`,
    );
  }
}
