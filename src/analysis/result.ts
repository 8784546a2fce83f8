/**
 * What a run comes to. `result.json` is exactly this, and is computed by pure functions from the run's facts,
 * its events and the raw samples. Times are milliseconds since the run began unless a name says otherwise.
 */
import type { Severity, Thresholds } from "../experiment/schema.js";
import type { FailureKind, ProbeName } from "../probes/sample.js";
import type { ObjectRef, PhaseName } from "./events.js";

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
  /** Samples that started in the phase, good or failed. */
  readonly samples: number;
  readonly good: number;
  /** Ticks that could not be kept; in no ratio. */
  readonly missed: number;
  /** good / samples; null without samples. */
  readonly availability: number | null;
  /** Of good samples, ms, nearest rank; null without any. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
}

/** From the start of the first failed sample to the start of the first of K good ones in a row. */
export interface Outage {
  readonly fromMs: number;
  /** null: it had not ended when measuring ended. */
  readonly toMs: number | null;
}

/**
 * baseline: the phase itself. window: from its start to the release. recovery: from the start of the release to
 * the end of the phase `recovery`. A sample belongs to the phase in which it started.
 */
export type MeasuredPhase = "baseline" | "window" | "recovery";

export interface ProbeResult {
  readonly probe: ProbeName;
  readonly source: string;
  readonly phases: Readonly<Record<MeasuredPhase, PhaseStats>>;
  /** Between the start of the baseline and the end of the recovery. */
  readonly outages: readonly Outage[];
  /** An outage that had not ended counts up to the end of the last sample. */
  readonly longestOutageMs: number;
  readonly totalOutageMs: number;
  /** First kill → first failed sample at or after it; null: never failed, or nothing was killed. */
  readonly timeToImpactMs: number | null;
  /**
   * Release → start of the first of K good samples after which it stayed good; 0: it was good again before the
   * release; null: it did not fail since the window began, or it never came back.
   */
  readonly timeToRecoverMs: number | null;
  /** Of the clock that joins source and runner (the worst of its boots); 0 for the runner's own. */
  readonly clockUncertaintyMs: number;
}

/**
 * Machine-readable reasons of an inconclusive run: a fixed list.
 *
 * - `target-not-found`, `deploy-failed`, `attack-failed`: the runner stopped with it.
 * - `target-not-ready`: the target was not seen in service when the window began.
 * - `baseline-unhealthy`: a probe that the verdict needs was under the baseline's threshold.
 * - `control-arm-failed`: the control arm was, at the baseline.
 * - `nothing-killed`: no deletion was accepted, though the attack is not `none`.
 * - `target-not-down`: a serving instance or a running container for more of the window than tolerated.
 * - `no-samples`: a worker delivered no app-write sample at the baseline or in the window.
 * - `too-few-samples`: too few app-write samples in the window to speak of a share.
 * - `interrupted`: a signal came before the window was over.
 * - `stopped`: the runner stopped with a code that is not in this list.
 */
export const INCONCLUSIVE_REASONS = [
  "target-not-found",
  "target-not-ready",
  "baseline-unhealthy",
  "nothing-killed",
  "target-not-down",
  "no-samples",
  "too-few-samples",
  "attack-failed",
  "interrupted",
  "deploy-failed",
  "control-arm-failed",
  "stopped",
] as const;
export type InconclusiveReason = (typeof INCONCLUSIVE_REASONS)[number];

/**
 * How well the target was kept down, from the first kill to the release. An instance serves while
 * - an endpoint of the target's Services is ready, or serves while terminating;
 * - a pod of the target is Ready, not terminating and not gone;
 * - a runtime shows a container of it running, unless its pod is known and was never Ready: it has not been in
 *   any endpoint, so nothing was ever routed to it.
 *   Two sightings in a row cover the time between them; a node's first sighting covers the time before it.
 */
