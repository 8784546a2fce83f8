import { NAMESPACES, PODS, getOrUndefined, list, resourcePath, selectorString } from "../../kube/api.js";
import { leadsThroughApi } from "../../nodes/access.js";
import { deployNodeAccess } from "../../nodes/pod-deploy.js";
import type { Namespace, Pod } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { guestbookManifests } from "../../application/guestbook.js";
import type { Manifest } from "../../own/manifest.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import { PROBER_NAMESPACE, proberManifests } from "../../probes/prober-manifests.js";
import { isReady } from "../../kube/pod-state.js";
import { pollUntil } from "../../common/clock.js";
import type { Clock, RunContext } from "../context.js";
import { ensure } from "../../own/ensure.js";
import { recordNamespace } from "../../own/namespaces.js";
import { schedulableNodes } from "./preflight.js";

/** How long the guestbook and the probers may take to be ready, ms: image pulls included. */
const DEPLOY_LIMIT_MS = 5 * 60_000;
/** How long a namespace may take to go, ms. */
const REMOVE_LIMIT_MS = 3 * 60_000;

/** Waiting reasons of a container that do not heal by waiting. */
const FATAL_REASONS = [
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "CreateContainerConfigError",
];

/** Deploys guestbook and probers and waits until every pod of them is ready. What it makes is in the journal first. */
export async function deploy(
  context: RunContext,
  options: { readonly keepApp: boolean; readonly shared: boolean },
): Promise<void> {
  const { transport, resolved, view, clock } = context;
  const guestbook = guestbookManifests(resolved.experiment.application.guestbook);
  const probers = await proberManifests();
  const application = resolved.experiment.application.guestbook.namespace;
  // What several runs share is in the journal of whoever made it; the probers' namespace is there with the lock.
  if (!options.shared && !options.keepApp) await recordNamespace(context, application);
  await view.step("deploy the guestbook and the probers", async (note) => {
    await Promise.all([apply(context, guestbook), apply(context, probers)]);
    if (context.nodeAccess !== undefined && leadsThroughApi(context.nodeAccess))
      await deployNodeAccess(transport, clock, context.interrupted);
    const nodes = schedulableNodes(context.nodes).length;
    const wanted = [
      { namespace: application, count: podCount(guestbook, nodes) },
      { namespace: PROBER_NAMESPACE, count: podCount(probers, nodes) },
    ];
    const ready = await pollUntil(
      clock,
      { everyMs: 300, limitMs: DEPLOY_LIMIT_MS, signal: context.interrupted },
      async () => {
        const states = await Promise.all(
          wanted.map(async ({ namespace }) => await podStates(transport, namespace)),
        );
        const readyCount = states.reduce((sum, state) => sum + state.ready, 0);
        const all = states.reduce((sum, state) => sum + state.all, 0);
        note(`${readyCount} of ${all} pods ready`);
        const fatal = states.flatMap((state) => state.fatal);
        if (fatal.length > 0) throw new ChaosError(`the application cannot be deployed: ${fatal.join("; ")}`);
        const enough = states.every(
          (state, index) => state.ready === state.all && state.all >= (wanted[index]?.count ?? 0),
        );
        return enough ? true : undefined;
      },
    );
    if (ready !== true && !context.interrupted.aborted) {
      const states = await Promise.all(
        wanted.map(async ({ namespace }) => await podStates(transport, namespace)),
      );
      throw new ChaosError(
        `the application was not ready within ${DEPLOY_LIMIT_MS / 1000} s: ${states.flatMap((state) => state.waiting).join("; ")}`,
      );
    }
  });
}

