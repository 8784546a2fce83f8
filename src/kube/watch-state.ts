/** What a watch has told so far: each change once, whatever the server repeats after a break. */
import type { KubeObject } from "./objects.js";

export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

/** Versions remembered, to know them again: far more than a server repeats. */
const REMEMBERED = 4096;

export class WatchState<T extends KubeObject> {
  /** The objects that are there, by uid, in their last version. */
  readonly #known = new Map<string, T>();
  /** Versions that were told, oldest first. */
  readonly #told = new Set<string>();
  readonly #onEvent: (event: WatchEvent<T>) => void;

  constructor(onEvent: (event: WatchEvent<T>) => void) {
    this.#onEvent = onEvent;
  }

  /** An event of the stream: told unless it was told before. The handler's error passes through. */
  apply(type: WatchEvent<T>["type"], object: T): void {
    const { uid } = object.metadata;
    const known = this.#known.has(uid);
    if (this.#told.has(key(type, object)) || (type === "DELETED" && !known)) return;
    // After a break the server's ADDED may be our MODIFIED, and the other way round.
    this.#tell(type === "DELETED" ? type : known ? "MODIFIED" : "ADDED", object);
  }

  /**
   * A list: the truth. Tells the differences to what is known, what has gone first, so that a name that is
   * used again gives DELETED (with the last version seen), then ADDED.
   *
   * @returns how many differences there were.
   */
  reconcile(items: readonly T[]): number {
    const listed = new Set(items.map((item) => item.metadata.uid));
    const gone = [...this.#known.values()].filter((object) => !listed.has(object.metadata.uid));
    for (const object of gone) this.#tell("DELETED", object);
    const changed = items.filter((item) => {
      return this.#known.get(item.metadata.uid)?.metadata.resourceVersion !== item.metadata.resourceVersion;
    });
    for (const item of changed) this.#tell(this.#known.has(item.metadata.uid) ? "MODIFIED" : "ADDED", item);
    return gone.length + changed.length;
  }

  /** The handler first: what it does may be a race; our own books can wait. */
  #tell(type: WatchEvent<T>["type"], object: T): void {
    this.#onEvent({ type, object });
    if (type === "DELETED") this.#known.delete(object.metadata.uid);
    else this.#known.set(object.metadata.uid, object);
    this.#told.add(key(type, object));
    if (this.#told.size <= REMEMBERED) return;
    for (const oldest of this.#told) {
      this.#told.delete(oldest);
      break;
    }
  }
}

function key(type: WatchEvent<unknown>["type"], { metadata }: KubeObject): string {
  return `${type === "DELETED" ? "gone" : "seen"} ${metadata.uid} ${metadata.resourceVersion}`;
}
