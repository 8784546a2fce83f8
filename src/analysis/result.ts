/**
 * The result of a run. `result.json` is exactly this. Pure functions compute it from the run's facts, its events and
 * the raw samples. Times are milliseconds since the run began unless the name says otherwise.
 */
import type { ObjectRef, PhaseName } from "../evidence/events.js";
import type { RESULT_SCHEMA_VERSION, RunFacts } from "../evidence/facts.js";
import type { FailureKind } from "../evidence/sample.js";
import type { KillAction } from "../experiment/attacks.js";
import type { ProbeName, Severity } from "../experiment/names.js";

export type StudyComparison =
  "confirmed" | "newly verified" | "differs" | "inconclusive" | "not in the study";

/** Checks of the component's own function in one phase. */
export interface FunctionPhase {
  /** Finished checks. */
  readonly looks: number;
  readonly present: number;
}

export type FunctionState = "lost" | "partly lost" | "kept" | "inconclusive" | "not measured";

/** The component's own function, before, during and after. */
export interface FunctionResult {
  /**
   * lost: present in no check (or in under half of the samples) of the window; partly lost: in some checks (or in
   * fewer samples than the threshold of `degraded`); kept: in all; inconclusive: it did not work before the
   * attack, or no check finished while the component was down; not measured: no check and no layer shows it.
   */
  readonly state: FunctionState;
  /** The figures behind the state, as a sentence. */
  readonly because: string;
  /** null: shown by samples of a layer. */
  readonly baseline: FunctionPhase | null;
  readonly window: FunctionPhase | null;
  readonly recovery: FunctionPhase | null;
  /**
   * Release → end of the first check that began after it and found the function present, ms; null: no such
   * check.
   */
  readonly backAfterMs: number | null;
  /** Number of items that missed their deadline: those that arrived after the recovery, and those that never arrived. */
  readonly late: number;
  readonly lostForGood: number;
  /** Evidence of the window's first and last check, and of the first good check after the release. */
  readonly evidence: readonly string[];
}

/** Samples of one probe from one source in one phase. */
export interface PhaseStats {
  /** Samples that started in the phase, good or failed. */
  readonly samples: number;
  readonly good: number;
  /** Ticks that the prober missed, and samples taken while it stalled; not part of any ratio. */
  readonly missed: number;
  /** good / samples; null without samples. */
  readonly availability: number | null;
  /** Of `timed` good samples, ms, nearest rank; null without any. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  /** Good samples whose length counts, because the prober was on time. Absent: all good ones. */
  readonly timed?: number;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
}

/** From the start of the first failed sample to the first answer after the last one; K good ones in a row end it. */
export interface Outage {
  readonly fromMs: number;
  /** null: it was still open when measuring ended. */
  readonly toMs: number | null;
}

/** A time in which some samples failed and some did not. */
interface Intermittent extends Outage {
  /** Failed samples of all samples that began in it, 0 to 1. */
  readonly share: number;
  readonly samples: number;
}

/** unreachable: every sample fails; intermittent: some fail; slow; unaffected. The worst first. */
export const CLIENT_CLASSES = ["unreachable", "intermittent", "slow", "unaffected"] as const;

export type ClientClass = (typeof CLIENT_CLASSES)[number];

/** What a client of the application saw while the target was down, over all workers: the worst. */
export interface ClientFinding {
  readonly class: ClientClass;
  /** The probe that shows it: writes, unless only reads do. */
  readonly probe: ProbeName;
  /** Failed samples of that probe from all workers, of all while it lasted, 0 to 1. */
  readonly share: number;
  /** Start of its first failed sample; slow: of the window. null: unaffected. */
  readonly fromMs: number | null;
  /** Total length, ms; at least, if it was still open when measuring ended. */
  readonly lastedMs: number;
  readonly open: boolean;
  /** The only part that failed, if the others are shown to be fine; null: no such part. `of`: how many there are. */
  readonly explainedBy: {
    readonly what: "front end" | "worker" | "node";
    readonly names: readonly string[];
    readonly of: number;
  } | null;
  /** "intermittent, 1 of 3 front ends, 30.0 s" */
  readonly because: string;
}

