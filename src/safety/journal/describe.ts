import type { Undo } from "./journal.js";

/** "kube-dns", "kubelet on worker-1". */
export function objectNameOf(entry: Undo): string {
  const { object } = entry;
  return "metadata" in object ? object.metadata.name : object.name;
}

/** "Deployment kube-dns", "SystemdUnit kubelet on worker-1". */
export function describeUndo(entry: Undo): string {
  return `${entry.object.kind ?? "workload"} ${objectNameOf(entry)}`;
}

/** What undoing the entry does: "restore Deployment kube-dns". */
export function planOf(entry: Undo): string {
  return `${VERBS[entry.action]} ${describeUndo(entry)}`;
}

const VERBS: Readonly<Record<Undo["action"], string>> = {
  remove: "remove",
  empty: "empty",
  "restore-workload": "restore",
  "start-unit": "start",
  "return-manifest": "move back the manifest of",
};
