/** The sink's store: the newest entries of each kind, in memory. The oldest are dropped. */
import { logEntries, nodePoints } from "./otlp.js";
import { Refused } from "./refused.js";

/** Entries kept of each kind. */
const CAPACITY = 20_000;
/** Characters kept of each kind: a few lines of a megabyte each must not fill the memory. */
const CAPACITY_CHARACTERS = 32 * 1024 * 1024;
/** Most entries in one answer. */
const ANSWER_LIMIT = 200;
/** Most nodes whose newest point is kept. */
const NODE_LIMIT = 5_000;

type Entry = Readonly<Record<string, unknown>>;

interface Kept {
  readonly receivedAt: number;
  readonly seq: number;
  readonly line: string;
}

interface Limits {
  readonly entries: number;
  readonly characters: number;
}

/** The newest entries of one kind, as the lines in which they arrived. */
export class Ring {
  #kept: (Kept | undefined)[] = [];
  /** Index in #kept of the oldest entry. */
  #first = 0;
  #characters = 0;
  readonly #limits: Limits;

  constructor(limits: Limits = { entries: CAPACITY, characters: CAPACITY_CHARACTERS }) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.length - this.#first;
  }

  add(entry: Kept): void {
    this.#kept.push(entry);
    this.#characters += entry.line.length;
    const { entries, characters } = this.#limits;
    while (this.size > entries || (this.size > 1 && this.#characters > characters)) {
      this.#characters -= this.#kept[this.#first]?.line.length ?? 0;
      this.#kept[this.#first] = undefined;
      this.#first += 1;
    }
    // Dropped entries are cut off only now and then: each time would copy the whole array.
    if (this.#first > entries) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
  }

  /** The newest entries that contain a text ("" matches all), newest last. */
  newest(text: string, limit: number): Kept[] {
    // As escaped in JSON: a quotation mark has a backslash before it.
    const quoted = JSON.stringify(text).slice(1, -1);
    const found: Kept[] = [];
    for (let at = this.#kept.length - 1; at >= this.#first && found.length < limit; at -= 1) {
      const entry = this.#kept[at];
      if (entry !== undefined && (entry.line.includes(text) || entry.line.includes(quoted)))
        found.push(entry);
    }
    return found.reverse();
  }
}

/**
 * The lines of a body, each checked to be one JSON object. Skips empty lines.
 *
 * @throws Refused
 */
export function parseLines(body: string): string[] {
  const lines = body.split("\n").map((line) => line.trim());
  for (const [index, line] of lines.entries()) if (line !== "") checkLine(line, index + 1);
  return lines.filter((line) => line !== "");
}

/** @param number from 1, for the message */
function checkLine(line: string, number: number): void {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    throw new Refused(400, `line ${number} is not JSON; the whole body was rejected`);
  }
  if (typeof entry !== "object" || entry === null || Array.isArray(entry))
    throw new Refused(400, `line ${number} is not a JSON object; the whole body was rejected`);
}

function shown({ receivedAt, seq, line }: Kept): Entry {
  return { ...(JSON.parse(line) as Entry), receivedAt, seq };
}

/** What has arrived. Times are milliseconds since 1970. */
export class Sink {
  readonly #logs: Ring;
  readonly #events: Ring;
  readonly #now: () => number;
  #seq = 0;
  #points = 0;
  readonly #byNode = new Map<string, { receivedAt: number; time: string }>();

  constructor({ limits, now = Date.now }: { readonly limits?: Limits; readonly now?: () => number } = {}) {
    this.#now = now;
    this.#logs = new Ring(limits);
    this.#events = new Ring(limits);
  }

  /** @param body JSON of an OTLP ExportLogsServiceRequest. @throws Refused */
  takeLogs(body: string): void {
    this.#add(
      this.#logs,
      logEntries(body).map((entry) => JSON.stringify(entry)),
    );
  }

  /** @param body JSON of an OTLP ExportMetricsServiceRequest. @throws Refused */
  takeMetrics(body: string): void {
    const receivedAt = this.#now();
    for (const { node, time, points } of nodePoints(body)) {
      this.#points += points;
      if (this.#byNode.has(node) || this.#byNode.size < NODE_LIMIT)
        this.#byNode.set(node, { receivedAt, time });
    }
  }

  /** @param body lines of JSON, one object each. @throws Refused */
  takeEvents(body: string): void {
    this.#add(this.#events, parseLines(body));
  }

  #add(ring: Ring, lines: readonly string[]): void {
    const receivedAt = this.#now();
    for (const line of lines) {
      this.#seq += 1;
      ring.add({ receivedAt, seq: this.#seq, line });
    }
  }

  logs(text: string): { now: number; entries: Entry[] } {
    return this.#found(this.#logs, text);
  }

  events(text: string): { now: number; entries: Entry[] } {
    return this.#found(this.#events, text);
  }

  #found(ring: Ring, text: string): { now: number; entries: Entry[] } {
    return { now: this.#now(), entries: ring.newest(text, ANSWER_LIMIT).map(shown) };
  }

  latestPoints(): { now: number; count: number; byNode: object } {
    return { now: this.#now(), count: this.#points, byNode: Object.fromEntries(this.#byNode) };
  }
}
