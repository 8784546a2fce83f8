/**
 * Messages between a run and the program that reads them. The run never waits for its reader, and memory is bounded:
 * - of the `live` messages that were not read, only the newest is kept;
 * - of the others the newest `limit` are kept, and every `result`; a message `dropped` counts the rest.
 */
import type { Message } from "../ui/messages.js";

/** Messages that were not read in time are missing here. */
export interface Dropped {
  readonly type: "dropped";
  /** Of the first message that is missing. */
  readonly tMs: number;
  /** How many are missing, without `live` messages. */
  readonly count: number;
}

/** A few megabytes; a run of a minute has some hundreds. */
const LIMIT = 10_000;

interface Reader<Item> {
  readonly resolve: (next: IteratorResult<Item, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

export class MessageQueue<Result> {
  readonly #limit: number;
  readonly #unread: Message<Result>[] = [];
  #dropped: Dropped | undefined;
  /** They wait for a message, so nothing is unread. */
  readonly #readers: Reader<Message<Result> | Dropped>[] = [];
  #end: { readonly error: Error | undefined } | undefined;

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  push(message: Message<Result>): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ value: message, done: false });
      return;
    }
    const unread = this.#unread;
    if (message.type === "live") this.#remove(unread.findLastIndex(({ type }) => type === "live"));
    unread.push(message);
    if (unread.length <= this.#limit) return;
    const dropped = this.#remove(unread.findIndex(({ type }) => type !== "result"));
    if (dropped !== undefined && dropped.type !== "live")
      this.#dropped = {
        type: "dropped",
        tMs: this.#dropped?.tMs ?? dropped.tMs,
        count: (this.#dropped?.count ?? 0) + 1,
      };
  }

  /** No more messages. @param error rejects the read that follows the last message; undefined: none. */
  end(error?: Error): void {
    this.#end = { error };
    for (const reader of this.#readers.splice(0)) void this.next().then(reader.resolve, reader.reject);
  }

  /** The oldest unread message. */
  async next(): Promise<IteratorResult<Message<Result> | Dropped, undefined>> {
    const value = this.#dropped ?? this.#unread.shift();
    this.#dropped = undefined;
    if (value !== undefined) return { value, done: false };
    if (this.#end === undefined)
      return await new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
    const { error } = this.#end;
    this.#end = { error: undefined };
    if (error !== undefined) throw error;
    return { value: undefined, done: true };
  }

  #remove(index: number): Message<Result> | undefined {
    return index < 0 ? undefined : this.#unread.splice(index, 1)[0];
  }
}
