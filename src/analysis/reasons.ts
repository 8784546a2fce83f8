/** Why nothing can be concluded from a run: the reasons listed in result.ts, with their figures. */
import { duration, percent, plural, threshold } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import { type RunFacts } from "../evidence/facts.js";
import { isControl } from "../experiment/attacks.js";
import type { ProbeName, Severity } from "../experiment/names.js";
import { judgedShares, lossesUnder, lossText, sharesOf, type JudgedShare } from "./losses.js";
import type { MeasuredSpans } from "./phases.js";
import {
  INCONCLUSIVE_REASONS,
  type FunctionResult,
  type InconclusiveReason,
  type ProbeResult,
  type Suppression,
} from "./result.js";
import { flappingEveryMs, isLate, LEAST_LEFT, leastTimesDown } from "./times-down.js";

/** "Interrupted by SIGINT 12.0 s after the start". */
export function interruptedWords({ signal, tMs }: Extract<RunEvent, { type: "signal" }>): string {
  return `Interrupted by ${signal} ${duration(tMs)} after the start`;
}

export interface Reason {
  readonly code: InconclusiveReason;
  readonly message: string;
}

/** Fewer app-write samples than this in the window give no useful share: one failure would be more than 10 %. */
const FEWEST_SAMPLES = 10;

/** At least this share of the window's ticks must have been delivered. Missing ticks may hide failures. */
const LEAST_COVERAGE = 0.5;

export interface Evidence {
  readonly facts: RunFacts;
  /** In order of time. */
  readonly events: readonly RunEvent[];
  readonly probes: readonly ProbeResult[];
  readonly spans: MeasuredSpans;
  readonly suppression: Suppression | null;
  /** When the target was first down; null: never. */
  readonly downMs: number | null;
  /** The sources that were late themselves for too long. */
  readonly disturbed: readonly Reason[];
}

/** Codes that cut a window short. The short window and its consequences are then not listed as further reasons. */
const CUT_SHORT: readonly InconclusiveReason[] = [
  "interrupted",
  "aborted",
  "application-changed",
  "target-changed",
  "lock-lost",
];

const isKnown = (code: string): code is InconclusiveReason =>
  (INCONCLUSIVE_REASONS as readonly string[]).includes(code);

/** The code with which the runner stopped, and a signal that came before the window ended. */
function stopReasons({ events, spans }: Evidence): Reason[] {
  const reasons: Reason[] = [];
  // In the phase `function` the application's window has ended, so its measurements stay valid.
  const measured = events.some((event) => event.type === "phase" && event.phase === "function");
  const released = measured ? undefined : spans.recovery?.fromMs;
  const windowEnd = spans.window === null ? Infinity : (released ?? spans.window.toMs);
  for (const event of events) {
    if (event.type === "stopped") {
      reasons.push(
        isKnown(event.code)
          ? { code: event.code, message: event.message }
          : { code: "stopped", message: `${event.message} (${event.code})` },
      );
    } else if (event.type === "signal" && event.tMs <= windowEnd) {
      reasons.push({
        code: "interrupted",
        message: `${interruptedWords(event)}, before the window ended.`,
      });
    }
  }
  return reasons;
}

const CONTROL_ARM: ProbeName = "app-write-env";

/** The experiment's change to the application (the churn) did no harm while the component was up. */
function rehearsed({ events }: Evidence): Reason[] {
  const failed = events.find((event) => event.type === "churn" && event.rehearsal && !event.ok);
  if (failed?.type !== "churn") return [];
  const { object, detail } = failed;
  return [
    {
      code: "churn-not-harmless",
      message: `Replacing the pod of ${object.kind} ${object.name} before the baseline did harm: ${detail}.`,
    },
  ];
}

/**
 * Every probe that the verdict needs was healthy before the attack, from each source and all together. A baseline that
 * lost no more than noise explains is healthy. The worst source of each probe is named.
 */
