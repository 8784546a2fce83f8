/**
 * What a journal from the cluster may ask for. A restore runs with more rights than writing Secrets needs, so anyone who
 * can write Secrets there must not make it change anything that runs do not change (docs/safety.md, "Threat model"). What
 * is checked on a node itself is in ../restore/on-node.ts. Pure.
 */
import { CONFIGMAPS, resourcePath } from "../../kube/api.js";
import { heldPath, timerName } from "../../nodes/faults.js";
import type { NodeAccessSpec } from "../../nodes/spec.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../own/manifest.js";
import {
  ADDON_NAMESPACE,
  DRIFT_NAME,
  LOCK_NAME,
  LOCK_NAMESPACE,
  PROBER_NAMESPACE,
} from "../../own/own-names.js";
import type { JournalState } from "./records.js";
import { isNodeUndo, type NodeUndo, type Removal, type Undo, type WorkloadUndo } from "./undo.js";

/** In any namespace: an experiment can name a workload outside kube-system (a log agent in `logging`). */
const WORKLOAD = /^\/apis\/apps\/v1\/namespaces\/([a-z0-9-]+)\/(deployments|daemonsets)$/;
const NAME = /^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$/;

/** The kinds of objects that a run creates outside its namespaces, or that its end removes one by one. */
const OWN_KINDS: Readonly<Record<string, string>> = {
  Namespace: "/api/v1/namespaces",
  Lease: `/apis/coordination.k8s.io/v1/namespaces/${LOCK_NAMESPACE}/leases`,
  Secret: `/api/v1/namespaces/${PROBER_NAMESPACE}/secrets`,
  Pod: `/api/v1/namespaces/${PROBER_NAMESPACE}/pods`,
  ConfigMap: `/api/v1/namespaces/${PROBER_NAMESPACE}/configmaps`,
  ServiceAccount: `/api/v1/namespaces/${PROBER_NAMESPACE}/serviceaccounts`,
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
};
const IN_ANY_NAMESPACE =
  /^\/apis\/rbac\.authorization\.k8s\.io\/v1\/namespaces\/[a-z0-9-]+\/(roles|rolebindings)$/;

/** Namespaces that no run creates. (Those of its own begin with this tool's name.) */
const OF_KUBERNETES = /^(default|kube-(system|public|node-lease)|openshift-.*)$/;

/** A node's name never begins with "-": a command would take it for an option. */
const NODE = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const UNIT = /^[A-Za-z0-9][A-Za-z0-9:_.@-]*\.service$/;
const MANIFEST = /^(\/[A-Za-z0-9_][A-Za-z0-9._-]*)+$/;

/** The format of `newRunId`. The ID becomes a folder name, so it must not contain a path. */
export function isRunId(text: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{0,80}$/i.test(text) && !text.includes("..");
}

/** @returns why no run of this tool can have written this journal; undefined: one may have. */
export function implausibleIn({
  open: { runId, clusterUid },
  intents,
}: Pick<JournalState, "open" | "intents">): string | undefined {
  if (!isRunId(runId)) return `its run ID ${JSON.stringify(runId.slice(0, 80))} is not valid`;
  if (!/^[A-Za-z0-9-]{1,64}$/.test(clusterUid)) return "its cluster's uid is not valid";
  return intents.map(({ undo }) => implausible(undo, runId)).find((each) => each !== undefined);
}

/** @returns why no run of this tool can have written this entry; undefined: one may have. */
export function implausible(entry: Undo, runId: string): string | undefined {
  try {
    if (isNodeUndo(entry)) return implausibleOnNode(entry, runId);
    if (entry.action === "restore-workload") return implausibleWorkload(entry);
    if (["remove", "empty"].includes(entry.action)) return implausibleRemoval(entry);
    return "it has an entry of an unknown kind";
  } catch (error) {
    // A field is missing, or is not what it should be.
    if (error instanceof TypeError) return `it has an entry that is not complete (${shown(entry.action)})`;
    throw error;
  }
}

/** Of the ConfigMap that the proof of addon-manager changes. */
const OF_PROOF = resourcePath(CONFIGMAPS, ADDON_NAMESPACE);

function implausibleWorkload({ path, collection, object }: WorkloadUndo): string | undefined {
  const { name, namespace } = object.metadata;
  if (collection === OF_PROOF && path === `${OF_PROOF}/${DRIFT_NAME}`)
    return name === DRIFT_NAME && object.kind === "ConfigMap"
      ? undefined
      : `it would restore ${shown(object.kind)} ${shown(name)} as ${shown(path)}`;
  const [, place = "", resource] = WORKLOAD.exec(collection) ?? [];
  const kind = resource === "deployments" ? "Deployment" : "DaemonSet";
  const valid =
    place !== "" &&
    NAME.test(name) &&
    path === `${collection}/${name}` &&
    (object.kind === undefined || object.kind === kind) &&
    (namespace === undefined || namespace === place);
  return valid ? undefined : `it would restore ${shown(path)}, which is not a workload that a run attacks`;
}

function implausibleRemoval({ action, path, object, labels }: Removal): string | undefined {
  const { kind, name } = object;
  const collection = path.slice(0, path.lastIndexOf("/"));
  const known =
    OWN_KINDS[kind] === collection || (/^Role(Binding)?$/.test(kind) && IN_ANY_NAMESPACE.test(collection));
  const valid =
    labels[MANAGED_BY_LABEL] === MANAGED_BY &&
    known &&
    NAME.test(name) &&
    path === `${collection}/${name}` &&
    (action === "remove" || kind === "Namespace") &&
    !(kind === "Namespace" && OF_KUBERNETES.test(name)) &&
    (kind !== "Lease" || name === LOCK_NAME);
  return valid ? undefined : `it would remove ${shown(path)}, which no run created`;
}

function implausibleOnNode(entry: NodeUndo, runId: string): string | undefined {
  const { node, timer, object, access } = entry;
  if (!NODE.test(node)) return `it names the node ${shown(node)}`;
  if (![object.kind, object.name].every((each) => typeof each === "string"))
    return `it names no component on ${node}`;
  if (!isAccess(access)) return `it reaches ${node} in a way that no run uses`;
  if (entry.action === "start-unit") {
    const { unit, also } = entry;
    const valid = [unit, ...also].every((each) => UNIT.test(each)) && timer === timerName(runId, unit);
    return valid
      ? undefined
      : `it would start ${shown([unit, ...also].join(" "))} on ${node}, which no run stops`;
  }
  const { manifest, heldAt } = entry;
  const valid =
    MANIFEST.test(manifest) && heldAt === heldPath(runId, manifest) && timer === timerName(runId, manifest);
  return valid
    ? undefined
    : `it would move ${shown(heldAt)} to ${shown(manifest)} on ${node}, which no run moves away`;
}

/** Also for journals that anyone may have written: a field may be missing or of another type. */
function isAccess(access: NodeAccessSpec): boolean {
  const isText = (each: unknown): boolean => typeof each === "string";
  switch (access.type) {
    case "pod":
      return true;
    case "command":
      return access.argv.every(isText);
    case "engine":
      return isText(access.command) && Object.values(access.env).every(isText);
    default:
      return false;
  }
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, 120);
}
