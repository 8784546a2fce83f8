/**
 * Events and samples as lines of JSON. Reading skips lines that an interrupted run may have damaged (a partial line at the
 * end, or in the middle after an agent was killed and restarted), and adds a note.
 */
import { isRecord } from "../common/is-record.js";
import { StringDecoder } from "node:string_decoder";
import { PROBES } from "../experiment/names.js";
import { type RunEvent, sharedObjects } from "./events.js";
import { PackedLines } from "./packed-lines.js";
import { type RawSamples, type SampleLine } from "./sample.js";

/** The readable part, and a note for each unreadable part. */
export interface Read<T> {
  readonly value: T;
  readonly notes: readonly string[];
}

type Lines = AsyncIterable<string> | Iterable<string>;

const ndjson = (lines: Iterable<unknown>): string =>
  [...lines].map((line) => `${JSON.stringify(line)}\n`).join("");

const isTime = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

/** Reads lines one by one, so that a long file is never in memory as a whole. */
class LineReader<T> {
  readonly #name: string;
  readonly #holds: (value: unknown) => value is T;
  readonly #found: (value: T, line: string) => void;
  readonly #bad: number[] = [];
  /** All lines, and those that are not empty. */
  #lines = 0;
  #count = 0;

  /** @param found called for each line that contains a `T`. */
  constructor(name: string, holds: (value: unknown) => value is T, found: (value: T, line: string) => void) {
    this.#name = name;
    this.#holds = holds;
    this.#found = found;
  }

  add(line: string): void {
    this.#lines += 1;
    if (line.trim() === "") return;
    this.#count += 1;
    const parsed = parse(line);
    if (this.#holds(parsed)) this.#found(parsed, line);
    else this.#bad.push(this.#lines);
  }

  /** A note for each unreadable part, with the numbers of skipped lines. The line added last is the file's last. */
  notes(): string[] {
    const notes: string[] = [];
    if (this.#bad.at(-1) === this.#lines) {
      this.#bad.pop();
      notes.push(`${this.#name}: the last line is incomplete and was skipped.`);
    }
    if (this.#bad.length > 0) {
      const which = `${this.#bad.slice(0, 5).join(", ")}${this.#bad.length > 5 ? ", …" : ""}`;
      notes.push(
        `${this.#name}: ${this.#bad.length} of ${this.#count} lines are unreadable and were skipped (line ${which}).`,
      );
    }
    return notes;
  }
}

function isEvent(value: unknown): value is RunEvent {
  return isRecord(value) && typeof value.type === "string" && isTime(value.tMs);
}

function isSample(value: unknown): value is SampleLine {
  if (!isRecord(value) || !isTime(value.t)) return false;
  if (typeof value.boot === "string") return true;
  if (typeof value.own === "string") return isTime(value.d);
  if (!(PROBES as readonly unknown[]).includes(value.probe)) return false;
  return typeof value.missed === "string" || (typeof value.ok === "boolean" && isTime(value.d));
}

export function eventsToNdjson(events: readonly RunEvent[]): string {
  return ndjson(events);
}

/**
 * @param lines the file's lines; the last one is empty if the file is complete.
 * @param name name of the file in notes.
 */
export async function eventsOf(lines: Lines, name = "events.ndjson"): Promise<Read<RunEvent[]>> {
  const value: RunEvent[] = [];
  const shared = sharedObjects();
  const reader = new LineReader(name, isEvent, (event) => value.push(shared(event)));
  for await (const line of lines) reader.add(line);
  return { value, notes: reader.notes() };
}

export function samplesToNdjson(samples: RawSamples): string {
  return ndjson(samples.lines);
}

/**
 * @param lines the file's lines; the last one is empty if the file is complete.
 * @param name name of the file in notes.
 */
export async function samplesOf(
  lines: Lines,
  source: string,
  name = `samples/${source}.ndjson.gz`,
): Promise<Read<RawSamples>> {
  const packed = new PackedLines<SampleLine>();
  const reader = new LineReader(name, isSample, (_sample, line) => packed.append(`${line}\n`));
  for await (const line of lines) reader.add(line);
  return { value: { source, lines: packed }, notes: reader.notes() };
}

/** The lines of a stream of UTF-8. (`node:readline` also splits at U+2028, which JSON leaves unescaped.) */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest + decoder.end();
}
