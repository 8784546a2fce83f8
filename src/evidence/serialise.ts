/**
 * Events and samples as lines of JSON, and the result as JSON. Reading is forgiving where a run may have been
 * cut off (a torn line at the end, or in the middle where an agent was killed and started again), and says so.
 */
import { PROBES } from "../experiment/names.js";
import type { RunEvent } from "./events.js";
import { type RawSamples, type SampleLine } from "./sample.js";

/** What was read, and a note for each thing that could not be. */
export interface Read<T> {
  readonly value: T;
  readonly notes: readonly string[];
}

const ndjson = (lines: readonly unknown[]): string =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join("");

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isTime = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

/** Lines that hold a `T`; notes name what is left out by the number of its line. */
function readLines<T>(text: string, name: string, holds: (value: unknown) => value is T): Read<T[]> {
  const value: T[] = [];
  const bad: number[] = [];
  const notes: string[] = [];
  const lines = text.split("\n");
  let count = 0;
  lines.forEach((line, index) => {
    if (line.trim() === "") return;
    count += 1;
    const parsed = parse(line);
    if (holds(parsed)) value.push(parsed);
    else if (index === lines.length - 1) notes.push(`${name}: its last line is torn and was left out.`);
    else bad.push(index + 1);
  });
  if (bad.length > 0) {
    const which = `${bad.slice(0, 5).join(", ")}${bad.length > 5 ? ", …" : ""}`;
    notes.push(`${name}: ${bad.length} of ${count} lines cannot be read and were left out (line ${which}).`);
  }
  return { value, notes };
}

function isEvent(value: unknown): value is RunEvent {
  return isObject(value) && typeof value.type === "string" && isTime(value.tMs);
}

function isSample(value: unknown): value is SampleLine {
  if (!isObject(value) || !isTime(value.t)) return false;
  if (typeof value.boot === "string") return true;
  if (!(PROBES as readonly unknown[]).includes(value.probe)) return false;
  return typeof value.missed === "string" || (typeof value.ok === "boolean" && isTime(value.d));
}

export function eventsToNdjson(events: readonly RunEvent[]): string {
  return ndjson(events);
}

/** @param name how the file is called in notes. */
export function eventsFromNdjson(text: string, name = "events.ndjson"): Read<RunEvent[]> {
  return readLines(text, name, isEvent);
}

export function samplesToNdjson(samples: RawSamples): string {
  return ndjson(samples.lines);
}

/** @param name how the file is called in notes. */
export function samplesFromNdjson(
  text: string,
  source: string,
  name = `samples/${source}.ndjson.gz`,
): Read<RawSamples> {
  const { value, notes } = readLines(text, name, isSample);
  return { value: { source, lines: value }, notes };
}