function baseline({ facts, probes, spans }: Evidence): Reason[] {
  if (spans.baseline === null) return [];
  const limit = facts.experiment.thresholds.baselineAvailability;
  const notMeasured = new Set(facts.notMeasured.map(({ probe }) => probe));
  const application: readonly ProbeName[] = ["app-write", "app-read"];
  const others = [CONTROL_ARM, ...facts.functionProbes].filter((probe) => !application.includes(probe));
  const groups = [application, ...[...new Set(others)].map((probe) => [probe])].map((group) =>
    sharesOf(
      probes,
      group.filter((probe) => !notMeasured.has(probe)),
      "baseline",
    ),
  );
  const comparisons = groups.flat().length;
  return groups.flatMap((shares) => {
    const judged = judgedShares(shares, comparisons);
    const silent = judged.filter(({ availability }) => availability === null);
    return onePerProbe([...silent, ...lossesUnder(judged, limit)]).map((share) => {
      const [probe] = share.probes;
      const what = `${share.probes.join(" and ")} samples from ${share.source ?? "all workers"}`;
      return {
        code: probe === CONTROL_ARM ? ("control-arm-failed" as const) : ("baseline-unhealthy" as const),
        message:
          share.availability === null
            ? `${share.probes.join(" and ")} from ${share.source ?? "all workers"} has no sample at the baseline, before the attack.`
            : `Before the attack, ${lossText(share, what, "unhealthy", limit)}.`,
      };
    });
  });
}

/** The first share of each probe: one without a sample, else the worst. */
function onePerProbe(shares: readonly JudgedShare[]): JudgedShare[] {
  const named = new Set<ProbeName>();
  return shares.filter(({ probes }) => {
    const isNew = !probes.some((probe) => named.has(probe));
    for (const probe of probes) named.add(probe);
    return isNew;
  });
}

/** Nothing is measured without one. */
export const NO_PROBER: Reason = { code: "no-samples", message: "No worker has a prober." };

/** @param when "in the window", say. */
export const noSample = (source: string, when: string): Reason => ({
  code: "no-samples",
  message: `${source} delivered no app-write sample ${when}.`,
});

/** Every worker delivered enough app-write samples in its window. */
function delivered({ facts, probes, spans }: Evidence): Reason[] {
  if (spans.window === null) return [];
  const expected = (spans.window.toMs - spans.window.fromMs) / facts.experiment.probes.interval;
  const reasons: Reason[] = [];
  if (facts.sources.length === 0) reasons.push(NO_PROBER);
  for (const source of facts.sources) {
    const phases = probes.find((result) => result.probe === "app-write" && result.source === source)?.phases;
    const samples = phases?.window.samples ?? 0;
    const ticks = samples + (phases?.window.missed ?? 0);
    if (samples === 0 || phases?.baseline.samples === 0) {
      reasons.push(noSample(source, samples === 0 ? "in the window" : "at the baseline"));
    } else if (samples < FEWEST_SAMPLES) {
      reasons.push({
        code: "too-few-samples",
        message: `${source} delivered ${plural(samples, "app-write sample")} in the window (needed: ${FEWEST_SAMPLES}).`,
      });
    } else if (ticks < expected * LEAST_COVERAGE) {
      reasons.push({
        code: "too-few-samples",
        message:
          `${source} delivered ${ticks} of about ${Math.round(expected)} app-write ticks of the window ` +
          `(needed: ${threshold(LEAST_COVERAGE)}).`,
      });
    }
  }
  return reasons;
}

/**
 * A flapping target went down often enough: at least half as often as it was due to be killed. How long it stayed
 * down each time is what the run measures.
 */
function flapped({ timesDown }: Suppression, windowMs: number, everyMs: number): Reason[] {
  const least = leastTimesDown(windowMs, everyMs);
  if (timesDown >= least) return [];
  return [
    {
      code: "target-not-down",
      message:
        `The target went down ${plural(timesDown, "time")} (taken down every ${duration(everyMs)} for ` +
        `${duration(windowMs)}; needed: ${plural(Math.ceil(least), "time")}).`,
    },
  ];
}

/**
 * The target went down in time, and was down for long enough from then on. The same tolerance applies to time and to
 * the runtimes' answers: runtime checks sample the window, so the share of checks that saw the target run estimates the
 * share of time. (For a target on nodes the answers are the time: each is valid until the next.)
 */
