/**
 * Synthetic runs: facts, events and samples as a real run writes them, from a script of what happened. Times are data:
 * nothing sleeps. The runner's clock: baseline 20–35 s, window 36–96 s (first kill at 36.1 s), release 96 s.
 */
import type { ObjectRef, PhaseName, RunEvent, RunEventBody } from "../../src/evidence/events.js";
import type { RunFacts } from "../../src/evidence/facts.js";
import type { FailureKind, RawSamples, SampleLine } from "../../src/evidence/sample.js";
import type { ProbeName } from "../../src/experiment/names.js";

export const BASELINE_MS = 20_000;

export const WINDOW_MS = 36_000;

export const FIRST_KILL_MS = 36_100;

export const RELEASE_MS = 96_000;

export const RECOVERED_MS = 104_000;

export const WORKERS = ["kind-worker", "kind-worker2"] as const;

/** agentMs = runnerMs − offset. */
export const OFFSETS: Readonly<Record<string, number>> = { "kind-worker": 5000.25, "kind-worker2": -1234.5 };

type SyntheticSamples = RawSamples & { readonly lines: readonly SampleLine[] };

export interface SyntheticRun {
  readonly facts: RunFacts;
  readonly events: readonly RunEvent[];
  readonly samples: readonly SyntheticSamples[];
}

/** An interval of the runner's time in which a probe fails; without `source`, from every worker. */
interface Failing {
  readonly probe: ProbeName;
  readonly fromMs: number;
  readonly toMs: number;
  readonly source?: string;
  /** Only samples of this front end. */
  readonly target?: string;
  readonly kind?: FailureKind;
}

/** An interval in which a probe is slower by a factor. */
interface Slow {
  readonly probe: ProbeName;
  readonly fromMs: number;
  readonly toMs: number;
  readonly factor: number;
}

export const DEPLOYMENT: ObjectRef = {
  kind: "Deployment",
  namespace: "kube-system",
  name: "coredns",
  uid: "d-1",
};

const SERVICE: ObjectRef = { kind: "Service", namespace: "kube-system", name: "kube-dns" };

export const pod = (name: string): ObjectRef => ({
  kind: "Pod",
  namespace: "kube-system",
  name,
  uid: `uid-${name}`,
});

export function at(tMs: number, body: RunEventBody): RunEvent {
  return { tMs, ...body };
}

/** Stalls of 400 ms, one a second. */
export function stalls(fromMs: number, seconds: number): SampleLine[] {
  return Array.from({ length: seconds }, (_, index) => ({
    own: "late",
    t: fromMs + index * 1_000,
    d: 400,
    late: 350,
  }));
}

export function phase(name: PhaseName, fromMs: number, toMs?: number): RunEvent[] {
  const start = at(fromMs, { type: "phase", phase: name, state: "start" });
  return toMs === undefined ? [start] : [start, at(toMs, { type: "phase", phase: name, state: "end" })];
}

export function instance(
  tMs: number,
  name: string,
  state: { ready: boolean; terminating?: boolean; phase?: string },
): RunEvent {
  return at(tMs, {
    type: "instance",
    object: pod(name),
    node: "kind-worker",
    podPhase: state.phase ?? "Running",
    ready: state.ready,
    terminating: state.terminating ?? false,
  });
}

export const endpoints = (tMs: number, ready: number, servingTerminating = 0): RunEvent =>
  at(tMs, { type: "endpoints", service: SERVICE, ready, servingTerminating });

export const kill = (
  tMs: number,
  object: ObjectRef,
  reason: "initial" | "swept" | "recreated" = "initial",
  status = 200,
): RunEvent => at(tMs, { type: "kill", object, reason, status, tookMs: 12 });

export const runtime = (tMs: number, node: string, running: readonly string[]): RunEvent =>
  at(tMs, { type: "runtime", node, running });

