/** The report's section on the attack: how the target was kept down, against whom, and how that is known. */
import { objectName } from "../common/object-name.js";
import { flappingEveryMs, leastTimesDown } from "../analysis/times-down.js";
import type { RunResult, Suppression } from "../analysis/result.js";
import { counts, duration, percent, plural } from "../common/figures.js";
import { killWords } from "../experiment/attacks.js";
import { list, table } from "./markdown-text.js";
import { EVIDENCE_WORDS } from "./words.js";

/** A longer fight is told in part: the rest is in `result.json`. */
const MOST_ROUNDS = 20;

function nodeEvidence({ evidence, runtimeNodes, runtimeChecks, runtimeRunning }: Suppression): string {
  const seen = runtimeRunning === 0 ? "none" : `${runtimeRunning}`;
  const one = runtimeNodes.length === 1;
  const asked = `${one ? "was" : "were"} asked ${plural(runtimeChecks, "time")} in the window`;
  const nodes = runtimeNodes.join(", ");
  const subject = `${evidence === "node" ? "node" : "container runtime"}${one ? "" : "s"}`;
  return evidence === "node"
    ? `The ${subject} ${nodes} ${asked}; after the target was down ${seen} of the answers said that it ran`
    : `The ${subject} of ${nodes} ${asked}; after the target was down ${seen} of these saw a container of it running`;
}

function howKnown(suppression: Suppression): string {
  const { runtimeChecks, runtimeErrors } = suppression;
  if (runtimeChecks === 0) {
    return runtimeErrors === 0
      ? "The nodes' runtimes were not asked: with the API alone to go by, a container that ran on unseen would not have been noticed."
      : `The nodes' runtimes could not be asked (${plural(runtimeErrors, "failed attempt")}).`;
  }
  const errors = runtimeErrors === 0 ? "" : `; ${plural(runtimeErrors, "attempt")} failed`;
  return `${nodeEvidence(suppression)}${errors}.`;
}

/** "kubelet.service stopped on kind-worker", "Deployment kube-system/coredns scaled to 0 (3 times)". */
function blowWords({ action, object, times }: Suppression["blows"][number]): string {
  const [name = object.name, node] = object.name.split(" on ");
  const done =
    node === undefined ? killWords(action, objectName(object)) : `${killWords(action, name)} on ${node}`;
  return times === 1 ? done : `${done} (${plural(times, "time")})`;
}

function kills({ kills: count, killsByKind, killsNotAccepted, blows }: Suppression): string {
  const others =
    killsNotAccepted === 0
      ? ""
      : `; ${plural(killsNotAccepted, "attempt")} more found nothing to take down or failed`;
  const done = blows.reduce((sum, { times }) => sum + times, 0);
  const deletions =
    done === count ? "" : done === 0 ? ", all of them deletions" : `, ${count - done} of them deletions`;
  const acts = blows.length === 0 ? "" : ` ${blows.map(blowWords).join("; ")}.`;
  return `Kills: ${count} (${counts(killsByKind)})${deletions}${others}.${acts}`;
}

function flapping(result: RunResult, { timesDown }: Suppression): string[] {
  const everyMs = flappingEveryMs(result.facts);
  if (everyMs === null) return [];
  const least = Math.ceil(leastTimesDown(result.facts.experiment.phases.window, everyMs));
  return [
    `Flapping: taken down every ${duration(everyMs)}, it went down ${plural(timesDown, "time")} (needed: ${least}).`,
  ];
}

/** Every time that somebody else brought the workload itself back; empty: nobody did. */
function fight({ fight: rounds }: Suppression): string {
  if (rounds.length === 0) return "";
  const served = rounds.filter((round) => round.served).length;
  const lived = rounds.flatMap(({ livedMs }) => livedMs ?? []);
  const longest = lived.length === 0 ? "" : ` It lived for ${duration(Math.max(...lived))} at the longest`;
  const summary =
    `The workload was brought back ${plural(rounds.length, "time")}.${longest}` +
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
  return `${summary}\n\n${table(["Brought back", "By", "Lived", "Served"], rows, ["Brought back", "Lived"])}${more}`;
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
  const { recreationsByKind, recreatedBy, downAfterMs } = suppression;
  const back = Object.keys(recreationsByKind).length === 0 ? "none" : counts(recreationsByKind);
  const by = recreatedBy.length === 0 ? "" : `, by ${recreatedBy.join(", ")}`;
  const onNodes = facts.target?.nodes !== undefined;
  const companions = result.companions.map(objectName).join(", ");
  return [
    attack,
    list([
      ...(companions === "" ? [] : [`Scaled to 0 before it, as it would undo the attack: ${companions}.`]),
      `Without a serving instance for **${percent(suppression.share)}** of the ${duration(suppression.windowMs)} from the first kill to the release (serving: ${duration(suppression.servingMs)}).`,
      ...flapping(result, suppression),
      downAfterMs === null
        ? "It always had a serving instance."
        : `Down ${duration(downAfterMs)} after the first kill.`,
      kills(suppression),
      ...(onNodes ? [] : [`Came back while the attack lasted: ${back}${by}.`]),
      `${onNodes ? "Ran again" : "Became ready"} after it was down: ${plural(suppression.readySeen, "time")}.`,
      `Evidence: **${EVIDENCE_WORDS[suppression.evidence].en}**. ${howKnown(suppression)}`,
    ]),
    fight(suppression),
  ];
}
