/**
 * How many baselines are healthy: control runs (the attack none), one after the other, on an existing cluster.
 *
 *   npx tsx bench/baselines.ts [--runs 30] [flags of chaos run: --context NAME, --kubeconfig FILE, --set KEY=VALUE, …]
 *
 * Needs `npm run build`. Takes about a minute per run. Each run deploys the guestbook again, measures a baseline and a window
 * of 15 s each without an attack, and removes everything. Healthy: the run ends as a control run must (exit 0), and not one
 * read or write of the application failed because of its body or status. The number of workers is the cluster's: compare a
 * kind cluster of two workers with one of four. Exit 1 when a run was not healthy; its report stays, and its folder is shown.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { RunResult } from "../src/analysis/result.js";
import { packageRoot } from "../src/common/package-root.js";
import { controlExperiment, controlRun, resultIn } from "./control-run.js";

const args = process.argv.slice(2);
const at = args.indexOf("--runs");
const runs = at < 0 ? 30 : Number(args.splice(at, 2)[1]);
const { folder, experiment } = controlExperiment("baseline");

/** What failed in a run that is no matter of time: "3 × bad-body of app-read from worker-1 (baseline)". */
function wrongAnswers({ probes }: RunResult): string[] {
  return probes
    .filter(({ probe }) => probe.startsWith("app-") || probe === "outside")
    .flatMap(({ probe, source, phases }) =>
      Object.entries(phases).flatMap(([phase, measured]) =>
        Object.entries(measured?.failures ?? {})
          .filter(([kind]) => kind === "bad-body" || kind === "http-status")
          .map(([kind, count]) => `${count} × ${kind} of ${probe} from ${source} (${phase})`),
      ),
    );
}

let healthy = 0;
let workers = 0;
for (let run = 1; run <= runs; run += 1) {
  const reports = join(folder, `run-${run}`);
  const { status, stderr } = spawnSync(process.execPath, controlRun(experiment, reports, args), {
    cwd: packageRoot(),
    encoding: "utf8",
  });
  const result = resultIn(reports);
  const wrong = result === undefined ? ["no result"] : wrongAnswers(result);
  workers = result?.facts.sources.length ?? workers;
  const good = status === 0 && wrong.length === 0;
  if (good) healthy += 1;
  const words = good
    ? "healthy"
    : `NOT healthy (exit ${String(status)}): ${wrong.join("; ")} ${result?.verdictBecause ?? stderr}`;
  console.log(`run ${run}: ${words}${good ? "" : ` → ${reports}`}`);
}
console.log(`${healthy} of ${runs} baselines were healthy, on ${workers} workers`);
if (healthy < runs) process.exitCode = 1;
