/**
 * Watches the application that a run measures, from its deployment to the end of the recovery. An outage that somebody
 * made by deleting or changing the application must not be called the component's.
 */
import { isDeepStrictEqual } from "node:util";
import { guestbookManifests, type GuestbookOptions } from "../../application/guestbook.js";
import type { Clock } from "../../common/clock.js";
import { DEPLOYMENTS, getOrUndefined, NAMESPACES, resourcePath, SERVICES } from "../../kube/api.js";
import { differences } from "../../kube/declared.js";
import type { KubeObject } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { watch, type WatchEvent } from "../../kube/watch.js";
import { lastWriterOf } from "../../kube/written-by.js";
import { MANAGED_BY } from "../../own/manifest.js";
import { REPLACED_AT } from "../../own/own-names.js";

/** The watches list everything anew so often, ms. */
const RESYNC_MS = 5_000;

/** How often the namespace itself is asked for, and how long one question may take, ms. */
const NAMESPACE_EVERY_MS = 1_000;
const NAMESPACE_TIMEOUT_MS = 2_000;

const GVRS = { Deployment: DEPLOYMENTS, Service: SERVICES } as const;
type Kind = keyof typeof GVRS;

/** An object that the run has deployed. */
export interface Deployed {
  readonly kind: Kind;
  readonly name: string;
}

/** The Deployments and Services of the guestbook. Pure. */
export function deployedObjects(options: GuestbookOptions): Deployed[] {
  return guestbookManifests(options).flatMap(({ kind, metadata }) =>
    kind === "Deployment" || kind === "Service" ? [{ kind, name: metadata.name }] : [],
  );
}

/**
 * What of a spec somebody else has changed, as paths; empty: nothing. Pure. The run itself replaces the database's
 * pod by a stamp on its template, and sets the strategy for that: these two are its own, whenever they come.
 */
export function foreignDifferences(before: KubeObject, now: KubeObject): string[] {
  const a = withoutOwn(before.spec);
  const b = withoutOwn(now.spec);
  return isDeepStrictEqual(a, b) ? [] : differences(a, b, ".spec");
}

function withoutOwn(spec: unknown): Record<string, unknown> {
  const { template, ...rest } = { ...(spec as Record<string, unknown> | undefined) } as {
    strategy?: unknown;
    template?: { metadata?: { annotations?: Record<string, string> } };
  };
  delete rest.strategy;
  if (template === undefined) return rest;
  const { annotations, ...metadata } = template.metadata ?? {};
  const kept = Object.entries(annotations ?? {}).filter(([key]) => key !== REPLACED_AT);
  const annotated = kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) };
  return { ...rest, template: { ...template, metadata: { ...metadata, ...annotated } } };
}

export interface ApplicationWatchOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly namespace: string;
  readonly objects: readonly Deployed[];
  /** Ends it; before the run's own tear-down begins. */
  readonly signal: AbortSignal;
  /** Called once: what somebody did to the application, and who, as far as the API tells. */
  readonly onChange: (message: string) => void;
  /** Told of each trouble of a watch. */
  readonly onNote?: (resource: string, what: string) => void;
  /** How often everything is listed anew beside the watches, ms; the namespace is asked for as often, if not more. */
  readonly resyncMs?: number;
}

export class ApplicationWatch {
  readonly #options: ApplicationWatchOptions;
  /** As deployed, by kind and name. */
  readonly #deployed = new Map<string, KubeObject>();
  #namespaceUid: string | undefined;
  #told = false;

  constructor(options: ApplicationWatchOptions) {
    this.#options = options;
  }

