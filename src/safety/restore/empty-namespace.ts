import type { Clock } from "../../common/clock.js";
import { pollUntil, systemClock } from "../../common/clock.js";
import { getOrUndefined, list, remove, resourcePath, type Gvr } from "../../kube/api.js";
import type { KubeObject, Namespace, Pod, Secret } from "../../kube/objects.js";
import { hasEnded, isTerminating } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { kindsMadeIn } from "../../own/namespaces.js";
import { COPY_TYPE } from "../journal/cluster-copy.js";
import type { Undo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";

/** How long what was deleted may take to go, ms: kubelets keep a pod's object for up to half a minute. */
const GONE_LIMIT_MS = 120_000;
const GONE_EVERY_MS = 300;

/** So many are named when they do not go. */
const NAMED = 5;

type Empty = Extract<Undo, { action: "empty" }>;

export interface EmptyOptions {
  readonly clock?: Clock;
  /** Default 2 minutes, ms. */
  readonly limitMs?: number;
}

/**
 * Removes what runs have made in a namespace that was prepared for them and stays: what carries our label, and the
 * ReplicaSets and pods that such an object owns. Everything else in it is somebody else's and is left alone; so are the
 * copies of journals, which go when their journals are finished.
 *
 * @throws ApiError or ApiUnreachableError when the API server would not have it, Error when something is still there
 * when the time is up.
 */
export async function emptyNamespace(
  transport: Transport,
  entry: Empty,
  { clock = systemClock(), limitMs = GONE_LIMIT_MS }: EmptyOptions = {},
): Promise<Undone> {
  const emptied: Undone = { object: entry.object, how: "emptied", by: "runner" };
  // Whoever has removed it has removed its content, and with its Roles the right to look.
  if ((await getOrUndefined<Namespace>(transport, entry.path)) === undefined) return emptied;
  const emptying = new Emptying(transport, entry);
  let left: readonly string[] = [];
  const empty = await pollUntil(clock, { everyMs: GONE_EVERY_MS, limitMs }, async () => {
    left = await emptying.pass();
    return left.length === 0 ? true : undefined;
  });
  if (empty === true) return emptied;
  throw new Error(
    `namespace ${entry.object.name} is not empty ${limitMs / 1000} s after what runs had made in it was deleted: ` +
      `${left.slice(0, NAMED).join(", ")}${left.length > NAMED ? ` and ${left.length - NAMED} more` : ""}`,
  );
}

/** Deletes in rounds: an owner that is on its way out may have made one more pod since it was looked at. */
class Emptying {
  readonly #transport: Transport;
  readonly #entry: Empty;
  readonly #kinds: readonly Gvr[];
  /** uids of what is ours, for what it owns: its own labels are those of a template. */
  readonly #ours = new Set<string>();
  readonly #asked = new Set<string>();

  constructor(transport: Transport, entry: Empty) {
    this.#transport = transport;
    this.#entry = entry;
    this.#kinds = kindsMadeIn(entry.object.name);
  }

  /** One round, from the top down. @returns what was there of ours; empty: nothing is any more. */
  async pass(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const gvr of this.#kinds) {
      const { items } = await list<KubeObject>(this.#transport, resourcePath(gvr, this.#entry.object.name));
      const mine = items.filter((object) => this.#isOurs(object));
      for (const { metadata } of mine) this.#ours.add(metadata.uid);
      await Promise.all(mine.map(async (object) => await this.#remove(gvr, object)));
      found.push(...mine.map(described));
    }
    return found;
  }

  #isOurs(object: KubeObject): boolean {
    const { labels, ownerReferences = [] } = object.metadata;
    if ((object as Partial<Secret>).type === COPY_TYPE) return false;
    return (
      Object.entries(this.#entry.labels).every(([key, value]) => labels?.[key] === value) ||
      ownerReferences.some(({ uid }) => this.#ours.has(uid))
    );
  }

  /** By its uid: one that somebody makes under the same name in this moment is looked at anew. */
  async #remove(gvr: Gvr, object: KubeObject): Promise<void> {
    const { name, namespace, uid } = object.metadata;
    const path = resourcePath(gvr, namespace ?? this.#entry.object.name, name);
    if (gvr.resource === "pods" && hasEnded(object as Pod)) {
      await remove(this.#transport, path, { uid, gracePeriodSeconds: 0 });
      return;
    }
    if (isTerminating(object) || this.#asked.has(uid)) return;
    await remove(this.#transport, path, { uid, propagationPolicy: "Background" });
    this.#asked.add(uid);
  }
}

/** "Pod a, which ends on worker-1": what somebody has to look at when it does not go. */
function described(object: KubeObject): string {
  const node = (object as Partial<Pod>).spec?.nodeName;
  const what = `${object.kind ?? "object"} ${object.metadata.name}`;
  if (!isTerminating(object)) return what;
  return node === undefined ? `${what}, which is being deleted` : `${what}, which ends on ${node}`;
}