/**
 * baseline: the phase itself. window: to the phase `function` if there is one, else to the release; from the moment the
 * target was down, or from the phase's start if it was not kept down (a control run, flapping) or was down too late.
 * recovery: from the start of the release to the end of the phase `recovery`. A sample belongs to the phase in which
 * it started. Samples of the phase `function` are not counted.
 */
export type MeasuredPhase = "baseline" | "window" | "recovery";

export interface ProbeResult {
  readonly probe: ProbeName;
  readonly source: string;
  readonly phases: Readonly<Record<MeasuredPhase, PhaseStats>>;
  /**
   * The times in which it was unreachable, between the start of the baseline and the end of the recovery. Failures that
   * noise explains are part of no outage and no intermittent time.
   */
  readonly outages: readonly Outage[];
  /** An open outage counts up to the end of the last sample. */
  readonly longestOutageMs: number;
  readonly totalOutageMs: number;
  /** The times in which some of its samples failed. Absent in results of versions that called them outages. */
  readonly intermittent?: readonly Intermittent[];
  readonly totalIntermittentMs?: number;
  /**
   * First kill → first failed sample at or after it of an outage or an intermittent time; null: there was none, or
   * nothing was killed.
   */
  readonly timeToImpactMs: number | null;
  /**
   * Release → end of the last outage or intermittent time; 0: it was good again before the release; null: it did not fail
   * after the window began, or it never recovered.
   */
  readonly timeToRecoverMs: number | null;
  /** Uncertainty between the clocks of source and runner (the worst of its boots); 0 for the runner itself. */
  readonly clockUncertaintyMs: number;
}

/**
 * Machine-readable reasons of an inconclusive run: a fixed list.
 *
 * - `target-not-found`, `deploy-failed`, `attack-failed`: the runner stopped for this reason.
 * - `target-not-ready`: the target was not serving when the window began.
 * - `baseline-unhealthy`: a probe that the verdict needs was under the baseline's threshold.
 * - `control-arm-failed`: the control arm was under that threshold at the baseline.
 * - `nothing-killed`: no kill was accepted, although the attack is not `none`.
 * - `target-not-down`: the target never went down, or so late that less than half of a window was left; after it was
 *   down it served, or one of its containers ran, for more of the time than tolerated; or a flapping target went down
 *   too rarely.
 * - `no-samples`: a worker delivered no app-write sample at the baseline or in the window.
 * - `too-few-samples`: too few app-write samples in the window to compute a share.
 * - `interrupted`: a signal came before the window ended.
 * - `function-not-measured`: the application was fine, so the severity depends on the component's own function. But the
 *   function did not work before the attack, or no check of it finished while the component was down.
 * - `churn-not-harmless`: replacing the database's pod before the baseline did harm.
 * - `cluster-not-settled`: the cluster did not settle in time after the previous run.
 * - `abort-condition-at-baseline`: a condition of `abortWhen` was not good, or unknown, at the end of the baseline.
 *   Nothing was changed.
 * - `aborted`: a condition of `abortWhen` was met in the window, which ended early. The measurements up to then are
 *   kept, but they do not cover a full window.
 * - `application-changed`: foreign change: the application under test was deleted or changed during the run.
 * - `target-changed`: foreign change: the target was deleted, renamed or permanently scaled during the run.
 * - `lock-lost`: another run took the lock, so this one stopped.
 * - `stopped`: the runner stopped with a code that is not in this list.
 * - `disturbed`: a prober, or the runner in an attack, stalled for too much of the baseline or of the window.
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
  "disturbed",
] as const;

export type InconclusiveReason = (typeof INCONCLUSIVE_REASONS)[number];

/**
 * How well the target was kept down, from the first kill to the release: first the time to down (`downAfterMs`), apart;
 * from then on the share of time without a serving instance. A target on nodes (a static pod, a unit)
 * serves while one of the attacked nodes, when last asked, ran its unit or one of its containers. The API's view of
 * such a target is ignored: without a kubelet or an API server it is out of date.
 * An instance of a workload serves while
 * - an endpoint of the target's Services is ready, or serves while terminating;
 * - a pod of the target is Ready, not terminating and not gone;
 * - a runtime shows one of its containers running. Exception: the pod is known and was never Ready, or was Ready only
 *   while terminating (and no endpoint of this cluster serves while terminating). Such a pod was never in an endpoint,
 *   so no traffic was routed to it.
 *   Two sightings in a row cover the time between them. A node's first sighting covers the time before it.
 */
