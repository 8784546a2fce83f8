import fs from "node:fs";
import type { SampleLine } from "../../evidence/sample.js";

/** Longest answer of a read, bytes. */
const CHUNK_LIMIT = 1024 * 1024;
/** Lines that wait in memory while the disk takes none; those beyond are lost, and counted. */
const WAITING_LIMIT = 100_000;

/**
 * The append-only file of lines. Lines wait in memory for a moment and are written together, in the order in
 * which they came. Only whole lines count as written: a write that failed half-way is written again over it.
 */
export class SampleFile {
  #waiting: string[] = [];
  #lost = 0;
  #failing = false;
  /** Size of what was written, bytes: always at the end of a line. */
  #size: number;
  readonly #fd: number;
  #writing = Promise.resolve();

  constructor(file: string) {
    this.#fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const content = fs.readFileSync(this.#fd);
    // A line that a killed agent left half-written was never handed out: whole lines only.
    this.#size = content.lastIndexOf("\n") + 1;
    fs.ftruncateSync(this.#fd, this.#size);
  }

  /** Lines that were lost because the disk took none for too long. */
  get lost(): number {
    return this.#lost;
  }

  append(line: SampleLine): void {
    if (this.#waiting.length >= WAITING_LIMIT) this.#lost += 1;
    else this.#waiting.push(`${JSON.stringify(line)}\n`);
  }

  /** Writes what waits. When it cannot be written it continues to wait; that is reported, never thrown. */
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
        if (!this.#failing) console.error(`cannot write samples, will go on trying: ${String(error)}`);
        this.#failing = true;
      }
    });
    return this.#writing;
  }

  /**
   * @param offset bytes
   * @returns whole lines, at most CHUNK_LIMIT; undefined beyond the file's end
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