export interface Suppression {
  /** First accepted kill → release. */
  readonly windowMs: number;
  /** Time within `windowMs` in which the target had a serving instance. */
  readonly servingMs: number;
  /** 1 − servingMs / windowMs: the moment that the first deletion takes counts against it. 0 for an empty window. */
  readonly share: number;
  /** Whether an instance was serving when the window began. Without it nothing shows that the attack did it. */
  readonly servingBefore: boolean;
  /** First kill → first moment without a serving instance; null: always had one. */
  readonly downAfterMs: number | null;
  /** Deletions accepted by the API server (2xx), from the first kill to the release. */
  readonly kills: number;
  /** The same, by kind of object. */
  readonly killsByKind: Readonly<Record<string, number>>;
  /** Deletions answered with anything but 2xx: already gone (404, 409), refused, or failed. */
  readonly killsNotAccepted: number;
  /** Objects of the target that came back while the attack lasted, by kind. */
  readonly recreationsByKind: Readonly<Record<string, number>>;
  /** Who re-created them, by field manager, in order of first appearance. */
  readonly recreatedBy: readonly string[];
  /** Times that a pod of the target became Ready during the window after the target had gone down. */
  readonly readySeen: number;
  /** runtime: a node's runtime answered at least once after the target was down. */
  readonly evidence: "runtime" | "API only";
  /** Nodes whose runtime answered in the window, sorted. */
  readonly runtimeNodes: readonly string[];
  /** How often a node's runtime answered in the window (one for each node and time). */
  readonly runtimeChecks: number;
  /** Of those after the target was down: how many saw a container of the target that may serve. */
  readonly runtimeRunning: number;
  /**
   * Share of the time after it was down in which some node ran a container of the target, estimated from the
   * checks: the sum over the nodes of each node's share of checks that saw one, at most 1. (A sum, because one
   * pod on one of twenty nodes shows in a twentieth of the checks and is still never down.)
   */
  readonly runtimeRunningShare: number;
  /** How often a node's runtime could not be asked in the window. */
  readonly runtimeErrors: number;
}

/** Recovery in its parts: all from the start of the release, ms; null: not seen. */
export interface Recovery {
  /** Release → the first object of the target that came back or was put back. */
  readonly restorerMs: number | null;
  /** Who did that: "runner" or a field manager. */
  readonly restoredBy: string | null;
  /** Release → target ready. */
  readonly readyMs: number | null;
  /** Release → first good app-write sample from every source that had failed; null also when none had. */
  readonly firstGoodMs: number | null;
  /** Release → every probe healthy. */
  readonly healthyMs: number | null;
}

export type Verdict = "as expected" | "differs" | "inconclusive" | "control" | "not restored" | "interrupted";

export interface RunResult {
  readonly schemaVersion: typeof RESULT_SCHEMA_VERSION;
  readonly facts: RunFacts;
  readonly verdict: Verdict;
  /** One sentence that explains the verdict. */
  readonly verdictBecause: string;
  /** Why nothing can be concluded; empty when something can. */
  readonly reasons: readonly { readonly code: InconclusiveReason; readonly message: string }[];
  readonly severity: Severity;
  /** One sentence with the figures that decided the severity. */
  readonly severityBecause: string;
  /** The component's own function in the window; null: no function probe. */
  readonly functionLost: boolean | null;
  /** The figures that decided that, as the end of a sentence. */
  readonly functionBecause: string;
  readonly study: {
    readonly impact: StudyComparison;
    readonly function: StudyComparison;
    readonly because: string;
  };
  /** The target itself is a stand-in: the run shows that the method works, not what the real one would do. */
  readonly onStandIn: boolean;
  /** The first deletion that was accepted; null: none was. Zero of the timeline. */
  readonly firstKillMs: number | null;
  /** Start of the release: zero of all recovery times; null: never released. */
  readonly releaseMs: number | null;
  readonly phases: Readonly<
    Partial<Record<PhaseName, { readonly fromMs: number; readonly toMs: number | null }>>
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
    readonly boot: string;
    /** runnerMs = agentMs + offsetMs, right within ± uncertaintyMs. */
    readonly offsetMs: number;
    readonly uncertaintyMs: number;
  }[];
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  readonly warnings: readonly string[];
}
