/**
 * What a run comes to. `result.json` is exactly this, and is computed by pure functions from the run's facts,
 * its events and the raw samples. Times are milliseconds since the run began unless a name says otherwise.
 */
import type { Severity, Thresholds } from "../experiment/schema.js";
import type { FailureKind, ProbeName } from "../probes/sample.js";
import type { ObjectRef } from "./events.js";

export const RESULT_SCHEMA_VERSION = 1;

/** The study's word on a component: what the slide says, and whether it was seen there or only supposed (はず). */
export interface StudyClaim {
  /** The row's name in the study's table. */
  readonly name: string;
  readonly type: string;
  /** The study's 数: how many there were. */
  readonly count: number;
  readonly behaviour: { readonly en: string; readonly ja: string };
  /** The impact on the application that the behaviour amounts to. */
  readonly impact: "outage" | "none";
  readonly impactVerified: boolean;
  /** What the study said of the component's own function. */
  readonly functionLost: boolean;
  readonly functionVerified: boolean;
}

export type StudyComparison =
  "confirmed" | "newly verified" | "differs" | "inconclusive" | "not in the study";

/** Facts of a run that were not measured over time: `run.json`. Written by the runner as it learns them. */
export interface RunFacts {
  readonly schemaVersion: typeof RESULT_SCHEMA_VERSION;
  readonly runId: string;
  /** ISO 8601, wall clock of the runner at time 0. */
  readonly startedAt: string;
  /** Version of this tool. */
  readonly toolVersion: string;
  readonly experiment: {
    readonly name: string;
    readonly title: string;
    readonly file: string;
    /** As resolved: every default filled in, ms for durations. */
    readonly attack: { readonly type: string } & Readonly<Record<string, unknown>>;
    readonly phases: { readonly baseline: number; readonly window: number; readonly recovery: number };
    readonly probes: { readonly interval: number; readonly timeout: number; readonly goodInARow: number };
    readonly thresholds: Thresholds;
    readonly expectedImpact: Exclude<Severity, "inconclusive"> | null;
  };
  readonly cluster: {
    readonly provider: string;
    readonly context: string;
    /** uid of the namespace kube-system: what identifies a cluster. */
    readonly uid: string;
    readonly version: string;
    readonly nodes: readonly {
      readonly name: string;
      readonly role: string;
      readonly kubelet: string;
      readonly runtime: string;
      readonly os: string;
      readonly kernel: string;
    }[];
  };
  /** undefined until preflight has found it. */
  readonly target?: {
    readonly component: string | null;
    readonly object: ObjectRef;
    /** Deployment, DaemonSet, … */
    readonly type: string;
    /** Wanted replicas before the run: the measured 数. */
    readonly count: number;
    readonly images: readonly string[];
    /** "Pod → ReplicaSet → Deployment → addon-manager". */
    readonly ownerChain: readonly string[];
    readonly services: readonly ObjectRef[];
  };
  /** Probes that show the component's own function; empty where it has none yet. */
  readonly functionProbes: readonly ProbeName[];
  readonly study: StudyClaim | null;
  /** Worker nodes with a prober. */
  readonly sources: readonly string[];
  /** Probes that were not measured, with the reason. */
  readonly notMeasured: readonly { readonly probe: ProbeName; readonly reason: string }[];
  /** Stand-ins among the images that this run touched. `victim`: the target itself is one. */
  readonly standIns: readonly {
    readonly image: string;
    readonly description: string;
    readonly victim: boolean;
  }[];
}

