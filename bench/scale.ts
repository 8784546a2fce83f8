/**
 * Memory and time of the runner's evidence for a long run on a large cluster:
 * `npx tsx bench/scale.ts WORKERS MINUTES INTERVAL_MS PODS`. A synthetic stream goes through the recorder to the report, as
 * in a run: ten probes of each worker, and a fight in which PODS pods are killed and recreated. The peak includes Node
 * itself and the modules (about 60 MB).
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunEventBody } from "../src/evidence/events.js";
import { Recorder } from "../src/evidence/recorder.js";
import type { SampleLine } from "../src/evidence/sample.js";
import type { ProbeName } from "../src/experiment/names.js";
import { finishReport } from "../src/report/files.js";
import { DEPLOYMENT, factsWith } from "../test/helpers/synthetic-run.js";

const [workers = 12, minutes = 30, interval = 400, pods = 0] = process.argv.slice(2).map(Number);
const PROBES: readonly ProbeName[] = [
  "app-write",
  "app-read",
  "app-write-env",
  "app-read-env",
  "http-service",
  "dns-internal",
  "tcp-service",
  "tcp-pod",
  "tcp-long-lived",
  "dns-search",
];
const BASELINE_S = 15;
const mb = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MB`;

const folder = await mkdtemp(join(tmpdir(), "chaos-scale-"));
let now = 0;
const recorder = await Recorder.create(folder, () => now);
const sources = Array.from({ length: workers }, (_, index) => `worker-${String(index).padStart(3, "0")}`);
const seconds = minutes * 60;
const atStart = process.memoryUsage.rss();

/** As from the network: parsed again, so that no two lines share a string. */
function add(source: string, lines: readonly SampleLine[]): void {
  recorder.addSamples(source, JSON.parse(JSON.stringify(lines)) as SampleLine[]);
}

function emit(body: RunEventBody): void {
  recorder.emit(JSON.parse(JSON.stringify(body)) as RunEventBody);
}

/** What a prober measured in one second. The front ends fail for 20 s of each minute. */
function linesOf(worker: number, second: number): SampleLine[] {
  const ticks = Array.from(
    { length: Math.ceil(1000 / interval) },
    (_, tick) => second * 1000 + tick * interval,
  );
  return ticks.flatMap((t) =>
    PROBES.map((probe): SampleLine => {
      const target = probe.startsWith("app-") ? { target: `frontend-6f8b-${worker % 3}` } : {};
      const about = { probe, t: t + 0.123, d: 1 + ((t * 7919 + worker) % 5000) / 1000, ...target };
      return second > 30 && second % 60 < 20 && probe.startsWith("app-")
        ? { ...about, ok: false, kind: "timeout", message: "no answer in time" }
        : { ...about, ok: true };
    }),
  );
}

for (const source of sources) {
  emit({ type: "clock", source, boot: "b", offsetMs: 0, uncertaintyMs: 1 });
  add(source, [{ boot: "b", t: 0, wall: 0, node: source }]);
}
emit({ type: "phase", phase: "baseline", state: "start" });
let born = 0;
for (let second = 0; second < seconds; second += 1) {
  now = second * 1000;
  if (second === BASELINE_S) {
    emit({ type: "phase", phase: "baseline", state: "end" });
    emit({ type: "phase", phase: "window", state: "start" });
    emit({ type: "kill", object: DEPLOYMENT, reason: "initial", status: 200, tookMs: 5 });
  }
  for (const [index, source] of sources.entries()) {
    add(source, linesOf(index, second));
    if (second % 5 === 0) emit({ type: "runtime", node: source, running: [] });
  }
  for (; second >= BASELINE_S && born < (pods * (second - BASELINE_S)) / (seconds - BASELINE_S); born += 1) {
    const name = `coredns-7c65d6cfc9-${born.toString(36).padStart(5, "0")}`;
    const uid = `00000000-0000-4000-8000-${String(born).padStart(12, "0")}`;
    const object = { kind: "Pod", namespace: "kube-system", name, uid };
    emit({ type: "recreated", object, by: "kube-controller-manager" });
    emit({ type: "instance", object, podPhase: "Pending", ready: false, terminating: false });
    emit({ type: "instance", object, node: "n", podPhase: "Pending", ready: false, terminating: true });
    emit({ type: "kill", object, reason: "recreated", status: 200, tookMs: 5 });
    emit({ type: "gone", object });
  }
  // The disk and the garbage collector get their turns.
  await new Promise((resolve) => setTimeout(resolve, 2));
}
now = seconds * 1000;
for (const phase of ["window"] as const) emit({ type: "phase", phase, state: "end" });
emit({ type: "phase", phase: "release", state: "start" });
emit({ type: "phase", phase: "release", state: "end" });
const measured = process.resourceUsage().maxRSS * 1024;
const started = performance.now();
const facts = factsWith(
  { probes: { interval, timeout: 2000, goodInARow: 3 } },
  { sources, cluster: { ...factsWith({}).cluster, nodes: [] } },
);
const { result, problems } = await finishReport(recorder, facts);
const took = (performance.now() - started) / 1000;
const peak = process.resourceUsage().maxRSS * 1024;
const samples = sources.length * PROBES.length * Math.ceil(1000 / interval) * seconds;
console.log(
  [
    `${workers} workers, ${minutes} min, every ${interval} ms, ${pods} pods: ${samples} samples, ${recorder.events.length} events`,
    `at the start ${mb(atStart)} · peak while measuring ${mb(measured)} · peak with the report ${mb(peak)} · report ${took.toFixed(1)} s`,
    `${result.verdict}, ${result.probes.length} series, ${problems.length} problems ${problems.join("; ")}`,
  ].join("\n"),
);
await rm(folder, { recursive: true, force: true });
