import { NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";
import type { PendingUndo } from "../journal/records.js";
import { isNodeUndo, type NodeUndo, type Removal, type Undo, type WorkloadUndo } from "../journal/undo.js";

/** The namespaces among the entries: their removal takes time after the API server accepts it. Pure. */
export function namespacesOf(entries: readonly PendingUndo[]): string[] {
  return entries.flatMap(({ undo: entry }) =>
    entry.action === "remove" && entry.object.kind === "Namespace" ? [entry.object.name] : [],
  );
}

/** The stages of a restore, in order. Within a stage the newest entry is undone first. */
const STAGES = [
  /** Faults on nodes: they may be why the API server is away. */
  "onNodes",
  /** Workloads of the cluster. Afterwards the restore checks that they work. */
  "workloads",
  /** What runs created for themselves. */
  "own",
  /** The dead-man's switch: it is the last of the own objects, because it restores what is left if this process dies. */
  "deadMan",
  /** What keeps other runs away until the cluster is restored: the journals' copies, ... */
  "copy",
  /** ... the namespace that they are in, ... */
  "home",
  /** ... and the lock. */
  "lock",
] as const;
type Stage = (typeof STAGES)[number];
type UndoIn<S extends Stage> = S extends "onNodes"
  ? NodeUndo
  : S extends "workloads"
    ? WorkloadUndo
    : Removal;

/** Journal entries by stage. */
export type Stages = {
  readonly [S in Stage]: readonly (PendingUndo & { readonly undo: UndoIn<S> })[];
};

/** Sorts the entries into the stages. Within a stage they keep the order of the journal. Pure. */
export function stagesOf(entries: readonly PendingUndo[]): Stages {
  const of = (stage: Stage): PendingUndo[] => entries.filter(({ undo }) => stageOf(undo) === stage);
  return Object.fromEntries(STAGES.map((stage) => [stage, of(stage)])) as unknown as Stages;
}

/** The entries of consecutive stages as `undoAll` takes them: it begins with the last entry. Pure. */
export function entriesOf(stages: Stages, from: Stage, to: Stage): PendingUndo[] {
  const names = STAGES.slice(STAGES.indexOf(from), STAGES.indexOf(to) + 1);
  return names.reverse().flatMap((name) => [...stages[name]]);
}

function stageOf(undo: Undo): Stage {
  // An entry that only a newer version knows is tried, and reported, with the workloads.
  if (undo.action !== "remove" && undo.action !== "empty") return isNodeUndo(undo) ? "onNodes" : "workloads";
  const { kind, name } = undo.object;
  if (kind === "Lease") return "lock";
  if (kind === "Secret") return "copy";
  // A restore that is not finished needs the pods that reach the nodes again.
  if (kind === "Namespace" && (name === PROBER_NAMESPACE || name === NODE_ACCESS_NAMESPACE)) return "home";
  return undo.labels["app"] === DEAD_MAN_LABELS.app ? "deadMan" : "own";
}

/** The label of every object of a switch, besides the labels of the run. */
export const DEAD_MAN_LABELS = { app: "chaos-dead-man" } as const;
