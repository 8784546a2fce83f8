/** A run as one row of the impact matrix: data, for every format and language. */
import { objectName } from "../common/object-name.js";
import type {
  ClientFinding,
  FunctionState,
  InconclusiveReason,
  RunResult,
  StudyComparison,
  Suppression,
  Verdict,
} from "../analysis/result.js";
import { flappingEveryMs } from "../analysis/times-down.js";
import type { Bilingual } from "../common/language.js";
import { isControl } from "../experiment/attacks.js";
import type { Severity } from "../experiment/names.js";
import { behaviourOf } from "./behaviour.js";
import { firstImpact, longestIntermittentMs, longestOutage, rowName, worstWrites } from "./pick.js";

export interface MatrixRow {
  readonly runId: string;
  readonly startedAt: string;
  /** Name of the experiment. It distinguishes the variants of one component. */
  readonly experiment: string;
  readonly title: string;
  /** The component's name in this tool; null: a workload given by kind and name, or not found. */
  readonly component: string | null;
  /** How it was taken down; `everyMs`: interval of a flapping attack, null: kept down. */
  readonly attack: { readonly type: string; readonly everyMs: number | null };
  /** The attacked nodes; null: the target is a workload. */
  readonly nodes: readonly string[] | null;
  /** The existing application that was measured: "NAMESPACE/SERVICE"; absent: the guestbook. */
  readonly application?: string;
  /** Whether the attack is `none`. Such a run is never a row of the matrix. */
  readonly control: boolean;
  /** The study's name of the component, else the component's, the object's or the experiment's. */
  readonly name: string;
  /** The object that was taken down: "Deployment kube-system/coredns"; null: not found. */
  readonly object: string | null;
  readonly type: string | null;
  /** Wanted replicas before the run. */
  readonly count: number | null;
  readonly severity: Severity;
  readonly severityBecause: string;
  readonly verdict: Verdict;
  /** Codes of the reasons why nothing can be concluded; empty if the run is conclusive. */
  readonly reasons: readonly InconclusiveReason[];
  /** What the application and the component's function did, from measurements. */
  readonly behaviour: Bilingual;
  /** app → DB writes in the window: share of good ones (0 to 1) at the worst worker. */
  readonly writeAvailability: number | null;
  readonly worstWorker: string | null;
  /** First kill → first failed write that noise does not explain, ms: the earliest of all workers. */
  readonly timeToImpactMs: number | null;
  /** Its uncertainty (±), ms. */
  readonly timeToImpactUncertaintyMs: number;
  /** Longest outage of writes, ms: of all workers. */
  readonly longestOutageMs: number | null;
  /** How long writes failed intermittently, ms: of all workers. */
  readonly intermittentMs: number;
  /** What a client saw; null: not measured, or by an older version. */
  readonly client: ClientFinding | null;
  /** Release → every probe healthy, ms. */
  readonly recoveryMs: number | null;
  /** First kill → first moment without a serving instance, ms; null: never, or nothing was killed. */
  readonly timeToDownMs: number | null;
  /** Share of the time from then to the release without a serving instance (0 to 1); null: nothing was killed. */
  readonly suppression: number | null;
  readonly evidence: Suppression["evidence"] | null;
  /** How often the target went down; null: nothing was killed. */
  readonly timesDown: number | null;
  /** How often someone else recreated the workload itself; null: nothing was killed. */
  readonly fight: number | null;
  /** The component's own function in the window, and the figures, as a sentence. */
  readonly functionState: FunctionState;
  readonly functionBecause: string;
  /** Release → the function was present again, ms; null: not seen, or shown by samples of a layer. */
  readonly functionBackMs: number | null;
  readonly study: {
    readonly count: number | null;
    readonly behaviour: Bilingual | null;
    readonly impact: StudyComparison;
    readonly function: StudyComparison;
    readonly because: string;
  };
  readonly onStandIn: boolean;
  readonly cluster: { readonly provider: string; readonly version: string };
}

/** The impact on the application, from the worst worker. */
function measured(
  result: RunResult,
): Pick<
  MatrixRow,
  | "writeAvailability"
  | "worstWorker"
  | "timeToImpactMs"
  | "timeToImpactUncertaintyMs"
  | "longestOutageMs"
  | "intermittentMs"
  | "client"
  | "recoveryMs"
> {
  const worst = worstWrites(result);
  const first = firstImpact(result);
  return {
    writeAvailability: worst?.phases.window.availability ?? null,
    worstWorker: worst?.source ?? null,
    timeToImpactMs: first?.timeToImpactMs ?? null,
    timeToImpactUncertaintyMs: first?.clockUncertaintyMs ?? 0,
    longestOutageMs: longestOutage(result)?.longestOutageMs ?? null,
    intermittentMs: longestIntermittentMs(result),
    client: result.client ?? null,
    recoveryMs: result.recovery?.healthyMs ?? null,
  };
}

/** What was taken down. */
function target({ facts }: RunResult): Pick<MatrixRow, "object" | "type" | "count"> {
  if (facts.target === undefined) return { object: null, type: facts.study?.type ?? null, count: null };
  return { object: objectName(facts.target.object), type: facts.target.type, count: facts.target.count };
}

/** How it was taken down, and how well that worked. */
function attacked({
  facts,
  suppression,
}: RunResult): Pick<
  MatrixRow,
  "component" | "attack" | "nodes" | "timeToDownMs" | "suppression" | "evidence" | "timesDown" | "fight"
> {
  return {
    component: facts.target?.component ?? null,
    attack: { type: facts.experiment.attack.type, everyMs: flappingEveryMs(facts) },
    nodes: facts.target?.nodes ?? null,
    timeToDownMs: suppression?.downAfterMs ?? null,
    suppression: suppression?.share ?? null,
    evidence: suppression?.evidence ?? null,
    timesDown: suppression?.timesDown ?? null,
    fight: suppression?.fight.length ?? null,
  };
}

export function matrixRow(result: RunResult): MatrixRow {
  const { facts, study, ownFunction } = result;
  return {
    runId: facts.runId,
    startedAt: facts.startedAt,
    experiment: facts.experiment.name,
    title: facts.experiment.title,
    ...(facts.application?.kind === "existing" ? { application: facts.application.name } : {}),
    control: isControl(facts.experiment.attack),
    name: rowName(result),
    ...target(result),
    severity: result.severity,
    severityBecause: result.severityBecause,
    verdict: result.verdict,
    reasons: [...new Set(result.reasons.map(({ code }) => code))],
    behaviour: behaviourOf(result),
    ...measured(result),
    ...attacked(result),
    functionState: ownFunction.state,
    functionBecause: ownFunction.because,
    functionBackMs: ownFunction.backAfterMs,
    study: {
      count: facts.study?.count ?? null,
      behaviour: facts.study?.behaviour ?? null,
      impact: study.impact,
      function: study.function,
      because: study.because,
    },
    onStandIn: result.onStandIn,
    cluster: { provider: facts.cluster.provider, version: facts.cluster.version },
  };
}
