/**
 * The fuzz test of the experiment loader: real files with seeded random changes.
 *
 *     npx tsx test/fuzz/experiment-loader.ts [--seed N] [--inputs N] [--from N]
 *
 * It stops at the first input that fails, writes a copy of it, and prints how to repeat it. `--from` skips the inputs
 * before that number; `--from N --inputs 1` tests input N alone.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { check } from "./check.js";
import { readCorpus } from "./corpus.js";
import { watchForHang } from "./hang.js";
import { makeInput } from "./mutate.js";
import { randomOf } from "./random.js";

/** Longest time for one input, ms. */
const LIMIT_MS = 1_000;
/** How much the heap may grow after the first tenth of the inputs: more is a leak, bytes. */
const MAX_GROWTH = 32 * 1024 * 1024;
const PROGRESS_EVERY = 10_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    inputs: { type: "string", default: "100000" },
    from: { type: "string", default: "0" },
  },
});
const [seed, inputs, from] = [values.seed, values.inputs, values.from].map((text) => {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`not a whole number: ${text}`);
  return number;
}) as [number, number, number];

const corpus = readCorpus();
const outcomes = new Map<string, number>();
const slowest = { input: from, ms: 0, bytes: 0 };
const began = performance.now();
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const endWatch = watchForHang(`--seed ${seed}`);
let heapBefore = 0;

for (let input = from; input < from + inputs; input += 1) {
  const bytes = makeInput(randomOf(seed, input), corpus);
  endWatch.now(input);
  const took = tryOne(input, bytes);
  if (took > slowest.ms) Object.assign(slowest, { input, ms: took, bytes: bytes.length });
  const done = input - from + 1;
  if (done === Math.ceil(inputs / 10)) heapBefore = heapInUse();
  if (done % PROGRESS_EVERY === 0) {
    console.log(
      `${done} inputs, ${seconds()} s, slowest ${slowest.ms.toFixed(0)} ms, ${rssMiB()} MiB resident`,
    );
  }
}
const growth = heapInUse() - heapBefore;
const perKind = [...outcomes].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${kind} ${count}`);
console.log(
  `seed ${seed}: ${inputs} inputs in ${seconds()} s; ${perKind.join(", ")}; ` +
    `slowest: input ${slowest.input} (${slowest.bytes} bytes), ${slowest.ms.toFixed(0)} ms; ` +
    `heap ${growth < 0 ? "" : "+"}${(growth / 2 ** 20).toFixed(1)} MiB since the first tenth, ${rssMiB()} MiB resident`,
);
if (growth > MAX_GROWTH) {
  console.error(`the heap grew by more than ${MAX_GROWTH / 2 ** 20} MiB`);
  process.exitCode = 1;
}
await endWatch.end();

/** How long it took, ms. */
function tryOne(input: number, bytes: Buffer): number {
  try {
    const { kind, ms } = timed(bytes);
    outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
    // On a busy machine one measurement is not reliable: take the best of three.
    const least = ms > LIMIT_MS ? Math.min(ms, timed(bytes).ms, timed(bytes).ms) : ms;
    if (least > LIMIT_MS) throw new Error(`took ${least.toFixed(0)} ms`);
    return least;
  } catch (error) {
    const copy = join(tmpdir(), `experiment-fuzz-${seed}-${input}.yaml`);
    writeFileSync(copy, bytes);
    console.error(`failed at input ${input} (${bytes.length} bytes, ${copy}):`);
    console.error(error);
    console.error(JSON.stringify(bytes.toString("latin1").slice(0, 2000)));
    console.error(`again: npx tsx test/fuzz/experiment-loader.ts --seed ${seed} --from ${input} --inputs 1`);
    process.exit(1);
  }
}

function timed(bytes: Buffer): { kind: string; ms: number } {
  const start = performance.now();
  const kind = check(bytes);
  const ms = performance.now() - start;
  if (Object.keys(Object.prototype).length > 0) throw new Error("Object.prototype was changed");
  return { kind, ms };
}

function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function rssMiB(): string {
  return (process.memoryUsage.rss() / 2 ** 20).toFixed(0);
}

function seconds(): string {
  return ((performance.now() - began) / 1000).toFixed(1);
}
