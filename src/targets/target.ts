import { objectName } from "../common/object-name.js";
import type { ComponentDefinition, Find, FindWorkload } from "../components/component.js";
import type { ObjectRef } from "../evidence/events.js";
import type { Experiment } from "../experiment/schema.js";
import {
  DAEMONSETS,
  DEPLOYMENTS,
  SERVICES,
  getOrUndefined,
  list,
  resourcePath,
  selectorString,
} from "../kube/api.js";
import type { DaemonSet, Deployment, KubeObject, Service } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { findStaticPod, findUnit, type NodesToCheck } from "./find-node-target.js";
import type { NodeTarget } from "./node-target.js";
import { ownerChain } from "./owners.js";

export type WorkloadKind = "Deployment" | "DaemonSet";

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

const GVR = { Deployment: DEPLOYMENTS, DaemonSet: DAEMONSETS } as const;

/**
 * Finds the target of an experiment: a workload by its name, or a component in the first of its known forms that
 * exists. When there is none, or more than one, the problem says what was looked for.
 *
 * @param options the nodes, for targets that run on them. Without `access` a unit is assumed to be on every node, and
 * a static pod's manifest at its most common path.
 */
export async function findTarget(
  transport: Transport,
  target: Experiment["target"],
  component: ComponentDefinition | undefined,
  options: NodesToCheck = { nodes: [] },
): Promise<AnyTarget | NoTarget> {
  if (!("component" in target)) {
    const path = resourcePath(GVR[target.kind], target.namespace, target.name);
    const object = await getOrUndefined<Deployment | DaemonSet>(transport, path);
    if (object === undefined) return { problem: `${objectName(target)} does not exist in the cluster` };
    return await describeTarget(transport, target.kind, object);
  }
  if (component === undefined) return { problem: `there is no component named ${target.component}` };
  const looked: string[] = [];
  for (const find of component.find) {
    const found = await findAs(transport, component, find, options);
    if (!("looked" in found)) return found;
    looked.push(found.looked);
  }
  return { problem: `looked for ${looked.join("; for ")}; found none` };
}

async function findAs(
  transport: Transport,
  component: ComponentDefinition,
  find: Find,
  options: NodesToCheck,
): Promise<AnyTarget | NoTarget | { readonly looked: string }> {
  switch (find.how) {
    case "workload":
      return await findWorkload(transport, find);
    case "static-pod":
      return await findStaticPod(transport, component, find, options);
    case "systemd-unit":
      return await findUnit(component, find, options);
  }
}

async function findWorkload(
  transport: Transport,
  { namespace, kinds, labels, knownAs }: FindWorkload,
): Promise<Target | NoTarget | { readonly looked: string }> {
  const found: { kind: WorkloadKind; object: KubeObject }[] = [];
  for (const kind of kinds) {
    const { items } = await list<KubeObject>(transport, resourcePath(GVR[kind], namespace), {
      labelSelector: selectorString(labels),
    });
    found.push(...items.map((object) => ({ kind, object })));
  }
  const looked = `${kinds.join(" or ")} with ${selectorString(labels)} in ${namespace} (${knownAs.join(", ")})`;
  const [only, ...others] = found;
  if (only === undefined) return { looked: `a ${looked}` };
  if (others.length > 0) {
    const names = found.map(({ kind, object }) => `${kind} ${object.metadata.name}`).join(", ");
    return {
      problem: `looked for one ${looked}; found ${names}. Choose one with target.kind and target.name`,
    };
  }
  return await describeTarget(transport, only.kind, only.object);
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

/** The number of pods that the workload wants. */
export function wantedCount(kind: WorkloadKind, object: KubeObject): number {
  if (kind === "Deployment") return (object as unknown as Deployment).spec?.replicas ?? 1;
  return (object as unknown as DaemonSet).status?.desiredNumberScheduled ?? 0;
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
