import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { RunEvent, RunEventBody } from "./events.js";
import type { RawSamples, SampleLine } from "./sample.js";
import { AppendedFile } from "./appended-file.js";

/** A file of the run that is not whole, and why. */
export interface WriteFailure {
  /** Within the run's folder: "events.ndjson". */
  readonly file: string;
  readonly error: Error;
}

/**
 * The files of a run: `events.ndjson`, `samples/SOURCE.ndjson`, written as things happen, so that a run that
 * dies leaves what it saw. A disk that takes nothing ends no run: all of it is kept in memory too.
 */
export class Recorder {
  readonly folder: string;
  readonly events: RunEvent[] = [];
  readonly #now: () => number;
  readonly #listeners = new Set<(event: RunEvent) => void>();
  readonly #samples = new Map<string, { readonly file: AppendedFile; readonly lines: SampleLine[] }>();
  readonly #eventsFile: AppendedFile;
  /** Of the files that are written in one piece. */
  readonly #failed = new Map<string, Error>();
  #closed = false;

  private constructor(folder: string, now: () => number) {
    this.folder = folder;
    this.#now = now;
    this.#eventsFile = new AppendedFile(join(folder, "events.ndjson"));
  }

  /** Makes the folder. @throws the file system's error when it cannot be written. */
  static async create(folder: string, now: () => number): Promise<Recorder> {
    await mkdir(join(folder, "samples"), { recursive: true });
    await appendFile(join(folder, "events.ndjson"), "");
    return new Recorder(folder, now);
  }

  /** The files that are not whole. What a disk would not take in the middle is tried again by `close`. */
  get failures(): WriteFailure[] {
    const appended = [
      { file: basename(this.#eventsFile.path), error: this.#eventsFile.failure },
      ...[...this.#samples.values()].map(({ file }) => ({
        file: join("samples", basename(file.path)),
        error: file.failure,
      })),
    ];
    return [
      ...[...this.#failed].map(([file, error]) => ({ file, error })),
      ...appended.flatMap(({ file, error }) => (error === undefined ? [] : [{ file, error }])),
    ];
  }

  /** The first error of writing, if there was one. */
  get failure(): Error | undefined {
    return this.failures[0]?.error;
  }

  onEvent(listener: (event: RunEvent) => void): void {
    this.#listeners.add(listener);
  }

  /** Writes an event down; `tMs`: when it was, in the run's clock. Default: now. */
  emit = (body: RunEventBody, tMs: number = this.#now()): void => {
    const event: RunEvent = { ...body, tMs: Math.round(tMs * 1000) / 1000 };
    this.events.push(event);
    if (!this.#closed) this.#eventsFile.append(ndjson([event]));
    for (const listener of this.#listeners) listener(event);
  };

  /** Adds sample lines of a source. */
  addSamples(source: string, lines: readonly SampleLine[]): void {
    if (lines.length === 0) return;
    const path = join(this.folder, "samples", `${source}.ndjson`);
    const known = this.#samples.get(source) ?? { file: new AppendedFile(path), lines: [] };
    this.#samples.set(source, known);
    // Not by spreading: a first fetch may have more lines than a call may have arguments.
    for (const line of lines) known.lines.push(line);
    known.file.append(ndjson(lines));
  }

  /** Writes a file of the run in one piece; one that cannot be written is among the `failures`. */
  async write(file: string, text: string): Promise<void> {
    try {
      await writeFile(join(this.folder, file), text);
      this.#failed.delete(file);
    } catch (error) {
      this.#failed.set(file, error instanceof Error ? error : new Error(String(error)));
    }
  }

  get samples(): RawSamples[] {
    return [...this.#samples].map(([source, { lines }]) => ({ source, lines }));
  }

  /** Resolves when everything is written, or could not be: see `failures`. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#eventsFile.close(() => ndjson(this.events));
    for (const { file, lines } of this.#samples.values()) await file.close(() => ndjson(lines));
  }
}

function ndjson(lines: readonly unknown[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}
