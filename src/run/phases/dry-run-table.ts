/** What `--dry-run` says about an experiment: what is found, how it would be attacked and restored, and for how long. Pure. */
import type { ResolvedExperiment } from "../../components/resolve.js";
import { isControl } from "../../experiment/attacks.js";
import { selectorString } from "../../kube/api.js";
import { objectName } from "../../common/object-name.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import { hanging, MAX_COLUMNS, wrap } from "../../ui/wrap.js";
import { rightsSummary, undoWords } from "./plan-words.js";
import { type AskedRight, type Check, type PreflightOutcome, runsWords } from "./preflight.js";
import { durationOf, durationWords, type RunDuration } from "./run-duration.js";

/** One experiment on this cluster. */
export interface PlanRow {
  readonly experiment: string;
  readonly file: string;
  /** The component, or the workload by kind and name. */
  readonly target: string;
  /** null: not found. */
  readonly found: string | null;
  readonly runs: string | null;
  /** From the pod or unit up to who would restore it; empty: not found. */
  readonly owners: readonly string[];
  /** null: it would not be attacked; `why` says why. */
  readonly attack: string | null;
  /** What the run restores, one sentence each; empty: it would not be attacked. */
  readonly undo: readonly string[];
  /** null: it would not be attacked. */
  readonly duration: RunDuration | null;
  /** Every right that the run needs; null: unknown. */
  readonly rights: readonly AskedRight[] | null;
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
  const { checks, resolved, target, companions, missing, platform, rights } = outcome;
  const failed = checks.filter(({ ok }) => !ok);
  const why = failed.filter(({ name }) => OWN_CHECKS.includes(name)).map(({ detail }) => detail);
  const attacked = why.length > 0 ? undefined : target;
  return {
    ...aboutOf(file, resolved),
    found: target === undefined ? null : foundWords(target),
    runs: target === undefined ? null : runsWords(target),
    owners: target?.ownerChain ?? [],
    attack:
      attacked === undefined
        ? null
        : attackWords(
            resolved,
            companions.map(({ name }) => name),
          ),
    undo: attacked === undefined ? [] : undoWords(resolved, attacked, companions),
    duration: attacked === undefined ? null : durationOf(resolved, attacked),
    rights: rights ?? null,
    assumed: checks.some(({ assumed }) => assumed === true),
    why: why.length === 0 ? null : why.join(". "),
    missing,
    platform: platform === undefined ? null : `${platform.name} (${platform.because})`,
    others: failed.filter(({ name }) => !OWN_CHECKS.includes(name)).map(checkWords),
  };
}

/** The row of an experiment whose plan could not be made. */
export function failedRow(file: string, resolved: ResolvedExperiment, why: string): PlanRow {
  const notFound = {
    found: null,
    runs: null,
    owners: [],
    attack: null,
    undo: [],
    duration: null,
    rights: null,
  };
  const nothing = { assumed: false, missing: [], platform: null, others: [] };
  return { ...aboutOf(file, resolved), ...notFound, ...nothing, why };
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

/**
 * The lines about the target, its owners, the attack, the undo and the time, at most 100 columns wide.
 *
 * @param steps those of the attack.
 */
export function rowLines(row: PlanRow, steps: readonly string[] = []): string[] {
  const line = (head: string, text: string): string[] => hanging(`  ${head.padEnd(10)}`, text);
  const { found, runs, assumed, owners, attack, undo, duration, why } = row;
  return [
    ...(found === null ? [] : line("target", `${found}, ${runs ?? ""}${assumed ? " (assumed)" : ""}`)),
    ...(owners.length === 0 ? [] : line("owners", owners.join(" → "))),
    ...(attack === null ? line("not", why ?? "refused") : line("attack", attack)),
    ...steps.flatMap((each) => hanging(`${" ".repeat(12)}- `, each)),
    ...(undo.length === 0 ? [] : line("undo", undo.join("; then "))),
    ...(duration === null ? [] : line("time", durationWords(duration))),
  ];
}

/** A block for each experiment, and below them what concerns more than one. */
export function tableLines(rows: readonly PlanRow[]): string[] {
  const platforms = distinct(rows.flatMap(({ platform }) => platform ?? []));
  return [
    `dry run of ${rows.length} experiments: nothing was changed`,
    ...platforms.map((platform) => `platform: ${platform}`),
    ...rows.flatMap((row) => [
      "",
      row.experiment === row.target ? row.target : `${row.experiment} (${row.target})`,
      ...rowLines(row),
      ...(row.rights === null ? [] : hanging("  rights    ", rightsSummary(row.rights))),
    ]),
    "",
    ...totalLines(rows),
    ...(rows.some(({ assumed }) => assumed)
      ? ["assumed: checked once node access is there (units, and the files of static pods)"]
      : []),
    ...distinct(rows.flatMap(({ missing }) => missing)).flatMap((each) =>
      hanging("companion not found: ", each),
    ),
    ...refusedLines(rows),
  ];
}

function totalLines(rows: readonly PlanRow[]): string[] {
  const durations = rows.flatMap(({ duration }) => duration ?? []);
  const sum = (of: (each: RunDuration) => number): number =>
    durations.reduce((all, each) => all + of(each), 0);
  if (durations.length === 0) return ["none of them would be attacked"];
  const total = { aboutMs: sum(({ aboutMs }) => aboutMs), atMostMs: sum(({ atMostMs }) => atMostMs) };
  return hanging(
    `${durations.length} of ${rows.length} would be attacked: `,
    `${durationWords(total)}; without the pauses in which the cluster settles between two runs`,
  );
}

function refusedLines(rows: readonly PlanRow[]): string[] {
  return distinct(rows.flatMap(({ others }) => others)).flatMap((problem) => {
    const names = rows.filter(({ others }) => others.includes(problem)).map(({ experiment }) => experiment);
    const whom = names.length === rows.length ? "all of them" : names.join(", ");
    return wrap(`refused (${whom}): ${problem}`, MAX_COLUMNS);
  });
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
