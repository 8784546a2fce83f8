/** What conflicts with the add-ons. Checked before any change: foreign objects must not be modified. */
import { RefusedError } from "../common/errors.js";
import {
  CONFIGMAPS,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  type Gvr,
  list,
  NODES,
  PODS,
  resourcePath,
  selectorString,
  SERVICES,
} from "../kube/api.js";
import type { KubeObject, Node, Pod } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { isOwn } from "../own/manifest.js";
import {
  ADDON_LABEL,
  ADDON_MANAGER_LABELS,
  ADDON_MANAGER_NAME,
  ADDON_MODE_LABEL,
  ADDON_NAMESPACE,
  AUTOSCALER_CONFIG_NAME,
  LAST_APPLIED_ANNOTATION,
} from "../own/own-names.js";
import type { AddonManifests } from "./addon-manifests.js";
import { carries, type Manifest } from "../own/manifest.js";
import { objectName } from "../common/object-name.js";
import { components } from "../components/all-components.js";
import type { ComponentName } from "../experiment/names.js";
import { pathsOf } from "../kube/api.js";

const nameOf = ({ kind, metadata }: Pick<KubeObject, "kind"> & { metadata: Manifest["metadata"] }): string =>
  objectName({ kind, ...metadata });

const CLUSTER_SERVICE_LABEL = "kubernetes.io/cluster-service";
const CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane";

/** The kinds that addon-manager may prune (PRUNED_KINDS), as API resources. */
const PRUNED: readonly Gvr[] = [CONFIGMAPS, SERVICES, DAEMONSETS, DEPLOYMENTS];

/** Whether a live object belongs to the study add-ons: it has their label, or this tool created it. */
export function isAddonObject(object: Pick<KubeObject, "metadata">): boolean {
  return object.metadata.labels?.[ADDON_LABEL] !== undefined || isOwn(object);
}

/**
 * @param options `installed`: the record exists, so objects that the add-ons generated are theirs; `dnsName`: the
 *   cluster's DNS, which addon-manager is to manage.
 * @throws RefusedError with every conflicting object, and what to do.
 */
export async function refuseForeign(
  transport: Transport,
  manifests: AddonManifests,
  options: { readonly installed: boolean; readonly dnsName: string },
): Promise<void> {
  const { study, sink, manager } = manifests;
  const generated = options.installed ? [] : [configMap(AUTOSCALER_CONFIG_NAME)];
  const questions = [
    ...[...study, ...sink, ...manager].map(
      async (object) => await sameName(transport, object, isAddonObject),
    ),
    ...generated.map(async (object) => await sameName(transport, object, () => false)),
    ...[DEPLOYMENTS, DAEMONSETS].map(async (gvr) => await sameJob(transport, gvr, study)),
    ...PRUNED.map(async (gvr) => await pruned(transport, gvr, options.dnsName)),
    otherAddonManager(transport),
    noControlPlane(transport),
  ];
  const problems = [...new Set((await Promise.all(questions)).flat())];
  if (problems.length === 0) return;
  throw new RefusedError(
    [
      "the study add-ons cannot be installed on this cluster. Nothing was changed. Conflicts:",
      ...problems.map((problem) => `  - ${problem}`),
      "Remove the conflicting objects, or use a new cluster: chaos cluster up --cluster kind --addons",
    ].join("\n"),
  );
}

function configMap(name: string): Manifest {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: ADDON_NAMESPACE } };
}

async function sameName(
  transport: Transport,
  object: Manifest,
  isKnown: (live: KubeObject) => boolean,
): Promise<string[]> {
  const live = await getOrUndefined<KubeObject>(transport, pathsOf(object).path);
  if (live === undefined || isKnown(live)) return [];
  return [`${nameOf(object)} already exists and was not created by this tool`];
}

/** A foreign workload with the same function under another name, such as a metrics-server: the two would conflict. */
async function sameJob(transport: Transport, gvr: Gvr, study: readonly Manifest[]): Promise<string[]> {
  const jobs = new Set(study.flatMap(jobsOf));
  const { items } = await list<KubeObject>(transport, resourcePath(gvr, ADDON_NAMESPACE));
  return items
    .filter((item) => !isAddonObject(item))
    .flatMap((item) =>
      jobsOf(item)
        .filter((job) => jobs.has(job))
        .map((job) => `${nameOf(item)} has the same function (${job}) and was not created by this tool`),
    );
}

/** The components that a workload is an instance of. Pure. */
function jobsOf(workload: Pick<Manifest, "metadata">): ComponentName[] {
  return Object.values(components)
    .filter(({ find }) => find.some((way) => way.how === "workload" && carries(workload, way.labels)))
    .map(({ name }) => name);
}

/** Foreign objects that kubectl's prune would delete because they look like removed add-ons. */
async function pruned(transport: Transport, gvr: Gvr, dnsName: string): Promise<string[]> {
  const { items } = await list<KubeObject>(transport, resourcePath(gvr, ADDON_NAMESPACE));
  return items
    .filter((item) => isPrunable(item) && !isAddonObject(item))
    .filter((item) => !(gvr === DEPLOYMENTS && item.metadata.name === dnsName))
    .map((item) => `${nameOf(item)} is labelled as an add-on, so addon-manager would delete it`);
}

/** Whether kube-addons.sh's `kubectl apply --prune` would delete an object that is in none of its files. Pure. */
export function isPrunable({ metadata }: Pick<KubeObject, "metadata">): boolean {
  // kubectl prunes only objects that it has applied.
  if (metadata.annotations?.[LAST_APPLIED_ANNOTATION] === undefined) return false;
  const mode = metadata.labels?.[ADDON_MODE_LABEL];
  if (metadata.labels?.[CLUSTER_SERVICE_LABEL] === "true") return mode !== "EnsureExists";
  return mode === "Reconcile";
}

/** A static pod of the master (GKE) or a Deployment. Two addon-managers would undo each other's changes. */
async function otherAddonManager(transport: Transport): Promise<string[]> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, ADDON_NAMESPACE), {
    labelSelector: selectorString(ADDON_MANAGER_LABELS),
  });
  return items
    .filter(({ metadata }) => !isPodOfOwnManager(metadata))
    .map(
      ({ metadata }) => `the cluster already has an addon-manager (Pod ${ADDON_NAMESPACE}/${metadata.name})`,
    );
}

function isPodOfOwnManager({ ownerReferences = [] }: Pod["metadata"]): boolean {
  // A foreign Deployment of this name is refused above.
  return ownerReferences.some(
    ({ kind, name }) => kind === "ReplicaSet" && name.startsWith(`${ADDON_MANAGER_NAME}-`),
  );
}

async function noControlPlane(transport: Transport): Promise<string[]> {
  const { items } = await list<Node>(transport, resourcePath(NODES));
  if (items.some(({ metadata }) => metadata.labels?.[CONTROL_PLANE_LABEL] !== undefined)) return [];
  return [
    `no node has the label ${CONTROL_PLANE_LABEL}: addon-manager and the sink run on the control plane, apart from the experiments`,
  ];
}
