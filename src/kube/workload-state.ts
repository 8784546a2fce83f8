import type { DaemonSet, Deployment, KubeObject } from "./objects.js";

/** The rollout state of a workload, in pods. */
export interface WorkloadState {
  /** Whether the controller has seen the current spec. Until then the other numbers belong to an older one. */
  readonly isSeen: boolean;
  readonly wanted: number;
  /** Pods of all templates. */
  readonly total: number;
  readonly ready: number;
  readonly available: number;
  /** Pods of the current template. */
  readonly updated: number;
}

/** @param kind what the object was listed as: items of a list do not name it. */
export function workloadState(kind: string, object: KubeObject): WorkloadState {
  return kind === "DaemonSet" ? daemonSetState(object as DaemonSet) : deploymentState(object as Deployment);
}

export function deploymentState({ metadata, spec, status }: Deployment): WorkloadState {
  return {
    isSeen: isSeen(metadata.generation, status?.observedGeneration),
    wanted: spec?.replicas ?? 1,
    total: status?.replicas ?? 0,
    ready: status?.readyReplicas ?? 0,
    available: status?.availableReplicas ?? 0,
    updated: status?.updatedReplicas ?? 0,
  };
}

export function daemonSetState({ metadata, status }: DaemonSet): WorkloadState {
  return {
    isSeen: isSeen(metadata.generation, status?.observedGeneration),
    wanted: status?.desiredNumberScheduled ?? 0,
    total: status?.currentNumberScheduled ?? 0,
    ready: status?.numberReady ?? 0,
    available: status?.numberAvailable ?? 0,
    updated: status?.updatedNumberScheduled ?? 0,
  };
}

function isSeen(generation = 0, observed = 0): boolean {
  return observed >= generation;
}