function keptDown({ facts, downMs }: Evidence, windowToMs: number, suppression: Suppression): Reason[] {
  const { phases, thresholds } = facts.experiment;
  const { downAfterMs, windowMs, share, runtimeRunning, runtimeRunningShare } = suppression;
  const notDown = (message: string): Reason[] => [{ code: "target-not-down", message }];
  if (downMs === null || downAfterMs === null) {
    return notDown(
      `The target never went down: it had a serving instance for all of the ${duration(windowMs)} from the first ` +
        `kill to the release.${whatServed(suppression)}`,
    );
  }
  if (isLate(downMs, windowToMs, phases.window)) {
    return notDown(
      `The target was down only ${duration(downAfterMs)} after the first kill, ` +
        `${duration(Math.max(0, windowToMs - downMs))} before the window ended (needed: ` +
        `${duration(phases.window * LEAST_LEFT)}, half of phases.window). If it always takes that long, set a longer ` +
        "phases.window.",
    );
  }
  const needed = thresholds.suppression;
  if (share < needed) {
    return notDown(
      `The target was without a serving instance for ${percent(share)} of the ${duration(windowMs - downAfterMs)} from its first ` +
        `moment down to the release (needed: ${threshold(needed)}).${whatServed(suppression)}`,
    );
  }
  if (facts.target?.nodes !== undefined || runtimeRunningShare <= 1 - needed) return [];
  return notDown(
    `${runtimeRunning} of the runtime checks after the target was down still found one of ` +
      `its containers running, about ${percent(runtimeRunningShare)} of the time ` +
      `(tolerated: ${threshold(1 - needed)}).`,
  );
}

/** A sentence that follows another one; empty: nothing served. */
function whatServed({ servedBy }: Suppression): string {
  const each = servedBy.map(({ what, ms }) => `${what} (${duration(ms)})`);
  return each.length === 0 ? "" : ` What served: ${each.join(", ")}.`;
}

/** The target was really taken down. */
function suppressed(evidence: Evidence): Reason[] {
  const { facts, spans, suppression } = evidence;
  if (isControl(facts.experiment.attack) || spans.window === null) return [];
  if (suppression === null) {
    return [{ code: "nothing-killed", message: "The attack took nothing down: no kill was accepted." }];
  }
  const reasons: Reason[] = [];
  if (!suppression.servingBefore) {
    reasons.push({
      code: "target-not-ready",
      message: "The target was not serving when the window began, so the run cannot show what took it down.",
    });
  }
  const everyMs = flappingEveryMs(facts);
  const down =
    everyMs === null
      ? keptDown(evidence, spans.window.toMs, suppression)
      : flapped(suppression, facts.experiment.phases.window, everyMs);
  return [...reasons, ...down];
}

/**
 * The severity depends on the component's own function, and that is unknown: the application was fine, as it would
 * also be with the function lost.
 *
 * @param measured the severity without this.
 */
export function functionReasons(
  facts: RunFacts,
  measured: Severity,
  ownFunction: Pick<FunctionResult, "state" | "because">,
): Reason[] {
  if (isControl(facts.experiment.attack) || measured !== "none") return [];
  if (ownFunction.state !== "inconclusive") return [];
  return [
    {
      code: "function-not-measured",
      message: `The application was fine, but it is unknown whether the component's own function was lost. ${ownFunction.because}`,
    },
  ];
}

/**
 * All reasons, the causes first. If the runner stopped before the window or the window was cut short, the
 * consequences (nothing killed, too few samples) are not listed.
 */
export function reasonsOf(evidence: Evidence): Reason[] {
  const causes = stopReasons(evidence);
  const named = new Set(causes.map(({ code }) => code));
  const cutShort = CUT_SHORT.some((code) => named.has(code));
  const { disturbed } = evidence;
  const found = [
    ...rehearsed(evidence),
    ...(cutShort ? [] : disturbed),
    ...baseline(evidence),
    // Too few samples are then a consequence.
    ...(cutShort || disturbed.length > 0 ? [] : delivered(evidence)),
    ...(cutShort ? [] : suppressed(evidence)),
  ].filter(({ code }) => !named.has(code));
  if (evidence.spans.window === null && causes.length === 0 && found.length === 0) {
    found.push({ code: "stopped", message: "The run ended before the outage window." });
  }
  return [...causes, ...found];
}