export interface Suppression {
  /** How often the target went from serving to not serving. This is the measure of a flapping attack. */
  readonly timesDown: number;
  /** Each time that someone other than the attack recreated the workload itself (not its pods), in order. */
  readonly fight: readonly {
    /** From the first kill, ms. */
    readonly atMs: number;
    readonly by: string | null;
    /** How long it existed until its deletion was accepted, ms; null: it was not deleted in the window. */
    readonly livedMs: number | null;
    /** Whether a pod or an endpoint of the target became ready while it existed. */
    readonly served: boolean;
  }[];
  /** First accepted kill → release. */
  readonly windowMs: number;
  /** Time within `windowMs` in which the target had a serving instance, with the time to down. */
  readonly servingMs: number;
  /**
   * The instances that served after the target was first down (never down: within `windowMs`), in words, with their
   * time, ms: the three with the longest time.
   */
  readonly servedBy: readonly { readonly what: string; readonly ms: number }[];
  /**
   * Suppression: share of the time from the first moment down to the release without a serving instance,
   * 1 − (servingMs − downAfterMs) / (windowMs − downAfterMs), both without the time in which the runner was late. 0: never
   * down. (Version 0.1.0 counted it, and `servedBy`, from the first kill.)
   */
  readonly share: number;
  /** Whether an instance was serving when the window began. If not, nothing shows that the attack took it down. */
  readonly servingBefore: boolean;
  /** Time to down: first kill → first moment without a serving instance; null: it always had one. */
  readonly downAfterMs: number | null;
  /** Kills that were accepted (2xx), from the first one to the release. */
  readonly kills: number;
  /** Accepted kills by kind of object. */
  readonly killsByKind: Readonly<Record<string, number>>;
  /** Accepted kills other than deletions: the action, its object, and how often, in order. */
  readonly blows: readonly {
    readonly action: KillAction;
    readonly object: ObjectRef;
    readonly times: number;
  }[];
  /** Kills answered with anything but 2xx: already gone (404, 409), refused, or failed. */
  readonly killsNotAccepted: number;
  /** Objects of the target that were recreated during the attack, by kind. */
  readonly recreationsByKind: Readonly<Record<string, number>>;
  /** Who recreated them, by field manager, in order of first appearance. */
  readonly recreatedBy: readonly string[];
  /**
   * How often a pod of the target became Ready in the window after the target had gone down; for a target on nodes:
   * how often it ran again.
   */
  readonly readySeen: number;
  /**
   * The evidence collected at least once after the target was down. node: a node was asked whether the unit runs;
   * runtime: a node's container runtime was asked.
   */
  readonly evidence: "node" | "runtime" | "API only";
  /** Nodes that answered in the window (their runtime, or for a unit systemd), sorted. */
  readonly runtimeNodes: readonly string[];
  /** How often a node answered in the window (one for each node and time). */
  readonly runtimeChecks: number;
  /** Checks after the target was down that found it running: its unit, or a container that may serve. */
  readonly runtimeRunning: number;
  /**
   * Share of the time after it was down in which any node ran a container of the target, estimated from the checks: what
   * a node answers holds until it is asked again. (Not the share of checks: one pod on one of twenty nodes appears in only
   * a twentieth of them although the target is never down, and two pods at a time in two of three checks.)
   */
  readonly runtimeRunningShare: number;
  /** How often a node could not be asked in the window. */
  readonly runtimeErrors: number;
}

