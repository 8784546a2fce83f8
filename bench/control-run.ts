/** Control runs (the attack none) of the benches, and their results. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunResult } from "../src/analysis/result.js";

/** A folder for the runs, and the file of their experiment: a baseline and a window of 15 s each. */
export function controlExperiment(name: string): { readonly folder: string; readonly experiment: string } {
  const folder = mkdtempSync(join(tmpdir(), `chaos-${name}-`));
  const experiment = join(folder, `${name}.yaml`);
  writeFileSync(
    experiment,
    `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: { name: ${name} }
target: { component: kube-dns }
attack: { type: none }
phases: { baseline: 15s, window: 15s, recovery: 1m }
probes: { external: false }
`,
  );
  return { folder, experiment };
}

/** The arguments of node that run it, and write its report below a folder. */
export const controlRun = (experiment: string, reports: string, flags: readonly string[]): string[] => [
  "dist/cli.js",
  "--plain",
  "run",
  experiment,
  "--reports",
  reports,
  ...flags,
];

/** The result of the run, if it wrote one. */
export function resultIn(reports: string): RunResult | undefined {
  const [report = ""] = existsSync(reports) ? readdirSync(reports) : [];
  const path = join(reports, report, "result.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as RunResult) : undefined;
}
