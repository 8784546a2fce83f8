import { guestbookManifests } from "../../application/guestbook.js";
import { podSource } from "../../application/own-pods.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError } from "../../common/errors.js";
import { podProgram } from "../../common/pod-program.js";
import { PODS, list, resourcePath } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { isReady, schedulableNodes } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { ensure, makeNamespace } from "../../own/ensure.js";
import { carries, type Manifest } from "../../own/manifest.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { copyPullSecrets } from "../../own/pull-secrets.js";
import { StartWatch } from "../../own/start.js";
import { chooseWay } from "../../kube/pod-route.js";
import { PROBER_PORT, proberManifests } from "../../probes/prober-manifests.js";
import { recordNamespace } from "../../safety/journal/entries.js";
import type { RunContext } from "../context.js";
import { findProbers } from "../measuring/probers.js";

/** How long what is deployed may take to become ready, ms, including image pulls. */
const DEPLOY_LIMIT_MS = 5 * 60_000;

/** The same while an image is being pulled and nothing fails: a slow registry, or a large image. */
export const PULL_LIMIT_MS = 15 * 60_000;

/** What a run deploys to be measured (empty: the application exists), and what measures it. */
export async function applicationManifests({
  resolved,
  pods,
}: Pick<RunContext, "resolved" | "pods">): Promise<{ guestbook: Manifest[]; probers: Manifest[] }> {
  const { guestbook } = resolved.experiment.application;
  const probers = await proberManifests(podSource(pods));
  if (guestbook === undefined) return { guestbook: [], probers };
  const frontEnd = pods.guestbook === "equivalent" ? await podProgram("front-end.mjs") : "";
  return { guestbook: guestbookManifests(guestbook, pods, frontEnd), probers };
}

/** Deploys guestbook (unless the application exists) and probers and waits until all their pods are ready. The journal records each object first. */
export async function deploy(context: RunContext): Promise<void> {
  const { transport, resolved, view, clock, keepApp, shared } = context;
  const { guestbook, probers } = await applicationManifests(context);
  const application = resolved.experiment.application.guestbook?.namespace;
  const what = application === undefined ? "the probers" : "the guestbook and the probers";
  // Shared objects are in the session's journal. The lock phase has already recorded the probers' namespace.
  if (application !== undefined && shared === undefined && !keepApp)
    await recordNamespace(context, application);
  await view.step(`deploy ${what}`, async (note) => {
    await Promise.all([apply(context, guestbook), apply(context, probers)]);
    const nodes = schedulableNodes(context.nodes).length;
    const wanted = [
      ...(application === undefined ? [] : [wantedPods(application, guestbook, nodes)]),
      wantedPods(PROBER_NAMESPACE, probers, nodes),
    ];
    const watch = new StartWatch({ transport, clock, failed: `cannot start ${what}` }, [
      ...guestbook,
      ...probers,
    ]);
    const startedAt = clock.now();
    const poll = { everyMs: 300, limitMs: PULL_LIMIT_MS, signal: context.interrupted };
    const ready = await pollUntil(clock, poll, async () => {
      const states = await Promise.all(wanted.map(async (each) => await podStates(transport, each)));
      const readyCount = states.reduce((sum, state) => sum + state.ready, 0);
      const all = states.reduce((sum, state) => sum + state.all, 0);
      const enough = states.every(
        (state, index) => state.ready === state.all && state.all >= (wanted[index]?.count ?? 0),
      );
      if (enough) return true;
      await watch.look();
      note([`${readyCount} of ${all} pods ready`, watch.words].filter((text) => text !== "").join("; "));
      if (clock.now() - startedAt >= DEPLOY_LIMIT_MS && !watch.pulls)
        throw timedOut(what, DEPLOY_LIMIT_MS, watch.reasons);
      return undefined;
    });
    if (ready !== true && !context.interrupted.aborted) throw timedOut(what, PULL_LIMIT_MS, watch.reasons);
    if (ready === true) await reachProbers(context);
  });
}

/** Chooses how the runner reaches the run's pods: the API server of some clusters cannot connect to them. */
async function reachProbers({ transport, clock, interrupted, recorder }: RunContext): Promise<void> {
  const probers = await findProbers(transport);
  const pods = probers.map(({ pod }) => ({ namespace: PROBER_NAMESPACE, pod, port: PROBER_PORT }));
  const problem = await chooseWay(transport, pods, { clock, signal: interrupted });
  if (problem === undefined) return;
  const text =
    `the API server cannot reach pods (${problem}): their kubelets' port-forward is used instead. While a node's ` +
    "kubelet is down, its samples wait in the prober. A Service that abortWhen asks cannot be reached, either";
  recorder.emit({ type: "warning", text });
}

function timedOut(what: string, limitMs: number, reasons: readonly string[]): ChaosError {
  const why = reasons.length === 0 ? "not every pod is ready" : reasons.join("; ");
  return new ChaosError(
    `timed out after ${limitMs / 1000} s waiting for ${what}: ${why}. See kubectl describe pod`,
  );
}

/** Namespace first, then Services and ConfigMaps, then the workloads. */
export async function apply(
  context: Pick<RunContext, "clock" | "pods"> & { readonly transport: Transport },
  manifests: readonly Manifest[],
): Promise<void> {
  const { transport, clock, pods } = context;
  const [namespace, ...rest] = manifests;
  if (namespace === undefined) return;
  await makeNamespace(transport, clock, namespace);
  await copyPullSecrets(transport, namespace.metadata.name, pods.pullSecrets);
  const services = rest.filter((manifest) => manifest.kind === "Service" || manifest.kind === "ConfigMap");
  await Promise.all(services.map(async (manifest) => await ensure(transport, manifest)));
  const workloads = rest.filter((manifest) => !services.includes(manifest));
  await Promise.all(workloads.map(async (manifest) => await ensure(transport, manifest)));
}

interface WorkloadSpec {
  readonly replicas?: number;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
}

interface WantedPods {
  readonly namespace: string;
  /** The selectors of the workloads. */
  readonly selectors: readonly Readonly<Record<string, string>>[];
  readonly count: number;
}

/** The pods that the manifests ask for; a DaemonSet has one per schedulable node. Pure. */
export function wantedPods(namespace: string, manifests: readonly Manifest[], nodes: number): WantedPods {
  const workloads = manifests
    .filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")
    .map(({ kind, spec }) => ({ kind, ...(spec as WorkloadSpec) }));
  return {
    namespace,
    selectors: workloads.map(({ selector }) => selector.matchLabels),
    count: workloads.reduce(
      (sum, { kind, replicas = 1 }) => sum + (kind === "DaemonSet" ? nodes : replicas),
      0,
    ),
  };
}

interface PodStates {
  readonly all: number;
  readonly ready: number;
}

/** Of the workloads' own pods: a prepared namespace may also have those of the Job that runs this, and of earlier ones. */
export async function podStates(
  transport: Transport,
  { namespace, selectors }: WantedPods,
): Promise<PodStates> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, namespace));
  const living = items.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && selectors.some((each) => carries(pod, each)),
  );
  return { all: living.length, ready: living.filter((pod) => isReady(pod)).length };
}
