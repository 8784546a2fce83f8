/** The open watches of the fake API server. */
import type { ServerResponse } from "node:http";
import type { LoggedRequest } from "./fake-api-server.js";
import type { FakeStore, Location, StoreEvent } from "./fake-store.js";
import { isIn, matches, pathOf } from "./fake-store.js";

interface OpenWatch {
  readonly at: Location;
  readonly labels: string | null;
  readonly fields: string | null;
  readonly response: ServerResponse;
  silent: boolean;
}

export class FakeWatches {
  readonly #store: FakeStore;
  readonly #open = new Set<OpenWatch>();

  constructor(store: FakeStore) {
    this.#store = store;
    store.onEvent((event) => {
      for (const watch of this.#open) send(watch, event);
    });
  }

  /** Opens a watch from a resourceVersion; without one (or with 0) it starts with an ADDED for each existing object. */
  open(at: Location, request: LoggedRequest, response: ServerResponse): void {
    const { query } = request;
    const from = Number(query.get("resourceVersion") ?? 0);
    if (from !== 0 && from < this.#store.oldest) {
      response.writeHead(410, { "Content-Type": "application/json" });
      response.end(JSON.stringify(gone()));
      return;
    }
    const watch: OpenWatch = {
      at,
      labels: query.get("labelSelector"),
      fields: query.get("fieldSelector"),
      response,
      silent: false,
    };
    response.writeHead(200, { "Content-Type": "application/json" });
    response.flushHeaders();
    for (const event of from === 0 ? this.#present(at) : this.#since(from)) send(watch, event);
    this.#open.add(watch);
    response.once("close", () => this.#open.delete(watch));
  }

  #since(version: number): StoreEvent[] {
    return this.#store.history.filter((event) => event.version > version);
  }

  #present(at: Location): StoreEvent[] {
    return this.#store.list(at).map((object) => {
      const place = { ...at, namespace: object.metadata.namespace, name: object.metadata.name };
      return { type: "ADDED", version: this.#store.version, at: place, object, previous: undefined };
    });
  }

  count(collection: string): number {
    return [...this.#open].filter(({ at }) => pathOf(at).startsWith(collection)).length;
  }

  end(): void {
    for (const { response } of this.#open) response.end();
  }

  reset(): void {
    for (const { response } of this.#open) response.socket?.resetAndDestroy();
  }

  silence(): void {
    for (const watch of this.#open) watch.silent = true;
  }

  bookmark(): void {
    const object = {
      kind: "Pod",
      apiVersion: "v1",
      metadata: { resourceVersion: String(this.#store.version) },
    };
    this.write(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
  }

  write(text: string | Buffer): void {
    for (const { response } of this.#open) response.write(text);
  }
}

/** The Status for a watch from a version that is too old. */
export function gone(): Readonly<Record<string, unknown>> {
  const message = "too old resource version";
  return { kind: "Status", apiVersion: "v1", status: "Failure", code: 410, reason: "Expired", message };
}

/** The event for this watch's selector: ADDED when an object starts to match, DELETED when it no longer matches. */
export function seenBy(
  watch: Pick<OpenWatch, "at" | "labels" | "fields">,
  event: StoreEvent,
): string | undefined {
  if (!isIn(watch.at, event.at)) return undefined;
  const matched = event.previous !== undefined && matches(event.previous, watch.labels, watch.fields);
  const match = event.type !== "DELETED" && matches(event.object, watch.labels, watch.fields);
  if (!match && !matched) return undefined;
  const type = match ? (matched ? "MODIFIED" : "ADDED") : "DELETED";
  return `${JSON.stringify({ type, object: event.object })}\n`;
}

function send(watch: OpenWatch, event: StoreEvent): void {
  const line = watch.silent ? undefined : seenBy(watch, event);
  // A watch that has ended gets no more events, even if the client has not read the end yet.
  if (line !== undefined && !watch.response.writableEnded) watch.response.write(line);
}
