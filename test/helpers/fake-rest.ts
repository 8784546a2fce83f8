/** The fake API server's answers to list, get, create, replace, patch and delete. */
import type { KubeObject, ManagedFields } from "../../src/kube/objects.js";
import type { LoggedRequest } from "./fake-api-server.js";
import { managedAfter } from "./fake-managed-fields.js";
import { kindOf, matches, mergePatch, now } from "./fake-store.js";
import type { Draft, FakeStore, Location } from "./fake-store.js";

/** A canned answer. `status` default 200. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string is sent as it is, anything else as JSON. */
  readonly body?: unknown;
}

export class FakeRest {
  readonly #store: FakeStore;

  constructor(store: FakeStore) {
    this.#store = store;
  }

  answer(at: Location, request: LoggedRequest): Answer {
    switch (request.method) {
      case "GET":
        return at.name === undefined ? this.#list(at, request) : this.#get(at);
      case "POST":
        return this.#create(at, request);
      case "PUT":
      case "PATCH":
        return this.#change(at, request);
      case "DELETE":
        return at.name === undefined ? this.#deleteAll(at, request) : this.#delete(at, request.body);
      default:
        return status(405, "MethodNotAllowed", request.method);
    }
  }

  #get(at: Location): Answer {
    const object = this.#store.get(at);
    if (object === undefined) return notFound(at);
    return { body: at.subresource === "scale" ? scaleOf(object) : object };
  }

  /** With `limit`, in pages; `continue` is the index of the next item. */
  #list(at: Location, request: LoggedRequest): Answer {
    const { query } = request;
    const all = this.#store
      .list(at)
      .filter((object) => matches(object, query.get("labelSelector"), query.get("fieldSelector")));
    const from = Number(query.get("continue") ?? 0);
    const limit = Number(query.get("limit") ?? 0) || Infinity;
    // As in the real API server, items of a list have neither kind nor apiVersion.
    const items = all
      .slice(from, from + limit)
      .map((object) => ({ ...object, kind: undefined, apiVersion: undefined }));
    const more = from + limit < all.length ? { continue: String(from + limit) } : {};
    const metadata = { resourceVersion: String(this.#store.version), ...more };
    return { body: { kind: `${kindOf(at.resource)}List`, apiVersion: at.apiVersion, metadata, items } };
  }

  #create(collection: Location, request: LoggedRequest): Answer {
    const draft = request.body as Draft;
    const prefix = draft.metadata?.generateName;
    const generated =
      typeof prefix === "string" ? `${prefix}${this.#store.version.toString(36)}x` : undefined;
    const name = (draft.metadata?.name as string | undefined) ?? generated;
    if (name === undefined) return status(422, "Invalid", "metadata.name: Required value");
    if (draft.metadata?.resourceVersion)
      return status(400, "BadRequest", "resourceVersion should not be set");
    const at = { ...collection, name };
    if (this.#store.get(at) !== undefined) {
      return status(409, "AlreadyExists", `${at.resource} "${name}" already exists`);
    }
    if (request.query.get("dryRun") === "All") return { status: 201, body: draft };
    return { status: 201, body: this.#store.put(at, managed(draft, request, at)) };
  }

  #change(at: Location, request: LoggedRequest): Answer {
    const old = this.#store.get(at);
    const draft = request.body as Draft;
    if (old === undefined) {
      // Only an apply creates an object that does not exist.
      const applies = request.headers["content-type"] === "application/apply-patch+yaml";
      return applies ? { status: 201, body: this.#store.put(at, managed(draft, request, at)) } : notFound(at);
    }
    const wanted = draft.metadata?.resourceVersion;
    if (wanted !== undefined && wanted !== old.metadata.resourceVersion) {
      return status(409, "Conflict", "the object has been modified");
    }
    const changed = at.subresource === "scale" ? scaled(old, draft) : changedBy(old, draft, request.method);
    if (request.query.get("dryRun") === "All") return { body: changed };
    const { uid, creationTimestamp } = old.metadata;
    const metadata = { ...changed.metadata, uid, creationTimestamp };
    const stored = this.#store.put(at, managed({ ...changed, metadata }, request, at, old));
    return { body: at.subresource === "scale" ? scaleOf(stored) : stored };
  }

  #deleteAll(collection: Location, request: LoggedRequest): Answer {
    const { query, body } = request;
    for (const object of this.#store.list(collection)) {
      if (!matches(object, query.get("labelSelector"), query.get("fieldSelector"))) continue;
      this.#delete({ ...collection, namespace: object.metadata.namespace, name: object.metadata.name }, body);
    }
    return { body: { kind: "Status", apiVersion: "v1", status: "Success" } };
  }

  #delete(at: Location, body: unknown): Answer {
    const object = this.#store.get(at);
    if (object === undefined) return notFound(at);
    const given = (body ?? {}) as DeleteOptions;
    // As in the real API server, options without kind and apiVersion are ignored.
    const options = given.kind === "DeleteOptions" && given.apiVersion === "v1" ? given : {};
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== object.metadata.uid) {
      return status(409, "Conflict", `Precondition failed: UID in precondition: ${uid}`);
    }
    if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion) {
      return status(409, "Conflict", "Precondition failed: ResourceVersion in precondition");
    }
    const grace = at.resource === "pods" ? podGrace(object, options) : 0;
    if (grace > 0 || options.propagationPolicy === "Foreground") {
      if (object.metadata.deletionTimestamp !== undefined) return { body: object };
      const deletion = { deletionTimestamp: now(), deletionGracePeriodSeconds: grace };
      const dying = { ...object, metadata: { ...object.metadata, ...deletion } };
      return { body: this.#store.put(at, { ...dying }) };
    }
    const gone = this.#store.remove(at);
    const success = {
      kind: "Status",
      apiVersion: "v1",
      status: "Success",
      details: { uid: object.metadata.uid },
    };
    return { body: at.resource === "pods" ? gone : success };
  }
}

