/**
 * Synthetic runs of components with a function check: of a node, of a workload, and with checks that disturb. The clock
 * is that of synthetic-run.ts: baseline 20–35 s, window 36–96 s, first kill 36.1 s.
 */
import type { FunctionCheckName } from "../../src/components/functions.js";
import type { RunEvent } from "../../src/evidence/events.js";
import type { RunFacts } from "../../src/evidence/facts.js";
import * as runs from "./synthetic-run.js";

const { at, phase } = runs;

/** One function check; its number is its time. */
export const look = (
  tMs: number,
  present: boolean,
  { tookMs = 1000, probe = "node-runs-pods" }: { tookMs?: number; probe?: FunctionCheckName } = {},
): RunEvent =>
  at(tMs, {
    type: "function",
    probe,
    look: tMs,
    present,
    tookMs,
    evidence: `seen | at ${tMs}`,
  });

export const late = (
  tMs: number,
  of: number,
  outcome: "late" | "lost",
  probe: FunctionCheckName = "logs-arrive",
): RunEvent => at(tMs, { type: "function-late", probe, look: of, outcome, evidence: "looked for" });

export const unit = (tMs: number, node: string, active: boolean): RunEvent =>
  at(tMs, { type: "unit", node, unit: "kubelet.service", active });

export const nodeReady = (tMs: number, node: string, ready: string, reason?: string): RunEvent =>
  at(tMs, { type: "node-ready", node, ready, ...(reason === undefined ? {} : { reason }) });

export const appEndpoints = (tMs: number, service: string, ready: number): RunEvent =>
  at(tMs, { type: "app-endpoints", service, ready });

export const KUBELET = { kind: "SystemdUnit", name: "kubelet on kind-worker" } as const;

export const stopped = (tMs: number, status = 200): RunEvent =>
  at(tMs, {
    type: "kill",
    object: KUBELET,
    reason: "initial",
    action: "unit-stopped",
    status,
    tookMs: 300,
  });

export const functionProbe = (
  name: FunctionCheckName = "node-runs-pods",
  disturbs = false,
): NonNullable<RunFacts["functionProbe"]> => ({
  name,
  means: "A canary starts, and another one goes.",
  deadlineMs: 20_000,
  disturbs,
});

const kubeletFacts: RunFacts = runs.factsWith(
  {
    name: "kubelet",
    title: "the kubelet of one node is stopped",
    attack: { type: "systemd-unit", nodes: "one" },
    expectedImpact: "function lost",
  },
  {
    target: {
      component: "kubelet",
      nodes: ["kind-worker"],
      object: { kind: "SystemdUnit", name: "kubelet" },
      type: "systemd",
      count: 3,
      images: [],
      ownerChain: ["systemd"],
      services: [],
    },
    functionProbes: [],
    functionProbe: functionProbe(),
    study: {
      name: "kubelet",
      type: "systemd",
      count: 3,
      behaviour: { en: "pods can be neither deleted nor started", ja: "Podの削除/起動が不可になった" },
      impact: "none",
      impactVerified: true,
      functionLost: true,
      functionVerified: true,
    },
  },
);

/** The phases, clocks and checks of a normal run. */
export function frame(untilFunctionMs?: number): RunEvent[] {
  return [
    ...phase("preflight", 0, 900),
    at(300, { type: "check", name: "api", ok: true, detail: "v1.33.1" }),
    ...phase("deploy", 1000, runs.BASELINE_MS),
    ...runs.WORKERS.map((source) =>
      at(19_000, {
        type: "clock",
        source,
        boot: "boot-1",
        offsetMs: runs.OFFSETS[source] ?? 0,
        uncertaintyMs: 2.5,
      }),
    ),
    ...phase("baseline", runs.BASELINE_MS, 35_000),
    ...phase("record", 35_000, runs.WINDOW_MS),
    ...phase("window", runs.WINDOW_MS, untilFunctionMs ?? runs.RELEASE_MS),
    ...(untilFunctionMs === undefined ? [] : phase("function", untilFunctionMs, runs.RELEASE_MS)),
    ...phase("release", runs.RELEASE_MS, 96_400),
    ...phase("recovery", 96_400, runs.RECOVERED_MS),
    at(97_000, { type: "target-ready" }),
    at(98_000, { type: "healthy" }),
    ...phase("teardown", runs.RECOVERED_MS, 109_000),
  ];
}

/** The unit is stopped at 36.1 s, seen down at 37 s, started at the release, seen active at 96.9 s. */
const unitDown = (): RunEvent[] => [
  unit(1500, "kind-worker", true),
  unit(34_000, "kind-worker", true),
  stopped(runs.FIRST_KILL_MS),
  ...[37_000, 47_000, 57_000, 67_000, 77_000, 87_000].map((tMs) => unit(tMs, "kind-worker", false)),
  at(96_300, { type: "restored", object: KUBELET, how: "started", by: "runner" }),
  unit(96_900, "kind-worker", true),
];

