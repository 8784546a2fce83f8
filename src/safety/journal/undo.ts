/** How changes are undone, as data: what a journal holds. */
import type { ObjectRef } from "../../evidence/events.js";
import type { AttackName } from "../../experiment/attacks.js";
import type { KubeObject } from "../../kube/objects.js";
import type { NodeAccessSpec } from "../../nodes/spec.js";

/** How one change is undone. */
export type Undo = WorkloadUndo | Removal | NodeUndo;

/** The workload is put back as it was: created when it is gone, repaired when another restorer's differs. */
export interface WorkloadUndo {
  readonly action: "restore-workload";
  readonly path: string;
  readonly collection: string;
  readonly object: KubeObject;
  /** The run never changes it: what differs is somebody else's wish, and stays. */
  readonly onlyIfGone?: true;
  /** The run changes its replicas and nothing else: whatever else differs stays. */
  readonly onlyReplicas?: true;
}

/**
 * "remove": something of our own is removed again (a namespace, the lock). "empty": a namespace that was prepared for
 * runs stays, and what runs have made in it is removed. `path` is its URL path in the API; `labels` are what is removed
 * must carry: anything else, under the same name too, belongs to others and is left alone.
 */
export type Removal = RemovalBy<"remove"> | RemovalBy<"empty">;

interface RemovalBy<Action extends string> {
  readonly action: Action;
  readonly path: string;
  readonly object: ObjectRef;
  readonly labels: Readonly<Record<string, string>>;
}

/** How a fault on a node is undone: on that very machine, without the API (but for the access "pod"). */
export type NodeUndo =
  /** A systemd unit is started again, and what systemd stops with it. */
  | (OnNode & {
      readonly action: "start-unit";
      readonly unit: string;
      readonly also: readonly string[];
      /** systemd's id of the start that was there before the run. */
      readonly invocation: string;
      /** Whose undo it is, where that is another than to start it. */
      readonly attack?: AttackName;
    })
  /** A static pod's manifest is moved back. */
  | (OnNode & {
      readonly action: "return-manifest";
      readonly manifest: string;
      readonly heldAt: string;
      /** How its mirror pods are found. */
      readonly pods?: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
    });

interface OnNode {
  /** The component on the node: "kubelet on worker-1". */
  readonly object: ObjectRef;
  readonly node: string;
  /** The timer on the node that would undo it by itself, without ".timer". */
  readonly timer: string;
  readonly access: NodeAccessSpec;
  /** /etc/machine-id: another machine may have the node's name by the time of a restore. */
  readonly machineId: string;
}

/** Whether an entry is undone on a node, and not in the API. */
export function isNodeUndo(entry: Undo): entry is NodeUndo {
  return entry.action === "start-unit" || entry.action === "return-manifest";
}

/** What was done about one entry. */
export interface Undone {
  readonly object: ObjectRef;
  /** `untouched`: it was never gone, and is as it was. `found`: somebody else had brought it back, wholly. */
  readonly how:
    "created" | "patched" | "found" | "removed" | "emptied" | "untouched" | "started" | "returned";
  /** "runner", or whoever had brought it back. */
  readonly by: string;
}
