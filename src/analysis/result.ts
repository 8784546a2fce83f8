/**
 * What a run comes to. `result.json` is exactly this, and is computed by pure functions from the run's facts,
 * its events and the raw samples. Times are milliseconds since the run began unless a name says otherwise.
 */
import type { ObjectRef, PhaseName } from "../evidence/events.js";
import type { RESULT_SCHEMA_VERSION, RunFacts } from "../evidence/facts.js";
import type { FailureKind } from "../evidence/sample.js";
import type { KillAction } from "../experiment/attacks.js";
import type { ProbeName, Severity } from "../experiment/names.js";

export type StudyComparison =
  "confirmed" | "newly verified" | "differs" | "inconclusive" | "not in the study";

/** Looks at the component's own function in one phase. */
export interface FunctionPhase {
  /** Looks that were finished. */
  readonly looks: number;
  readonly present: number;
}

export type FunctionState = "lost" | "partly lost" | "kept" | "inconclusive" | "not measured";

/** The component's own function, before, during and after. */
export interface FunctionResult {
  /**
   * lost: present in no look (or in under half of the samples) of the window; partly lost: in some looks (or in
   * fewer samples than the threshold of `degraded`); kept: in all; inconclusive: it did not work before the
   * attack, or no look was finished while the component was down; not measured: nothing shows it.
   */
  readonly state: FunctionState;
  /** The figures that decided, as a sentence. */
  readonly because: string;
  /** null: shown by samples of a layer. */
  readonly baseline: FunctionPhase | null;
  readonly window: FunctionPhase | null;
  readonly recovery: FunctionPhase | null;
  /**
   * Release → the moment at which the first look that began after it saw the function present, ms; null: not
   * seen.
   */
  readonly backAfterMs: number | null;
  /** What had not arrived in time and came after the recovery, and what never came. */
  readonly late: number;
  readonly lostForGood: number;
  /** Evidence of the first look of the window, of the last, and of the first good one after the release. */
  readonly evidence: readonly string[];
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
 * baseline: the phase itself. window: from its start to the phase `function` where there is one, else to the
 * release. recovery: from the start of the release to the end of the phase `recovery`. A sample belongs to the
 * phase in which it started; those of the phase `function` count for nothing.
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
 * - `nothing-killed`: no kill was accepted, though the attack is not `none`.
 * - `target-not-down`: a serving instance or a running container for more of the window than tolerated; a
 *   flapping target that went down too seldom.
 * - `no-samples`: a worker delivered no app-write sample at the baseline or in the window.
 * - `too-few-samples`: too few app-write samples in the window to speak of a share.
 * - `interrupted`: a signal came before the window was over.
 * - `function-not-measured`: the application was fine, and the component's own function did not work before the
 *   attack, or no look at it was finished while the component was down: the severity rests on it.
 * - `churn-not-harmless`: replacing the database's pod before the baseline was not.
 * - `cluster-not-settled`: after the run before, the cluster had not come to rest in time.
 * - `abort-condition-at-baseline`: a condition of `abortWhen` was not good, or not known, at the end of the baseline;
 *   nothing was harmed.
 * - `aborted`: a condition of `abortWhen` was met in the window, which ended early; what was measured up to then is
 *   there, and is no whole window.
 * - `application-changed`: somebody else deleted or changed the application under test during the run.
 * - `target-changed`: somebody else deleted, renamed or scaled the target for good during the run.
 * - `lock-lost`: another run took the lock, so this one stopped.
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
  "function-not-measured",
  "churn-not-harmless",
  "cluster-not-settled",
  "abort-condition-at-baseline",
  "aborted",
  "application-changed",
  "target-changed",
  "lock-lost",
  "stopped",
] as const;

export type InconclusiveReason = (typeof INCONCLUSIVE_REASONS)[number];

/**
 * How well the target was kept down, from the first kill to the release. A target of nodes (a static pod, a unit)
 * serves while one of the attacked nodes, when last asked, ran its unit or a container of it; what the API says
 * of it counts for nothing (without a kubelet, or without the API server itself, it is what was, not what is).
 * Of a workload an instance serves while
 * - an endpoint of the target's Services is ready, or serves while terminating;
 * - a pod of the target is Ready, not terminating and not gone;
 * - a runtime shows a container of it running, unless its pod is known and was never Ready, or only while it
 *   terminated (and no endpoint of this cluster serves while it terminates): it has not been in any endpoint, so
 *   nothing was ever routed to it.
 *   Two sightings in a row cover the time between them; a node's first sighting covers the time before it.
 */
