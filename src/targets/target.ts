import { objectName } from "../common/object-name.js";
import type { ComponentDefinition, FindWorkload } from "../components/component.js";
import { REPLACES_KUBE_PROXY } from "../components/platforms.js";
import type { ObjectRef } from "../evidence/events.js";
import type { Experiment } from "../experiment/schema.js";
import { SERVICES, getOrUndefined, list, resourcePath } from "../kube/api.js";
import type { Deployment, KubeObject, Node, Service } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { findStaticPod, findUnit, type NodesToCheck } from "./find-node-target.js";
import {
  byLabels,
  byName,
  type Candidate,
  GVR,
  idleWords,
  lookedFor,
  wantedCount,
  type WorkloadKind,
  Workloads,
} from "./find-workload.js";
import type { NodeTarget } from "./node-target.js";
import { ownerChain } from "./owners.js";
import { formsOn, hiddenBy, type Platform, platformOf, whyNoStaticPods } from "./platform.js";

/** The workload that an experiment takes down, as it was before the run. */
export interface Target {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The whole object as the API returned it: what a restore recreates. */
  readonly object: KubeObject;
  /** URL paths of the object and of its collection. */
  readonly path: string;
  readonly collection: string;
  /** Selects the workload's pods and ReplicaSets. */
  readonly labels: Readonly<Record<string, string>>;
  /** The number of wanted pods. */
  readonly count: number;
  readonly images: readonly string[];
  /** Services that route to its pods. */
  readonly services: readonly ObjectRef[];
  /** From the pod up to the controllers and addon-manager that would restore the workload, as far as known. */
  readonly ownerChain: readonly string[];
}

/** Any target of an experiment. */
export type AnyTarget = Target | NodeTarget;

/** Whether a target runs on nodes (a unit, static pods) and is not a workload in the API. */
export function isNodeTarget(target: AnyTarget): target is NodeTarget {
  return target.kind === "StaticPod" || target.kind === "SystemdUnit";
}

/** Why no target was chosen: what was looked for, and what was found. */
export interface NoTarget {
  readonly problem: string;
}

/**
 * Finds the target of an experiment: a workload by its name, or a component in the first of its forms on this platform
 * of which instances run. When there is none, or more than one, the problem says what was looked for and why it is not
 * there.
 *
 * @param options the nodes, which tell the platform. Without `access` a unit is assumed to be on every node, and a static
 * pod's manifest at its most common path.
 */
export async function findTarget(
  transport: Transport,
  target: Experiment["target"],
  component: ComponentDefinition | undefined,
  options: NodesToCheck = { nodes: [] },
): Promise<AnyTarget | NoTarget> {
  if (!("component" in target)) {
    const path = resourcePath(GVR[target.kind], target.namespace, target.name);
    const object = await getOrUndefined<KubeObject>(transport, path);
    if (object === undefined)
      return {
        problem: `${objectName(target)} does not exist in the cluster. Correct kind, namespace or name of the target`,
      };
    return await describeTarget(transport, target.kind, object);
  }
  if (component === undefined) return { problem: `there is no component named ${target.component}` };
  const platform = platformOf(everyNode(options));
  if (target.name !== undefined)
    return await findNamed(transport, { ...target, name: target.name }, component, platform);
  const hidden = hiddenBy(platform, component.name);
  if (platform !== undefined && hidden !== undefined)
    return { problem: `${hidden} (this is ${platform.name}: ${platform.because})` };
  return await findComponent(transport, component, platform, options);
}

/** The workload of a component that the experiment names, because several of its workloads run. */
async function findNamed(
  transport: Transport,
  target: Extract<Experiment["target"], { component: string }> & { readonly name: string },
  component: ComponentDefinition,
  platform: Platform | undefined,
): Promise<AnyTarget | NoTarget> {
  const { name } = target;
  const places = namedPlaces(target, formsOn(component, platform).filter(isWorkloadForm));
  if (places.length === 0)
    return { problem: `${component.name} is no workload, so target.name cannot choose one: leave it out` };
  for (const { kind, namespace } of places) {
    const object = await getOrUndefined<KubeObject>(transport, resourcePath(GVR[kind], namespace, name));
    if (object === undefined) continue;
    return wantedCount(kind, object) === 0
      ? { problem: `${idleWords({ kind, object })}: there is nothing to take down` }
      : await describeTarget(transport, kind, object);
  }
  const where = places.map((place) => objectName({ ...place, name })).join(" or ");
  return { problem: `${where} does not exist in the cluster. Correct target.name` };
}

/** Where a workload that the experiment names may be: in the place that it gives, or in those of the component. Pure. */
export function namedPlaces(
  { kind, namespace }: { readonly kind?: WorkloadKind | undefined; readonly namespace?: string | undefined },
  forms: readonly FindWorkload[],
): readonly { readonly kind: WorkloadKind; readonly namespace: string }[] {
  if (forms.length === 0) return [];
  const kinds = kind === undefined ? forms.flatMap((form) => form.kinds) : [kind];
  const namespaces = namespace === undefined ? forms.map((form) => form.namespace) : [namespace];
  return [...new Set(namespaces)].flatMap((each) =>
    [...new Set(kinds)].map((one) => ({ kind: one, namespace: each })),
  );
}

