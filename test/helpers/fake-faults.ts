/** Faults that tests inject into the fake API server. */
import type { ServerResponse } from "node:http";
import type { LoggedRequest } from "./fake-api-server.js";
import type { FakeStore } from "./fake-store.js";
import { locate } from "./fake-store.js";
import { gone, seenBy } from "./fake-watches.js";

interface FaultMatch {
  readonly method?: string;
  /** Text within the path. */
  readonly path?: string;
  /** true: only watches; false: only other requests. Default: both; for faults in a watch's body: watches. */
  readonly watch?: boolean;
  /** How many requests it affects. Default 1; Infinity: until it is disarmed. */
  readonly times?: number;
}

export type Fault = FaultMatch &
  (
    | {
        /** Answers with an HTTP status and a Kubernetes Status. */
        readonly kind: "status";
        readonly status: number;
        /** Retry-After header, seconds (fractions are allowed here). */
        readonly retryAfter?: number;
        /** details.retryAfterSeconds of the Status. */
        readonly retryAfterSeconds?: number;
        readonly reason?: string;
        readonly message?: string;
      }
    /** Resets the connection without an answer. */
    | { readonly kind: "reset" }
    /** Never answers. */
    | { readonly kind: "hang" }
    /** Sends the headers and half a body, then resets the connection. */
    | { readonly kind: "cut-body" }
    /** A watch that opens and ends at once. */
    | { readonly kind: "end-watch" }
    /** A watch that opens and then sends nothing. */
    | { readonly kind: "silent-watch" }
    /** A watch that ends in the middle of its first event's line; without an event it ends empty. */
    | { readonly kind: "truncate" }
    /** A watch whose first line is an ERROR event. */
    | { readonly kind: "error-event"; readonly code: number; readonly message?: string }
    /** A watch that sends the whole history, from any resourceVersion, and then ends. */
    | { readonly kind: "replay" }
  );

export interface ArmedFault {
  readonly fault: Fault;
  left: number;
}

const OF_WATCHES = new Set<Fault["kind"]>(["end-watch", "silent-watch", "truncate", "error-event", "replay"]);

/** The first armed fault that matches this request; its count goes down by one. */
export function findFault(armed: readonly ArmedFault[], request: LoggedRequest): Fault | undefined {
  const found = armed.find(({ fault, left }) => {
    if (left <= 0 || (fault.method !== undefined && fault.method !== request.method)) return false;
    if (!request.path.includes(fault.path ?? "")) return false;
    const watch = fault.watch ?? (OF_WATCHES.has(fault.kind) ? true : undefined);
    return watch === undefined || watch === request.watch;
  });
  if (found !== undefined) found.left--;
  return found?.fault;
}

/** Injects a fault. @returns false if the request is to be answered normally. */
export function playFault(
  fault: Fault,
  request: LoggedRequest,
  response: ServerResponse,
  store: FakeStore,
): boolean {
  const json = { "Content-Type": "application/json" };
  switch (fault.kind) {
    case "status":
      sendStatus(fault, response);
      return true;
    case "reset":
      response.socket?.resetAndDestroy();
      return true;
    case "hang":
      return true;
    case "cut-body":
      response.writeHead(200, { ...json, "Content-Length": "100" });
      response.write('{"half":', () => response.socket?.resetAndDestroy());
      return true;
    case "end-watch":
      response.writeHead(200, json).end();
      return true;
    case "silent-watch":
      response.writeHead(200, json).flushHeaders();
      return true;
    case "error-event": {
      const { code, message = "etcdserver: leader changed" } = fault;
      const object = code === 410 ? gone() : { kind: "Status", status: "Failure", code, message };
      response.writeHead(200, json).end(`${JSON.stringify({ type: "ERROR", object })}\n`);
      return true;
    }
    case "truncate": {
      const line = linesFor(request, store, Number(request.query.get("resourceVersion") ?? 0))[0] ?? "";
      response.writeHead(200, json).end(line.slice(0, line.length / 2));
      return true;
    }
    case "replay":
      response.writeHead(200, json).end(linesFor(request, store, 0).join(""));
      return true;
  }
}

/** The lines that this watch gets for all events after a version. */
function linesFor(request: LoggedRequest, store: FakeStore, version: number): string[] {
  const at = locate(request.path);
  if (at === undefined) return [];
  const watch = {
    at,
    labels: request.query.get("labelSelector"),
    fields: request.query.get("fieldSelector"),
  };
  const events = store.history.filter((event) => event.version > version);
  return events.map((event) => seenBy(watch, event)).filter((line) => line !== undefined);
}

function sendStatus(fault: Fault & { kind: "status" }, response: ServerResponse): void {
  const { status: code, retryAfter, retryAfterSeconds, reason = "", message = "told to fail" } = fault;
  const details = retryAfterSeconds === undefined ? undefined : { retryAfterSeconds };
  response.writeHead(code, {
    "Content-Type": "application/json",
    ...(retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) }),
  });
  const body = { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message, details };
  response.end(JSON.stringify(body));
}
