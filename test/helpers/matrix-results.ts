/** Full results for the tests of the matrix, written by hand: they do not depend on the analysis. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MeasuredPhase, PhaseStats, ProbeResult, RunResult } from "../../src/analysis/result.js";
import { compareWithStudy } from "../../src/analysis/study.js";
import { components } from "../../src/components/all-components.js";
import type { ComponentName } from "../../src/experiment/names.js";
import { reportMarkdown } from "../../src/report/markdown.js";
import { type MatrixEntry } from "../../src/report/matrix-run.js";
import { buildMatrix, type Matrix } from "../../src/report/matrix.js";
import { resultJson } from "../../src/report/result-json.js";

const stats = (availability: number, p95Ms = 8): PhaseStats => ({
  samples: 240,
  good: Math.round(240 * availability),
  missed: 0,
  availability,
  p50Ms: 5,
  p95Ms,
  failures: {},
});

const phases = (window: number): Record<MeasuredPhase, PhaseStats> => ({
  baseline: stats(1),
  window: stats(window),
  recovery: stats(1),
});

export function probeOf(probe: ProbeResult["probe"], source: string, window: number): ProbeResult {
  const failed = window < 1;
  return {
    probe,
    source,
    phases: phases(window),
    outages: failed ? [{ fromMs: 36_500, toMs: 98_500 }] : [],
    longestOutageMs: failed ? 62_000 : 0,
    totalOutageMs: failed ? 62_000 : 0,
    timeToImpactMs: failed ? 400 : null,
    timeToRecoverMs: failed ? 2500 : null,
    clockUncertaintyMs: 1.5,
  };
}

const kubeDns = components["kube-dns"];

/** kube-dns down, and the application with it, as in the study. */
export const OUTAGE: RunResult = {
  schemaVersion: 2,
  facts: {
    schemaVersion: 2,
    runId: "20260801t120000z-kube-dns-0001",
    startedAt: "2026-08-01T12:00:00.000Z",
    toolVersion: "0.2.0",
    experiment: {
      name: "kube-dns",
      title: "kube-dns is gone",
      file: "experiments/kube-dns.yaml",
      attack: { type: "delete-workload", gracePeriod: 1000 },
      phases: { baseline: 15_000, window: 60_000, recovery: 180_000 },
      probes: { interval: 250, timeout: 2000, goodInARow: 3 },
      thresholds: {
        baselineAvailability: 0.99,
        outageBelow: 0.5,
        degradedBelow: 0.99,
        slowFactor: 3,
        slowFrom: 100,
        suppression: 0.9,
      },
      expectedImpact: "outage",
    },
    cluster: {
      provider: "kind",
      context: "kind-chaos",
      uid: "1d2c3b4a-0000-4000-8000-000000000000",
      version: "v1.33.1",
      nodes: ["control-plane", "worker", "worker2"].map((name) => ({
        name,
        role: name.startsWith("worker") ? "worker" : name,
        kubelet: "v1.33.1",
        runtime: "containerd://2.1.1",
        os: "Debian GNU/Linux 12 (bookworm)",
        kernel: "6.1.0",
      })),
    },
    target: {
      component: "kube-dns",
      object: { kind: "Deployment", namespace: "kube-system", name: "coredns" },
      type: "Deployment",
      count: 2,
      images: ["registry.k8s.io/coredns/coredns:v1.12.0"],
      ownerChain: ["Pod", "ReplicaSet", "Deployment coredns"],
      services: [{ kind: "Service", namespace: "kube-system", name: "kube-dns" }],
    },
    functionProbes: ["dns-internal"],
    functionProbe: null,
    study: kubeDns.study,
    sources: ["worker", "worker2"],
    notMeasured: [],
    standIns: [],
  },
  verdict: "as expected",
  verdictBecause: "Expected and measured: outage.",
  reasons: [],
  severity: "outage",
  severityBecause: "Of the app → DB writes from worker, 1.2 % succeeded in the window (outage: under 50 %).",
  ownFunction: {
    state: "lost",
    because: "dns-internal from worker: 1.2 % good in the window (lost: under 50 %).",
    baseline: null,
    window: null,
    recovery: null,
    backAfterMs: null,
    late: 0,
    lostForGood: 0,
    evidence: [],
  },
  functionLost: true,
  functionBecause: "dns-internal from worker: 1.2 % good in the window (lost: under 50 %).",
  story: [],
  study: compareWithStudy(kubeDns.study, {
    severity: "outage",
    functionLost: true,
    onStandIn: false,
    control: false,
  }),
  onStandIn: false,
  firstKillMs: 36_100,
  releaseMs: 96_000,
  phases: { window: { fromMs: 36_000, toMs: 96_000 } },
  suppression: {
    timesDown: 1,
    fight: [],
    windowMs: 59_900,
    servingMs: 170,
    servedBy: [],
    share: 0.997,
    servingBefore: true,
    downAfterMs: 170,
    kills: 7,
    killsByKind: { Pod: 4, ReplicaSet: 2, Deployment: 1 },
    blows: [],
    killsNotAccepted: 0,
    recreationsByKind: {},
    recreatedBy: [],
    readySeen: 0,
    evidence: "runtime",
    runtimeNodes: ["worker", "worker2"],
    runtimeChecks: 12,
    runtimeRunning: 0,
    runtimeRunningShare: 0,
    runtimeErrors: 0,
  },
  companions: [],
  recovery: { restorerMs: 20, restoredBy: "runner", readyMs: 9500, firstGoodMs: 7600, healthyMs: 13_100 },
  restored: [],
  probes: [
    probeOf("app-write", "worker", 0.0125),
    probeOf("app-write", "worker2", 0.02),
    probeOf("app-read", "worker", 0.0125),
    probeOf("dns-internal", "worker", 0.0125),
  ],
  clocks: [],
  checks: [],
  warnings: [],
};

