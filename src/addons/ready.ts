/** Which objects of the add-ons are not ready. */
import { getOrUndefined } from "../kube/api.js";
import type { DaemonSet, Deployment, KubeObject } from "../kube/objects.js";
import { isTerminating } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { daemonSetState, deploymentState } from "../kube/workload-state.js";
import { ADDON_MODE_LABEL } from "../own/own-names.js";
import type { AddonManifests } from "./addon-manifests.js";
import { type Manifest } from "../own/manifest.js";
import { objectName } from "../common/object-name.js";
import { pathsOf } from "../kube/api.js";

/** What is not ready, in the order of the manifests; empty: everything is ready. Changes nothing. */
export async function notReady(
  transport: Transport,
  manifests: AddonManifests,
  dns: Manifest,
): Promise<readonly string[]> {
  const objects = [...manifests.sink, ...manifests.manager, ...manifests.study, dns];
  const problems = await Promise.all(
    objects.map(async (object) => {
      const live = await getOrUndefined<KubeObject>(transport, pathsOf(object).path);
      const problem = live === undefined ? "not created yet" : problemOf(object, live);
      return problem === undefined
        ? []
        : [`${objectName({ kind: object.kind, ...object.metadata })}: ${problem}`];
    }),
  );
  return problems.flat();
}

/** Why a live object is not ready; undefined: it is ready. Pure. */
export function problemOf(wanted: Manifest, live: KubeObject): string | undefined {
  if (isTerminating(live)) return "being deleted";
  if (wanted.metadata.labels?.[ADDON_MODE_LABEL] !== live.metadata.labels?.[ADDON_MODE_LABEL])
    return "not yet managed by addon-manager";
  if (wanted.kind === "Deployment") return deploymentProblem(live as unknown as Deployment);
  if (wanted.kind === "DaemonSet")
    return daemonSetProblem(wanted as unknown as DaemonSet, live as unknown as DaemonSet);
  return wanted.kind === "APIService" ? apiServiceProblem(live) : undefined;
}

function deploymentProblem(live: Deployment): string | undefined {
  const { isSeen, wanted, total, updated, available } = deploymentState(live);
  if (!isSeen) return "not yet seen by its controller";
  const settled = total === wanted && updated === wanted && available === wanted;
  return settled ? undefined : `${available} of ${wanted} pods ready`;
}

function daemonSetProblem(manifest: DaemonSet, live: DaemonSet): string | undefined {
  const { isSeen, wanted, updated, available } = daemonSetState(live);
  if (!isSeen) return "not yet seen by its controller";
  const ready = Math.min(updated, available);
  if (wanted === 0 || ready < wanted) return `${ready} of ${wanted} pods ready`;
  // The scaler changes the log agent's template once, which recreates the pods: until then their readiness is
  // temporary. The manifest of the metrics agent has resources, so it waits for nothing.
  return hasResources(manifest.spec) || hasResources(live.spec)
    ? undefined
    : "fluentd-gcp-scaler has not set its resources yet";
}

function hasResources(spec: DaemonSet["spec"]): boolean {
  const containers = spec?.template.spec?.containers ?? [];
  return containers.some(({ resources }) => resources?.requests !== undefined);
}

function apiServiceProblem(live: KubeObject): string | undefined {
  const { conditions = [] } = (live.status ?? {}) as {
    conditions?: readonly { type: string; status: string; message?: string }[];
  };
  const available = conditions.find(({ type }) => type === "Available");
  return available?.status === "True" ? undefined : (available?.message ?? "not available yet");
}