export const defaultFacts: RunFacts = {
  schemaVersion: 2,
  runId: "20260801-120000-kube-dns",
  startedAt: "2026-08-01T12:00:00.000Z",
  toolVersion: "0.1.0",
  experiment: {
    name: "kube-dns",
    title: "kube-dns is deleted and stays deleted | the study's own method",
    file: "experiments/kube-dns.yaml",
    attack: { type: "delete-workload", gracePeriod: 1000 },
    phases: { baseline: 15_000, window: 60_000, recovery: 180_000 },
    probes: { interval: 250, timeout: 2000, goodInARow: 3 },
    thresholds: {
      baselineAvailability: 0.99,
      outageBelow: 0.5,
      degradedBelow: 0.99,
      slowFactor: 3,
      slowFrom: 20,
      suppression: 0.9,
    },
    expectedImpact: "outage",
  },
  cluster: {
    provider: "kind",
    context: "kind-chaos",
    uid: "1d2c3b4a-0000-4000-8000-000000000000",
    version: "v1.33.1",
    nodes: ["kind-control-plane", ...WORKERS].map((name) => ({
      name,
      role: name.endsWith("control-plane") ? "control-plane" : "worker",
      kubelet: "v1.33.1",
      runtime: "containerd://2.1.1",
      os: "Debian GNU/Linux 12 (bookworm)",
      kernel: "6.1.0",
    })),
  },
  target: {
    component: "kube-dns",
    object: DEPLOYMENT,
    type: "Deployment",
    count: 2,
    images: ["registry.k8s.io/coredns/coredns:v1.12.0"],
    ownerChain: ["Pod", "ReplicaSet", "Deployment", "addon-manager"],
    services: [SERVICE],
  },
  functionProbes: ["dns-internal", "dns-external"],
  functionProbe: null,
  study: {
    name: "kube-dns",
    type: "Deployment",
    count: 2,
    behaviour: {
      en: "app → DB through the Service fails: service outage",
      ja: "Service経由のAPP → DB の疎通不可。サービス障害発生",
    },
    impact: "outage",
    impactVerified: true,
    functionLost: true,
    functionVerified: true,
  },
  sources: WORKERS,
  notMeasured: [{ probe: "dns-external", reason: "no external name configured" }],
  standIns: [],
};

/** The default facts with changes in the experiment. */
export function factsWith(
  experiment: Partial<RunFacts["experiment"]>,
  rest: Partial<RunFacts> = {},
): RunFacts {
  return { ...defaultFacts, ...rest, experiment: { ...defaultFacts.experiment, ...experiment } };
}

/** Probes of a worker with their usual latency and the interval between samples, ms. */
const LAYERS: readonly (readonly [ProbeName, number, number])[] = [
  ["app-write", 7, 250],
  ["app-read", 6, 250],
  ["app-write-env", 5, 250],
  ["http-service", 4, 250],
  ["dns-internal", 1.2, 250],
  ["dns-search", 3, 5000],
  ["tcp-service", 0.6, 250],
  ["tcp-pod", 0.5, 250],
];

interface Tick {
  readonly source: string;
  readonly probe: ProbeName;
  readonly tMs: number;
  readonly usualMs: number;
  readonly target?: string | undefined;
}

function line(
  { source, probe, tMs, usualMs, target }: Tick,
  script: Script,
): Exclude<SampleLine, { boot: string }> {
  const t = tMs - (OFFSETS[source] ?? 0);
  const of = target === undefined ? {} : { target };
  const failing = script.failing?.find(
    (part) =>
      part.probe === probe &&
      (part.source === undefined || part.source === source) &&
      (part.target === undefined || part.target === target) &&
      tMs >= part.fromMs &&
      tMs < part.toMs,
  );
  if (failing !== undefined) {
    return { probe, t, d: 2000, ok: false, kind: failing.kind ?? "timeout", message: "synthetic", ...of };
  }
  const slow = script.slow?.find((part) => part.probe === probe && tMs >= part.fromMs && tMs < part.toMs);
  // A small deterministic spread.
  const d = (usualMs + (Math.abs(tMs / 250) % 7) * 0.1) * (slow?.factor ?? 1);
  return { probe, t, d, ok: true, ...of };
}

/** The pods of `frontEnds`, each on its node. */
export const FRONT_ENDS = ["frontend-a", "frontend-b", "frontend-c"] as const;

