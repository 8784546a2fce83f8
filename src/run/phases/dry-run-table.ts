/** The table of `--dry-run` for several experiments: what is found, whether it runs, and how it would be attacked. Pure. */
import type { ResolvedExperiment } from "../../components/resolve.js";
import { isControl } from "../../experiment/attacks.js";
import { selectorString } from "../../kube/api.js";
import { objectName } from "../../common/object-name.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import { width } from "../../ui/width.js";
import { type Check, type PreflightOutcome, runsWords } from "./preflight.js";

/** One experiment on this cluster. */
export interface PlanRow {
  readonly experiment: string;
  readonly file: string;
  /** The component, or the workload by kind and name. */
  readonly target: string;
  /** null: not found. */
  readonly found: string | null;
  readonly runs: string | null;
  /** null: it would not be attacked; `why` says why. */
  readonly attack: string | null;
  /** What was found is assumed: the nodes cannot be reached yet. */
  readonly assumed: boolean;
  readonly why: string | null;
  /** Companions that were looked for and are missing: one sentence each. */
  readonly missing: readonly string[];
  /** "GKE (the nodes have the label …)"; null: not recognised. */
  readonly platform: string | null;
  /** Problems that are not this experiment's own: the cluster is not local, a right is missing. */
  readonly others: readonly string[];
}

type About = Pick<PlanRow, "experiment" | "file" | "target">;

/** Checks about the experiment's own target. The others would refuse any experiment. */
const OWN_CHECKS = ["target", "attack", "node access"];

export function planRow(file: string, outcome: PreflightOutcome): PlanRow {
  const { checks, resolved, target, companions, missing, platform } = outcome;
  const failed = checks.filter(({ ok }) => !ok);
  const why = failed.filter(({ name }) => OWN_CHECKS.includes(name)).map(({ detail }) => detail);
  return {
    ...aboutOf(file, resolved),
    found: target === undefined ? null : foundWords(target),
    runs: target === undefined ? null : runsWords(target),
    attack:
      why.length > 0 || target === undefined
        ? null
        : attackWords(
            resolved,
            companions.map(({ name }) => name),
          ),
    assumed: checks.some(({ assumed }) => assumed === true),
    why: why.length === 0 ? null : why.join(". "),
    missing,
    platform: platform === undefined ? null : `${platform.name} (${platform.because})`,
    others: failed.filter(({ name }) => !OWN_CHECKS.includes(name)).map(checkWords),
  };
}

/** The row of an experiment whose plan could not be made. */
export function failedRow(file: string, resolved: ResolvedExperiment, why: string): PlanRow {
  const nothing = { found: null, runs: null, attack: null, assumed: false, missing: [], platform: null };
  return { ...aboutOf(file, resolved), ...nothing, why, others: [] };
}

function aboutOf(file: string, { experiment, component }: ResolvedExperiment): About {
  const { target, metadata } = experiment;
  const name = "component" in target ? (component?.name ?? target.component) : objectName(target);
  return { experiment: metadata.name, file, target: name };
}

/** "DaemonSet kube-system/kube-proxy", "unit kubelet.service". */
export function foundWords(target: AnyTarget): string {
  if (!isNodeTarget(target)) return objectName(target);
  if (target.kind === "SystemdUnit") return `unit ${target.unit ?? target.name}`;
  return `static pods with ${selectorString(target.labels)} in ${target.namespace}`;
}

function attackWords({ attack }: ResolvedExperiment, companions: readonly string[]): string {
  if (isControl(attack)) return "none: a control run";
  const first = companions.length === 0 ? "" : `, after ${companions.join(", ")} is scaled to 0`;
  if (!("nodes" in attack)) return `${attack.type}${first}`;
  const { nodes } = attack;
  return `${attack.type} on ${nodes === "one" ? "one node" : nodes === "all" ? "each of its nodes" : nodes.join(", ")}`;
}

function checkWords({ name, detail }: Check): string {
  return `${name}: ${detail}`;
}

const ABSENT = "–";

/** The cells of a row: target, found, runs, attack or why not. */
export function cellsOf(row: PlanRow): readonly [string, string, string, string] {
  const target = row.experiment === row.target ? row.target : `${row.experiment} (${row.target})`;
  const found = row.found === null ? ABSENT : `${row.found}${row.assumed ? " (assumed)" : ""}`;
  return [target, found, row.runs ?? ABSENT, row.attack ?? `not: ${row.why ?? "refused"}`];
}

export const PLAN_COLUMNS = ["component", "found", "runs", "how it would be attacked"] as const;

/** The table as lines, and below it what concerns more than one row. */
export function tableLines(rows: readonly PlanRow[]): string[] {
  const table: readonly (readonly string[])[] = [PLAN_COLUMNS, ...rows.map(cellsOf)];
  const widths = PLAN_COLUMNS.map((_, column) =>
    Math.max(...table.map((cells) => width(cells[column] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - width(cell)))
      .join("  ")
      .trimEnd();
  const platforms = distinct(rows.flatMap(({ platform }) => platform ?? []));
  return [
    `dry run of ${rows.length} experiments: nothing was changed`,
    ...platforms.map((platform) => `platform: ${platform}`),
    ...table.map((cells) => `  ${line(cells)}`),
    ...(rows.some(({ assumed }) => assumed)
      ? ["assumed: checked once node access is there (units, and the files of static pods)"]
      : []),
    ...distinct(rows.flatMap(({ missing }) => missing)).map((each) => `companion not found: ${each}`),
    ...refusedLines(rows),
  ];
}

function refusedLines(rows: readonly PlanRow[]): string[] {
  return distinct(rows.flatMap(({ others }) => others)).map((problem) => {
    const names = rows.filter(({ others }) => others.includes(problem)).map(({ experiment }) => experiment);
    return `refused (${names.length === rows.length ? "all of them" : names.join(", ")}): ${problem}`;
  });
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
