import type { ObjectRef } from "../evidence/events.js";

/** A component that is not a workload: a systemd unit, or static pods that the kubelets run from a manifest file. */
export interface NodeTarget {
  readonly kind: "StaticPod" | "SystemdUnit";
  /** The component's name: "kubelet", "kube-scheduler". */
  readonly name: string;
  /** Of the mirror pods; "" for a unit. */
  readonly namespace: string;
  /** SystemdUnit only: "kubelet.service". */
  readonly unit?: string;
  /**
   * StaticPod only: the manifest's path on each node; without node access the most common path; undefined: none
   * exists.
   */
  readonly manifest?: string;
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
}

/** The target on one node, for events and messages. */
export function nodeRef(target: Pick<NodeTarget, "kind" | "name">, node: string): ObjectRef {
  return { kind: target.kind, name: `${target.name} on ${node}` };
}
