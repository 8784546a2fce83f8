/**
 * Whether the verdict knows noise: `npm run bench:verdict [-- SEED [RUNS]]`. Simulated runs with a stated truth go through
 * the functions that judge a real run, for 1, 3, 30 and 100 workers. Prints how often each was called what; exit 1 when a
 * goal is missed. Takes about four minutes.
 */
import { countOf, GOALS, isMissed, type Goal } from "./simulation.js";

const WORKERS = [1, 3, 30, 100];
const [seed = 1, asked] = process.argv.slice(2).map(Number);

/** What is rare needs many runs; those of many workers, or of single samples, take long. */
function runsOf(workers: number, { atMost, truth }: Goal): number {
  const sampled = truth.stalls !== undefined || truth.failing !== undefined;
  if (sampled) return asked ?? (workers <= 3 ? 2000 : workers <= 30 ? 300 : 100);
  return asked ?? (atMost === undefined ? 1000 : workers <= 3 ? 10_000 : 2000);
}

let missed = 0;
console.log(`Seed ${seed}. Workers: share of runs.`);
for (const [index, goal] of GOALS.entries()) {
  const { name, atMost, atLeast = 0 } = goal;
  const cells = WORKERS.map((workers) => {
    const runs = runsOf(workers, goal);
    const share = countOf(goal, seed * 10_000 + index * 1000 + workers, workers, runs) / runs;
    if (isMissed(goal, share)) missed += 1;
    const figure = atMost === undefined ? `${(share * 100).toFixed(1)} %` : (share * 1000).toFixed(2);
    return `${workers}: ${figure}${isMissed(goal, share) ? " MISSED" : ""}`;
  });
  const limit = atMost === undefined ? `at least ${atLeast * 100} %` : `per 1,000, at most ${atMost * 1000}`;
  console.log(`${name} (${limit})\n    ${cells.join("   ")}`);
}
if (missed > 0) {
  console.log(`${missed} of ${GOALS.length * WORKERS.length} goals were missed.`);
  process.exitCode = 1;
}
