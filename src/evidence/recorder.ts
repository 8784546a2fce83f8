import { appendFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { makeFolder } from "../common/make-folder.js";
import { type RunEvent, type RunEventBody, sharedObjects } from "./events.js";
import type { RawSamples, SampleLine } from "./sample.js";
import { AppendedFile } from "./appended-file.js";
import { PackedLines } from "./packed-lines.js";

/** An incomplete file of the run, and why. */
export interface WriteFailure {
  /** Relative to the run's folder: "events.ndjson". */
  readonly file: string;
  readonly error: Error;
}

/**
 * The files of a run: `events.ndjson` and `samples/SOURCE.ndjson`. They are written during the run, so that a killed run
 * leaves its data. A write error does not end the run: everything is also kept in memory, the samples compressed.
 */
export class Recorder {
  readonly folder: string;
  readonly events: RunEvent[] = [];
  readonly #now: () => number;
  readonly #listeners = new Set<(event: RunEvent) => void>();
  readonly #samples = new Map<
    string,
    { readonly file: AppendedFile; readonly lines: PackedLines<SampleLine> }
  >();
  readonly #shared = sharedObjects();
  readonly #eventsFile: AppendedFile;
  /** Errors of the files that are written in one piece. */
  readonly #failed = new Map<string, Error>();
  #closed = false;

  private constructor(folder: string, now: () => number) {
    this.folder = folder;
    this.#now = now;
    this.#eventsFile = new AppendedFile(join(folder, "events.ndjson"));
  }

  /** Creates the folder. @throws the file system's error if it cannot be written. */
  static async create(folder: string, now: () => number): Promise<Recorder> {
    await makeFolder(join(folder, "samples"));
    await appendFile(join(folder, "events.ndjson"), "");
    return new Recorder(folder, now);
  }

  /** The incomplete files. `close` tries to write appended files again. */
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

  /** The first write error, if any. */
  get failure(): Error | undefined {
    return this.failures[0]?.error;
  }

  onEvent(listener: (event: RunEvent) => void): void {
    this.#listeners.add(listener);
  }

  /** Records an event. `tMs`: its time in the run's clock. Default: now. */
  emit = (body: RunEventBody, tMs: number = this.#now()): void => {
    const event: RunEvent = this.#shared({ ...body, tMs: Math.round(tMs * 1000) / 1000 });
    this.events.push(event);
    if (!this.#closed) this.#eventsFile.append(ndjson([event]));
    for (const listener of this.#listeners) listener(event);
  };

  /** Adds sample lines of a source. */
  addSamples(source: string, lines: readonly SampleLine[]): void {
    if (lines.length === 0) return;
    const path = join(this.folder, "samples", `${source}.ndjson`);
    const known = this.#samples.get(source) ?? { file: new AppendedFile(path), lines: new PackedLines() };
    this.#samples.set(source, known);
    const text = ndjson(lines);
    known.lines.append(text);
    known.file.append(text);
  }

  /** Writes a file of the run in one piece. An error is added to `failures`. */
  async write(file: string, text: string): Promise<void> {
    try {
      await writeFile(join(this.folder, file), text);
      this.#failed.delete(file);
    } catch (error) {
      this.#failed.set(file, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The samples of each source; read again for each iteration over its lines. */
  get samples(): RawSamples[] {
    return [...this.#samples].map(([source, { lines }]) => ({ source, lines }));
  }

  /** Resolves after everything is written, or has failed: see `failures`. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#eventsFile.close(() => ndjson(this.events));
    for (const { file, lines } of this.#samples.values()) await file.close(() => lines.text());
  }
}

function ndjson(lines: readonly unknown[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}
