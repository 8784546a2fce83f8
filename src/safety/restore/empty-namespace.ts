import type { Clock } from "../../common/clock.js";
import { pollUntil, systemClock } from "../../common/clock.js";
import { getOrUndefined, list, remove, resourcePath, type Gvr } from "../../kube/api.js";
import type { KubeObject, Namespace, Pod, Secret } from "../../kube/objects.js";
import { hasEnded, isTerminating } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { carries } from "../../own/manifest.js";
import { kindsMadeIn } from "../../own/namespaces.js";
import { COPY_TYPE } from "../journal/cluster-copy.js";
import type { Undo } from "../journal/journal.js";
import type { Undone } from "../journal/undo.js";

/** How long deleted objects may take to go, ms. Kubelets keep a pod's object for up to half a minute. */
const GONE_LIMIT_MS = 120_000;
const GONE_EVERY_MS = 300;

/** How many objects the error names when they do not go. */
const NAMED = 5;

type Empty = Extract<Undo, { action: "empty" }>;

export interface EmptyOptions {
  readonly clock?: Clock;
  /** Default 2 minutes, ms. */
  readonly limitMs?: number;
  /** Objects with all of these labels stay. Default: none. */
  readonly except?: Readonly<Record<string, string>>;
}

/**
 * Removes what runs created in a prepared namespace, which itself stays: objects with this tool's label, and the
 * ReplicaSets and pods that they own. Everything else belongs to someone else and stays. The copies of journals stay, too:
 * they go when their journals are finished.
 *
 * @throws ApiError or ApiUnreachableError when the API server refuses or does not answer, Error when something still
 * exists when the time is up.
 */
export async function emptyNamespace(
  transport: Transport,
  entry: Empty,
  { clock = systemClock(), limitMs = GONE_LIMIT_MS, except }: EmptyOptions = {},
): Promise<Undone> {
  const emptied: Undone = { object: entry.object, how: "emptied", by: "runner" };
  // A removed namespace has no content, and its Roles, which gave the right to list it, are gone, too.
  if ((await getOrUndefined<Namespace>(transport, entry.path)) === undefined) return emptied;
  const emptying = new Emptying(transport, entry, except);
  let left: readonly string[] = [];
  const empty = await pollUntil(clock, { everyMs: GONE_EVERY_MS, limitMs }, async () => {
    left = await emptying.pass();
    return left.length === 0 ? true : undefined;
  });
  if (empty === true) return emptied;
  throw new Error(
    `timed out after ${limitMs / 1000} s waiting for namespace ${entry.object.name} to become empty: ` +
      `${left.slice(0, NAMED).join(", ")}${left.length > NAMED ? ` and ${left.length - NAMED} more` : ""}. ` +
      "Check their finalizers, and the kubelets of their nodes",
  );
}

/** Deletes in rounds: an owner that is being deleted may have created one more pod since the last list. */
class Emptying {
  readonly #transport: Transport;
  readonly #entry: Empty;
  readonly #kinds: readonly Gvr[];
  readonly #except: EmptyOptions["except"];
  /** uids of the tool's own objects. What they own has a template's labels and is found by its owner. */
  readonly #own = new Set<string>();
  readonly #asked = new Set<string>();

  constructor(transport: Transport, entry: Empty, except: EmptyOptions["except"]) {
    this.#except = except;
    this.#transport = transport;
    this.#entry = entry;
    this.#kinds = kindsMadeIn(entry.object.name);
  }

  /** One round, from owners to owned. @returns the own objects that still existed; empty: none does. */
  async pass(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const gvr of this.#kinds) {
      const { items } = await list<KubeObject>(this.#transport, resourcePath(gvr, this.#entry.object.name));
      const own = items.filter((object) => this.#isOwn(object));
      for (const { metadata } of own) this.#own.add(metadata.uid);
      await Promise.all(own.map(async (object) => await this.#remove(gvr, object)));
      found.push(...own.map(described));
    }
    return found;
  }

  #isOwn(object: KubeObject): boolean {
    const { ownerReferences = [] } = object.metadata;
    if ((object as Partial<Secret>).type === COPY_TYPE) return false;
    if (this.#except !== undefined && carries(object, this.#except)) return false;
    return carries(object, this.#entry.labels) || ownerReferences.some(({ uid }) => this.#own.has(uid));
  }

  /** Deletes by uid: an object that someone else creates under the same name meanwhile is judged in the next round. */
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

/** "Pod a, which is terminating on worker-1": where to look when it does not go. */
function described(object: KubeObject): string {
  const node = (object as Partial<Pod>).spec?.nodeName;
  const what = `${object.kind ?? "object"} ${object.metadata.name}`;
  if (!isTerminating(object)) return what;
  return node === undefined ? `${what}, which is being deleted` : `${what}, which is terminating on ${node}`;
}