export interface Script {
  readonly failing?: readonly Failing[];
  readonly slow?: readonly Slow[];
  /** Asked in turn by app-write and app-read; default: one, without a name. */
  readonly frontEnds?: readonly string[];
  /** Each source but the first samples this much later, ms. */
  readonly shiftMs?: number;
  /** End of sampling, ms of the runner's time. */
  readonly untilMs?: number;
}

/** Samples of both workers and of the runner (the probe from outside), from before the baseline to the end. */
export function samplesOf(script: Script): SyntheticSamples[] {
  const untilMs = script.untilMs ?? RECOVERED_MS + 1000;
  const { frontEnds = [], shiftMs = 0 } = script;
  const samples: SyntheticSamples[] = WORKERS.map((source, worker) => {
    const lines: SampleLine[] = [
      { boot: "boot-1", t: 15_000 - (OFFSETS[source] ?? 0), wall: 1_785_000_000_000, node: source },
    ];
    for (const [probe, usualMs, distance] of LAYERS) {
      const asked = probe === "app-write" || probe === "app-read" ? frontEnds : [];
      for (let tMs = 18_000 + worker * shiftMs, turn = 0; tMs < untilMs; tMs += distance, turn += 1) {
        lines.push(line({ source, probe, tMs, usualMs, target: asked[turn % asked.length] }, script));
      }
    }
    return { source, lines };
  });
  const outside: SampleLine[] = [];
  for (let tMs = 18_000; tMs < untilMs; tMs += 250) {
    outside.push(line({ source: "runner", probe: "outside", tMs, usualMs: 9 }, script));
  }
  return [...samples, { source: "runner", lines: outside }];
}

/** Everything before the window: checks, clocks, the target in service. */
function before(): RunEvent[] {
  return [
    ...phase("preflight", 0, 900),
    at(300, { type: "check", name: "api", ok: true, detail: "v1.33.1" }),
    at(400, { type: "check", name: "target", ok: true, detail: "Deployment coredns | 2 replicas" }),
    ...phase("lock", 900, 1000),
    ...phase("deploy", 1000, BASELINE_MS),
    ...WORKERS.map((source) =>
      at(19_000, {
        type: "clock",
        source,
        boot: "boot-1",
        offsetMs: OFFSETS[source] ?? 0,
        uncertaintyMs: 2.5,
      }),
    ),
    instance(1500, "coredns-a", { ready: true }),
    instance(1500, "coredns-b", { ready: true }),
    endpoints(1500, 2),
    ...phase("baseline", BASELINE_MS, 35_000),
    runtime(34_000, "kind-worker", ["coredns-a/coredns", "coredns-b/coredns"]),
    ...phase("record", 35_000, WINDOW_MS),
  ];
}

/** Release, recovery, the end. */
function after(restored = true): RunEvent[] {
  const back: RunEvent[] = [
    at(98_200, { type: "recreated", object: { ...DEPLOYMENT, uid: "d-9" }, by: "kubectl" }),
    at(98_300, { type: "restored", object: DEPLOYMENT, how: "found", by: "kubectl" }),
    instance(98_400, "coredns-y", { ready: false, phase: "Pending" }),
    instance(101_000, "coredns-y", { ready: true }),
    endpoints(101_050, 1),
    at(101_500, { type: "target-ready" }),
    at(103_500, { type: "healthy" }),
  ];
  const end = restored ? RECOVERED_MS : 276_000;
  return [
    ...phase("release", RELEASE_MS, 96_050),
    ...phase("recovery", 96_050, end),
    ...(restored ? back : []),
    ...phase("teardown", end, end + 5000),
  ];
}

/** The first deletion and its effect: down half a second later. */
function takenDown(): RunEvent[] {
  return [
    kill(FIRST_KILL_MS, DEPLOYMENT),
    at(36_150, { type: "gone", object: DEPLOYMENT }),
    kill(36_160, pod("coredns-a"), "swept"),
    kill(36_165, pod("coredns-b"), "swept", 404),
    instance(36_200, "coredns-a", { ready: true, terminating: true }),
    instance(36_200, "coredns-b", { ready: true, terminating: true }),
    endpoints(36_600, 0),
    at(36_700, { type: "gone", object: pod("coredns-a") }),
    at(36_700, { type: "gone", object: pod("coredns-b") }),
  ];
}

