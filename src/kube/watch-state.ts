/** What a watch has reported: each change once, even if the server repeats it after an interruption. */
import type { KubeObject } from "./objects.js";

export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

/** Reported versions kept, to recognise repeats: far more than a server repeats. */
const REMEMBERED = 4096;

export class WatchState<T extends KubeObject> {
  /** The existing objects by uid, each in its last version. */
  readonly #known = new Map<string, T>();
  /** Reported versions, oldest first. */
  readonly #reported = new Set<string>();
  readonly #onEvent: (event: WatchEvent<T>) => void;

  constructor(onEvent: (event: WatchEvent<T>) => void) {
    this.#onEvent = onEvent;
  }

  /** Reports an event of the stream unless it was reported before. The handler's error is passed on. */
  apply(type: WatchEvent<T>["type"], object: T): void {
    const { uid } = object.metadata;
    const known = this.#known.has(uid);
    if (this.#reported.has(key(type, object)) || (type === "DELETED" && !known)) return;
    // After an interruption the server's ADDED may be a MODIFIED here, and the other way round.
    this.#report(type === "DELETED" ? type : known ? "MODIFIED" : "ADDED", object);
  }

  /**
   * Reports the differences between a list and the known objects, deletions first: a reused name gives DELETED (with
   * the last known version), then ADDED.
   *
   * @returns the number of differences.
   */
  reconcile(items: readonly T[]): number {
    const listed = new Set(items.map((item) => item.metadata.uid));
    const gone = [...this.#known.values()].filter((object) => !listed.has(object.metadata.uid));
    for (const object of gone) this.#report("DELETED", object);
    const changed = items.filter((item) => {
      return this.#known.get(item.metadata.uid)?.metadata.resourceVersion !== item.metadata.resourceVersion;
    });
    for (const item of changed) this.#report(this.#known.has(item.metadata.uid) ? "MODIFIED" : "ADDED", item);
    return gone.length + changed.length;
  }

  /** Calls the handler first: it may have to win a race. The bookkeeping comes after. */
  #report(type: WatchEvent<T>["type"], object: T): void {
    this.#onEvent({ type, object });
    if (type === "DELETED") this.#known.delete(object.metadata.uid);
    else this.#known.set(object.metadata.uid, object);
    this.#reported.add(key(type, object));
    if (this.#reported.size <= REMEMBERED) return;
    for (const oldest of this.#reported) {
      this.#reported.delete(oldest);
      break;
    }
  }
}

function key(type: WatchEvent<unknown>["type"], { metadata }: KubeObject): string {
  return `${type === "DELETED" ? "gone" : "seen"} ${metadata.uid} ${metadata.resourceVersion}`;
}
