/**
 * Events and samples as lines of JSON. Reading skips lines that an interrupted run may have damaged (a partial line at the
 * end, or in the middle after an agent was killed and restarted), and adds a note.
 */
import { PROBES } from "../experiment/names.js";
import type { RunEvent } from "./events.js";
import { type RawSamples, type SampleLine } from "./sample.js";

/** The readable part, and a note for each unreadable part. */
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

/** The lines that contain a `T`. The notes name the line numbers of skipped lines. */
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
    else if (index === lines.length - 1) notes.push(`${name}: the last line is incomplete and was skipped.`);
    else bad.push(index + 1);
  });
  if (bad.length > 0) {
    const which = `${bad.slice(0, 5).join(", ")}${bad.length > 5 ? ", …" : ""}`;
    notes.push(`${name}: ${bad.length} of ${count} lines are unreadable and were skipped (line ${which}).`);
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

/** @param name name of the file in notes. */
export function eventsFromNdjson(text: string, name = "events.ndjson"): Read<RunEvent[]> {
  return readLines(text, name, isEvent);
}

export function samplesToNdjson(samples: RawSamples): string {
  return ndjson(samples.lines);
}

/** @param name name of the file in notes. */
export function samplesFromNdjson(
  text: string,
  source: string,
  name = `samples/${source}.ndjson.gz`,
): Read<RawSamples> {
  const { value, notes } = readLines(text, name, isSample);
  return { value: { source, lines: value }, notes };
}
