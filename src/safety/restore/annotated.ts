/**
 * Workloads of which the cluster itself shows that a run scaled them down: the last resort when every journal is lost. The
 * field manager of the replicas shows it; older versions annotated the workload.
 */
import { DEPLOYMENTS, get, list, patch, replace, resourcePath } from "../../kube/api.js";
import type { Deployment, KubeObject } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { type Scaling, scalingManager, scalingOf } from "../../own/own-fields.js";
import { REPLICAS_ANNOTATION, RUN_ANNOTATION } from "../../own/own-names.js";
import { withoutMarks } from "./workload.js";

/** A workload that a run left scaled down. */
export interface Annotated extends Scaling {
  readonly name: string;
  readonly path: string;
  readonly resourceVersion: string;
  /** The annotations to remove. */
  readonly annotations?: Readonly<Record<string, null>>;
}

/** The workloads of kube-system that a run left scaled down. Rejects with ApiError, ApiUnreachableError. */
export async function annotatedWorkloads(transport: Transport): Promise<Annotated[]> {
  const { items } = await list<Deployment>(transport, resourcePath(DEPLOYMENTS, "kube-system"));
  return items.flatMap(({ metadata }) => {
    const scaling = scalingOf(metadata.managedFields) ?? scalingIn(metadata.annotations);
    if (scaling === undefined) return [];
    const path = resourcePath(DEPLOYMENTS, "kube-system", metadata.name);
    const annotations = withoutMarks({ metadata });
    const { name, resourceVersion } = metadata;
    return [
      { ...scaling, name, path, resourceVersion, ...(annotations === undefined ? {} : { annotations }) },
    ];
  });
}

function scalingIn(annotations: Readonly<Record<string, string>> = {}): Scaling | undefined {
  const runId = annotations[RUN_ANNOTATION];
  const replicas = annotations[REPLICAS_ANNOTATION] ?? "";
  // This tool writes only digits: anything else comes from someone else.
  return runId === undefined || !/^\d+$/.test(replicas) ? undefined : { runId, replicas: Number(replicas) };
}

/** Restores a workload's replicas if nobody has changed it since it was read (otherwise rejects with 409). */
export async function restoreAnnotated(transport: Transport, workload: Annotated): Promise<void> {
  const { path, resourceVersion, annotations, replicas } = workload;
  // As the same manager: if this dies before the second request, the next restore finds the workload again.
  const fieldManager = scalingManager(workload);
  const metadata = { resourceVersion, ...(annotations === undefined ? {} : { annotations }) };
  await patch(transport, path, { metadata, spec: { replicas } }, { fieldManager });
  // Who owned the replicas before is not known: nobody does now, so that the next apply meets no conflict.
  const live = await get<KubeObject>(transport, path);
  const managedFields = live.metadata.managedFields?.filter(({ manager }) => manager !== fieldManager);
  await replace(
    transport,
    path,
    { ...live, metadata: { ...live.metadata, managedFields } },
    { fieldManager },
  );
}
