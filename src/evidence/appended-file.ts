import { appendFile, writeFile } from "node:fs/promises";

/** A file that is appended to during the run. If an append fails, `close` writes the whole file again. */
export class AppendedFile {
  readonly path: string;
  #waiting = "";
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Why the file is incomplete; undefined: it is complete. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  append(text: string): void {
    this.#waiting += text;
    this.#writing ??= this.#drain();
  }

  /**
   * Resolves after everything is written, or has failed.
   *
   * @param content the whole content, written if an append failed: the disk may have space again.
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
        // A full disk must not end the run during an outage. The run reports the failure at its end.
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      }
    }
    this.#writing = undefined;
  }
}