export interface Change {
  readonly experiment?: Partial<RunResult["facts"]["experiment"]>;
  readonly facts?: Partial<RunResult["facts"]>;
  readonly result?: Partial<RunResult>;
}

export function changed(base: RunResult, { experiment = {}, facts = {}, result = {} }: Change): RunResult {
  return {
    ...base,
    ...result,
    facts: { ...base.facts, ...facts, experiment: { ...base.facts.experiment, ...experiment } },
  };
}

/** A conclusive run: the application is fine, and function checks show that the function is lost. */
export function functionLost(name: ComponentName, change: Change = {}): RunResult {
  const { study } = components[name];
  const because = "present at 0 of 5 looks in the window.";
  const onStandIn = change.result?.onStandIn ?? false;
  return changed(OUTAGE, {
    experiment: { name, title: `${name} is gone`, expectedImpact: "function lost", ...change.experiment },
    facts: {
      runId: `20260801t130000z-${name}-0002`,
      target: {
        ...OUTAGE.facts.target!,
        component: name,
        type: study?.type ?? "Pod",
        count: study?.count ?? 1,
      },
      functionProbes: [],
      functionProbe: {
        name: components[name].functionProbe ?? "node-runs-pods",
        means: "It does what it is for.",
        deadlineMs: 10_000,
        disturbs: false,
      },
      study,
      ...change.facts,
    },
    result: {
      severity: "function lost",
      ownFunction: {
        ...OUTAGE.ownFunction,
        because,
        baseline: { looks: 3, present: 3 },
        window: { looks: 5, present: 0 },
      },
      functionBecause: because,
      probes: [probeOf("app-write", "worker", 1), probeOf("app-read", "worker", 1)],
      study: compareWithStudy(study, {
        severity: "function lost",
        functionLost: true,
        onStandIn,
        control: false,
      }),
      ...change.result,
    },
  });
}

/** The target was not kept down. */
export function inconclusive(base: RunResult, message = "it served for 40 % of the window"): RunResult {
  return changed(base, {
    result: {
      verdict: "inconclusive",
      severity: "inconclusive",
      reasons: [{ code: "target-not-down", message }],
      study: compareWithStudy(base.facts.study, {
        severity: "inconclusive",
        functionLost: null,
        onStandIn: base.onStandIn,
        control: false,
      }),
    },
  });
}

export const entry = (result: RunResult, path = `${result.facts.runId}/result.json`): MatrixEntry => ({
  path,
  result,
});

export const matrixOf = (...results: readonly RunResult[]): Matrix =>
  buildMatrix(
    results.map((result) => entry(result)),
    Object.values(components),
  );

/** Writes the files of a report that the matrix reads. */
export async function writeReport(folder: string, result: RunResult): Promise<void> {
  const path = join(folder, result.facts.runId);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "result.json"), resultJson(result));
  await writeFile(join(path, "report.md"), reportMarkdown(result));
  await writeFile(join(path, "timeline.svg"), "<svg/>");
}

/** Cells of a table row; an escaped bar does not end a cell. */
export const cells = (line: string): string[] =>
  line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((each) => each.trim());

/** The rows of the first table in a text, without the header. */
export function rowsOf(markdown: string): string[][] {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => line.startsWith("|"));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  return lines.slice(start + 2, end).map(cells);
}

/** The targets of all links in a text, with their anchors. */
export const linksOf = (markdown: string): string[] =>
  [...markdown.matchAll(/(?<!\\)\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");

/** The anchors that GitHub generates for the headings of a text. */
export const anchorsOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(
    (match) =>
      `#${(match[1] ?? "")
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-")}`,
  );
