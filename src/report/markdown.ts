/** `report.md` of a run: first its row of the matrix, then the evidence. */
import type { RunResult } from "../analysis/result.js";
import { DASH, duration, percent } from "../common/figures.js";
import { cell, list, table } from "./markdown-text.js";
import { keptDown } from "./markdown-attack.js";
import { ownFunctionSection, story } from "./markdown-function.js";
import { layerDifferences } from "./layer-differences.js";
import { joined, layers, notMeasured, ownDelays, probeTable } from "./markdown-probes.js";
import {
  checks,
  clocks,
  cluster,
  environment,
  glossary,
  owners,
  recovery,
  substituteImages,
  thresholds,
  warnings,
} from "./markdown-sections.js";
import { functionAloneUnknown, longestIntermittentMs, longestOutage } from "./pick.js";
import { matrixRow, type MatrixRow } from "./row.js";
import {
  clientText,
  EVIDENCE_WORDS,
  FUNCTION_WORDS,
  ON_SUBSTITUTE_IMAGE,
  SEVERITY_WORDS,
  STUDY_WORDS,
  VERDICT_WORDS,
} from "./words.js";

/** A part of the report: paragraphs, lists and tables in Markdown. The page shows the same ones. */
export interface Section {
  readonly title: string;
  readonly blocks: readonly string[];
}

/** Without empty blocks; none: it has no content. */
function section(title: string, ...paragraphs: readonly string[]): Section[] {
  const blocks = paragraphs.filter((paragraph) => paragraph !== "");
  return blocks.length === 0 ? [] : [{ title, blocks }];
}

function nameCell(row: MatrixRow): string {
  return row.object === null ? row.name : `${row.name} (${row.object})`;
}

function countCell({ count, study }: MatrixRow): string {
  const here = count === null ? DASH : String(count);
  return study.count === null || study.count === count ? here : `${here} (study: ${study.count})`;
}

function suppressionCell({ suppression, evidence }: MatrixRow): string {
  if (suppression === null || evidence === null) return DASH;
  return `${percent(suppression)} (${EVIDENCE_WORDS[evidence].en})`;
}

function outageCell(result: RunResult): string {
  const worst = longestOutage(result);
  if (worst === undefined || worst.outages.length === 0) {
    const ms = longestIntermittentMs(result);
    return ms === 0 ? DASH : `none (intermittent: ${duration(ms)})`;
  }
  const open = worst.outages.some(({ toMs }) => toMs === null);
  return `${open ? "≥ " : ""}${duration(worst.longestOutageMs)}`;
}

const substituteNote = (row: Pick<MatrixRow, "onStandIn">): string =>
  row.onStandIn ? ` (${ON_SUBSTITUTE_IMAGE.en})` : "";

function studyCell(row: MatrixRow): string {
  const { impact, function: ownFunction } = row.study;
  if (row.control) return DASH;
  if (impact === "not in the study") return STUDY_WORDS[impact].en;
  return `${STUDY_WORDS[impact].en} / ${STUDY_WORDS[ownFunction].en}${substituteNote(row)}`;
}

/** The row of the impact matrix: each column with its cell. */
export function summaryCells(result: RunResult, row: MatrixRow): [column: string, text: string][] {
  return [
    ["Name", nameCell(row)],
    ["Type", row.type ?? DASH],
    ["Count", countCell(row)],
    ["Severity", `${SEVERITY_WORDS[row.severity].en}${substituteNote(row)}`],
    ["Behaviour when stopped", row.behaviour.en],
    ["app → DB writes in the window", writesCell(row)],
    ["Time to impact", joined(row.timeToImpactMs, row.timeToImpactUncertaintyMs)],
    ["Longest outage", outageCell(result)],
    [
      "Recovery",
      row.verdict === "not restored" ? VERDICT_WORDS["not restored"].en : duration(row.recoveryMs),
    ],
    [
      "Time to down",
      row.suppression === null ? DASH : row.timeToDownMs === null ? "never" : duration(row.timeToDownMs),
    ],
    ["Suppression", suppressionCell(row)],
    ["Study (impact / function)", studyCell(row)],
  ];
}

