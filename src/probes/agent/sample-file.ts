import fs from "node:fs";
import type { SampleLine } from "../../evidence/sample.js";

/** Maximum size of one read, bytes. */
const CHUNK_LIMIT = 1024 * 1024;
/** Maximum number of lines in memory while writes fail. Further lines are lost and counted. */
const WAITING_LIMIT = 100_000;

/**
 * The append-only sample file. Lines are buffered in memory and written together, in order. Only complete lines count as
 * written: after a partial write the lines are written again at the same position.
 */
export class SampleFile {
  #waiting: string[] = [];
  #lost = 0;
  #failing = false;
  /** Size of the written part, bytes: always at the end of a line. */
  #size: number;
  readonly #fd: number;
  #writing = Promise.resolve();

  constructor(file: string) {
    this.#fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const content = fs.readFileSync(this.#fd);
    // Cut off a partial line of a killed agent: no reader has seen it.
    this.#size = content.lastIndexOf("\n") + 1;
    fs.ftruncateSync(this.#fd, this.#size);
  }

  /** Number of lines lost because writes failed for too long. */
  get lost(): number {
    return this.#lost;
  }

  append(line: SampleLine): void {
    if (this.#waiting.length >= WAITING_LIMIT) this.#lost += 1;
    else this.#waiting.push(`${JSON.stringify(line)}\n`);
  }

  /** Writes the buffered lines. If that fails, they stay buffered; the error is reported, never thrown. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (this.#waiting.length === 0) return;
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        const bytes = Buffer.from(lines.join(""));
        for (let done = 0; done < bytes.length;)
          done += await write(this.#fd, bytes.subarray(done), this.#size + done);
        this.#size += bytes.length;
        this.#failing = false;
      } catch (error) {
        this.#waiting = lines.concat(this.#waiting);
        if (!this.#failing) console.error(`cannot write samples, will retry: ${String(error)}`);
        this.#failing = true;
      }
    });
    return this.#writing;
  }

  /**
   * @param offset bytes
   * @returns complete lines, at most CHUNK_LIMIT; undefined past the end of the file
   */
  async read(offset: number): Promise<Buffer | undefined> {
    if (offset > this.#size) return undefined;
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_LIMIT, this.#size - offset));
    const length = await read(this.#fd, buffer, offset);
    return buffer.subarray(0, buffer.subarray(0, length).lastIndexOf("\n") + 1);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** @returns bytes written */
function write(fd: number, bytes: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, 0, bytes.length, position, (error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
}

/** @returns bytes read */
function read(fd: number, into: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, into, 0, into.length, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}
