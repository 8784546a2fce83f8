/** The body of a watch: one event as a JSON object per line. */
import type { KubeObject } from "./objects.js";

/** Cuts chunks into lines. Keeps the text after the last newline until the rest arrives. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that this chunk completes. */
  push(chunk: Buffer): string[] {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const lines: string[] = [];
    let start = 0;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
      lines.push(data.toString("utf8", start, end));
      start = end + 1;
    }
    this.#rest = data.subarray(start);
    return lines;
  }

  /** Bytes of an incomplete line. */
  get pending(): number {
    return this.#rest.length;
  }
}

export type WatchLine<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string }
  | { readonly type: "ERROR"; readonly code: number; readonly message: string }
  /** Not an event. `why` does not quote the line. */
  | { readonly type: "INVALID"; readonly why: string };

interface RawEvent<T> {
  readonly type?: string;
  readonly object?: T & { readonly code?: number; readonly message?: string };
}

/** Reads one line of a watch. */
export function parseWatchLine<T extends KubeObject>(line: string): WatchLine<T> {
  let event: RawEvent<T>;
  try {
    event = JSON.parse(line) as RawEvent<T>;
  } catch {
    // The parser's message quotes the line, which may contain a secret: report only its length.
    return { type: "INVALID", why: `a line of ${line.length} characters that is not JSON` };
  }
  const { type, object } = event;
  if (type === "ERROR") return { type, code: object?.code ?? 0, message: object?.message ?? "" };
  const resourceVersion = object?.metadata?.resourceVersion;
  if (object === undefined || typeof resourceVersion !== "string") {
    return { type: "INVALID", why: "an event without a resourceVersion" };
  }
  if (type === "BOOKMARK") return { type, resourceVersion };
  if (type === "ADDED" || type === "MODIFIED" || type === "DELETED") return { type, object };
  return { type: "INVALID", why: `an event of the unknown type ${String(type).slice(0, 40)}` };
}