interface DeleteOptions {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: string;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

/** Grace period, seconds. A pod that is not on a node yet is deleted at once. */
function podGrace(pod: KubeObject, options: DeleteOptions): number {
  const spec = (pod.spec ?? {}) as { nodeName?: string; terminationGracePeriodSeconds?: number };
  if (spec.nodeName === undefined) return 0;
  return options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
}

/** Records the writer in managedFields, as the real API server does: fieldManager, or the start of the user agent. */
function managed(draft: Draft, request: LoggedRequest, at: Location, old?: KubeObject): Draft {
  const { apiVersion, subresource } = at;
  const agent = request.headers["user-agent"]?.split("/")[0] ?? "unknown";
  const manager = request.query.get("fieldManager") ?? agent;
  const sent = (request.body as Draft).metadata?.["managedFields"] as ManagedFields[] | undefined;
  const writer = { manager, apiVersion, subresource, time: now() };
  const managedFields = managedAfter(old as Draft | undefined, draft, sent, writer);
  return { ...draft, metadata: { ...draft.metadata, managedFields } };
}

function scaleOf(object: KubeObject): unknown {
  const { replicas } = (object.spec ?? {}) as { replicas?: number };
  return { kind: "Scale", apiVersion: "autoscaling/v1", metadata: object.metadata, spec: { replicas } };
}

/** PUT replaces, PATCH merges (RFC 7396 is close enough to a strategic merge here). */
function changedBy(old: KubeObject, draft: Draft, method: string): Draft {
  return method === "PUT" ? draft : (mergePatch(old, draft) as Draft);
}

function scaled(old: KubeObject, scale: Draft): Draft {
  const { replicas } = scale.spec as { replicas: number };
  return { ...old, metadata: { ...old.metadata }, spec: { ...(old.spec as object), replicas } };
}

/** A Kubernetes Status with a failure. */
export function status(code: number, reason: string, message: string): Answer {
  return {
    status: code,
    body: { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message },
  };
}

function notFound(at: Location): Answer {
  return status(404, "NotFound", `${at.resource} "${at.name}" not found`);
}
