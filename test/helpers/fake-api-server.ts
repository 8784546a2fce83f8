/**
 * An in-process API server for tests: an in-memory store with list, watch, create, replace, patch and delete (uid
 * preconditions, grace periods, DeleteOptions as strict as the real one), a log of requests, and injected faults. It
 * has no controllers: a test does their work in `onDelete` or `handle`.
 */
import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { KubeObject } from "../../src/kube/objects.js";
import { findFault, playFault } from "./fake-faults.js";
import type { ArmedFault, Fault } from "./fake-faults.js";
import { FakeRest, status } from "./fake-rest.js";
import type { Answer } from "./fake-rest.js";
import { FakeStore, locate, mergePatch } from "./fake-store.js";
import type { Draft, Location } from "./fake-store.js";
import { FakeWatches } from "./fake-watches.js";

export type { Fault } from "./fake-faults.js";
export { status } from "./fake-rest.js";
export type { Answer } from "./fake-rest.js";
export type { Draft } from "./fake-store.js";

export interface LoggedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly watch: boolean;
  readonly headers: IncomingHttpHeaders;
  /** Parsed if it is JSON, else the text; undefined without a body. */
  readonly body: unknown;
  /** The connection it came on: 1, 2, … */
  readonly connection: number;
  /** Set when the request is answered. */
  status: number | undefined;
}

export type Handler = (request: LoggedRequest) => Answer | undefined | Promise<Answer | undefined>;

export interface FakeOptions {
  /** Default v1.36.3. */
  readonly version?: string;
}

/** What Kubernetes 1.36 serves by default (DefaultAPIResourceConfigSource, pkg/controlplane/instance.go). */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  "admissionregistration.k8s.io": ["v1"],
  "apiextensions.k8s.io": ["v1"],
  "apiregistration.k8s.io": ["v1"],
  apps: ["v1"],
  "authentication.k8s.io": ["v1"],
  "authorization.k8s.io": ["v1"],
  autoscaling: ["v2", "v1"],
  batch: ["v1"],
  "certificates.k8s.io": ["v1"],
  "coordination.k8s.io": ["v1"],
  "discovery.k8s.io": ["v1"],
  "events.k8s.io": ["v1"],
  "flowcontrol.apiserver.k8s.io": ["v1"],
  "networking.k8s.io": ["v1"],
  "node.k8s.io": ["v1"],
  policy: ["v1"],
  "rbac.authorization.k8s.io": ["v1"],
  "resource.k8s.io": ["v1"],
  "scheduling.k8s.io": ["v1"],
  "storage.k8s.io": ["v1"],
};

export class FakeApiServer {
  /** In order of arrival. */
  readonly requests: LoggedRequest[] = [];
  readonly store = new FakeStore();
  /** The served groups and their versions, the preferred one first. A request to any other gets 404. */
  readonly groups = new Map<string, readonly string[]>(Object.entries(GROUPS));
  /** Connections accepted so far. */
  connections = 0;
  /** Called after an object is removed from the store, before the DELETE is answered: the place for controllers. */
  onDelete: ((object: KubeObject, server: FakeApiServer) => void) | undefined;
  readonly #options: FakeOptions;
  readonly #server: Server;
  readonly #watches: FakeWatches;
  readonly #rest: FakeRest;
  readonly #faults: ArmedFault[] = [];
  readonly #handlers: { method: string; path: RegExp; handler: Handler }[] = [];
  readonly #connectionOf = new WeakMap<Socket, number>();

