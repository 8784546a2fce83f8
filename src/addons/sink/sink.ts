/**
 * The sink: where the log agent, the event exporter and the metrics agent of the study add-ons send what they
 * forward, so that it can be asked what has arrived, and when.
 *
 * One file, no packages, Node 18 or newer; a ConfigMap delivers it. Everything is kept in memory, the newest
 * entries of each kind; an older one gives way. It writes no log of what it gets: the log agent would forward that,
 * too.
 *
 *   POST /logs, /events, /metrics   lines of JSON, one object each; all are taken, or (400, with the line) none
 *   GET  /logs?contains=TEXT        {"now", "entries": [{"receivedAt", "seq", …}]}: the newest 200, newest last
 *   GET  /events?contains=TEXT      the same
 *   GET  /metrics/latest            {"now", "count", "entry": {…} | null, "byNode": {NODE: {"receivedAt", "time"}}};
 *                                   count: all that ever arrived
 *   GET  /healthz                   200 as long as the process answers
 *
 * Times that the sink adds are milliseconds since 1970 of its own clock. `seq` counts all entries of all kinds, in
 * the order of their arrival, from 1.
 *
 * Environment: PORT (8080).
 */
import fs from "node:fs";
import http from "node:http";

/** Entries kept of each kind. */
const CAPACITY = 20_000;
/** Characters kept of each kind: as few lines of a megabyte must not fill the memory. */
const CAPACITY_CHARACTERS = 32 * 1024 * 1024;
/** Entries of one answer. */
const ANSWER_LIMIT = 200;
/** Longest body of a POST, bytes. */
const BODY_LIMIT = 8 * 1024 * 1024;
/** Nodes of which the newest metric is remembered. */
const NODE_LIMIT = 5_000;

/** @typedef {Readonly<Record<string, unknown>>} Entry */
/** @typedef {{ receivedAt: number, seq: number, line: string }} Kept */

/** A refusal, with its HTTP status. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The newest entries of a kind, as the lines that they came in. */
export class Ring {
  /** @type {(Kept | undefined)[]} */
  #kept = [];
  /** Of the oldest that is kept, in #kept. */
  #first = 0;
  #characters = 0;
  #limits;

  /** @param {{ entries: number, characters: number }} limits */
  constructor(limits = { entries: CAPACITY, characters: CAPACITY_CHARACTERS }) {
    this.#limits = limits;
  }

  get size() {
    return this.#kept.length - this.#first;
  }

