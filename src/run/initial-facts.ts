import { differencesOf, type OwnPods } from "../application/own-pods.js";
import type { SubstituteImage } from "../clusters/provider.js";
import type { ComponentDefinition } from "../components/component.js";
import { RESULT_SCHEMA_VERSION, type RunFacts } from "../evidence/facts.js";
import { CONFIGMAPS, getOrUndefined, list, PODS, resourcePath } from "../kube/api.js";
import type { ConfigMap, Node, Pod } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { SUBSTITUTE_IMAGES_CONFIGMAP } from "../own/own-names.js";
import { functionProbes } from "../probes/functions/all-function-checks.js";
import { kernelOf } from "../targets/environment.js";
import { type AnyTarget, isNodeTarget, namespaceOf } from "../targets/target.js";
import type { Application } from "../experiment/schema.js";
import type { Prepared } from "./context.js";
import { ownName, requestWords } from "./measuring/own-application.js";

/** The substitute images that a cluster declares; none if it declares nothing. */
async function declaredSubstituteImages(transport: Transport): Promise<SubstituteImage[]> {
  const { namespace, name, key } = SUBSTITUTE_IMAGES_CONFIGMAP;
  const configMap = await getOrUndefined<ConfigMap>(transport, resourcePath(CONFIGMAPS, namespace, name));
  const text = configMap?.data?.[key];
  return text === undefined ? [] : (JSON.parse(text) as SubstituteImage[]);
}

/** Substitute images among those that a run uses: the application's, the prober's and those of the target's pods. */
export async function touchedSubstituteImages(
  transport: Transport,
  target: AnyTarget | undefined,
  ownImages: readonly string[],
): Promise<RunFacts["standIns"]> {
  const declared = await declaredSubstituteImages(transport);
  if (declared.length === 0) return [];
  const victims = new Set(target?.images ?? []);
  const used = new Set<string>([...ownImages, ...victims]);
  // Any other substitute image in the target's namespace affects the measurement, too.
  const { items } = await list<Pod>(transport, resourcePath(PODS, namespaceOf(target)));
  for (const pod of items)
    for (const container of pod.spec?.containers ?? []) used.add(container.image ?? "");
  return declared
    .filter(({ image }) => used.has(image))
    .map(({ image, description }) => ({ image, description, victim: victims.has(image) }));
}

/** What is known about a run before anything is measured. Pure. */
export function initialFacts(
  { runId, resolved, clusterUid, version, nodes, pods, target, sampling }: Prepared,
  run: {
    readonly startedAt: Date;
    readonly toolVersion: string;
    readonly file: string;
    readonly provider: string;
    readonly context: string;
  },
): RunFacts {
  const { experiment, component, attack } = resolved;
  const { metadata, phases, probes, thresholds } = experiment;
  return {
    schemaVersion: RESULT_SCHEMA_VERSION,
    runId,
    startedAt: run.startedAt.toISOString(),
    toolVersion: run.toolVersion,
    experiment: {
      name: metadata.name,
      title: metadata.title ?? metadata.name,
      file: run.file,
      attack,
      phases,
      probes: { interval: probes.interval, timeout: probes.timeout, goodInARow: probes.goodInARow },
      thresholds,
      expectedImpact: resolved.expectedImpact,
    },
    cluster: {
      provider: run.provider,
      context: run.context,
      uid: clusterUid,
      version,
      nodes: nodes.map((node) => ({
        name: node.metadata.name,
        role: roleOf(node),
        kubelet: node.status?.nodeInfo?.kubeletVersion ?? "",
        runtime: node.status?.nodeInfo?.containerRuntimeVersion ?? "",
        os: node.status?.nodeInfo?.osImage ?? "",
        kernel: kernelOf(node),
      })),
    },
    ...applicationFacts(experiment.application, pods),
    functionProbes: component?.functionProbes ?? [],
    functionProbe: functionProbeFacts(component),
    // The study's claims are about the guestbook.
    study: (experiment.application.existing === undefined ? component?.study : undefined) ?? null,
    sources: [],
    ...(sampling === undefined ? {} : { sampling }),
    notMeasured:
      experiment.probes.external === false
        ? [{ probe: "dns-external", reason: "switched off in the experiment" }]
        : [],
    target: targetFacts(target, component?.name ?? null),
    standIns: [],
  };
}

/** Which application is measured. Without headers and bodies: they may have credentials. Pure. */
function applicationFacts(
  { existing, guestbook }: Application,
  pods: OwnPods,
): Pick<RunFacts, "application" | "guestbook"> {
  if (existing === undefined)
    return {
      application: { kind: "guestbook", name: guestbook.namespace },
      guestbook: { kind: pods.guestbook, images: pods.images, differences: differencesOf(pods) },
    };
  const { write, read } = existing;
  return {
    application: {
      kind: "existing",
      name: ownName(existing),
      write: requestWords(write),
      ...(read === undefined ? {} : { read: requestWords(read) }),
    },
  };
}

function functionProbeFacts(component: ComponentDefinition | undefined): RunFacts["functionProbe"] {
  if (component?.functionProbe === undefined) return null;
  const { name, means, deadlineMs, disturbs } = functionProbes[component.functionProbe];
  return { name, means, deadlineMs, disturbs };
}

/** Words for targets on nodes in the slide's column "type". */
const NODE_TYPES = { StaticPod: "static Pod", SystemdUnit: "systemd" } as const;

/** The target as it appears in the facts. The attacked nodes are known only once the application runs. Pure. */
export function targetFacts(target: AnyTarget, component: string | null): NonNullable<RunFacts["target"]> {
  const { kind, namespace, name } = target;
  const where = namespace === "" ? {} : { namespace };
  return {
    component,
    object: isNodeTarget(target) ? { kind, ...where, name } : { kind, ...where, name, uid: target.uid },
    type: isNodeTarget(target) ? NODE_TYPES[target.kind] : target.kind,
    count: target.count,
    images: target.images,
    ownerChain: target.ownerChain,
    services: target.services,
  };
}

function roleOf(node: Node): string {
  const labels = Object.keys(node.metadata.labels ?? {});
  const roles = labels
    .filter((label) => label.startsWith("node-role.kubernetes.io/"))
    .map((label) => label.split("/")[1]);
  return roles.includes("control-plane") || roles.includes("master") ? "control-plane" : "worker";
}
