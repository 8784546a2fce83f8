/** A small typed layer over the transport: paths, versions, and the calls that the runner needs. */
import { isRecord } from "../common/is-record.js";
import type { KubeObject } from "./objects.js";
import { ApiError, ApiUnreachableError, ForeignAnswerError } from "./transport.js";
import type { ApiRequest, Transport } from "./transport.js";

/** Group ("" is the core), version and plural name of a resource. */
export interface Gvr {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

const core = (resource: string): Gvr => ({ group: "", version: "v1", resource });
const apps = (resource: string): Gvr => ({ group: "apps", version: "v1", resource });
const rbac = (resource: string): Gvr => ({ group: "rbac.authorization.k8s.io", version: "v1", resource });

export const PODS = core("pods");
export const SERVICES = core("services");
export const CONFIGMAPS = core("configmaps");
export const SECRETS = core("secrets");
export const NAMESPACES = core("namespaces");
export const NODES = core("nodes");
export const EVENTS = core("events");
export const SERVICE_ACCOUNTS = core("serviceaccounts");
export const DEPLOYMENTS = apps("deployments");
export const REPLICASETS = apps("replicasets");
export const DAEMONSETS = apps("daemonsets");
export const ENDPOINT_SLICES: Gvr = { group: "discovery.k8s.io", version: "v1", resource: "endpointslices" };
export const AUTOSCALERS: Gvr = { group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers" };
export const LEASES: Gvr = { group: "coordination.k8s.io", version: "v1", resource: "leases" };
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

/** The path of a collection, an object, or an object's subresource. Names are percent-encoded. */
export function resourcePath(gvr: Gvr, namespace?: string, name?: string, subresource?: string): string {
  const parts = [gvr.group === "" ? `/api/${gvr.version}` : `/apis/${gvr.group}/${gvr.version}`];
  if (namespace !== undefined) parts.push("namespaces", encodeURIComponent(namespace));
  parts.push(gvr.resource);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join("/");
}

/** URL paths of an object and of its collection, for the kinds that this tool creates. */
export function pathsOf(object: {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}): { readonly path: string; readonly collection: string } {
  const gvr = GVRS[object.kind];
  if (gvr === undefined) throw new Error(`no API path known for kind ${object.kind}`);
  const { namespace, name } = object.metadata;
  return { path: resourcePath(gvr, namespace, name), collection: resourcePath(gvr, namespace) };
}

/**
 * The server's gitVersion, such as `v1.36.3`; some builds have an empty one, but the key is never omitted
 * (apimachinery/pkg/version/types.go of kubernetes/kubernetes). Rejects with ApiError or ApiUnreachableError.
 */
export async function serverVersion(transport: Transport, options: CallOptions = {}): Promise<string> {
  const path = "/version";
  const { gitVersion } = await get<{ gitVersion?: unknown }>(transport, path, options);
  if (typeof gitVersion !== "string") throw foreign(path, "no version of an API server");
  return gitVersion === "" ? "(unknown version)" : gitVersion;
}

/** The answer of another program that speaks JSON. */
function foreign(path: string, what: string): ApiUnreachableError {
  const cause = new ForeignAnswerError(`JSON that is ${what}`);
  return new ApiUnreachableError({ method: "GET", path }, { cause });
}

const hasMetadata = (value: unknown): boolean =>
  isRecord(value) && isRecord((value as Partial<KubeObject>).metadata);

/** Below a group's version every path is that of a resource. */
const RESOURCE = /^\/(api|apis\/[^/]+)\/[^/]+\/./;

/**
 * The version of a group that the server prefers, such as `v1beta1`; undefined: it does not serve the group. A group of
 * another API server is listed as long as its APIService exists, whether it answers or not (handler_apis.go of
 * kube-aggregator).
 */
export async function preferredVersion(
  transport: Transport,
  group: string,
  options: CallOptions = {},
): Promise<string | undefined> {
  type ApiGroup = { readonly preferredVersion: { readonly version: string } };
  return (await getOrUndefined<ApiGroup>(transport, `/apis/${group}`, options))?.preferredVersion.version;
}

/** Options of every call: the lane, the time limit (timeoutMs), a signal, whether to retry. */
export type CallOptions = Pick<ApiRequest, "timeoutMs" | "signal" | "lane" | "retry">;

/** `{app: "x"}` → `app=x`, as labelSelector expects it. */
export function selectorString(matchLabels: Readonly<Record<string, string>>): string {
  return Object.entries(matchLabels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** One object. Rejects with ApiError (also 404), and with ApiUnreachableError when the answer is none of an API server. */
export async function get<T>(transport: Transport, path: string, options: CallOptions = {}): Promise<T> {
  const body = await transport.json<T>({ ...options, method: "GET", path });
  if (RESOURCE.test(path) ? hasMetadata(body) : isRecord(body)) return body;
  throw foreign(path, "no object of an API server");
}

/** One object, or undefined when it does not exist (404). Rejects with ApiError otherwise. */
export async function getOrUndefined<T>(
  transport: Transport,
  path: string,
  options: CallOptions = {},
): Promise<T | undefined> {
  try {
    return await get<T>(transport, path, options);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

export interface ListOptions extends CallOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ObjectList<T> {
  readonly items: T[];
  /** A watch continues from here. */
  readonly resourceVersion: string;
}

interface ListBody<T> {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[] | null;
}

/** Page size. The next pages follow by `continue`, from the same snapshot. */
const PAGE = 500;

/**
 * All objects of a collection: a consistent read (resourceVersion unset), in pages of 500. Adds the kind and
 * apiVersion that the server omits in list items. When the snapshot expires between two pages (410), reads the list
 * again without pages.
 */
export async function list<T extends KubeObject>(
  transport: Transport,
  path: string,
  options: ListOptions = {},
): Promise<ObjectList<T>> {
  const { labelSelector, fieldSelector, ...call } = options;
  const page = async (limit: number | undefined, token?: string): Promise<ListBody<T>> => {
    const query = { labelSelector, fieldSelector, limit, continue: token };
    const body = await transport.json<ListBody<T>>({ ...call, method: "GET", path, query });
    if (isList(body)) return body;
    throw foreign(path, "no list of an API server");
  };
  const pages = [await page(PAGE)];
  for (let last = pages[0]; last?.metadata.continue; last = pages.at(-1)) {
    try {
      pages.push(await page(PAGE, last.metadata.continue));
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 410)) throw error;
      pages.splice(0, pages.length, await page(undefined));
    }
  }
  return {
    items: pages.flatMap((body) => named(body)),
    resourceVersion: pages[0]?.metadata.resourceVersion ?? "",
  };
}

/** Whether it is a list; an empty one of some servers has null instead of items. */
function isList(body: Partial<ListBody<unknown>>): boolean {
  if (!hasMetadata(body)) return false;
  const { items } = body;
  return items === null || (Array.isArray(items) && items.every(hasMetadata));
}

/** The items of a page with their kind (`PodList` → `Pod`) and apiVersion. */
function named<T extends KubeObject>(body: ListBody<T>): T[] {
  const kind = body.kind?.replace(/List$/, "");
  const type = {
    ...(body.apiVersion === undefined ? {} : { apiVersion: body.apiVersion }),
    ...(kind === undefined ? {} : { kind }),
  };
  return (body.items ?? []).map((item) => ({ ...type, ...item }));
}

export interface WriteOptions extends CallOptions {
  /** `All`: the server validates the request but stores nothing. */
  readonly dryRun?: "All";
  readonly fieldManager?: string;
}

/** Creates an object in a collection; returns what the server stored. 409 AlreadyExists rejects (ApiError). */
export async function create<T>(
  transport: Transport,
  collection: string,
  object: unknown,
  options: WriteOptions = {},
): Promise<T> {
  return await write<T>(transport, { method: "POST", path: collection, body: object }, options);
}

/** Replaces an object (PUT). With a resourceVersion in it, only if it is unchanged since (409 rejects). */
export async function replace<T>(
  transport: Transport,
  path: string,
  object: unknown,
  options: WriteOptions = {},
): Promise<T> {
  return await write<T>(transport, { method: "PUT", path, body: object }, options);
}

/** Merge patch (RFC 7396): null removes a field, a list replaces the whole list. */
export async function patch<T>(
  transport: Transport,
  path: string,
  change: unknown,
  options: WriteOptions = {},
): Promise<T> {
  const contentType = "application/merge-patch+json";
  return await write<T>(transport, { method: "PATCH", path, body: change, contentType }, options);
}

async function write<T>(transport: Transport, request: ApiRequest, options: WriteOptions): Promise<T> {
  const { dryRun, fieldManager, ...call } = options;
  return await transport.json<T>({ ...call, ...request, query: { dryRun, fieldManager } });
}

export interface RemoveOptions extends CallOptions {
  /** Only the object with this uid: one recreated under the same name is not deleted (409). */
  readonly uid?: string;
  /** Seconds. 0: removed from the API at once, whatever the node does. Default: the object's own grace period. */
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
}

/**
 * Deletes an object. 404 (does not exist) and 409 (another uid has the name) resolve with that status; other
 * failures reject with ApiError or ApiUnreachableError.
 */
export async function remove(
  transport: Transport,
  path: string,
  options: RemoveOptions = {},
): Promise<{ status: number }> {
  const { uid, gracePeriodSeconds, propagationPolicy, ...call } = options;
  const request: ApiRequest = {
    ...call,
    method: "DELETE",
    path,
    // Without kind and apiVersion the server ignores the options: a pod then gets its 30 s of grace.
    body: {
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds,
      propagationPolicy,
      preconditions: uid === undefined ? undefined : { uid },
    },
  };
  const response = await transport.request(request);
  if (response.status < 300 || response.status === 404 || response.status === 409) {
    return { status: response.status };
  }
  throw new ApiError(request, response);
}
