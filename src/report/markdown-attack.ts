/** The report's section on the attack: how the target was kept down, against which restorers, and the evidence. */
import { objectName } from "../common/object-name.js";
import { flappingEveryMs, leastTimesDown } from "../analysis/times-down.js";
import type { RunResult, Suppression } from "../analysis/result.js";
import { counts, duration, percent, plural } from "../common/figures.js";
import { killWords } from "../experiment/attacks.js";
import { list, table } from "./markdown-text.js";
import { EVIDENCE_WORDS } from "./words.js";

/** A longer fight is cut. The rest is in `result.json`. */
const MOST_ROUNDS = 20;

function nodeEvidence({ evidence, runtimeNodes, runtimeChecks, runtimeRunning }: Suppression): string {
  const seen = runtimeRunning === 0 ? "none" : `${runtimeRunning}`;
  const one = runtimeNodes.length === 1;
  const asked = `${one ? "was" : "were"} asked ${plural(runtimeChecks, "time")} in the window`;
  const nodes = runtimeNodes.join(", ");
  const subject = `${evidence === "node" ? "node" : "container runtime"}${one ? "" : "s"}`;
  return evidence === "node"
    ? `The ${subject} ${nodes} ${asked}; after the target was down, ${seen} of the answers said that it was running`
    : `The ${subject} of ${nodes} ${asked}; after the target was down, ${seen} of the answers showed one of its containers running`;
}

function howKnown(suppression: Suppression): string {
  const { runtimeChecks, runtimeErrors } = suppression;
  if (runtimeChecks === 0) {
    return runtimeErrors === 0
      ? "The nodes' runtimes were not asked. The API alone cannot show a container that kept running unseen."
      : `The nodes' runtimes could not be asked (${plural(runtimeErrors, "failed attempt")}).`;
  }
  const errors = runtimeErrors === 0 ? "" : `; ${plural(runtimeErrors, "attempt")} failed`;
  return `${nodeEvidence(suppression)}${errors}.`;
}

/** "kubelet.service stopped on kind-worker", "Deployment kube-system/coredns scaled to 0 (3 times)". */
function killLine({ action, object, times }: Suppression["blows"][number]): string {
  const [name = object.name, node] = object.name.split(" on ");
  const done =
    node === undefined ? killWords(action, objectName(object)) : `${killWords(action, name)} on ${node}`;
  return times === 1 ? done : `${done} (${plural(times, "time")})`;
}

function kills({ kills: count, killsByKind, killsNotAccepted, blows }: Suppression): string {
  const others =
    killsNotAccepted === 0
      ? ""
      : `; ${plural(killsNotAccepted, "more attempt")} found nothing to take down or failed`;
  const done = blows.reduce((sum, { times }) => sum + times, 0);
  const deletions =
    done === count ? "" : done === 0 ? ", all of them deletions" : `, ${count - done} of them deletions`;
  const acts = blows.length === 0 ? "" : ` ${blows.map(killLine).join("; ")}.`;
  return `Kills: ${count} (${counts(killsByKind)})${deletions}${others}.${acts}`;
}

/** The time to down, and the share of time without a serving instance from then on. */
function down({ downAfterMs, windowMs, servingMs, share }: Suppression): string[] {
  if (downAfterMs === null) {
    return [
      `Time to down: **never**. It had a serving instance for all of the ${duration(windowMs)} from the first kill to the release.`,
    ];
  }
  const serving = duration(Math.max(0, servingMs - downAfterMs));
  return [
    `Time to down: **${duration(downAfterMs)}** from the first kill.`,
    `From then on without a serving instance for **${percent(share)}** of the ${duration(windowMs - downAfterMs)} to the release (serving: ${serving}).`,
  ];
}

function flapping(result: RunResult, { timesDown }: Suppression): string[] {
  const everyMs = flappingEveryMs(result.facts);
  if (everyMs === null) return [];
  const least = Math.ceil(leastTimesDown(result.facts.experiment.phases.window, everyMs));
  return [
    `Flapping: taken down every ${duration(everyMs)}, it went down ${plural(timesDown, "time")} (needed: ${least}).`,
  ];
}

/** Every time that someone else recreated the workload itself; empty: it never happened. */
function fight({ fight: rounds }: Suppression): string {
  if (rounds.length === 0) return "";
  const served = rounds.filter((round) => round.served).length;
  const lived = rounds.flatMap(({ livedMs }) => livedMs ?? []);
  const longest = lived.length === 0 ? "" : ` It existed for at most ${duration(Math.max(...lived))}`;
  const summary =
    `The workload was recreated ${plural(rounds.length, "time")}.${longest}` +
    `${longest === "" ? " It" : " and"} served ${served === 0 ? "in none" : `in ${served}`} of them.`;
  const rows = rounds
    .slice(0, MOST_ROUNDS)
    .map(({ atMs, by, livedMs, served: did }) => [
      `+${duration(atMs)}`,
      by ?? "unknown",
      livedMs === null ? "until the release" : duration(livedMs),
      did ? "**yes**" : "no",
    ]);
  const more =
    rounds.length > MOST_ROUNDS ? `\n\n… and ${rounds.length - MOST_ROUNDS} more in \`result.json\`.` : "";
  return `${summary}\n\n${table(["Recreated", "By", "Existed", "Served"], rows, ["Recreated", "Existed"])}${more}`;
}

/** How the target was kept down, and how that is known. */
export function keptDown(result: RunResult): readonly string[] {
  const { suppression, facts } = result;
  const { type, ...parameters } = facts.experiment.attack;
  const given = Object.entries(parameters).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const attack = `Attack: \`${type}\`${given.length === 0 ? "" : ` (${given.join(", ")}; durations in ms)`}.`;
  if (suppression === null) {
    return [`${attack} Nothing was taken down.`];
  }
  const { recreationsByKind, recreatedBy } = suppression;
  const recreated = Object.keys(recreationsByKind).length === 0 ? "none" : counts(recreationsByKind);
  const by = recreatedBy.length === 0 ? "" : `, by ${recreatedBy.join(", ")}`;
  const onNodes = facts.target?.nodes !== undefined;
  const companions = result.companions.map(objectName).join(", ");
  return [
    attack,
    list([
      ...(companions === ""
        ? []
        : [`Companions scaled to 0 before the attack, because they would undo it: ${companions}.`]),
      ...down(suppression),
      ...flapping(result, suppression),
      kills(suppression),
      ...(onNodes ? [] : [`Recreated during the attack: ${recreated}${by}.`]),
      `${onNodes ? "Ran again" : "Became ready"} after it was down: ${plural(suppression.readySeen, "time")}.`,
      `Evidence: **${EVIDENCE_WORDS[suppression.evidence].en}**. ${howKnown(suppression)}`,
    ]),
    fight(suppression),
  ];
}
