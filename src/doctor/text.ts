/** The report of `chaos doctor` for people. Pure. */
import { plural } from "../common/figures.js";
import type { NotLookedAt } from "./condition.js";
import type { ClusterFacts } from "./facts.js";
import type { Cost, Finding } from "./finding.js";
import { inventoryLines, type InventoryRow, readyWords } from "./inventory.js";

export interface Report {
  readonly facts: ClusterFacts;
  readonly inventory: readonly InventoryRow[];
  readonly findings: readonly Finding[];
  readonly notLookedAt: readonly NotLookedAt[];
}

/** Table, findings by severity, advice apart, what was not looked at, summary. */
export function reportLines(report: Report): string[] {
  const { findings, inventory, notLookedAt } = report;
  const faults = findings.filter(({ severity }) => severity !== "info");
  const advice = findings.filter(({ severity }) => severity === "info");
  return [
    ...headLines(report),
    "",
    ...inventoryLines(inventory),
    ...faults.flatMap((each) => ["", ...findingLines(each)]),
    ...(advice.length === 0 ? [] : ["", "Advice, no faults:", ...advice.flatMap(adviceLines)]),
    ...(notLookedAt.length === 0
      ? []
      : ["", "Not looked at:", ...notLookedAt.map(({ what, because }) => `  ${what}: ${because}`)]),
    "",
    summaryLine(report),
  ];
}

function headLines({ facts }: Report): string[] {
  const { nodes, cni, serviceProxy, dns, platform } = facts.environment;
  const parts = [
    `Kubernetes ${facts.version}`,
    ...(platform === null ? [] : [platform]),
    plural(nodes, "node"),
    ...(cni === null ? [] : [`network: ${cni}`]),
    ...(serviceProxy === null ? [] : [`Services: ${serviceProxy}`]),
    ...(dns === null ? [] : [`DNS: ${dns}`]),
  ];
  return [`kube-system of ${facts.place.context}: ${parts.join("; ")}`];
}

function findingLines({ severity, code, title, evidence, cure, cost }: Finding): string[] {
  return [
    `${severity}: ${title} [${code}]`,
    ...evidence.map((line) => `  seen: ${line}`),
    `  cure: ${cure}`,
    ...(cost === undefined ? [] : [`  cost: ${costWords(cost)}`]),
  ];
}

/** Shorter: nothing is broken. */
function adviceLines({ code, title, evidence, cure }: Finding): string[] {
  return [`  ${title} [${code}]`, ...evidence.map((line) => `    seen: ${line}`), `    cure: ${cure}`];
}

function costWords(cost: Cost): string {
  if (!cost.known) return `not measured yet: ${cost.measure} measures what its failure costs`;
  return `${cost.severity}, measured ${cost.measuredAt.slice(0, 10)} (${cost.runId}): ${cost.behaviour}`;
}

function summaryLine({ facts, findings, notLookedAt }: Report): string {
  const count = (severity: Finding["severity"]): number =>
    findings.filter((each) => each.severity === severity).length;
  const faults = [
    ...(count("error") === 0 ? [] : [plural(count("error"), "error")]),
    ...(count("warning") === 0 ? [] : [plural(count("warning"), "warning")]),
  ];
  const rest = [
    ...(count("info") === 0 ? [] : [plural(count("info"), "piece of advice", "pieces of advice")]),
    ...(notLookedAt.length === 0 ? [] : [`${notLookedAt.length} not looked at`]),
  ];
  const found = faults.length === 0 ? "nothing found" : faults.join(", ");
  return `${readyWords(facts)}; ${found}${rest.length === 0 ? "" : ` (${rest.join(", ")})`}`;
}
