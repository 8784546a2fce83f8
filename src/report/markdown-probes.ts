/** The report's sections on the application's measurements: one line for each probe and source. */
import { STALL_MS } from "../analysis/disturbed.js";
import { RUNNER_SOURCE } from "../evidence/sample.js";
import type { PhaseStats, ProbeResult, RunResult } from "../analysis/result.js";
import { affectedProbes, worstInWindow } from "../analysis/severity.js";
import { counts, DASH, duration, percent, plural } from "../common/figures.js";
import { PROBES } from "../experiment/names.js";
import { table } from "./markdown-text.js";
import { pickedByProbe } from "./pick.js";

/** At most this many late probers are named. */
const NAMED = 3;

/** "100 % of 60": the share and the number of samples. */
function availability({ availability: share, samples }: PhaseStats): string {
  return share === null ? DASH : `${percent(share)} of ${samples}`;
}

/** A time between two clocks, with its uncertainty. */
export function joined(ms: number | null, uncertaintyMs: number): string {
  if (ms === null || uncertaintyMs === 0) return duration(ms);
  return `${duration(ms)} ± ${duration(uncertaintyMs)}`;
}

function longest(result: ProbeResult): string {
  const open = result.outages.some(({ toMs }) => toMs === null);
  return result.outages.length === 0 ? DASH : `${open ? "≥ " : ""}${duration(result.longestOutageMs)}`;
}

function total(result: ProbeResult): string {
  if (result.outages.length === 0) return DASH;
  return `${duration(result.totalOutageMs)} in ${plural(result.outages.length, "outage")}`;
}

/** "30.0 s, 33.3 % failed" */
function intermittent({ intermittent: spans = [], totalIntermittentMs = 0 }: ProbeResult): string {
  if (spans.length === 0) return DASH;
  const asked = spans.reduce((total, { samples }) => total + samples, 0);
  const failed = spans.reduce((total, { samples, share }) => total + samples * share, 0);
  const open = spans.some(({ toMs }) => toMs === null);
  return `${open ? "≥ " : ""}${duration(totalIntermittentMs)}, ${percent(failed / asked)} failed`;
}

function inWindow({ phases }: ProbeResult): string {
  const missed = phases.window.missed > 0 ? `, ${phases.window.missed} missed` : "";
  return `${availability(phases.window)}${missed}`;
}

const RIGHT = ["Baseline", "Window", "Recovery", "p95 baseline", "p95 window"];

function row(result: ProbeResult): string[] {
  const { phases } = result;
  return [
    result.probe,
    result.source,
    availability(phases.baseline),
    inWindow(result),
    availability(phases.recovery),
    duration(phases.baseline.p95Ms),
    duration(phases.window.p95Ms),
    joined(result.timeToImpactMs, result.clockUncertaintyMs),
    longest(result),
    total(result),
    intermittent(result),
    joined(result.timeToRecoverMs, result.clockUncertaintyMs),
    counts(phases.window.failures),
  ];
}

/** The smallest or largest value of some results; null: none has one. */
function extreme(
  results: readonly ProbeResult[],
  value: (result: ProbeResult) => number | null,
  pick: (...values: number[]) => number,
): number | null {
  const values = results.flatMap((result) => value(result) ?? []);
  return values.length === 0 ? null : pick(...values);
}

/** One row for the results that are not shown: none is worse than this. */
function othersRow(others: readonly ProbeResult[]): string[] {
  const share = (phase: "baseline" | "window" | "recovery"): string => {
    const least = extreme(others, ({ phases }) => phases[phase].availability, Math.min);
    return least === null ? DASH : `≥ ${percent(least)}`;
  };
  const p95 = (phase: "baseline" | "window"): string => {
    const most = extreme(others, ({ phases }) => phases[phase].p95Ms, Math.max);
    return most === null ? DASH : `≤ ${duration(most)}`;
  };
  const impact = extreme(others, ({ timeToImpactMs }) => timeToImpactMs, Math.min);
  const recover = extreme(others, ({ timeToRecoverMs }) => timeToRecoverMs, Math.max);
  const longestMs = Math.max(...others.map(({ longestOutageMs }) => longestOutageMs));
  const totalMs = Math.max(...others.map(({ totalOutageMs }) => totalOutageMs));
  const intermittentMs = Math.max(...others.map(({ totalIntermittentMs = 0 }) => totalIntermittentMs));
  return [
    others[0]?.probe ?? DASH,
    `${others.length} others`,
    share("baseline"),
    share("window"),
    share("recovery"),
    p95("baseline"),
    p95("window"),
    impact === null ? DASH : `≥ ${duration(impact)}`,
    longestMs === 0 ? DASH : `≤ ${duration(longestMs)}`,
    totalMs === 0 ? DASH : `≤ ${duration(totalMs)}`,
    intermittentMs === 0 ? DASH : `≤ ${duration(intermittentMs)}`,
    recover === null ? DASH : `≤ ${duration(recover)}`,
    DASH,
  ];
}

