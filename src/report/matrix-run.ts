/** A run as the matrix shows it: its row, further figures of the cells, and links to the evidence. */
import type { FunctionResult, InconclusiveReason, RunResult } from "../analysis/result.js";
import { worstInWindow } from "../analysis/severity.js";
import type { FunctionCheckName } from "../components/functions.js";
import type { Environment, RunFacts } from "../evidence/facts.js";
import type { ProbeName } from "../experiment/names.js";
import type { ReportFile } from "./formats.js";
import { longestOutage } from "./pick.js";
import { matrixRow, type MatrixRow } from "./row.js";

/** The component's own function, in figures. */
export interface MatrixFunction extends Omit<FunctionResult, "evidence"> {
  /** The function check that showed it; null: samples of a layer did, or nothing. */
  readonly probe: FunctionCheckName | null;
  /** The layer whose samples showed it, at its worst worker; null: function checks did, or nothing. */
  readonly layer: { readonly probe: ProbeName; readonly availability: number } | null;
}

export interface MatrixRun {
  /** Relative to the folder of the matrix, ready for a link; null: the file does not exist. */
  readonly links: { readonly report: string | null; readonly timeline: string | null };
  readonly row: MatrixRow;
  readonly reasons: readonly { readonly code: InconclusiveReason; readonly message: string }[];
  /** The run had no window: it refused to attack. */
  readonly refused?: true;
  /** The claim that the run was compared with. */
  readonly claim: RunFacts["study"];
  readonly ownFunction: MatrixFunction;
  /** The longest outage of writes was still open when measuring ended. */
  readonly outageOpen: boolean;
  readonly windowMs: number;
  readonly thresholds: RunFacts["experiment"]["thresholds"];
  readonly goodInARow: number;
  readonly cluster: {
    readonly provider: string;
    readonly version: string;
    readonly nodes: number;
    readonly runtimes: readonly string[];
  };
  /** Absent: a run of an older version. */
  readonly environment?: Environment;
  readonly toolVersion: string;
  readonly standIns: RunFacts["standIns"];
}

/** A path for a link, also in Markdown. It cannot end the link or the table's cell. */
export function url(path: string): string {
  return encodeURI(path).replace(
    /[()|#?]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

function linksOf({ path, lacks = [] }: MatrixEntry): MatrixRun["links"] {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const link = (file: ReportFile): string | null => (lacks.includes(file) ? null : url(`${folder}${file}`));
  return { report: link("report.md"), timeline: link("timeline.svg") };
}

function functionOf(result: RunResult): MatrixFunction {
  const { state, because, baseline, window, recovery, backAfterMs, late, lostForGood } = result.ownFunction;
  const { functionProbe, functionProbes } = result.facts;
  const worst = functionProbe === null ? worstInWindow(result.probes, functionProbes) : undefined;
  const availability = worst?.phases.window.availability ?? null;
  return {
    state,
    because,
    baseline,
    window,
    recovery,
    backAfterMs,
    late,
    lostForGood,
    probe: functionProbe?.name ?? null,
    layer: worst === undefined || availability === null ? null : { probe: worst.probe, availability },
  };
}

export function matrixRun(entry: MatrixEntry): MatrixRun {
  const { result } = entry;
  const { experiment, cluster, environment, toolVersion, standIns, study } = result.facts;
  return {
    links: linksOf(entry),
    row: matrixRow(result),
    reasons: result.reasons.map(({ code, message }) => ({ code, message })),
    ...(result.phases.window === undefined ? { refused: true } : {}),
    claim: study,
    ownFunction: functionOf(result),
    outageOpen: longestOutage(result)?.outages.some(({ toMs }) => toMs === null) ?? false,
    windowMs: experiment.phases.window,
    thresholds: experiment.thresholds,
    goodInARow: experiment.probes.goodInARow,
    cluster: {
      provider: cluster.provider,
      version: cluster.version,
      nodes: cluster.nodes.length,
      runtimes: [...new Set(cluster.nodes.map(({ runtime }) => runtime))].sort(),
    },
    ...(environment === undefined ? {} : { environment }),
    toolVersion,
    standIns: standIns.map(({ image, description, victim }) => ({ image, description, victim })),
  };
}

/** A run's result and its place. */
export interface MatrixEntry {
  /** Path of its result.json, relative to the folder of the matrix, with slashes. Links are built from it. */
  readonly path: string;
  readonly result: RunResult;
  /** Missing files of the report: nothing links to them. */
  readonly lacks?: readonly ReportFile[];
}
