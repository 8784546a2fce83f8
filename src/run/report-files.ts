import { createReadStream, createWriteStream } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip, gunzipSync } from "node:zlib";
import { analyse, seriesOfRun } from "../analysis/analyse.js";
import type { RunFacts, RunResult } from "../analysis/result.js";
import type { RawSamples } from "../probes/sample.js";
import { reportMarkdown } from "../report/markdown.js";
import { eventsFromNdjson, resultJson, samplesFromNdjson } from "../report/serialise.js";
import { timelineSvg } from "../report/timeline-svg.js";
import { UsageError } from "../errors.js";

/** Packs the samples of a finished run: `SOURCE.ndjson` → `SOURCE.ndjson.gz`. */
export async function packSamples(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, "samples"))) {
    if (!name.endsWith(".ndjson")) continue;
    const path = join(folder, "samples", name);
    await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz`));
    await rm(path);
  }
}

/**
 * Computes a run's result again from its raw files alone (run.json, events.ndjson, samples) and writes
 * result.json, report.md and timeline.svg.
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
  await writeFile(join(folder, "result.json"), resultJson(result));
  await writeFile(
    join(folder, "timeline.svg"),
    timelineSvg(result, events.value, seriesOfRun(events.value, samples)),
  );
  await writeFile(join(folder, "report.md"), reportMarkdown(result));
  return result;
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
