/**
 * How long the command line takes to start, compared with Node itself: `npm run bench:startup`. The commands take turns,
 * so that a busy machine slows all of them down.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../src/common/package-root.js";

const RUNS = 20;
const cli = join(packageRoot(), "dist/cli.js");
const COMMANDS = {
  "node -e 0": ["-e", "0"],
  "chaos --help": [cli, "--help"],
  "chaos validate": [cli, "validate", join(packageRoot(), "experiments/kube-dns.yaml")],
};

const times = Object.entries(COMMANDS).map(([name, args]) => ({ name, args, ms: [] as number[] }));
for (let run = 0; run < RUNS; run += 1) {
  for (const { args, ms } of times) {
    const start = performance.now();
    spawnSync(process.execPath, args, { stdio: "ignore" });
    ms.push(performance.now() - start);
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const node = median(times[0]?.ms ?? []);
for (const { name, ms } of times)
  console.log(`${name.padEnd(16)} ${median(ms).toFixed(0)} ms  ${(median(ms) / node).toFixed(2)}×`);