/** Every probe; of many sources the worst ones, and a row for all others. */
export function probeTable(result: RunResult): string {
  if (result.probes.length === 0) return "No samples were delivered.";
  return table(
    [
      "Probe",
      "From",
      "Baseline",
      "Window",
      "Recovery",
      "p95 baseline",
      "p95 window",
      "Time to impact",
      "Longest outage",
      "Total outage",
      "Intermittent",
      "Time to recover",
      "Failures in the window",
    ],
    pickedByProbe(result.probes).flatMap(({ shown, others }) => [
      ...shown.map(row),
      ...(others.length === 0 ? [] : [othersRow(others)]),
    ]),
    RIGHT,
  );
}

/** Tells the layers apart: which probes failed and which did not, at their worst source. */
export function layers(result: RunResult): string {
  const failed: string[] = [];
  const kept: string[] = [];
  const { experiment, functionProbes } = result.facts;
  const affected = affectedProbes(result.probes, functionProbes, experiment.thresholds.degradedBelow);
  for (const probe of PROBES) {
    const worst = worstInWindow(result.probes, [probe]);
    const share = worst?.phases.window.availability ?? null;
    if (share === null) continue;
    (affected.has(probe) ? failed : kept).push(`${probe} (${percent(share)})`);
  }
  const lines = [
    failed.length > 0 ? `Affected in the window (worst source): ${failed.join(", ")}.` : "",
    kept.length > 0 ? `Not affected: ${kept.join(", ")}.` : "",
  ];
  return lines.filter((line) => line !== "").join(" ");
}

/** How long the sources were late themselves, and how busy their machines were; empty: they were on time. */
export function ownDelays({ disturbed = [], facts }: RunResult): string {
  const late = disturbed.filter(({ lateMs }) => lateMs > 0).sort((a, b) => b.lateMs - a.lateMs);
  const probers = late.filter(({ source }) => source !== RUNNER_SOURCE);
  const runner = late.find(({ source }) => source === RUNNER_SOURCE);
  const busiest = Math.max(0, ...disturbed.map(({ pressure }) => pressure));
  const stolen = Math.max(0, ...disturbed.map(({ steal }) => steal));
  const named = probers.slice(0, NAMED).map((each) => `${each.source} for ${duration(each.lateMs)}`);
  const more = probers.length > NAMED ? [`${probers.length - NAMED} others for less`] : [];
  const lines = [
    probers.length === 0
      ? ""
      : `${probers.length} of ${plural(facts.sources.length, "prober")} ${probers.length === 1 ? "was" : "were"} late ` +
        `(${[...named, ...more].join(", ")}): what they sampled around a delay of ${duration(STALL_MS)} or more is missed, and around shorter ones its length counts for nothing.`,
    runner === undefined ? "" : `The runner was late for ${duration(runner.lateMs)}.`,
    busiest === 0 ? "" : `Tasks waited for a CPU for up to ${percent(busiest)} of the time.`,
    stolen === 0 ? "" : `The hypervisor gave up to ${percent(stolen)} of the CPUs' time to other machines.`,
  ];
  return lines.filter((line) => line !== "").join(" ");
}

/** Probes that were not measured, and why. */
export function notMeasured(result: RunResult): string {
  const lines = result.facts.notMeasured.map(({ probe, reason }) => `${probe} (${reason})`);
  return lines.length === 0 ? "" : `Not measured: ${lines.join("; ")}.`;
}