export interface Suppression {
  /** Times that the target went from serving to not serving; for a flapping target the measure of the attack. */
  readonly timesDown: number;
  /** Re-creations of the workload itself (not of its pods) by somebody else than the attack, in order. */
  readonly fight: readonly {
    /** From the first kill, ms. */
    readonly atMs: number;
    readonly by: string | null;
    /** How long it lived until its deletion was accepted, ms; null: it was not deleted in the window. */
    readonly livedMs: number | null;
    /** Whether a pod of the target became Ready, or an endpoint, while it lived. */
    readonly served: boolean;
  }[];
  /** First accepted kill → release. */
  readonly windowMs: number;
  /** Time within `windowMs` in which the target had a serving instance. */
  readonly servingMs: number;
  /** What served then, in words, and for how long each, ms: the three that did so longest. */
  readonly servedBy: readonly { readonly what: string; readonly ms: number }[];
  /** 1 − servingMs / windowMs: the moment that the first deletion takes counts against it. 0 for an empty window. */
  readonly share: number;
  /** Whether an instance was serving when the window began. Without it nothing shows that the attack did it. */
  readonly servingBefore: boolean;
  /** First kill → first moment without a serving instance; null: always had one. */
  readonly downAfterMs: number | null;
  /** Kills that were accepted (2xx), from the first one to the release. */
  readonly kills: number;
  /** The same, by kind of object. */
  readonly killsByKind: Readonly<Record<string, number>>;
  /** Of these, what was not a deletion: what was done to which object, and how often, in order. */
  readonly blows: readonly {
    readonly action: KillAction;
    readonly object: ObjectRef;
    readonly times: number;
  }[];
  /** Kills answered with anything but 2xx: already gone (404, 409), refused, or failed. */
  readonly killsNotAccepted: number;
  /** Objects of the target that came back while the attack lasted, by kind. */
  readonly recreationsByKind: Readonly<Record<string, number>>;
  /** Who re-created them, by field manager, in order of first appearance. */
  readonly recreatedBy: readonly string[];
  /**
   * Times that a pod of the target became Ready during the window after the target had gone down; for a target
   * of nodes: times that it was seen running again.
   */
  readonly readySeen: number;
  /**
   * What was asked at least once after the target was down. node: whether its unit runs; runtime: a node's
   * container runtime.
   */
  readonly evidence: "node" | "runtime" | "API only";
  /** Nodes that answered in the window (their runtime, or for a unit systemd), sorted. */
  readonly runtimeNodes: readonly string[];
  /** How often a node answered in the window (one for each node and time). */
  readonly runtimeChecks: number;
  /** Of those after the target was down: how many saw it run: its unit, or a container that may serve. */
  readonly runtimeRunning: number;
  /**
   * Share of the time after it was down in which some node ran a container of the target, estimated from the
   * checks: the sum over the nodes of each node's share of checks that saw one, at most 1. (A sum, because one
   * pod on one of twenty nodes shows in a twentieth of the checks and is still never down.)
   */
  readonly runtimeRunningShare: number;
  /** How often a node could not be asked in the window. */
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
  /** The component's own function. */
  readonly ownFunction: FunctionResult;
  /** Whether it was lost in the window; null: not measured, or inconclusive. */
  readonly functionLost: boolean | null;
  /** The figures that decided that, as the end of a sentence. */
  readonly functionBecause: string;
  /** What the cluster said of nodes, the application's endpoints and the churn meanwhile, in order. */
  readonly story: readonly { readonly tMs: number; readonly text: string }[];
  readonly study: {
    readonly impact: StudyComparison;
    readonly function: StudyComparison;
    readonly because: string;
  };
  /** The target itself is a stand-in: the run shows that the method works, not what the real one would do. */
  readonly onStandIn: boolean;
  /** The first kill that was accepted; null: none was. Zero of the timeline. */
  readonly firstKillMs: number | null;
  /** Start of the release: zero of all recovery times; null: never released. */
  readonly releaseMs: number | null;
  readonly phases: Readonly<
    Partial<Record<PhaseName, { readonly fromMs: number; readonly toMs: number | null }>>
  >;
  readonly suppression: Suppression | null;
  /** Workloads that would have undone the attack and were scaled to 0 before it; nothing above speaks of them. */
  readonly companions: readonly ObjectRef[];
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
