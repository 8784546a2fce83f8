import { RefusedError } from "../common/errors.js";
import type { ObjectRef } from "../evidence/events.js";

/** A component that is not a workload: a systemd unit, or static pods that the kubelets run from a manifest file. */
export interface NodeTarget {
  readonly kind: "StaticPod" | "SystemdUnit";
  /** The component's name: "kubelet", "kube-scheduler". */
  readonly name: string;
  /** Of the mirror pods; "" for a unit. */
  readonly namespace: string;
  /** SystemdUnit only: "kubelet.service", the most common one of its nodes. */
  readonly unit?: string;
  /** StaticPod only: the most common path of the manifest on its nodes. */
  readonly manifest?: string;
  /** The unit or the path of the manifest on each node, by the node's name, as it was found there. */
  readonly on?: Readonly<Record<string, string>>;
  /** No node was looked at: unit, path and nodes are assumed. */
  readonly assumed?: true;
  /** Of the static pods; {} for units. */
  readonly labels: Readonly<Record<string, string>>;
  /** Where it runs. */
  readonly nodes: readonly string[];
  /** The number of nodes. */
  readonly count: number;
  readonly images: readonly string[];
  readonly services: readonly ObjectRef[];
  /** What brings it back, from the pod or unit upwards. */
  readonly ownerChain: readonly string[];
  /** What the user must know about the finding: nodes without it. */
  readonly remarks?: readonly string[];
}

/** The unit of a target on a node. @throws RefusedError when it is unknown. */
export function unitOn(target: Pick<NodeTarget, "name" | "unit" | "on">, node: string): string {
  const unit = target.on?.[node] ?? target.unit;
  if (unit === undefined)
    throw new RefusedError(
      `cannot attack ${target.name} on ${node}: its unit is unknown. Give access to the nodes with --node-access`,
    );
  return unit;
}

/** The path of a target's manifest on a node. @throws RefusedError when it is unknown. */
export function manifestOn(target: Pick<NodeTarget, "name" | "manifest" | "on">, node: string): string {
  const manifest = target.on?.[node] ?? target.manifest;
  if (manifest === undefined)
    throw new RefusedError(
      `cannot attack ${target.name} on ${node}: the path of its manifest is unknown. Give access to the nodes with --node-access`,
    );
  return manifest;
}

/** The target on one node, for events and messages. */
export function nodeRef(target: Pick<NodeTarget, "kind" | "name">, node: string): ObjectRef {
  return { kind: target.kind, name: `${target.name} on ${node}` };
}