  /**
   * Starts to look. What is there at the first look is the application as it was deployed.
   *
   * @returns `synced`: resolves when everything was seen once; `done`: when the signal has ended it, rejects when it
   * can not go on (no permission).
   */
  start(): { readonly synced: Promise<void>; readonly done: Promise<void> } {
    const starts = (["Deployment", "Service"] as const).map((kind) => this.#watch(kind));
    const done = Promise.all([...starts.map((each) => each.done), this.#followNamespace()]).then(
      () => undefined,
    );
    const synced = Promise.race([Promise.all(starts.map((each) => each.synced)).then(() => undefined), done]);
    // Whoever follows `done` learns of a refusal; it may come before anybody waits for `synced`.
    synced.catch(() => undefined);
    return { synced, done };
  }

  #watch(kind: Kind): { readonly synced: Promise<void>; readonly done: Promise<void> } {
    const { transport, namespace, signal, resyncMs = RESYNC_MS, objects, onNote } = this.#options;
    const wanted = objects.filter((object) => object.kind === kind).map(({ name }) => name);
    let markSynced = (): void => undefined;
    const synced = new Promise<void>((resolve) => (markSynced = resolve));
    const resource = GVRS[kind].resource;
    const done = watch<KubeObject>({
      transport,
      path: resourcePath(GVRS[kind], namespace),
      signal,
      resyncMs,
      onEvent: (event) => {
        if (wanted.includes(event.object.metadata.name)) this.#see(kind, event);
      },
      onSynced: () => {
        for (const name of wanted.filter((each) => !this.#deployed.has(keyOf(kind, each))))
          this.#tell(`${this.#nameOf(kind, name)} is gone: somebody else has deleted it`);
        markSynced();
      },
      // These change seldom: that a watch was silent for long, and was begun anew, is no trouble.
      onNote: (what) => {
        if (!signal.aborted && !what.includes("silent")) onNote?.(`application's ${resource}`, what);
      },
    });
    return { synced, done };
  }

  #see(kind: Kind, { type, object }: WatchEvent<KubeObject>): void {
    const { name, uid } = object.metadata;
    const known = this.#deployed.get(keyOf(kind, name));
    if (type === "DELETED" || isTerminating(object)) {
      // The end of an older one, under a name that was used again, is no news.
      if (known === undefined || known.metadata.uid === uid)
        this.#tell(`${this.#nameOf(kind, name)} was deleted by somebody else`);
      return;
    }
    if (known === undefined) {
      this.#deployed.set(keyOf(kind, name), object);
      return;
    }
    const by = lastWriterOf(object, MANAGED_BY) ?? "somebody else";
    if (known.metadata.uid !== uid) {
      this.#tell(`${this.#nameOf(kind, name)} was deleted and made anew by ${by}`);
      return;
    }
    const paths = foreignDifferences(known, object);
    if (paths.length > 0)
      this.#tell(`${this.#nameOf(kind, name)} was changed by ${by}: ${paths.slice(0, 5).join(", ")}`);
  }

  /** Asked, not watched: to read one namespace by its name is a right that a run has anyway. */
  async #followNamespace(): Promise<void> {
    const { clock, signal, resyncMs = RESYNC_MS } = this.#options;
    while (!signal.aborted) {
      const problem = await this.#namespaceProblem();
      if (problem !== undefined) this.#tell(problem);
      await clock.sleep(Math.min(NAMESPACE_EVERY_MS, resyncMs), signal);
    }
  }

  /** @returns what is wrong with the namespace; undefined: nothing, or the API server does not say. */
  async #namespaceProblem(): Promise<string | undefined> {
    const { transport, namespace, signal } = this.#options;
    const path = resourcePath(NAMESPACES, undefined, namespace);
    try {
      const call = { timeoutMs: NAMESPACE_TIMEOUT_MS, retry: false, signal };
      const live = await getOrUndefined<KubeObject>(transport, path, call);
      if (live === undefined) return `the namespace ${namespace} of the application is gone`;
      if (isTerminating(live)) return `the namespace ${namespace} of the application is being deleted`;
      this.#namespaceUid ??= live.metadata.uid;
      return live.metadata.uid === this.#namespaceUid
        ? undefined
        : `the namespace ${namespace} of the application was made anew`;
    } catch {
      // An API server that is away says nothing of the application; what it does then is measured by the probes.
      return undefined;
    }
  }

  #nameOf(kind: Kind, name: string): string {
    return `the application's ${kind} ${this.#options.namespace}/${name}`;
  }

  /** Says it once, with the cause: where the whole namespace goes, each of its objects goes. */
  #tell(what: string): void {
    if (this.#told || this.#options.signal.aborted) return;
    this.#told = true;
    void this.#namespaceProblem().then((problem) => {
      const text = problem ?? what;
      this.#options.onChange(`${text}; what was measured since is not the component's doing`);
    });
  }
}

function keyOf(kind: Kind, name: string): string {
  return `${kind} ${name}`;
}