function rowTable(result: RunResult, row: MatrixRow): string {
  const cells = summaryCells(result, row);
  return table(
    cells.map(([column]) => column),
    [cells.map(([, text]) => text)],
  );
}

/** What a client saw; empty: a result of an older version, or nothing was measured. */
function seenByClient({ client }: RunResult): string {
  if (client == null) return "";
  return `Seen by a client in the window: ${cell(clientText(client).en).replace(client.class, `**${client.class}**`)}.`;
}

function ownFunction(result: RunResult): string {
  const { severity, ownFunction: found, functionBecause } = result;
  const open = severity === "inconclusive" && !functionAloneUnknown(result);
  const state = open ? "no conclusion" : FUNCTION_WORDS[found.state].en;
  return `The component's own function: ${state}; ${cell(functionBecause)}`;
}

/** "1.2 % (worst worker: kind-worker)". */
function writesCell({ writeAvailability, worstWorker }: MatrixRow): string {
  if (writeAvailability === null) return DASH;
  const where = writeAvailability === 1 ? "every worker" : `worst worker: ${worstWorker ?? DASH}`;
  return `${percent(writeAvailability)} (${where})`;
}

/** The verdict and what it rests on. */
export function verdict(result: RunResult, row: MatrixRow): string[] {
  const word = `**${VERDICT_WORDS[row.verdict].en}${substituteNote(row)}**`;
  const paragraphs = [`Verdict: ${word}. ${cell(result.verdictBecause)}`];
  if (result.reasons.length > 0) {
    paragraphs.push(
      `Why nothing can be concluded:\n\n${list(result.reasons.map(({ code, message }) => `\`${code}\`: ${cell(message)}`))}`,
    );
  }
  if (result.severity === "inconclusive") paragraphs.push(cell(result.severityBecause));
  paragraphs.push(seenByClient(result), ownFunction(result));
  if (!row.control) paragraphs.push(`Study: ${cell(result.study.because)}`);
  if (!row.control && result.facts.study !== null) {
    paragraphs.push(`The study's own words: “${cell(result.facts.study.behaviour.en)}”`);
  }
  return paragraphs.filter((paragraph) => paragraph !== "");
}

const FILES = [
  "`run.json`: the facts of the run and the resolved experiment.",
  "`events.ndjson`: what the runner did and saw, in order.",
  "`samples/*.ndjson.gz`: every sample, one file for each source, in the source's own clock.",
  "`result.json`: the content of this report, as data.",
  "`chaos report DIR` recomputes `result.json`, this report and the picture from the first three.",
];

/** What the report says below the verdict and the picture. */
export function reportSections(result: RunResult): Section[] {
  return [
    ...section("Warnings", warnings(result)),
    ...section(
      "What the application saw",
      layers(result),
      layerDifferences(result),
      probeTable(result),
      ownDelays(result),
      notMeasured(result),
    ),
    ...section("The component's own function", ...ownFunctionSection(result)),
    ...section("What happened meanwhile", story(result)),
    ...section("How it was kept down", ...keptDown(result)),
    ...section("Recovery", recovery(result)),
    ...section("Who restores it", owners(result)),
    ...section("Preflight", checks(result)),
    ...section("Clocks", clocks(result)),
    ...section("Cluster and versions", environment(result), cluster(result)),
    ...section("Substitute images", substituteImages(result)),
    ...section("Thresholds", thresholds(result)),
    ...section("What the words mean", list(glossary(result))),
    ...section("Files", list(FILES)),
  ];
}

/** The report in Markdown. Pure: the same result gives the same text. */
export function reportMarkdown(result: RunResult): string {
  const row = matrixRow(result);
  const parts = [
    `# ${cell(result.facts.experiment.title)}`,
    rowTable(result, row),
    ...verdict(result, row),
    "![Timeline: kills, endpoints and every probe, in seconds since the first kill](timeline.svg)",
    ...reportSections(result).flatMap(({ title, blocks }) => [`## ${title}`, ...blocks]),
  ];
  return `${parts.join("\n\n")}\n`;
}
