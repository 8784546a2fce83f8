/**
 * How long report.html takes for 100,000 samples, compared with reading them: `npm run build && npx tsx bench/report.ts
 * [SAMPLES]`. The goal: under a second, and under 300 kB.
 */
import { analysisOf } from "../src/analysis/analyse.js";
import { samplesOf, samplesToNdjson } from "../src/evidence/serialise.js";
import { pageAssets } from "../src/report/html/assets.js";
import { reportPage } from "../src/report/html/report.js";
import { manySamples } from "../test/helpers/many-samples.js";

const GOAL_MS = 1_000;
const GOAL_BYTES = 300_000;
const RUNS = 5;

const count = Number(process.argv[2] ?? 100_000);
const run = manySamples(count);
const files = run.samples.map((raw) => ({ source: raw.source, text: samplesToNdjson(raw) }));
const assets = await pageAssets();

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** CPU time, median of some runs, ms: a busy machine would change the time of the clock. */
async function timed(act: () => unknown): Promise<number> {
  const ms: number[] = [];
  for (let each = 0; each < RUNS; each += 1) {
    const start = process.cpuUsage();
    await act();
    const { user, system } = process.cpuUsage(start);
    ms.push((user + system) / 1000);
  }
  return median(ms);
}

const readMs = await timed(async () => {
  for (const { source, text } of files) await samplesOf(text.split("\n"), source);
});
const analysis = analysisOf(run.facts, run.events, run.samples);
const input = { ...analysis, events: run.events };
let html = "";
const pageMs = await timed(() => (html = reportPage(input, assets)));
const kB = (bytes: number): string => `${(bytes / 1000).toFixed(0)} kB`;
console.log(`reading ${count} samples  ${readMs.toFixed(0)} ms`);
console.log(
  `report.html             ${pageMs.toFixed(0)} ms  ${(pageMs / readMs).toFixed(2)}×  ${kB(html.length)}`,
);
const missed = pageMs > GOAL_MS || html.length > GOAL_BYTES;
console.log(missed ? "goal missed" : `goals kept: under ${GOAL_MS} ms and ${kB(GOAL_BYTES)}`);
if (missed) process.exitCode = 1;