export function isWorkloadForm(form: ComponentDefinition["find"][number]): form is FindWorkload {
  return form.how === "workload";
}

async function findComponent(
  transport: Transport,
  component: ComponentDefinition,
  platform: Platform | undefined,
  options: NodesToCheck,
): Promise<AnyTarget | NoTarget> {
  const workloads = new Workloads(transport);
  const forms = formsOn(component, platform, options.nodes);
  const named = forms.filter(isWorkloadForm);
  const looked = lookedFor(named);
  const idle = new Set<string>();
  for (const form of forms) {
    if (form.how === "workload") {
      const matching = byLabels(form, await workloads.of(form.namespace, form.kinds));
      for (const each of matching.idle) idle.add(idleWords(each));
      const found = await onlyOne(transport, component, matching.running);
      if (found !== undefined) return found;
      continue;
    }
    const found =
      form.how === "static-pod"
        ? await findStaticPod(transport, component, form, options)
        : await findUnit(component, form, options);
    if (!("looked" in found)) return found;
    looked.push(found.looked);
  }
  for (const form of named) {
    const matching = byName(form, await workloads.of(form.namespace, form.kinds));
    for (const each of matching.idle) idle.add(idleWords(each));
    const found = await onlyOne(transport, component, matching.running);
    if (found !== undefined) return found;
  }
  const why =
    (component.name === "kube-proxy" ? await replacedBy(workloads) : undefined) ??
    (forms.every(({ how }) => how === "static-pod") ? whyNoStaticPods(everyNode(options)) : undefined);
  const none = idle.size === 0 ? "found none" : `found none that runs: ${[...idle].join("; ")}`;
  const search = `looked for ${looked.join("; for ")}; ${none}`;
  return { problem: why === undefined ? search : `${why} (${search})` };
}

function everyNode({ nodes, all }: NodesToCheck): readonly Node[] {
  return all ?? nodes;
}

/** The workload that runs; undefined: none does. Several: the user must choose. */
async function onlyOne(
  transport: Transport,
  { name }: Pick<ComponentDefinition, "name">,
  running: readonly Candidate[],
): Promise<Target | NoTarget | undefined> {
  const [only, ...others] = running;
  if (only === undefined) return undefined;
  if (others.length === 0) return await describeTarget(transport, only.kind, only.object);
  const found = running.map(
    ({ kind, object }) => `${kind} ${object.metadata.name} (${wantedCount(kind, object)} wanted)`,
  );
  return {
    problem:
      `several workloads of ${name} run: ${found.join(", ")}. Choose one with target.name, for example ` +
      `target: { component: ${name}, name: ${only.object.metadata.name} }`,
  };
}

/** The network that does kube-proxy's work. */
async function replacedBy(workloads: Workloads): Promise<string | undefined> {
  for (const { kind, object } of await workloads.of("kube-system", ["DaemonSet"])) {
    const network = REPLACES_KUBE_PROXY[object.metadata.labels?.["k8s-app"] ?? ""];
    if (network === undefined || wantedCount(kind, object) === 0) continue;
    const { name } = object.metadata;
    const what = name === "anetd" ? "GKE Dataplane V2" : network;
    return `${what} (DaemonSet ${name}) routes Services in its place`;
  }
  return undefined;
}

async function describeTarget(
  transport: Transport,
  kind: WorkloadKind,
  object: KubeObject,
): Promise<Target | NoTarget> {
  const { spec } = object as unknown as Deployment;
  const namespace = object.metadata.namespace ?? "default";
  const labels = spec?.selector.matchLabels ?? {};
  if (Object.keys(labels).length === 0 || (spec?.selector.matchExpressions ?? []).length > 0) {
    return {
      problem: `${kind} ${object.metadata.name} selects its pods by matchExpressions; only matchLabels are supported`,
    };
  }
  const podLabels = spec?.template.metadata?.labels ?? {};
  const services = await list<Service>(transport, resourcePath(SERVICES, namespace));
  return {
    kind,
    namespace,
    name: object.metadata.name,
    uid: object.metadata.uid,
    // Items of a list lack these two fields. Recreating the object needs them.
    object: { ...object, apiVersion: "apps/v1", kind },
    path: resourcePath(GVR[kind], namespace, object.metadata.name),
    collection: resourcePath(GVR[kind], namespace),
    labels,
    count: wantedCount(kind, object),
    images: (spec?.template.spec?.containers ?? []).map((container) => container.image ?? ""),
    services: services.items
      .filter((service) => selects(service, podLabels))
      .map((service) => refOf("Service", service)),
    ownerChain: ownerChain(kind, object),
  };
}

function selects(service: Service, podLabels: Readonly<Record<string, string>>): boolean {
  const selector = Object.entries(service.spec?.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => podLabels[key] === value);
}

/** A reference to the object, for events and messages. */
export function refOf(kind: string, object: Pick<KubeObject, "metadata">): ObjectRef {
  const { namespace, name, uid } = object.metadata;
  return { kind, ...(namespace === undefined ? {} : { namespace }), name, uid };
}

/** The namespace of a target and its neighbours. A unit has no namespace: kube-system counts as its own. Pure. */
export function namespaceOf(target: AnyTarget | undefined): string {
  return target === undefined || target.namespace === "" ? "kube-system" : target.namespace;
}
