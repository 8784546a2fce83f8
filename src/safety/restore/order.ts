import { PROBER_NAMESPACE } from "../../own/own-names.js";
import type { PendingUndo } from "../journal/records.js";
import type { Undo } from "../journal/undo.js";

/** Namespaces among the entries: their removal takes time after it was accepted. Pure. */

export function namespacesOf(entries: readonly PendingUndo[]): string[] {
  return entries.flatMap(({ undo: entry }) =>
    entry.action === "remove" && entry.object.kind === "Namespace" ? [entry.object.name] : [],
  );
}

/**
 * Whether an entry is what keeps others away while the cluster is not as before: the lock, the journal's copy, and the
 * namespace that this is in. Undone last, when everything else works.
 */
export function isHold(undo: Undo): boolean {
  if (undo.action !== "remove" && undo.action !== "empty") return false;
  const { kind, name } = undo.object;
  return kind === "Lease" || kind === "Secret" || (kind === "Namespace" && name === PROBER_NAMESPACE);
}

/** Whether a journal's entry is for something that belongs to a switch. Pure. */
export function isOfDeadMan(entry: Undo): boolean {
  return entry.action === "remove" && entry.labels["app"] === DEAD_MAN_LABELS.app;
}

/** On everything that belongs to a switch, beside the labels of the run. */
export const DEAD_MAN_LABELS = { app: "chaos-dead-man" } as const;
