/** Facts, events and raw samples → the result of a run. Pure: the same files always give the same result. */
import type { RawSamples } from "../probes/sample.js";
import { clocksOf, seriesOf } from "./clocks.js";
import type { RunEvent } from "./events.js";
import { plural } from "./figures.js";
import { measuredSpans, phaseSpans, releaseOf } from "./phases.js";
import { probeResult } from "./probe-results.js";
import { reasonsOf } from "./reasons.js";
import { recoveryOf } from "./recovery.js";
import { RESULT_SCHEMA_VERSION, type RunFacts, type RunResult } from "./result.js";
import type { Series } from "./series.js";
import { functionOf, severityOf } from "./severity.js";
import { compareWithStudy } from "./study.js";
import { firstKillOf, suppressionOf } from "./suppression.js";
import { verdictOf } from "./verdict.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

function ofType<T extends RunEvent["type"]>(events: readonly RunEvent[], type: T): EventOf<T>[] {
  return events.filter((event): event is EventOf<T> => event.type === type);
}

/** What the runner warned of, and how often each watch had trouble (its evidence has gaps then). */
function warningsOf(events: readonly RunEvent[]): string[] {
  const watches = new Map<string, number>();
  for (const { resource, what } of ofType(events, "watch")) {
    const key = `The watch of ${resource}: ${what}`;
    watches.set(key, (watches.get(key) ?? 0) + 1);
  }
  return [
    ...ofType(events, "warning").map(({ text }) => text),
    ...[...watches].map(([text, count]) =>
      count === 1 ? `${text}.` : `${text} (${plural(count, "time")}).`,
    ),
  ];
}

/** The series of a run in the runner's time, as the timeline draws them. */
export function seriesOfRun(events: readonly RunEvent[], samples: readonly RawSamples[]): Series[] {
  return seriesOf(samples, clocksOf(events)).series;
}

/**
 * @param facts what is known of the run beside its events.
 * @param events in any order; those of the same millisecond keep the order in which they are given.
 * @param samples one entry for each file of samples; the lines of a file in the file's order.
 * @param notes what reading the files brought up (a torn line, say): become warnings.
 */
export function analyse(
  facts: RunFacts,
  events: readonly RunEvent[],
  samples: readonly RawSamples[],
  notes: readonly string[] = [],
): RunResult {
  const ordered = [...events].sort((a, b) => a.tMs - b.tMs);
  const phases = phaseSpans(ordered);
  const spans = measuredSpans(phases, ordered.at(-1)?.tMs ?? 0);
  const releaseMs = releaseOf(phases);
  const firstKillMs = firstKillOf(ordered);
  const clocks = clocksOf(ordered);
  const notMeasured = new Set(facts.notMeasured.map(({ probe }) => probe));
  const placed = seriesOf(samples, clocks);
  const series = placed.series.filter(({ probe }) => !notMeasured.has(probe));
  const { goodInARow } = facts.experiment.probes;
  const probes = series.map((one) => probeResult(one, { spans, firstKillMs, releaseMs, goodInARow }));
  const { window } = spans;
  const suppression =
    window === null ? null : suppressionOf(ordered, window.fromMs, releaseMs ?? window.toMs);
  const harmedFromMs = firstKillMs ?? window?.fromMs;
  const recovery =
    spans.recovery === null || harmedFromMs === undefined
      ? null
      : recoveryOf(ordered, series, harmedFromMs, spans.recovery);

  const reasons = reasonsOf({ facts, events: ordered, probes, spans, suppression });
  const functionProbes = facts.functionProbes.filter((probe) => !notMeasured.has(probe));
  const ownFunction = functionOf(probes, functionProbes);
  const measured = severityOf(probes, facts.experiment.thresholds, ownFunction);
  const severity = reasons.length > 0 ? "inconclusive" : measured.severity;
  const severityBecause =
    reasons.length > 0 ? `Nothing can be concluded. What was seen: ${measured.because}` : measured.because;
  const finding = verdictOf({ facts, events: ordered, reasons, severity, severityBecause, releaseMs });
  const onStandIn = facts.standIns.some(({ victim }) => victim);
  return {
    schemaVersion: RESULT_SCHEMA_VERSION,
    facts,
    verdict: finding.verdict,
    verdictBecause: finding.because,
    reasons,
    severity,
    severityBecause,
    functionLost: ownFunction.lost,
    functionBecause: ownFunction.because,
    study: compareWithStudy(facts.study, {
      severity,
      functionLost: ownFunction.lost,
      onStandIn,
      control: facts.experiment.attack.type === "none",
    }),
    onStandIn,
    firstKillMs,
    releaseMs,
    phases,
    suppression,
    recovery,
    restored: ofType(ordered, "restored").map(({ object, how, by, tMs }) => ({ object, how, by, tMs })),
    probes,
    clocks,
    checks: ofType(ordered, "check").map(({ name, ok, detail }) => ({ name, ok, detail })),
    warnings: [...notes, ...placed.warnings, ...warningsOf(ordered)],
  };
}