/** addon-manager recreates the Deployment every 20 s; its pod never starts. */
function broughtBack(): RunEvent[] {
  return [56_000, 76_000].flatMap((tMs) => [
    at(tMs, { type: "recreated", object: { ...DEPLOYMENT, uid: `d-${tMs}` }, by: "kubectl" }),
    instance(tMs + 20, `coredns-${tMs}`, { ready: false, phase: "Pending" }),
    kill(tMs + 5, { ...DEPLOYMENT, uid: `d-${tMs}` }, "recreated"),
    kill(tMs + 25, pod(`coredns-${tMs}`), "swept"),
    at(tMs + 60, { type: "gone", object: pod(`coredns-${tMs}`) }),
  ]);
}

const runtimeQuiet = (): RunEvent[] =>
  [40_000, 50_000, 60_000, 70_000, 80_000, 90_000].flatMap((tMs) =>
    WORKERS.map((node) => runtime(tMs, node, [])),
  );

const DNS_DEPENDENT: readonly ProbeName[] = [
  "app-write",
  "app-read",
  "dns-internal",
  "dns-search",
  "outside",
];
const harm = (fromMs: number, toMs: number): Failing[] =>
  DNS_DEPENDENT.map((probe) => ({ probe, fromMs, toMs, kind: probe === "outside" ? "bad-body" : "timeout" }));

/** kube-dns stays down for the whole window: app → DB fails from 36.75 s to 101.5 s. */
export function kubeDnsOutage(): SyntheticRun {
  return {
    facts: defaultFacts,
    events: [
      ...before(),
      ...phase("window", WINDOW_MS, RELEASE_MS),
      ...takenDown(),
      ...broughtBack(),
      ...runtimeQuiet(),
      ...after(),
    ],
    samples: samplesOf({ failing: harm(36_700, 101_500) }),
  };
}

/** The attack `none`: nothing happens, nothing suffers. */
export function controlRun(): SyntheticRun {
  return {
    facts: factsWith({ attack: { type: "none" }, expectedImpact: "none", title: "Control run" }),
    events: [
      ...before(),
      ...phase("window", WINDOW_MS, RELEASE_MS),
      ...phase("release", RELEASE_MS, 96_050),
      ...phase("recovery", 96_050, RECOVERED_MS),
      at(96_100, { type: "target-ready" }),
      at(97_000, { type: "healthy" }),
      ...phase("teardown", RECOVERED_MS, RECOVERED_MS + 5000),
    ],
    samples: samplesOf({}),
  };
}

/** The attack `none`, with three front ends; some of their samples fail. */
export function threeFrontEnds(failing: readonly Failing[], more: Partial<Script> = {}): SyntheticRun {
  const run = controlRun();
  const pods = FRONT_ENDS.map((name, index) => ({ name, node: WORKERS[index] ?? "kind-worker3" }));
  return {
    ...run,
    events: [...run.events, at(18_000, { type: "front-ends", pods })],
    samples: samplesOf({ failing, frontEnds: FRONT_ENDS, ...more }),
  };
}

/** Deletions are accepted, but one instance serves throughout: the run must not pass. */
export function targetNeverDown(): SyntheticRun {
  return {
    facts: factsWith({ expectedImpact: "none" }),
    events: [
      ...before(),
      ...phase("window", WINDOW_MS, RELEASE_MS),
      kill(FIRST_KILL_MS, pod("coredns-a")),
      instance(36_200, "coredns-a", { ready: true, terminating: true }),
      endpoints(36_300, 1),
      at(37_500, { type: "gone", object: pod("coredns-a") }),
      ...after(),
    ],
    samples: samplesOf({}),
  };
}

