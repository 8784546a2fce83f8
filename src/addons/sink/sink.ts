/** The sink's store: the newest entries of each kind, in memory. The oldest are dropped. */

/** Entries kept of each kind. */
const CAPACITY = 20_000;
/** Characters kept of each kind: a few lines of a megabyte each must not fill the memory. */
const CAPACITY_CHARACTERS = 32 * 1024 * 1024;
/** Most entries in one answer. */
const ANSWER_LIMIT = 200;
/** Most nodes whose newest metric is kept. */
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

/** A refusal, with its HTTP status. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
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
export function parseLines(body: string): { line: string; entry: Entry }[] {
  return body.split("\n").flatMap((raw, index) => {
    const line = raw.trim();
    return line === "" ? [] : [{ line, entry: parseLine(line, index + 1) }];
  });
}

/** @param number from 1, for the message */
function parseLine(line: string, number: number): Entry {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    throw new Refused(400, `line ${number} is not JSON; the whole body was rejected`);
  }
  if (typeof entry !== "object" || entry === null || Array.isArray(entry))
    throw new Refused(400, `line ${number} is not a JSON object; the whole body was rejected`);
  return entry as Entry;
}

function shown({ receivedAt, seq, line }: Kept): Entry {
  return { ...(JSON.parse(line) as Entry), receivedAt, seq };
}

export type Kind = "logs" | "events" | "metrics";

/** What has arrived. Times are milliseconds since 1970. */
export class Sink {
  readonly #rings: Readonly<Record<Kind, Ring>>;
  readonly #now: () => number;
  #seq = 0;
  #metrics = 0;
  readonly #byNode = new Map<string, { receivedAt: number; time: unknown }>();

  constructor({ limits, now = Date.now }: { readonly limits?: Limits; readonly now?: () => number } = {}) {
    this.#now = now;
    this.#rings = { logs: new Ring(limits), events: new Ring(limits), metrics: new Ring(limits) };
  }

  /** @returns how many entries were accepted. @throws Refused */
  take(kind: Kind, body: string): number {
    const lines = parseLines(body);
    const receivedAt = this.#now();
    for (const { line, entry } of lines) {
      this.#seq += 1;
      this.#rings[kind].add({ receivedAt, seq: this.#seq, line });
      if (kind === "metrics") this.#noteMetric(entry, receivedAt);
    }
    return lines.length;
  }

  #noteMetric({ node, time = null }: Entry, receivedAt: number): void {
    this.#metrics += 1;
    if (typeof node !== "string") return;
    if (!this.#byNode.has(node) && this.#byNode.size >= NODE_LIMIT) return;
    this.#byNode.set(node, { receivedAt, time });
  }

  entries(kind: "logs" | "events", text: string): { now: number; entries: Entry[] } {
    return { now: this.#now(), entries: this.#rings[kind].newest(text, ANSWER_LIMIT).map(shown) };
  }

  latestMetric(): { now: number; count: number; entry: Entry | null; byNode: object } {
    const [entry] = this.#rings.metrics.newest("", 1).map(shown);
    const byNode = Object.fromEntries(this.#byNode);
    return { now: this.#now(), count: this.#metrics, entry: entry ?? null, byNode };
  }
}
