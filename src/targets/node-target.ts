import type { ObjectRef } from "../evidence/events.js";

/** A component that is no workload: a systemd unit, or static pods that the kubelets keep alive from a file. */
export interface NodeTarget {
  readonly kind: "StaticPod" | "SystemdUnit";
  /** The component's name: "kubelet", "kube-scheduler". */
  readonly name: string;
  /** Of the mirror pods; "" for a unit. */
  readonly namespace: string;
  /** SystemdUnit only: "kubelet.service". */
  readonly unit?: string;
  /** StaticPod only: the manifest's path on each node, the best known where no node was asked; undefined: none is there. */
  readonly manifest?: string;
  /** Of the static pods; {} for units. */
  readonly labels: Readonly<Record<string, string>>;
  /** Where it runs. */
  readonly nodes: readonly string[];
  /** On how many nodes. */
  readonly count: number;
  readonly images: readonly string[];
  readonly services: readonly ObjectRef[];
  /** Who brings it back. */
  readonly ownerChain: readonly string[];
}

/** The target on one node, for events and messages. */
export function nodeRef(target: Pick<NodeTarget, "kind" | "name">, node: string): ObjectRef {
  return { kind: target.kind, name: `${target.name} on ${node}` };
}