/** One worker's writes already fail at the baseline; the runner stops before any change. */
export function baselineUnhealthy(): SyntheticRun {
  return {
    facts: defaultFacts,
    events: [
      ...before().filter((event) => event.type !== "phase" || event.phase !== "record"),
      at(35_010, {
        type: "stopped",
        code: "baseline-unhealthy",
        message: "app-write is 66.6 % good at kind-worker.",
      }),
      ...phase("teardown", 35_100, 40_000),
    ],
    samples: samplesOf({
      failing: [{ probe: "app-write", source: "kind-worker", fromMs: 25_000, toMs: 30_000 }],
      untilMs: 36_000,
    }),
  };
}

/** SIGINT in the middle of the window; everything is restored. */
export function interruptedRun(): SyntheticRun {
  const shift = (event: RunEvent): RunEvent => ({ ...event, tMs: event.tMs - 40_000 });
  return {
    facts: defaultFacts,
    events: [
      ...before(),
      ...phase("window", WINDOW_MS, 56_000),
      ...takenDown(),
      at(55_990, { type: "signal", signal: "SIGINT" }),
      ...after().map(shift),
    ],
    samples: samplesOf({ failing: harm(36_700, 61_500), untilMs: 65_000 }),
  };
}

/** The same, but a condition of `abortWhen` ended the window. */
export function abortedRun(code = "aborted"): SyntheticRun {
  const { facts, events, samples } = interruptedRun();
  const message = "app-write from kind-worker has failed for 19.2 s.";
  return {
    facts,
    events: events.map((event) =>
      event.type === "signal" ? at(event.tMs, { type: "stopped", code, message }) : event,
    ),
    samples,
  };
}

/** Taken down, and not ready again within the time limit. */
export function notRestored(): SyntheticRun {
  return {
    facts: defaultFacts,
    events: [
      ...before(),
      ...phase("window", WINDOW_MS, RELEASE_MS),
      ...takenDown(),
      ...runtimeQuiet(),
      ...after(false),
    ],
    samples: samplesOf({ failing: harm(36_700, 300_000), untilMs: 277_000 }),
  };
}

/** Ten seconds down, ten seconds up, three times. */
export function flapping(suppression = 0.9): SyntheticRun {
  const cycles = [36_100, 56_100, 76_100];
  const events = cycles.flatMap((tMs, index) => [
    kill(tMs, pod(`coredns-${index}`)),
    instance(tMs + 50, `coredns-${index}`, { ready: true, terminating: true }),
    endpoints(tMs + 100, 0),
    at(tMs + 1000, { type: "gone", object: pod(`coredns-${index}`) }),
    at(tMs + 60, { type: "recreated", object: pod(`coredns-${index + 1}`), by: "kube-controller-manager" }),
    instance(tMs + 70, `coredns-${index + 1}`, { ready: false, phase: "Pending" }),
    instance(tMs + 10_000, `coredns-${index + 1}`, { ready: true }),
    endpoints(tMs + 10_000, 1),
  ]);
  const first = before().filter((event) => event.type !== "instance" && event.type !== "runtime");
  return {
    facts: factsWith({
      attack: { type: "delete-pods", gracePeriod: 1000, delay: 10_000 },
      thresholds: { ...defaultFacts.experiment.thresholds, suppression },
    }),
    events: [
      ...first,
      instance(1500, "coredns-0", { ready: true }),
      ...phase("window", WINDOW_MS, RELEASE_MS),
      ...events,
      ...phase("release", RELEASE_MS, 96_050),
      ...phase("recovery", 96_050, RECOVERED_MS),
      at(96_200, { type: "target-ready" }),
      at(97_000, { type: "healthy" }),
    ],
    samples: samplesOf({ failing: cycles.flatMap((tMs) => harm(tMs + 200, tMs + 10_100)) }),
  };
}

/** The application is fine; the component's own function is lost. */
export function functionLostRun(): SyntheticRun {
  const run = kubeDnsOutage();
  return {
    ...run,
    facts: factsWith(
      { expectedImpact: "function lost" },
      {
        study: { ...defaultFacts.study!, impact: "none", functionVerified: false, name: "event-exporter" },
        standIns: [{ image: "example/exporter:1", description: "substitute | own", victim: true }],
      },
    ),
    samples: samplesOf({ failing: [{ probe: "dns-internal", fromMs: 36_700, toMs: 101_500 }] }),
  };
}
