/**
 * Control runs (the attack none) while every core is kept busy: is a fault found where there is none?
 *
 *   npm run bench:busy -- [--minutes 30] [--cores N] [flags of chaos run: --context NAME, --kubeconfig FILE, …]
 *
 * On an existing cluster whose nodes are on this machine. Each run deploys the guestbook, measures a baseline and a window
 * of 15 s each, and removes everything. A run is right if it finds nothing (exit 0), or says that it was disturbed
 * (inconclusive, exit 2 or 4). Anything else is a false alarm: its report stays, and the exit code is 1. The busy processes end
 * with this one, also after Ctrl-C.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { RunResult } from "../src/analysis/result.js";
import { packageRoot } from "../src/common/package-root.js";
import { controlExperiment, controlRun, resultIn } from "./control-run.js";

const { values, tokens } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    cores: { type: "string", default: `${cpus().length}` },
  },
  strict: false,
  allowPositionals: true,
  tokens: true,
});
const ours = new Set(["minutes", "cores"]);
const flags = tokens.flatMap((token) => {
  if (token.kind === "option")
    return ours.has(token.name) ? [] : [token.rawName, ...(token.value === undefined ? [] : [token.value])];
  return token.kind === "positional" ? [token.value] : [];
});

const { folder, experiment } = controlExperiment("busy");

const busy = Array.from({ length: Number(values.cores) }, () =>
  spawn(process.execPath, ["-e", "for (;;) {}"], { stdio: "ignore" }),
);
let run: ChildProcess | undefined;
let ended = false;
const endBusy = (): void => busy.forEach((child) => child.kill("SIGKILL"));
process.on("exit", endBusy);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    // The run restores by itself, faster on a free machine.
    ended = true;
    endBusy();
    run?.kill("SIGINT");
  });

/** The largest share of the time from baseline to recovery in which a source was late itself. */
function disturbedShare({ disturbed = [], phases }: RunResult): number {
  const measuredMs = (phases.recovery?.toMs ?? phases.window?.toMs ?? 0) - (phases.baseline?.fromMs ?? 0);
  const late = disturbed.map(({ spans }) => spans.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0));
  return Math.max(0, ...late) / Math.max(1, measuredMs);
}

const until = performance.now() + Number(values.minutes) * 60_000;
let runs = 0;
let alarms = 0;
console.log("run  exit  verdict        severity       disturbed  because");
while (performance.now() < until && !ended) {
  const reports = join(folder, `run-${(runs += 1)}`);
  run = spawn(process.execPath, controlRun(experiment, reports, flags), {
    cwd: packageRoot(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  run.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => run?.once("close", resolve));
  if (ended) break;
  const result = resultIn(reports);
  const disturbed =
    result?.verdict === "inconclusive" && result.reasons.every((reason) => reason.code === "disturbed");
  const right = code === 0 || disturbed;
  if (right) rmSync(reports, { recursive: true, force: true });
  else alarms += 1;
  console.log(
    [
      String(runs).padStart(3),
      String(code).padStart(4),
      (result?.verdict ?? "no report").padEnd(13),
      (result?.severity ?? "").padEnd(13),
      `${(100 * (result === undefined ? 0 : disturbedShare(result))).toFixed(1)} %`.padStart(9),
      right ? "" : `FALSE ALARM ${result?.verdictBecause ?? stderr.slice(-300)} → ${reports}`,
    ].join("  "),
  );
}
console.log(`${alarms} false alarms in ${runs} runs, with ${busy.length} cores kept busy`);
if (alarms > 0 || runs === 0) process.exitCode = 1;
else rmSync(folder, { recursive: true, force: true });
if (ended) process.exitCode = 130;
endBusy();
