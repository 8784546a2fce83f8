/**
 * Lines of JSON in memory, compressed: 10 to 15 bytes each instead of 200 as objects. A run of half an hour has close to
 * a million samples, and all of them stay in memory, because the disk may be full or gone at the end.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";

/** Text is compressed in pieces of this size: larger ones hardly get smaller, and each source has one waiting. */
const PIECE_CHARS = 32 * 1024;

/** The lines in the order of their addition. Each iteration parses them again. */
export class PackedLines<T> implements Iterable<T> {
  readonly #packed: Buffer[] = [];
  #waiting: string[] = [];
  #waitingChars = 0;

  /** @param text complete lines of JSON. */
  append(text: string): void {
    this.#waiting.push(text);
    this.#waitingChars += text.length;
    if (this.#waitingChars < PIECE_CHARS) return;
    this.#packed.push(deflateRawSync(this.#waiting.join(""), { level: 1 }));
    this.#waiting = [];
    this.#waitingChars = 0;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const piece of this.#pieces())
      for (const line of piece.split("\n")) if (line !== "") yield JSON.parse(line) as T;
  }

  /** All lines, as they were added. */
  text(): string {
    return [...this.#pieces()].join("");
  }

  *#pieces(): Generator<string> {
    for (const piece of this.#packed) yield inflateRawSync(piece).toString("utf8");
    yield this.#waiting.join("");
  }
}