/** Namespace first, then everything else at once. */
async function apply(context: RunContext, manifests: readonly Manifest[]): Promise<void> {
  const { transport, clock } = context;
  const [namespace, ...rest] = manifests;
  if (namespace === undefined) return;
  await makeNamespace(transport, clock, namespace);
  const services = rest.filter((manifest) => manifest.kind === "Service" || manifest.kind === "ConfigMap");
  await Promise.all(services.map(async (manifest) => await ensure(transport, manifest)));
  const workloads = rest.filter((manifest) => !services.includes(manifest));
  await Promise.all(workloads.map(async (manifest) => await ensure(transport, manifest)));
}

/** Makes a namespace; one of that name that is on its way out is waited for. */
export async function makeNamespace(transport: Transport, clock: Clock, namespace: Manifest): Promise<void> {
  await gone(transport, clock, namespace.metadata.name);
  await ensure(transport, namespace);
}

/** Pods that the manifests ask for: a DaemonSet's on every one of so many schedulable nodes. Pure. */
function podCount(manifests: readonly Manifest[], nodes: number): number {
  let count = 0;
  for (const { kind, spec } of manifests) {
    if (kind === "DaemonSet") count += nodes;
    if (kind === "Deployment") count += (spec as { replicas?: number }).replicas ?? 1;
  }
  return count;
}

interface PodStates {
  readonly all: number;
  readonly ready: number;
  readonly waiting: readonly string[];
  readonly fatal: readonly string[];
}

async function podStates(transport: Transport, namespace: string): Promise<PodStates> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, namespace));
  const living = items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const waiting = living.filter((pod) => !isReady(pod));
  return {
    all: living.length,
    ready: living.length - waiting.length,
    waiting: waiting.map((pod) => `${pod.metadata.name}: ${reasonOf(pod)}`),
    fatal: waiting
      .filter((pod) => FATAL_REASONS.some((reason) => reasonOf(pod).startsWith(reason)))
      .map((pod) => `${pod.metadata.name}: ${reasonOf(pod)}`),
  };
}

/** Why a pod is not ready, as the cluster says. Pure. */
export function reasonOf(pod: Pod): string {
  for (const status of pod.status?.containerStatuses ?? []) {
    const waiting = status.state?.waiting;
    if (waiting?.reason !== undefined) return `${waiting.reason} ${waiting.message ?? ""}`.trim();
  }
  const blocked = (pod.status?.conditions ?? []).find(
    (condition) => condition.status === "False" && condition.message !== undefined,
  );
  return blocked?.message ?? pod.status?.phase ?? "no status yet";
}

/** Waits until a namespace that is on its way out is gone; one that is not stays: it is somebody else's by now. */
async function gone(transport: Transport, clock: Clock, name: string): Promise<void> {
  const path = resourcePath(NAMESPACES, undefined, name);
  let unanswered = "";
  const left = await pollUntil(clock, { everyMs: 300, limitMs: REMOVE_LIMIT_MS }, async () => {
    let namespace: Namespace | undefined;
    try {
      namespace = await getOrUndefined<Namespace>(transport, path);
      unanswered = "";
    } catch (error) {
      // An API server that is away for a moment is asked again: what was removed is not "not removed" for that.
      unanswered = ` (last asked: ${messageOf(error)})`;
      return undefined;
    }
    return namespace?.metadata.deletionTimestamp === undefined ? true : undefined;
  });
  if (left !== true) {
    throw new ChaosError(
      `namespace ${name} was not gone ${REMOVE_LIMIT_MS / 1000} s after its deletion${unanswered}: kubectl get namespace ${name} -o yaml shows what holds it`,
    );
  }
}

/** Waits until namespaces whose deletion was asked for are gone. */
export async function removedNamespaces(
  transport: Transport,
  clock: Clock,
  names: readonly string[],
): Promise<void> {
  await Promise.all(names.map(async (name) => await gone(transport, clock, name)));
}

/** Pods of ours by label, with the address that they have. */
export async function podsOf(
  transport: Transport,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Promise<Pod[]> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, namespace), {
    labelSelector: selectorString(labels),
  });
  return items.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.podIP !== undefined,
  );
}