/** Checks of a function that is lost and restored with its target. */
const lookedLost = (probe: FunctionCheckName = "node-runs-pods"): RunEvent[] => [
  ...[21_000, 25_000, 29_000].map((tMs) => look(tMs, true, { probe })),
  ...[40_000, 60_000, 75_000].map((tMs) => look(tMs, false, { probe, tookMs: 15_000 })),
  look(96_500, false, { probe, tookMs: 500 }),
  look(97_500, true, { probe, tookMs: 1500 }),
];

/** The kubelet of one node is stopped: its node becomes NotReady and leaves the endpoints; the function is lost. */
export function kubelet(): runs.SyntheticRun {
  return {
    facts: kubeletFacts,
    events: [
      ...frame(),
      ...unitDown(),
      ...lookedLost(),
      ...runs.WORKERS.map((node) => nodeReady(2000, node, "True", "KubeletReady")),
      appEndpoints(2000, "redis-leader", 1),
      appEndpoints(2000, "frontend", 3),
      nodeReady(77_300, "kind-worker", "Unknown", "NodeStatusUnknown"),
      appEndpoints(77_500, "redis-leader", 0),
      nodeReady(97_600, "kind-worker", "True", "KubeletReady"),
      appEndpoints(97_700, "redis-leader", 1),
    ],
    samples: runs.samplesOf({}),
  };
}

/** Facts of a workload with a function check. */
function workloadFacts(
  probe: NonNullable<RunFacts["functionProbe"]>,
  experiment: Partial<RunFacts["experiment"]> = {},
): RunFacts {
  return runs.factsWith(
    { expectedImpact: "function lost", ...experiment },
    { functionProbes: [], functionProbe: probe, study: { ...runs.defaultFacts.study!, impact: "none" } },
  );
}

/** A serving Deployment: attacked at 36.1 s, down at 36.6 s, restored after the release. */
const workloadDown = (): RunEvent[] => [
  runs.instance(1500, "coredns-a", { ready: true }),
  runs.endpoints(1500, 1),
  runs.kill(runs.FIRST_KILL_MS, runs.DEPLOYMENT),
  at(36_150, { type: "gone", object: runs.DEPLOYMENT }),
  runs.instance(36_200, "coredns-a", { ready: true, terminating: true }),
  runs.endpoints(36_600, 0),
  at(36_700, { type: "gone", object: runs.pod("coredns-a") }),
  runs.runtime(40_000, "kind-worker", []),
  runs.runtime(90_000, "kind-worker", []),
  at(96_200, { type: "restored", object: runs.DEPLOYMENT, how: "created", by: "runner" }),
  runs.instance(96_900, "coredns-y", { ready: true }),
  runs.endpoints(96_950, 1),
];

/** A log agent: lines written in the window arrive late, or never. */
export function logs(): runs.SyntheticRun {
  return {
    facts: workloadFacts(functionProbe("logs-arrive")),
    events: [
      ...frame(),
      ...workloadDown(),
      ...lookedLost("logs-arrive"),
      late(103_000, 40_000, "late"),
      late(103_100, 60_000, "late"),
      late(103_200, 75_000, "lost"),
    ],
    samples: runs.samplesOf({}),
  };
}

/** A function check that disturbs: once before the baseline, once after the application's window, while still down. */
export function disturbing(): runs.SyntheticRun {
  const probe = "dns-is-scaled";
  const facts = workloadFacts(functionProbe(probe, true));
  const { experiment } = facts;
  return {
    facts: { ...facts, experiment: { ...experiment, phases: { ...experiment.phases, window: 30_000 } } },
    events: [
      ...frame(66_000),
      ...workloadDown(),
      look(10_000, true, { probe }),
      look(66_100, false, { probe, tookMs: 25_000 }),
      look(98_500, true, { probe }),
    ],
    // The check takes down the cluster's DNS, and the application with it.
    samples: runs.samplesOf({ failing: [{ probe: "app-write", fromMs: 66_100, toMs: 91_000 }] }),
  };
}

/** A flapping unit: down for five of every ten seconds. */
export function flappingUnit(kills = 6): runs.SyntheticRun {
  const times = Array.from({ length: kills }, (_, index) => runs.FIRST_KILL_MS + index * 10_000);
  return {
    facts: {
      ...kubeletFacts,
      experiment: {
        ...kubeletFacts.experiment,
        attack: { type: "systemd-unit", nodes: "one", every: 10_000 },
        expectedImpact: null,
      },
    },
    events: [
      ...frame(),
      unit(1500, "kind-worker", true),
      ...times.flatMap((tMs) => [
        stopped(tMs),
        unit(tMs + 900, "kind-worker", false),
        at(tMs + 5000, { type: "let-up", object: KUBELET }),
        unit(tMs + 5900, "kind-worker", true),
      ]),
      look(21_000, true),
      look(36_200, false),
      look(42_500, true),
      look(47_000, false),
      look(97_000, true),
    ],
    samples: runs.samplesOf({}),
  };
}