  /** @param {Kept} entry */
  add(entry) {
    this.#kept.push(entry);
    this.#characters += entry.line.length;
    const { entries, characters } = this.#limits;
    while (this.size > entries || (this.size > 1 && this.#characters > characters)) {
      this.#characters -= this.#kept[this.#first]?.line.length ?? 0;
      this.#kept[this.#first] = undefined;
      this.#first += 1;
    }
    // What has given way is cut off now and then, not each time: that would copy the whole array.
    if (this.#first > entries) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
  }

  /**
   * The newest entries that contain a text, newest last.
   *
   * @param {string} text "" matches all
   * @param {number} limit
   */
  newest(text, limit) {
    // As it stands in JSON, where a quotation mark has a backslash before it.
    const quoted = JSON.stringify(text).slice(1, -1);
    /** @type {Kept[]} */
    const found = [];
    for (let at = this.#kept.length - 1; at >= this.#first && found.length < limit; at -= 1) {
      const entry = this.#kept[at];
      if (entry !== undefined && (entry.line.includes(text) || entry.line.includes(quoted)))
        found.push(entry);
    }
    return found.reverse();
  }
}

/**
 * The lines of a body, each proven to be one JSON object. Empty lines are passed over.
 *
 * @param {string} body
 * @returns {{ line: string, entry: Entry }[]}
 */
export function parseLines(body) {
  return body.split("\n").flatMap((raw, index) => {
    const line = raw.trim();
    return line === "" ? [] : [{ line, entry: parseLine(line, index + 1) }];
  });
}

/**
 * @param {string} line
 * @param {number} number from 1, for the message
 * @returns {Entry}
 */
function parseLine(line, number) {
  /** @type {unknown} */
  let entry;
  try {
    entry = JSON.parse(line);
  } catch {
    throw new Refused(400, `line ${number} is not JSON; nothing of the body was taken`);
  }
  if (typeof entry !== "object" || entry === null || Array.isArray(entry))
    throw new Refused(400, `line ${number} is not a JSON object; nothing of the body was taken`);
  return /** @type {Entry} */ (entry);
}

/** @param {Kept} kept */
function shown({ receivedAt, seq, line }) {
  return { ...JSON.parse(line), receivedAt, seq };
}

/** What has arrived. */
export class Sink {
  #rings;
  #now;
  #seq = 0;
  #metrics = 0;
  /** @type {Map<string, { receivedAt: number, time: unknown }>} */
  #byNode = new Map();

  /** @param {{ limits?: { entries: number, characters: number }, now?: () => number }} [options] */
  constructor({ limits, now = Date.now } = {}) {
    this.#now = now;
    this.#rings = { logs: new Ring(limits), events: new Ring(limits), metrics: new Ring(limits) };
  }

  /**
   * @param {"logs" | "events" | "metrics"} kind
   * @param {string} body
   * @returns {number} how many entries were taken
   */
  take(kind, body) {
    const lines = parseLines(body);
    const receivedAt = this.#now();
    for (const { line, entry } of lines) {
      this.#seq += 1;
      this.#rings[kind].add({ receivedAt, seq: this.#seq, line });
      if (kind === "metrics") this.#noteMetric(entry, receivedAt);
    }
    return lines.length;
  }

  /**
   * @param {Entry} entry
   * @param {number} receivedAt
   */
  #noteMetric(entry, receivedAt) {
    this.#metrics += 1;
    const { node, time = null } = entry;
    if (typeof node !== "string") return;
    if (!this.#byNode.has(node) && this.#byNode.size >= NODE_LIMIT) return;
    this.#byNode.set(node, { receivedAt, time });
  }

  /**
   * @param {"logs" | "events"} kind
   * @param {string} text
   */
  entries(kind, text) {
    return { now: this.#now(), entries: this.#rings[kind].newest(text, ANSWER_LIMIT).map(shown) };
  }

  latestMetric() {
    const [entry] = this.#rings.metrics.newest("", 1).map(shown);
    const byNode = Object.fromEntries(this.#byNode);
    return { now: this.#now(), count: this.#metrics, entry: entry ?? null, byNode };
  }
}

/**
 * The sink behind HTTP, not yet listening.
 *
 * @param {Sink} sink
 */
export function createSinkServer(sink) {
  return http.createServer((request, response) => {
    answer(sink, request).then(
      (body) => send(response, 200, body),
      (error) => {
        const status = error instanceof Refused ? error.status : 500;
        send(response, status, { error: String(error?.message ?? error) });
      },
    );
  });
}

/**
 * @param {Sink} sink
 * @param {http.IncomingMessage} request
 * @returns {Promise<unknown>}
 */
async function answer(sink, request) {
  const url = new URL(request.url ?? "/", "http://sink");
  const name = url.pathname.slice(1);
  if (request.method === "POST") {
    if (name !== "logs" && name !== "events" && name !== "metrics") throw unknown(request);
    return { taken: sink.take(name, await readBody(request)) };
  }
  request.resume();
  if (request.method !== "GET") throw new Refused(405, "GET or POST");
  if (name === "logs" || name === "events") return sink.entries(name, url.searchParams.get("contains") ?? "");
  if (name === "metrics/latest") return sink.latestMetric();
  if (name === "healthz") return { ok: true };
  throw unknown(request);
}

/** @param {http.IncomingMessage} request */
function unknown(request) {
  request.resume();
  return new Refused(404, `nothing here under ${request.url}`);
}

/**
 * @param {http.IncomingMessage} request
 * @returns {Promise<string>}
 */
async function readBody(request) {
  /** @type {Buffer[]} */
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    // Read to its end all the same: who sends wants to hear the answer.
    if (size <= BODY_LIMIT) chunks.push(chunk);
  }
  if (size > BODY_LIMIT)
    throw new Refused(413, `the body has ${size} bytes; at most ${BODY_LIMIT} are taken`);
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * @param {http.ServerResponse} response
 * @param {number} status
 * @param {unknown} body
 */
function send(response, status, body) {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(`${JSON.stringify(body)}\n`);
}

/** Whether this file is the program that Node was told to run; a ConfigMap's files are symbolic links. */
function isProgram() {
  const program = process.argv[1];
  if (program === undefined || !import.meta.url.endsWith("/sink.mjs")) return false;
  try {
    return fs.realpathSync(program) === fs.realpathSync(new URL(import.meta.url));
  } catch {
    return false;
  }
}

function main() {
  const server = createSinkServer(new Sink());
  // Without its port a sink is of no use; the kubelet starts it again.
  server.on("error", (error) => {
    console.error(`cannot listen: ${error}`);
    process.exit(1);
  });
  // As process 1 it would not hear it otherwise.
  process.on("SIGTERM", () => process.exit(0));
  server.listen(Number(process.env.PORT ?? 8080), () => {
    const address = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`sink listens on port ${address.port}`);
  });
}

if (isProgram()) main();
