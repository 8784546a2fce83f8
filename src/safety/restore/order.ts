import { PROBER_NAMESPACE } from "../../own/own-names.js";
import type { PendingUndo } from "../journal/records.js";
import { isNodeUndo, type NodeUndo, type Removal, type Undo, type WorkloadUndo } from "../journal/undo.js";

/** Namespaces among the entries: their removal takes time after it was accepted. Pure. */
export function namespacesOf(entries: readonly PendingUndo[]): string[] {
  return entries.flatMap(({ undo: entry }) =>
    entry.action === "remove" && entry.object.kind === "Namespace" ? [entry.object.name] : [],
  );
}

/** What a restore does one after the other, in this order; the newest entry of a stage first. */
const STAGES = [
  /** Faults on nodes: while they last, the API server itself may be away. */
  "onNodes",
  /** Workloads of the cluster. After them it is verified that they work. */
  "workloads",
  /** What runs have made for themselves. */
  "own",
  /** The dead-man's switch: it stays as long as somebody may have to put something back. */
  "deadMan",
  /** What keeps others away while the cluster is not as before: the journals' copies, ... */
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

/** Entries of the journal by the stage that they are undone in. */
export type Stages = {
  readonly [S in Stage]: readonly (PendingUndo & { readonly undo: UndoIn<S> })[];
};

/** The order of restoring: what is undone when. Within a stage the entries are as they were given. Pure. */
export function stagesOf(entries: readonly PendingUndo[]): Stages {
  const of = (stage: Stage): PendingUndo[] => entries.filter(({ undo }) => stageOf(undo) === stage);
  return Object.fromEntries(STAGES.map((stage) => [stage, of(stage)])) as unknown as Stages;
}

function stageOf(undo: Undo): Stage {
  // One of a kind that only a newer version knows is tried, and reported, with the workloads.
  if (undo.action !== "remove" && undo.action !== "empty") return isNodeUndo(undo) ? "onNodes" : "workloads";
  const { kind, name } = undo.object;
  if (kind === "Lease") return "lock";
  if (kind === "Secret") return "copy";
  if (kind === "Namespace" && name === PROBER_NAMESPACE) return "home";
  return undo.labels["app"] === DEAD_MAN_LABELS.app ? "deadMan" : "own";
}

/** On everything that belongs to a switch, beside the labels of the run. */
export const DEAD_MAN_LABELS = { app: "chaos-dead-man" } as const;
