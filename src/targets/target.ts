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
import { ADDON_MODE_LABEL } from "../own/own-names.js";
import { findStaticPod, findUnit, type NodesToLookAt } from "./find-node-target.js";
import type { NodeTarget } from "./node-target.js";

export type WorkloadKind = "Deployment" | "DaemonSet";

/** The workload that an experiment takes down, as it was before the run. */
export interface Target {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The whole object, as the API gave it: what is put back. */
  readonly object: KubeObject;
  /** URL path of the object and of its collection. */
  readonly path: string;
  readonly collection: string;
  /** Selects the workload's pods, and its ReplicaSets. */
  readonly labels: Readonly<Record<string, string>>;
  /** Wanted instances. */
  readonly count: number;
  readonly images: readonly string[];
  /** Services that route to its pods. */
  readonly services: readonly ObjectRef[];
  /** From the pod up to whoever would bring the workload back, as far as the objects tell. */
  readonly ownerChain: readonly string[];
}

/** Whatever an experiment takes down. */
export type AnyTarget = Target | NodeTarget;

/** Whether a target runs on nodes (a unit, static pods) and is no workload of the API. */
export function isNodeTarget(target: AnyTarget): target is NodeTarget {
  return target.kind === "StaticPod" || target.kind === "SystemdUnit";
}

/** Why no target could be chosen: what was looked for, what was found. */
export interface NoTarget {
  readonly problem: string;
}

const GVR = { Deployment: DEPLOYMENTS, DaemonSet: DAEMONSETS } as const;

/**
 * Finds what an experiment takes down: a workload by its name, or a component in each of the forms in which it is
 * known, the first that is there; says what it looked for when there is none, or more than one.
 *
 * @param options the nodes, for what runs on them. Without `access` a unit is taken to be on every node, and a
 * static pod's manifest where it is best known to be.
 */
export async function findTarget(
  transport: Transport,
  target: Experiment["target"],
  component: ComponentDefinition | undefined,
  options: NodesToLookAt = { nodes: [] },
): Promise<AnyTarget | NoTarget> {
  if (!("component" in target)) {
    const path = resourcePath(GVR[target.kind], target.namespace, target.name);
    const object = await getOrUndefined<Deployment | DaemonSet>(transport, path);
    if (object === undefined) return { problem: `no ${objectName(target)} in the cluster` };
    return await describeTarget(transport, target.kind, object);
  }
  if (component === undefined) return { problem: `no component called ${target.component}` };
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
  options: NodesToLookAt,
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
    return { problem: `looked for one ${looked}; found ${names}: name one with target.kind and target.name` };
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
      problem: `${kind} ${object.metadata.name} selects its pods by expressions; only matchLabels are supported`,
    };
  }
  const podLabels = spec?.template.metadata?.labels ?? {};
  const services = await list<Service>(transport, resourcePath(SERVICES, namespace));
  return {
    kind,
    namespace,
    name: object.metadata.name,
    uid: object.metadata.uid,
    // Lists leave these two out of their items; a snapshot that is created again needs them.
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

/** Instances that the workload is to have. */
export function wantedCount(kind: WorkloadKind, object: KubeObject): number {
  if (kind === "Deployment") return (object as unknown as Deployment).spec?.replicas ?? 1;
  return (object as unknown as DaemonSet).status?.desiredNumberScheduled ?? 0;
}

function selects(service: Service, podLabels: Readonly<Record<string, string>>): boolean {
  const selector = Object.entries(service.spec?.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => podLabels[key] === value);
}

/** The object's name, for events and messages. */
export function refOf(kind: string, object: Pick<KubeObject, "metadata">): ObjectRef {
  const { namespace, name, uid } = object.metadata;
  return { kind, ...(namespace === undefined ? {} : { namespace }), name, uid };
}

/** Who would bring it back, from the pod upwards: controllers at once, addon-manager within a minute. */
export function ownerChain(kind: WorkloadKind, object: KubeObject): string[] {
  const chain =
    kind === "Deployment"
      ? ["Pod", "ReplicaSet", `Deployment ${object.metadata.name}`]
      : ["Pod", `DaemonSet ${object.metadata.name}`];
  for (const owner of object.metadata.ownerReferences ?? []) chain.push(`${owner.kind} ${owner.name}`);
  const mode = object.metadata.labels?.[ADDON_MODE_LABEL];
  if (mode !== undefined) chain.push(`addon-manager (${mode})`);
  return chain;
}

/** Where a target is looked for and its neighbours are. A unit has no namespace: kube-system is meant. Pure. */
export function namespaceOf(target: AnyTarget | undefined): string {
  return target === undefined || target.namespace === "" ? "kube-system" : target.namespace;
}