/** The parts of the recovery, all from the start of the release, ms; null: not seen. */
export interface Recovery {
  /** Release → the first object of the target that was recreated or restored. */
  readonly restorerMs: number | null;
  /** Who restored it: "runner" or a field manager. */
  readonly restoredBy: string | null;
  /** Release → target ready. */
  readonly readyMs: number | null;
  /** Release → first answer to app-write after the failures, from every worker that had failed; null also if none had. */
  readonly firstGoodMs: number | null;
  /** Release → every probe healthy. */
  readonly healthyMs: number | null;
}

/** A source that was late itself, or whose machine was busy, between the start of the baseline and the end of the recovery. */
export interface DisturbedSource {
  readonly source: string;
  /** When it stalled, in order. What it sampled then, or shortly before, is missed, not good or failed. */
  readonly spans: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** How long it was late in all, with shorter delays, ms. The lengths of samples around these do not count. */
  readonly lateMs: number;
  /** Of its machine, the highest seen: share of the time in which some task waited for a CPU; 0: not known. */
  readonly pressure: number;
  /** Share of its CPUs' time that the hypervisor gave to others; 0: not known. */
  readonly steal: number;
}

export type Verdict = "as expected" | "differs" | "inconclusive" | "control" | "not restored" | "interrupted";

export interface RunResult {
  readonly schemaVersion: typeof RESULT_SCHEMA_VERSION;
  readonly facts: RunFacts;
  readonly verdict: Verdict;
  /** One sentence that explains the verdict. */
  readonly verdictBecause: string;
  /** Why nothing can be concluded; empty if the run is conclusive. */
  readonly reasons: readonly { readonly code: InconclusiveReason; readonly message: string }[];
  readonly severity: Severity;
  /** One sentence with the figures behind the severity. */
  readonly severityBecause: string;
  /** What a client saw; null: no window, or no app → DB sample in it. Absent in results of older versions. */
  readonly client?: ClientFinding | null;
  /** The component's own function. */
  readonly ownFunction: FunctionResult;
  /** Whether it was lost in the window; null: not measured, or inconclusive. */
  readonly functionLost: boolean | null;
  /** The figures behind that, as the end of a sentence. */
  readonly functionBecause: string;
  /** What happened to nodes, the application's endpoints and the churned pod during the run, in order. */
  readonly story: readonly { readonly tMs: number; readonly text: string }[];
  readonly study: {
    readonly impact: StudyComparison;
    readonly function: StudyComparison;
    readonly because: string;
  };
  /** The target runs a substitute image: the run shows that the method works, not what the real component would do. */
  readonly onStandIn: boolean;
  /** The first accepted kill, the zero of the timeline; null: there was none. */
  readonly firstKillMs: number | null;
  /** Start of the release, the zero of all recovery times; null: never released. */
  readonly releaseMs: number | null;
  readonly phases: Readonly<
    Partial<Record<PhaseName, { readonly fromMs: number; readonly toMs: number | null }>>
  >;
  readonly suppression: Suppression | null;
  /** Workloads that would have undone the attack and were scaled to 0 before it. Not part of the figures above. */
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
    /** runnerMs = agentMs + offsetMs, accurate to ± uncertaintyMs. */
    readonly offsetMs: number;
    readonly uncertaintyMs: number;
  }[];
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly assumed?: true;
  }[];
  readonly warnings: readonly string[];
  /** Absent: every source was on time, or the run is of a version that did not measure it. */
  readonly disturbed?: readonly DisturbedSource[];
}
