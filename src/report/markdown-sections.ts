/** The report's sections on the attack, the recovery and the set-up. */
import type { RunResult, Suppression } from "../analysis/result.js";
import { cell, counts, DASH, duration, list, percent, plural, table, threshold } from "./format.js";
import { objectName } from "./pick.js";

function runtimeEvidence(suppression: Suppression): string {
  const { runtimeNodes, runtimeChecks, runtimeRunning, runtimeErrors } = suppression;
  if (runtimeChecks === 0) {
    return runtimeErrors === 0
      ? "The nodes' runtimes were not asked: with the API alone to go by, a container that ran on unseen would not have been noticed."
      : `The nodes' runtimes could not be asked (${plural(runtimeErrors, "failed attempt")}).`;
  }
  const seen = runtimeRunning === 0 ? "none" : `${runtimeRunning}`;
  const errors = runtimeErrors === 0 ? "" : `; ${plural(runtimeErrors, "attempt")} failed`;
  return (
    `The container runtimes of ${runtimeNodes.join(", ")} were asked ${plural(runtimeChecks, "time")} in the ` +
    `window; after the target was down ${seen} of these saw a container of it running${errors}.`
  );
}

/** How the target was kept down, and how that is known. */
export function keptDown(result: RunResult): string {
  const { suppression, facts } = result;
  const { type, ...parameters } = facts.experiment.attack;
  const given = Object.entries(parameters).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const attack = `Attack: \`${type}\`${given.length === 0 ? "" : ` (${given.join(", ")}; durations in ms)`}.`;
  if (suppression === null) {
    return type === "none" ? `${attack} Nothing was taken down.` : `${attack} Nothing was deleted.`;
  }
  const { kills, killsByKind, killsNotAccepted, recreationsByKind, recreatedBy, downAfterMs } = suppression;
  const back = Object.keys(recreationsByKind).length === 0 ? "none" : counts(recreationsByKind);
  const by = recreatedBy.length === 0 ? "" : `, by ${recreatedBy.join(", ")}`;
  const others =
    killsNotAccepted === 0
      ? ""
      : `; ${plural(killsNotAccepted, "request")} more found nothing to delete or failed`;
  return [
    attack,
    "",
    list([
      `Without a serving instance for **${percent(suppression.share)}** of the ${duration(suppression.windowMs)} from the first deletion to the release (serving: ${duration(suppression.servingMs)}).`,
      downAfterMs === null
        ? "It always had a serving instance."
        : `Down ${duration(downAfterMs)} after the first deletion.`,
      `Deletions: ${kills} (${counts(killsByKind)})${others}.`,
      `Came back while the attack lasted: ${back}${by}.`,
      `Became ready after it was down: ${plural(suppression.readySeen, "time")}.`,
      `Evidence: **${suppression.evidence}**. ${runtimeEvidence(suppression)}`,
    ]),
  ].join("\n");
}

/** Recovery in its parts, and what put things back. */
export function recovery(result: RunResult): string {
  const { recovery: parts } = result;
  if (parts === null) return "There was no release, so there is no recovery to measure.";
  const by = parts.restoredBy === null ? "" : ` (${parts.restoredBy})`;
  const times = table(
    ["From the release until", "Time"],
    [
      [`the restorer acted${by}`, duration(parts.restorerMs)],
      ["the target was ready", duration(parts.readyMs)],
      ["the first good write on every worker that had failed", duration(parts.firstGoodMs)],
      ["every probe was healthy", duration(parts.healthyMs)],
    ],
    ["Time"],
  );
  if (result.restored.length === 0) return times;
  const release = result.releaseMs ?? 0;
  const restored = table(
    ["Put back", "How", "By", "After the release"],
    result.restored.map(({ object, how, by: who, tMs }) => [
      objectName(object),
      how === "found" ? "found put back" : how,
      who,
      duration(tMs - release),
    ]),
    ["After the release"],
  );
  return `${times}\n\n${restored}`;
}

