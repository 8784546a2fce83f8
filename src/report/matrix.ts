/**
 * The impact matrix as data: every component, in the study's order, with what the newest run of each of its
 * experiments measured. Pure: the same results give the same matrix. The Markdown is rendered from it alone.
 */
import { objectName } from "../common/object-name.js";
import type { RunResult } from "../analysis/result.js";
import { FUNCTION_LOST_BELOW } from "../analysis/severity.js";
import type { ComponentDefinition } from "../components/component.js";
import { isControl } from "../experiment/attacks.js";
import { type MatrixEntry, matrixRun, type MatrixRun } from "./matrix-run.js";
import { type MatrixGroup, type MatrixSummary, summaryOf } from "./matrix-summary.js";
import { rowName } from "./pick.js";

const MATRIX_SCHEMA_VERSION = 1;

export interface Matrix {
  readonly schemaVersion: typeof MATRIX_SCHEMA_VERSION;
  readonly summary: MatrixSummary;
  /** Number of runs of the attack `none`. They are not rows. */
  readonly controlRuns: number;
  /** The own function counts as lost under this share of a layer's samples. */
  readonly functionLostBelow: number;
  readonly groups: readonly MatrixGroup[];
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const isControlRun = ({ result }: MatrixEntry): boolean => isControl(result.facts.experiment.attack);

/** Newest first; runs with the same start are ordered by id. */
function newestFirst(a: MatrixEntry, b: MatrixEntry): number {
  const [one, other] = [a.result.facts, b.result.facts];
  return compare(other.startedAt, one.startedAt) || compare(other.runId, one.runId);
}

/** Copies of a report (the same run in two folders) count once. The first path wins. */
function eachRunOnce(entries: readonly MatrixEntry[]): MatrixEntry[] {
  const byRun = new Map<string, MatrixEntry>();
  for (const entry of [...entries].sort((a, b) => compare(a.path, b.path))) {
    const { runId, startedAt } = entry.result.facts;
    const key = JSON.stringify([runId, startedAt]);
    if (!byRun.has(key)) byRun.set(key, entry);
  }
  return [...byRun.values()];
}

/**
 * Which component a run is of; null: none. A run that never found its target only has the study's name and its
 * experiment's to go by.
 */
function componentOf(
  { facts }: RunResult,
  components: readonly ComponentDefinition[],
): ComponentDefinition | null {
  const found = (name: string): ComponentDefinition | null =>
    components.find((each) => each.name === name) ?? null;
  if (facts.target !== undefined) {
    return facts.target.component === null ? null : found(facts.target.component);
  }
  const ofStudy = components.find(({ study }) => study !== null && study.name === facts.study?.name);
  return ofStudy ?? found(facts.experiment.name);
}

/** The common key of the runs of a workload that is not a component. */
function workloadKey({ facts }: RunResult): string {
  if (facts.target === undefined) return facts.experiment.name;
  return facts.target.component ?? objectName(facts.target.object);
}

function groupOf(
  component: ComponentDefinition | null,
  entries: readonly MatrixEntry[],
): Omit<MatrixGroup, "name"> & { readonly first: RunResult | null } {
  const newest = new Map<string, MatrixEntry>();
  for (const entry of [...entries].sort(newestFirst)) {
    const { name } = entry.result.facts.experiment;
    if (!newest.has(name)) newest.set(name, entry);
  }
  const names = [...newest.keys()].sort(compare);
  const mainName = names.find((name) => name === component?.name) ?? names[0];
  const main = newest.get(mainName ?? "");
  const variants = names.filter((name) => name !== mainName).flatMap((name) => newest.get(name) ?? []);
  return {
    component: component?.name ?? null,
    study: main === undefined ? (component?.study ?? null) : main.result.facts.study,
    main: main === undefined ? null : matrixRun(main),
    variants: variants.map(matrixRun),
    olderRuns: entries.length - newest.size,
    first: main?.result ?? null,
  };
}

function named(component: ComponentDefinition | null, entries: readonly MatrixEntry[]): MatrixGroup {
  const { first, ...group } = groupOf(component, entries);
  const ofComponent = component === null ? null : (component.study?.name ?? component.name);
  return {
    component: group.component,
    name: ofComponent ?? (first === null ? "" : rowName(first)),
    study: group.study,
    main: group.main,
    variants: group.variants,
    olderRuns: group.olderRuns,
  };
}

/**
 * @param entries in any order.
 * @param components in the order of the rows; one without a run is also a row.
 */
export function buildMatrix(
  entries: readonly MatrixEntry[],
  components: readonly ComponentDefinition[],
): Matrix {
  const runs = eachRunOnce(entries);
  const shown = runs.filter((entry) => !isControlRun(entry));
  const ofComponent = new Map<ComponentDefinition, MatrixEntry[]>(components.map((each) => [each, []]));
  const workloads = new Map<string, MatrixEntry[]>();
  for (const entry of shown) {
    const component = componentOf(entry.result, components);
    const list = component === null ? undefined : ofComponent.get(component);
    if (list !== undefined) {
      list.push(entry);
      continue;
    }
    const key = workloadKey(entry.result);
    workloads.set(key, [...(workloads.get(key) ?? []), entry]);
  }
  const groups = [
    ...[...ofComponent].map(([component, list]) => named(component, list)),
    ...[...workloads].sort(([a], [b]) => compare(a, b)).map(([, list]) => named(null, list)),
  ];
  return {
    schemaVersion: MATRIX_SCHEMA_VERSION,
    summary: summaryOf(groups),
    controlRuns: runs.length - shown.length,
    functionLostBelow: FUNCTION_LOST_BELOW,
    groups,
  };
}

/** Every shown run with its group, in the order of the rows. */
export function shownRuns(matrix: Matrix): { readonly group: MatrixGroup; readonly run: MatrixRun }[] {
  return matrix.groups.flatMap((group) =>
    [...(group.main === null ? [] : [group.main]), ...group.variants].map((run) => ({ group, run })),
  );
}

/** `impact-matrix.json`: indented, with a final newline; keys in the order of the types. */
export function matrixJson(matrix: Matrix): string {
  return `${JSON.stringify(matrix, null, 2)}\n`;
}
