/** Workloads whose annotations say that a run scaled them down: the last resort when every journal is lost. */
import { DEPLOYMENTS, list, patch, resourcePath } from "../../kube/api.js";
import type { Deployment } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { REPLICAS_ANNOTATION, RUN_ANNOTATION } from "../../own/own-names.js";

/** A workload that a run left scaled down. */
export interface Annotated {
  readonly runId: string;
  readonly name: string;
  readonly path: string;
  /** The number from before the run. */
  readonly replicas: number;
  readonly resourceVersion: string;
}

/** The workloads of kube-system that carry a run's annotations. Rejects with ApiError, ApiUnreachableError. */
export async function annotatedWorkloads(transport: Transport): Promise<Annotated[]> {
  const { items } = await list<Deployment>(transport, resourcePath(DEPLOYMENTS, "kube-system"));
  return items.flatMap(({ metadata }) => {
    const runId = metadata.annotations?.[RUN_ANNOTATION];
    const recorded = metadata.annotations?.[REPLICAS_ANNOTATION] ?? "";
    // This tool writes only digits: anything else comes from someone else.
    if (runId === undefined || !/^\d+$/.test(recorded)) return [];
    const replicas = Number(recorded);
    const path = resourcePath(DEPLOYMENTS, "kube-system", metadata.name);
    return [{ runId, name: metadata.name, path, replicas, resourceVersion: metadata.resourceVersion }];
  });
}

/** Restores a workload's replicas if nobody has changed it since it was read (otherwise rejects with 409). */
export async function restoreAnnotated(transport: Transport, workload: Annotated): Promise<void> {
  const annotations = { [RUN_ANNOTATION]: null, [REPLICAS_ANNOTATION]: null };
  await patch(transport, workload.path, {
    metadata: { annotations, resourceVersion: workload.resourceVersion },
    spec: { replicas: workload.replicas },
  });
}
