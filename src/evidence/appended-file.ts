import { appendFile, writeFile } from "node:fs/promises";

/** A file that is written as things happen, in order. What the disk would not take is written anew at the end. */
export class AppendedFile {
  readonly path: string;
  #waiting = "";
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Why the file is not whole; undefined: it is. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  append(text: string): void {
    this.#waiting += text;
    this.#writing ??= this.#drain();
  }

  /**
   * Resolves when everything is written, or could not be.
   *
   * @param content the whole of it: a disk that was full only for a while costs nothing.
   */
  async close(content: () => string): Promise<void> {
    await this.#writing;
    if (this.#failure === undefined) return;
    try {
      await writeFile(this.path, content());
      this.#failure = undefined;
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  async #drain(): Promise<void> {
    while (this.#waiting !== "") {
      const text = this.#waiting;
      this.#waiting = "";
      try {
        await appendFile(this.path, text);
      } catch (error) {
        // A full disk must not end the run in the middle of an outage: it is said at the end.
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      }
    }
    this.#writing = undefined;
  }
}
