/** The objects of the add-ons: their API paths, and making them. */
import { createHash } from "node:crypto";
import { RefusedError } from "../common/errors.js";
import {
  CONFIGMAPS,
  create,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  type Gvr,
  NAMESPACES,
  patch,
  replace,
  resourcePath,
  SERVICES,
} from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOurs } from "../own/manifest.js";
import { ADDON_LABEL } from "../own/own-names.js";

const rbac = (resource: string): Gvr => ({ group: "rbac.authorization.k8s.io", version: "v1", resource });

export const SERVICE_ACCOUNTS: Gvr = { group: "", version: "v1", resource: "serviceaccounts" };

export const ROLES = rbac("roles");

export const ROLE_BINDINGS = rbac("rolebindings");

export const CLUSTER_ROLES = rbac("clusterroles");

export const CLUSTER_ROLE_BINDINGS = rbac("clusterrolebindings");

export const API_SERVICES: Gvr = { group: "apiregistration.k8s.io", version: "v1", resource: "apiservices" };

const GVRS: Readonly<Record<string, Gvr>> = {
  Namespace: NAMESPACES,
  ConfigMap: CONFIGMAPS,
  Service: SERVICES,
  ServiceAccount: SERVICE_ACCOUNTS,
  Deployment: DEPLOYMENTS,
  DaemonSet: DAEMONSETS,
  Role: ROLES,
  RoleBinding: ROLE_BINDINGS,
  ClusterRole: CLUSTER_ROLES,
  ClusterRoleBinding: CLUSTER_ROLE_BINDINGS,
  APIService: API_SERVICES,
};

/** An object as a manifest has it. */
export interface AddonObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

/** `Deployment kube-system/kube-dns-autoscaler`, for messages. */
export function describeObject(object: {
  readonly kind?: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}): string {
  const { namespace, name } = object.metadata;
  return `${object.kind ?? "object"} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

/** URL paths of an object and of its collection. */
export function pathsOf(object: Pick<AddonObject, "kind" | "metadata">): {
  readonly path: string;
  readonly collection: string;
} {
  const gvr = GVRS[object.kind];
  if (gvr === undefined) throw new Error(`no API path known for kind ${object.kind}`);
  const { namespace, name } = object.metadata;
  return { path: resourcePath(gvr, namespace, name), collection: resourcePath(gvr, namespace) };
}

/** Whether an object that is there belongs to the study add-ons: under addon-manager's care, or made by this tool. */
export function isAddonObject(object: Pick<KubeObject, "metadata">): boolean {
  return object.metadata.labels?.[ADDON_LABEL] !== undefined || isOurs(object);
}

/** What an object was made from: one that is there with the same hash is used as it is. */
const HASH_ANNOTATION = "kube-system-chaos/manifest-hash";

/**
 * Makes an object, or brings one of ours that was made from another manifest up to date; one that was made from
 * this very manifest is left alone.
 *
 * @returns whether anything was written.
 * @throws RefusedError when an object of that name is there and not ours.
 */
export async function put(transport: Transport, object: AddonObject): Promise<boolean> {
  const { path, collection } = pathsOf(object);
  const hash = hashOf(JSON.stringify(object));
  const annotations = { ...object.metadata.annotations, [HASH_ANNOTATION]: hash };
  const wanted = { ...object, metadata: { ...object.metadata, annotations } };
  const live = await getOrUndefined<KubeObject>(transport, path);
  if (live === undefined) {
    try {
      await create(transport, collection, wanted);
    } catch (error) {
      // Made by somebody in this moment: whose it is, the next look says.
      if (error instanceof ApiError && error.reason === "AlreadyExists") return await put(transport, object);
      throw error;
    }
    return true;
  }
  if (!isAddonObject(live)) {
    throw new RefusedError(
      `${describeObject(object)} is there and was not made by this tool; it is left alone`,
    );
  }
  if (live.metadata.annotations?.[HASH_ANNOTATION] === hash) return false;
  // Whole where keys may have gone; merged where the server has filled in what may not be taken away again.
  const whole = object.kind === "ConfigMap" || object.kind === "Deployment";
  if (whole) await replace(transport, path, wanted);
  else await patch(transport, path, wanted);
  return true;
}

/** A short name of a text: the same text has the same. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