  private constructor(options: FakeOptions) {
    this.#options = options;
    this.#watches = new FakeWatches(this.store);
    this.#rest = new FakeRest(this.store);
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("connection", (socket) => this.#connectionOf.set(socket, ++this.connections));
    this.#server.keepAliveTimeout = 60_000;
    this.store.onEvent((event) => {
      if (event.type === "DELETED") this.onDelete?.(event.object, this);
    });
  }

  /** Listens on a free port of the loopback. */
  static async start(options: FakeOptions = {}): Promise<FakeApiServer> {
    const fake = new FakeApiServer(options);
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Stores an object in a collection (`/api/v1/namespaces/NS/pods`) and tells the watches. */
  put(collection: string, draft: Draft): KubeObject {
    const name = draft.metadata?.name;
    if (typeof name !== "string") throw new Error("metadata.name is missing");
    return this.store.put(place(`${collection}/${name}`), draft);
  }

  /** Merges a change into a stored object, as a controller or a kubelet would. */
  update(path: string, change: Draft): KubeObject {
    const at = place(path);
    return this.store.put(at, mergePatch(this.store.get(at), change) as Draft);
  }

  /** Removes an object at once, as a kubelet does at the end of a grace period; `onDelete` is called. */
  remove(path: string): KubeObject | undefined {
    return this.store.remove(place(path));
  }

  /** The objects of a collection; without a namespace (`/api/v1/pods`), those of all namespaces. */
  objects(collection: string): KubeObject[] {
    return this.store.list(place(collection));
  }

  /** One stored object. */
  object(path: string): KubeObject | undefined {
    return this.store.get(place(path));
  }

  /** Requests of a method whose path contains the text. */
  requestsOf(method: string, path = ""): LoggedRequest[] {
    return this.requests.filter((request) => request.method === method && request.path.includes(path));
  }

  /** Ends the grace period of every object that is being deleted, as kubelets and the garbage collector do. */
  finishDeletions(collection: string): void {
    for (const object of this.objects(collection)) {
      if (object.metadata.deletionTimestamp === undefined) continue;
      const { namespace, name } = object.metadata;
      this.store.remove({ ...place(collection), namespace, name });
    }
  }

  /** Arms a fault for the next matching requests (default: one). @returns a function that disarms it. */
  fault(fault: Fault): () => void {
    const armed: ArmedFault = { fault, left: fault.times ?? 1 };
    this.#faults.push(armed);
    return () => void (armed.left = 0);
  }

  /** Adds a handler, such as a pod proxy or an access review. The newest is asked first; undefined passes the request on. */
  handle(method: string, path: RegExp, handler: Handler): void {
    this.#handlers.unshift({ method, path, handler });
  }

  /** Open watches of a collection (default: of all). */
  watchCount(collection = ""): number {
    return this.#watches.count(collection);
  }
  /** Ends every open watch, as its timeout does. */
  endWatches(): void {
    this.#watches.end();
  }
  /** Resets the connection of every open watch. */
  resetWatches(): void {
    this.#watches.reset();
  }
  /** Open watches stay open and get no more events. */
  silenceWatches(): void {
    this.#watches.silence();
  }
  /** Sends a bookmark with the current version to every open watch. */
  bookmark(): void {
    this.#watches.bookmark();
  }
  /** Writes raw text to every open watch. */
  writeToWatches(text: string | Buffer): void {
    this.#watches.write(text);
  }
  /** Drops the history: a watch from an older version gets 410. */
  compact(): void {
    this.store.oldest = this.store.version;
  }
  /** Closes idle keep-alive connections. */
  closeIdleConnections(): void {
    this.#server.closeIdleConnections();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? "/", "http://fake");
    const request: LoggedRequest = {
      method: incoming.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      watch: ["true", "1"].includes(url.searchParams.get("watch") ?? ""),
      headers: incoming.headers,
      body: await readJson(incoming),
      connection: this.#connectionOf.get(incoming.socket) ?? 0,
      status: undefined,
    };
    this.requests.push(request);
    response.once("finish", () => (request.status = response.statusCode));
    const fault = findFault(this.#faults, request);
    if (fault !== undefined && playFault(fault, request, response, this.store)) return;
    try {
      await this.#answer(request, response);
    } catch (error) {
      send(response, status(500, "InternalError", String(error)));
    }
  }

  async #answer(request: LoggedRequest, response: ServerResponse): Promise<void> {
    for (const { method, path, handler } of this.#handlers) {
      if (method !== request.method || !path.test(request.path)) continue;
      const answer = await handler(request);
      if (answer !== undefined) return send(response, answer);
    }
    const fixed = this.#fixed(request);
    if (fixed !== undefined) return send(response, fixed);
    const [, group = "", version = ""] = /^\/apis\/([^/]+)\/([^/]+)/.exec(request.path) ?? [];
    const isServed = group === "" || this.groups.get(group)?.includes(version) === true;
    const at = isServed ? locate(request.path) : undefined;
    if (at === undefined) return send(response, status(404, "NotFound", `no such path: ${request.path}`));
    if (request.method === "GET" && request.watch) return this.#watches.open(at, request, response);
    send(response, this.#rest.answer(at, request));
  }

  #fixed(request: LoggedRequest): Answer | undefined {
    if (request.method === "POST" && request.path.endsWith("/selfsubjectaccessreviews")) {
      return { status: 201, body: { ...(request.body as object), status: { allowed: true } } };
    }
    if (request.path === "/version") return { body: { gitVersion: this.#options.version ?? "v1.36.3" } };
    const [, name = ""] = /^\/apis\/([^/]+)$/.exec(request.path) ?? [];
    const versions = this.groups
      .get(name)
      ?.map((version) => ({ version, groupVersion: `${name}/${version}` }));
    if (versions === undefined) return undefined;
    return {
      body: { kind: "APIGroup", apiVersion: "v1", name, versions, preferredVersion: versions[0] },
    };
  }
}

function place(path: string): Location {
  const at = locate(path);
  if (at === undefined) throw new Error(`not the path of a resource: ${path}`);
  return at;
}

function send(response: ServerResponse, answer: Answer): void {
  const text = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {});
  response.writeHead(answer.status ?? 200, { "Content-Type": "application/json", ...answer.headers });
  response.end(text);
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // Some bodies are not JSON, such as an applied YAML or a proxied form: keep the text.
    return text;
  }
}
