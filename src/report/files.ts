import { createReadStream, createWriteStream } from "node:fs";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip, gunzipSync } from "node:zlib";
import { analyse } from "../analysis/analyse.js";
import type { RunResult } from "../analysis/result.js";
import { exitCodeOf } from "../analysis/verdict.js";
import { ExitCode, messageOf, UsageError } from "../common/errors.js";
import type { RunFacts } from "../evidence/facts.js";
import type { Recorder } from "../evidence/recorder.js";
import type { RawSamples } from "../evidence/sample.js";
import { eventsFromNdjson, samplesFromNdjson } from "../evidence/serialise.js";
import { FORMATS, type ReportInput } from "./formats.js";

/**
 * Packs the samples of a finished run: `SOURCE.ndjson` → `SOURCE.ndjson.gz`. What cannot be packed stays as it is.
 *
 * @throws the file system's error, when there is no room for the packed ones (say).
 */
async function packSamples(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, "samples"))) {
    if (!name.endsWith(".ndjson")) continue;
    const path = join(folder, "samples", name);
    try {
      await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz`));
    } catch (error) {
      // Half a packed file beside the whole one would be read as a second source.
      await rm(`${path}.gz`, { force: true });
      throw error;
    }
    await rm(path);
  }
}

/**
 * Computes a run's result again from its raw files alone (run.json, events.ndjson, samples) and writes it in every
 * format.
 *
 * @throws UsageError when the folder is no run's.
 */
export async function buildReport(folder: string): Promise<RunResult> {
  const facts = JSON.parse(await readText(join(folder, "run.json"))) as RunFacts;
  const events = eventsFromNdjson(await readText(join(folder, "events.ndjson")));
  const notes = [...events.notes];
  const samples: RawSamples[] = [];
  for (const name of (await readdir(join(folder, "samples"))).sort()) {
    const content = await readFile(join(folder, "samples", name));
    const text = (name.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8");
    const source = basename(name).replace(/\.ndjson(\.gz)?$/, "");
    const read = samplesFromNdjson(text, source);
    samples.push(read.value);
    notes.push(...read.notes);
  }
  const result = analyse(facts, events.value, samples, notes);
  for (const [name, text] of textsOf({ result, events: events.value, samples }))
    await writeWhole(join(folder, name), text());
  return result;
}

/** The files of a report, each made when it is written. */
function textsOf(input: ReportInput): [string, () => string][] {
  return Object.entries(FORMATS).map(([name, text]) => [name, () => text(input)]);
}

/** Written whole or not at all: half a result.json would stand in the way of the matrix. */
async function writeWhole(path: string, text: string): Promise<void> {
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
  /** What could not be written, and why; empty: everything is on disk. */
  readonly problems: readonly string[];
}

/**
 * Writes the files of a run that is over. A disk that takes no more costs files, not the result: it is computed from
 * what the runner has in memory, and holds what is missing as warnings. Never throws for a disk's sake.
 */
export async function finishReport(recorder: Recorder, facts: RunFacts): Promise<FinishedReport> {
  const { folder } = recorder;
  await recorder.write("run.json", factsJson(facts));
  await recorder.close();
  const problems = recorder.failures.map(({ file, error }) => problemOf(join(folder, file), error));
  if (problems.length === 0) {
    await packSamples(folder).catch((error: unknown) =>
      problems.push(problemOf("the packed samples", error)),
    );
    try {
      return { result: await buildReport(folder), problems };
    } catch (error) {
      // A bug in the analysis comes again below, where nothing is read from the disk.
      problems.push(problemOf(`the report in ${folder}`, error));
    }
  }
  const { events, samples } = recorder;
  const result = analyse(facts, events, samples, problems);
  for (const [name, text] of textsOf({ result, events, samples })) {
    const content = text();
    await writeWhole(join(folder, name), content).catch((error: unknown) =>
      problems.push(problemOf(join(folder, name), error)),
    );
  }
  return { result, problems: [...new Set(problems)] };
}

function problemOf(what: string, error: unknown): string {
  return `${what} could not be written: ${messageOf(error)}`;
}

/** The text of run.json. */
export function factsJson(facts: RunFacts): string {
  return `${JSON.stringify(facts, null, 2)}\n`;
}

/**
 * What the command line ends with. Pure. A verdict whose evidence could not be kept is shown, and proves nothing to
 * whoever reads the exit code: 2 in the place of 0 and 1.
 *
 * @param whole whether everything is as before.
 */
export function exitCodeOfReport({ result, problems }: FinishedReport, whole: boolean): ExitCode {
  if (!whole) return ExitCode.notRestored;
  const code = exitCodeOf(result);
  const judged = code === ExitCode.asExpected || code === ExitCode.differs;
  return judged && problems.length > 0 ? ExitCode.inconclusive : code;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new UsageError(
      `no ${basename(path)} in ${path.slice(0, -basename(path).length)}: that is not the folder of a run`,
      { cause: error },
    );
  }
}
