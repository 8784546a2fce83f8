import { guestbookManifests } from "../../application/guestbook.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError } from "../../common/errors.js";
import { PODS, list, resourcePath } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { isReady, reasonOf, schedulableNodes } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { ensure, makeNamespace } from "../../own/ensure.js";
import type { Manifest } from "../../own/manifest.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { proberManifests } from "../../probes/prober-manifests.js";
import { recordNamespace } from "../../safety/journal/entries.js";
import type { RunContext } from "../context.js";

/** How long the guestbook and the probers may take to become ready, ms, including image pulls. */
const DEPLOY_LIMIT_MS = 5 * 60_000;

/** Waiting reasons of a container for which more waiting does not help. */
const FATAL_REASONS = [
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "CreateContainerConfigError",
];

/** Deploys guestbook and probers and waits until all their pods are ready. The journal records each object first. */
export async function deploy(context: RunContext): Promise<void> {
  const { transport, resolved, view, clock, keepApp, shared } = context;
  const guestbook = guestbookManifests(resolved.experiment.application.guestbook);
  const probers = await proberManifests();
  const application = resolved.experiment.application.guestbook.namespace;
  // Shared objects are in the session's journal. The lock phase has already recorded the probers' namespace.
  if (shared === undefined && !keepApp) await recordNamespace(context, application);
  await view.step("deploy the guestbook and the probers", async (note) => {
    await Promise.all([apply(context, guestbook), apply(context, probers)]);
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
        if (fatal.length > 0) throw new ChaosError(`cannot deploy the application: ${fatal.join("; ")}`);
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
        `timed out after ${DEPLOY_LIMIT_MS / 1000} s waiting for the application: ${states.flatMap((state) => state.waiting).join("; ")}`,
      );
    }
  });
}

/** Namespace first, then Services and ConfigMaps, then the workloads. */
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

/** Number of pods that the manifests ask for; a DaemonSet has one per schedulable node. Pure. */
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
