/** How changes are undone, as data for the journal. */
import type { ObjectRef } from "../../evidence/events.js";
import type { AttackName } from "../../experiment/attacks.js";
import type { OneField } from "../../kube/field-path.js";
import type { KubeObject } from "../../kube/objects.js";
import type { Machine } from "../../nodes/faults.js";
import type { NodeAccessSpec } from "../../nodes/spec.js";

/** How one change is undone. */
export type Undo = WorkloadUndo | Removal | NodeUndo;

/** Restores the workload: creates it when it is gone, updates it when another restorer's version differs. */
export interface WorkloadUndo {
  readonly action: "restore-workload";
  readonly path: string;
  readonly collection: string;
  readonly object: KubeObject;
  /** The run never changes the object, so any difference is a foreign change and stays. */
  readonly onlyIfGone?: true;
  /** The run changes only the replicas. All other differences stay. */
  readonly onlyReplicas?: true;
  /** The run sets only this field, to `wrong`. It becomes `right` again, unless someone else has set it since. */
  readonly onlyField?: OneField;
}

/**
 * "remove": removes something that the tool created (a namespace, the lock). "empty": a prepared namespace stays, and
 * what runs created in it is removed. `path` is the URL path in the API. Only objects with these `labels` are removed:
 * anything else, even under the same name, belongs to someone else.
 */
export type Removal = RemovalBy<"remove"> | RemovalBy<"empty">;

interface RemovalBy<Action extends string> {
  readonly action: Action;
  readonly path: string;
  readonly object: ObjectRef;
  readonly labels: Readonly<Record<string, string>>;
}

/** How a fault on a node is undone: on the same machine, without the API (except with the access "pod"). */
export type NodeUndo =
  /** Starts a systemd unit, and the units that systemd stopped with it. */
  | (OnNode & {
      readonly action: "start-unit";
      readonly unit: string;
      readonly also: readonly string[];
      /** systemd's invocation ID from before the run. */
      readonly invocation: string;
      /** The attack to undo, when that is not simply a start. */
      readonly attack?: AttackName;
    })
  /** Moves a static pod's manifest back. */
  | (OnNode & {
      readonly action: "return-manifest";
      readonly manifest: string;
      readonly heldAt: string;
      /** How to find its mirror pods. */
      readonly pods?: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
    });

/** Also names the attacked machine: by the time of a restore another machine may have the node's name. */
interface OnNode extends Machine {
  /** The component on the node: "kubelet on worker-1". */
  readonly object: ObjectRef;
  readonly node: string;
  /** The timer on the node that undoes the fault by itself, without ".timer". */
  readonly timer: string;
  readonly access: NodeAccessSpec;
}

/** Whether an entry is undone on a node instead of in the API. */
export function isNodeUndo(entry: Undo): entry is NodeUndo {
  return entry.action === "start-unit" || entry.action === "return-manifest";
}

/** How one entry was undone. */
export interface Undone {
  readonly object: ObjectRef;
  /**
   * `untouched`: it was never gone and is unchanged. `found`: someone else had fully restored it. `gone`: its node no longer
   * exists.
   */
  readonly how:
    "created" | "patched" | "found" | "removed" | "emptied" | "untouched" | "started" | "returned" | "gone";
  /** "runner", or the name of the one who restored it. */
  readonly by: string;
}