/** Who restores the target: its owners, outermost last. */
export function owners({ facts }: RunResult): string {
  if (facts.target === undefined) return "The target was not found.";
  const { object, ownerChain, services, images } = facts.target;
  return list([
    `Target: ${objectName(object)}.`,
    `Owners: ${ownerChain.length === 0 ? DASH : ownerChain.join(" → ")}.`,
    `Services: ${services.length === 0 ? "none" : services.map(objectName).join(", ")}.`,
    `Images: ${images.length === 0 ? DASH : images.map((image) => `\`${image}\``).join(", ")}.`,
  ]);
}

export function checks(result: RunResult): string {
  if (result.checks.length === 0) return "None was recorded.";
  return table(
    ["Check", "Passed", "Detail"],
    result.checks.map(({ name, ok, detail }) => [name, ok ? "yes" : "**no**", detail]),
  );
}

export function clocks(result: RunResult): string {
  if (result.clocks.length === 0) return "No prober's clock was measured.";
  return [
    "The probers have clocks of their own; times between the runner's events and their samples are right within:",
    "",
    table(
      ["Prober", "±"],
      result.clocks.map(({ source, uncertaintyMs }) => [source, duration(uncertaintyMs)]),
      ["±"],
    ),
  ].join("\n");
}

export function cluster({ facts }: RunResult): string {
  const { provider, context, uid, version, nodes } = facts.cluster;
  return [
    list([
      `Kubernetes ${version}, ${provider}, context \`${context}\`, identity (uid of kube-system) ${uid}.`,
      `kube-system chaos ${facts.toolVersion}; run \`${facts.runId}\`, started ${facts.startedAt}; experiment \`${facts.experiment.file}\`.`,
    ]),
    "",
    table(
      ["Node", "Role", "kubelet", "Runtime", "System", "Kernel"],
      nodes.map(({ name, role, kubelet, runtime, os, kernel }) => [name, role, kubelet, runtime, os, kernel]),
    ),
  ].join("\n");
}

export function standIns({ facts }: RunResult): string {
  if (facts.standIns.length === 0) return "None: every image is what its name says.";
  return table(
    ["Image", "What it is", "Is the target"],
    facts.standIns.map(({ image, description, victim }) => [image, description, victim ? "**yes**" : "no"]),
  );
}

export function thresholds({ facts }: RunResult): string {
  const { thresholds: limits, probes, phases } = facts.experiment;
  return table(
    ["Threshold", "Value"],
    [
      ["healthy at the baseline from", threshold(limits.baselineAvailability)],
      ["outage: write availability in the window under", threshold(limits.outageBelow)],
      ["degraded: under", threshold(limits.degradedBelow)],
      ["degraded: p95 over so many times the baseline's", String(limits.slowFactor)],
      ["… from a p95 of", duration(limits.slowFrom)],
      ["down: share of the window without a serving instance, at least", threshold(limits.suppression)],
      ["K: good samples in a row that end an outage", String(probes.goodInARow)],
      ["a sample every", duration(probes.interval)],
      ["time-out of a sample", duration(probes.timeout)],
      ["baseline", duration(phases.baseline)],
      ["window", duration(phases.window)],
      ["recovery, at most", duration(phases.recovery)],
    ],
    ["Value"],
  );
}

export const GLOSSARY: readonly string[] = [
  "**Time to impact**: first deletion → first failed sample.",
  "**Outage**: from the first failed sample to the first of K good ones in a row. A tick that the prober could not keep is *missed*: it counts for nothing.",
  "**Availability**: good samples of all samples that started in the phase. Rounded down.",
  "**Time to recover**: release → the first of the K good samples after which it stayed good.",
  "**Suppression**: share of the window, from the first deletion, in which the target had no serving instance: no endpoint ready or serving while terminating, no ready pod, no container that may serve.",
  "**Severity**: *outage*, *degraded*, *function lost* (the application is fine, the component's own function is gone), *none*, *inconclusive*; from measurements only.",
  "**Study**: *confirmed* (seen there and here), *newly verified* (supposed there, measured here), *differs*, *inconclusive*.",
  "**Control arm**: app-write-env and app-read-env, a front end that finds its database without DNS.",
  "**p95**: 95 of 100 good samples were no slower. Failed samples have no speed.",
];

/** Warnings, or nothing. */
export function warnings(result: RunResult): string {
  return result.warnings.length === 0 ? "" : list(result.warnings.map((text) => cell(text)));
}
