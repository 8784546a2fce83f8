import { appendFile, mkdir } from "node:fs/promises";
import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import type { RunEvent, RunEventBody } from "../analysis/events.js";
import type { RawSamples, SampleLine } from "../probes/sample.js";

/**
 * The files of a run: `events.ndjson`, `samples/SOURCE.ndjson`, written as things happen, so that a run that
 * dies leaves what it saw.
 */
export class Recorder {
  readonly folder: string;
  readonly events: RunEvent[] = [];
  readonly #now: () => number;
  readonly #listeners = new Set<(event: RunEvent) => void>();
  readonly #samples = new Map<string, SampleLine[]>();
  #stream: WriteStream | undefined;
  #failure: Error | undefined;
  #writes: Promise<void> = Promise.resolve();

  private constructor(folder: string, now: () => number) {
    this.folder = folder;
    this.#now = now;
  }

  /** Makes the folder. @throws the file system's error when it cannot be written. */
  static async create(folder: string, now: () => number): Promise<Recorder> {
    await mkdir(join(folder, "samples"), { recursive: true });
    const recorder = new Recorder(folder, now);
    await appendFile(join(folder, "events.ndjson"), "");
    const stream = createWriteStream(join(folder, "events.ndjson"), { flags: "a" });
    // A full disk must not end the run in the middle of an outage: it is said at the end.
    stream.on("error", (error) => (recorder.#failure ??= error));
    recorder.#stream = stream;
    return recorder;
  }

  /** The first error of writing, if there was one. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  onEvent(listener: (event: RunEvent) => void): void {
    this.#listeners.add(listener);
  }

  /** Writes an event down; `tMs`: when it was, in the run's clock. Default: now. */
  emit = (body: RunEventBody, tMs: number = this.#now()): void => {
    const event: RunEvent = { ...body, tMs: Math.round(tMs * 1000) / 1000 };
    this.events.push(event);
    this.#stream?.write(`${JSON.stringify(event)}\n`);
    for (const listener of this.#listeners) listener(event);
  };

  /** Adds sample lines of a source. */
  addSamples(source: string, lines: readonly SampleLine[]): void {
    if (lines.length === 0) return;
    const known = this.#samples.get(source);
    if (known === undefined) this.#samples.set(source, [...lines]);
    else known.push(...lines);
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    this.#writes = this.#writes
      .then(async () => await appendFile(join(this.folder, "samples", `${source}.ndjson`), text))
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      });
  }

  get samples(): RawSamples[] {
    return [...this.#samples].map(([source, lines]) => ({ source, lines }));
  }

  /** Resolves when everything is written. */
  async close(): Promise<void> {
    await this.#writes;
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined) return;
    stream.end();
    // Its end may come with the error of a write before.
    await finished(stream).catch((error: unknown) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    });
  }
}