/** Samples of one probe from one source in one phase. */
export interface PhaseStats {
  readonly samples: number;
  readonly good: number;
  /** Ticks that could not be kept; in no ratio. */
  readonly missed: number;
  /** good / samples; null without samples. */
  readonly availability: number | null;
  /** Of good samples, ms; null without any. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
}

/** From the first failed sample to the first of K good ones in a row. */
export interface Outage {
  readonly fromMs: number;
  /** null: it had not ended when measuring ended. */
  readonly toMs: number | null;
}

export type MeasuredPhase = "baseline" | "window" | "recovery";

export interface ProbeResult {
  readonly probe: ProbeName;
  readonly source: string;
  readonly phases: Readonly<Record<MeasuredPhase, PhaseStats>>;
  readonly outages: readonly Outage[];
  readonly longestOutageMs: number;
  readonly totalOutageMs: number;
  /** First kill → first failed sample at or after it; null: never failed. */
  readonly timeToImpactMs: number | null;
  /** Release → start of the first of K good samples after which it stayed good; null: never failed, or never back. */
  readonly timeToRecoverMs: number | null;
  /** Of the clock that joins source and runner; 0 for the runner's own. */
  readonly clockUncertaintyMs: number;
}

/** Machine-readable reasons of an inconclusive run: a fixed list. */
export const INCONCLUSIVE_REASONS = [
  "target-not-found",
  "target-not-ready",
  "baseline-unhealthy",
  "nothing-killed",
  "target-not-down",
  "no-samples",
  "attack-failed",
  "interrupted",
  "deploy-failed",
  "control-arm-failed",
] as const;
export type InconclusiveReason = (typeof INCONCLUSIVE_REASONS)[number];

export interface Suppression {
  readonly windowMs: number;
  /** Time within the window in which the target had a serving instance. */
  readonly servingMs: number;
  /** 1 − servingMs / windowMs, from the end of the first kill's effect: see `downAfterMs`. */
  readonly share: number;
  /** First kill → no serving instance any more; null: always had one. */
  readonly downAfterMs: number | null;
  readonly kills: number;
  /** Deletions by kind of object, accepted by the API server. */
  readonly killsByKind: Readonly<Record<string, number>>;
  /** Objects of the target that came back while the attack lasted, by kind. */
  readonly recreationsByKind: Readonly<Record<string, number>>;
  /** Who re-created the workload, by field manager. */
  readonly recreatedBy: readonly string[];
  /** Times that a pod of the target became Ready during the window after the target had gone down. */
  readonly readySeen: number;
  readonly evidence: "runtime" | "API only";
  /** How often the nodes' runtimes were asked in the window, and how often a container of the target ran after it was down. */
  readonly runtimeChecks: number;
  readonly runtimeRunning: number;
  readonly runtimeErrors: number;
}

export interface Recovery {
  /** Release → the restorer acted. */
  readonly restorerMs: number | null;
  readonly restoredBy: string | null;
  /** Release → target ready. */
  readonly readyMs: number | null;
  /** Release → first good app-write sample from every source that had failed. */
  readonly firstGoodMs: number | null;
  /** Release → every probe healthy. */
  readonly healthyMs: number | null;
}

export type Verdict = "as expected" | "differs" | "inconclusive" | "control" | "not restored" | "interrupted";

export interface RunResult {
  readonly schemaVersion: typeof RESULT_SCHEMA_VERSION;
  readonly facts: RunFacts;
  readonly verdict: Verdict;
  readonly reasons: readonly { readonly code: InconclusiveReason; readonly message: string }[];
  readonly severity: Severity;
  /** One sentence with the figures that decided the severity. */
  readonly severityBecause: string;
  /** The component's own function in the window; null: no function probe. */
  readonly functionLost: boolean | null;
  readonly functionBecause: string;
  readonly study: {
    readonly impact: StudyComparison;
    readonly function: StudyComparison;
    readonly because: string;
  };
  readonly onStandIn: boolean;
  readonly phases: Readonly<
    Partial<Record<string, { readonly fromMs: number; readonly toMs: number | null }>>
  >;
  readonly suppression: Suppression | null;
  readonly recovery: Recovery | null;
  readonly restored: readonly {
    readonly object: ObjectRef;
    readonly how: string;
    readonly by: string;
    readonly tMs: number;
  }[];
  readonly probes: readonly ProbeResult[];
  readonly clocks: readonly {
    readonly source: string;
    readonly offsetMs: number;
    readonly uncertaintyMs: number;
  }[];
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  readonly warnings: readonly string[];
}
