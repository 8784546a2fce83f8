/** The store of the fake API server: objects by path, resource versions, and the history for watches. */
import { randomUUID } from "node:crypto";
import type { KubeObject } from "../../src/kube/objects.js";

/** An object before it is stored: the store sets uid, resourceVersion and creationTimestamp. */
export type Draft = Readonly<Record<string, unknown>> & {
  readonly metadata?: Readonly<Record<string, unknown>>;
};

/** The parts of a path: `/api/v1/namespaces/NS/pods/NAME/SUB`, `/apis/GROUP/VERSION/…`. */
export interface Location {
  /** `/api/v1` or `/apis/GROUP/VERSION`. */
  readonly root: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

const PATH =
  /^(?<root>\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/(?<ns>[^/]+)(?=\/[^/]+))?\/(?<res>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<sub>.+))?$/;
/** Subresources of a namespace: what follows its name and is not a resource in it. */
const OF_NAMESPACE = new Set(["finalize", "status"]);

/** @returns undefined if the path is not that of a resource. */
export function locate(path: string): Location | undefined {
  const groups = PATH.exec(path)?.groups;
  if (groups === undefined) return undefined;
  const { root = "", ns, res = "", name, sub } = groups;
  const apiVersion = root === "/api/v1" ? "v1" : root.replace("/apis/", "");
  const decode = (text: string | undefined): string | undefined => text && decodeURIComponent(text);
  if (ns !== undefined && OF_NAMESPACE.has(res)) {
    return {
      root,
      apiVersion,
      resource: "namespaces",
      namespace: undefined,
      name: decode(ns),
      subresource: res,
    };
  }
  return { root, apiVersion, resource: res, namespace: decode(ns), name: decode(name), subresource: sub };
}

export interface StoreEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  readonly at: Location;
  readonly object: KubeObject;
  /** The object before the change: shows whether a selector matched it then. */
  readonly previous: KubeObject | undefined;
}

/** `pods` → `Pod`; for other resources the kind is derived from the name. */
const KINDS: Readonly<Record<string, string>> = {
  pods: "Pod",
  services: "Service",
  configmaps: "ConfigMap",
  namespaces: "Namespace",
  nodes: "Node",
  secrets: "Secret",
  events: "Event",
  serviceaccounts: "ServiceAccount",
  deployments: "Deployment",
  replicasets: "ReplicaSet",
  daemonsets: "DaemonSet",
  leases: "Lease",
  endpointslices: "EndpointSlice",
  horizontalpodautoscalers: "HorizontalPodAutoscaler",
  clusterroles: "ClusterRole",
  clusterrolebindings: "ClusterRoleBinding",
  roles: "Role",
  rolebindings: "RoleBinding",
};

export function kindOf(resource: string): string {
  return KINDS[resource] ?? resource.replace(/s$/, "").replace(/^./, (letter) => letter.toUpperCase());
}

export class FakeStore {
  /** The version of the last change. */
  version = 100;
  /** Watches from an older version get 410. */
  oldest = 0;
  readonly history: StoreEvent[] = [];
  readonly #objects = new Map<string, { at: Location; object: KubeObject }>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();

  onEvent(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(at: Location): KubeObject | undefined {
    return this.#objects.get(pathOf(at))?.object;
  }

  /** Objects of a collection, sorted by name; without a namespace, those of all namespaces. */
  list(at: Location): KubeObject[] {
    return [...this.#objects.entries()]
      .filter(([, entry]) => isIn(at, entry.at))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, entry]) => entry.object);
  }

  /** Creates or replaces. uid and creationTimestamp stay; the resourceVersion is new. */
  put(at: Location, draft: Draft): KubeObject {
    const previous = this.get(at);
    this.version++;
    const object = {
      apiVersion: at.apiVersion,
      kind: kindOf(at.resource),
      ...draft,
      metadata: {
        uid: previous?.metadata.uid ?? randomUUID(),
        creationTimestamp: previous?.metadata.creationTimestamp ?? now(),
        ...draft.metadata,
        ...(at.namespace === undefined ? {} : { namespace: at.namespace }),
        name: at.name ?? "",
        resourceVersion: String(this.version),
      },
    } as KubeObject;
    this.#objects.set(pathOf(at), { at, object });
    this.#emit({
      type: previous === undefined ? "ADDED" : "MODIFIED",
      version: this.version,
      at,
      object,
      previous,
    });
    return object;
  }

  /** Removes an object at once, without its grace period; undefined if it does not exist. */
  remove(at: Location): KubeObject | undefined {
    const previous = this.get(at);
    if (previous === undefined) return undefined;
    this.#objects.delete(pathOf(at));
    this.version++;
    const object = {
      ...previous,
      metadata: { ...previous.metadata, resourceVersion: String(this.version) },
    };
    this.#emit({ type: "DELETED", version: this.version, at, object, previous });
    return object;
  }

  #emit(event: StoreEvent): void {
    this.history.push(event);
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** RFC 3339 in whole seconds, as the API writes times. */
export function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}

export function pathOf(at: Location): string {
  const namespace = at.namespace === undefined ? "" : `/namespaces/${at.namespace}`;
  return `${at.root}${namespace}/${at.resource}/${at.name ?? ""}`;
}

/** Whether an object is in this collection. */
export function isIn(collection: Location, at: Location): boolean {
  if (collection.root !== at.root || collection.resource !== at.resource) return false;
  return collection.namespace === undefined || collection.namespace === at.namespace;
}

/** Whether an object matches: equality, sets and existence for labels; equality for fields. */
export function matches(
  object: KubeObject,
  labelSelector: string | null,
  fieldSelector: string | null,
): boolean {
  const labels = object.metadata.labels ?? {};
  return (
    // A comma inside `in (a,b)` is not a separator.
    split(labelSelector).every((term) => labelMatches(labels, term)) &&
    split(fieldSelector).every((term) => fieldMatches(object, term))
  );
}

function split(selector: string | null): string[] {
  return selector ? selector.split(/,(?![^(]*\))/).map((term) => term.trim()) : [];
}

function labelMatches(labels: Readonly<Record<string, string>>, term: string): boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term);
  if (set !== null) {
    const values = (set[3] ?? "").split(",").map((value) => value.trim());
    return values.includes(labels[set[1] ?? ""] ?? "\0") === (set[2] === "in");
  }
  const equal = /^([^!=]+)(!=|==?)(.*)$/.exec(term);
  if (equal !== null) return (labels[equal[1] ?? ""] === equal[3]) === (equal[2] !== "!=");
  return term.startsWith("!") ? !(term.slice(1) in labels) : term in labels;
}

function fieldMatches(object: KubeObject, term: string): boolean {
  const [, path = "", operator, value] = /^([^!=]+)(!=|==?)(.*)$/.exec(term) ?? [];
  const found = path
    .split(".")
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object);
  const text = typeof found === "string" || typeof found === "number" ? String(found) : "";
  return (text === value) === (operator !== "!=");
}

/** RFC 7396. */
export function mergePatch(target: unknown, change: unknown): unknown {
  if (typeof change !== "object" || change === null || Array.isArray(change)) return change;
  const base = typeof target === "object" && target !== null && !Array.isArray(target) ? target : {};
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
