/** Which objects of the add-ons are not ready, and why. */
import { getOrUndefined, list, PODS, resourcePath } from "../kube/api.js";
import type { DaemonSet, Deployment, KubeObject, Pod } from "../kube/objects.js";
import { isReady, isTerminating, waitingContainers } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { daemonSetState, deploymentState } from "../kube/workload-state.js";
import { ADDON_MODE_LABEL, ADDON_NAMESPACE, SINK_NAMESPACE } from "../own/own-names.js";
import type { AddonManifests } from "./addon-manifests.js";
import { type Manifest } from "../own/manifest.js";
import { objectName } from "../common/object-name.js";
import { pathsOf } from "../kube/api.js";

/** Waiting reasons that do not resolve by waiting. A pull that failed is tried again, so only some of its messages count. */
const FATAL_REASONS = ["ErrImageNeverPull", "InvalidImageName"];
const FATAL_PULL = /not found|denied|unauthorized|no such host|server misbehaving|no match for platform/i;

/** Waiting reasons of every container before it runs. */
const STARTING_REASONS = ["ContainerCreating", "PodInitializing"];

export interface Readiness {
  /** What is not ready, in the order of the manifests; empty: everything is ready. */
  readonly missing: readonly string[];
  /** What will not become ready by waiting, with the reason. */
  readonly fatal: readonly string[];
}

/** Compares the cluster with the manifests. Changes nothing. */
export async function readiness(
  transport: Transport,
  manifests: AddonManifests,
  dns: Manifest,
): Promise<Readiness> {
  const objects = [...manifests.sink, ...manifests.manager, ...manifests.study, dns];
  const [problems, pods] = await Promise.all([
    Promise.all(
      objects.map(async (object) => {
        const live = await getOrUndefined<KubeObject>(transport, pathsOf(object).path);
        const problem = live === undefined ? "not created yet" : problemOf(object, live);
        return problem === undefined
          ? []
          : [`${objectName({ kind: object.kind, ...object.metadata })}: ${problem}`];
      }),
    ),
    waitingPods(transport, objects),
  ]);
  const fatal = pods.filter(
    ({ reason, text }) =>
      FATAL_REASONS.includes(reason) || (reason === "ImagePullBackOff" && FATAL_PULL.test(text)),
  );
  const missing = problems.flat();
  return {
    // Pods only explain why another object is not ready: a pod of an old template does not delay anything.
    missing: missing.length === 0 ? [] : [...missing, ...pods.map(({ text }) => text)],
    fatal: fatal.map(({ text }) => text),
  };
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

interface WaitingPod {
  readonly reason: string;
  readonly text: string;
}

/** Pods of the add-ons that are not ready, where the cluster states the reason. */
async function waitingPods(transport: Transport, objects: readonly Manifest[]): Promise<WaitingPod[]> {
  const workloads = objects.filter(({ kind }) => kind === "Deployment" || kind === "DaemonSet");
  const prefixes = workloads.map(({ metadata }) => `${metadata.name}-`);
  const lists = await Promise.all(
    [ADDON_NAMESPACE, SINK_NAMESPACE].map(
      async (namespace) => (await list<Pod>(transport, resourcePath(PODS, namespace))).items,
    ),
  );
  return lists
    .flat()
    .filter((pod) => prefixes.some((prefix) => pod.metadata.name.startsWith(prefix)))
    .filter((pod) => !isReady(pod) && !isTerminating(pod))
    .flatMap((pod) => waitingReason(pod) ?? []);
}

/** Why a pod does not start, apart from normal start-up; undefined: no such reason. Pure. */
export function waitingReason(pod: Pod): WaitingPod | undefined {
  const waiting = waitingContainers(pod).find(({ reason }) => !STARTING_REASONS.includes(reason));
  if (waiting === undefined) return undefined;
  const { reason, image, message } = waiting;
  return { reason, text: `Pod ${pod.metadata.name}: ${reason} ${image} ${message}`.trim() };
}
