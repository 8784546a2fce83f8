/**
 * Watches the application that a run measures, from its deployment to the end of the recovery. An outage caused by
 * someone who deleted or changed the application must not be attributed to the component.
 */
import { isDeepStrictEqual } from "node:util";
import { guestbookManifests, type GuestbookOptions } from "../../application/guestbook.js";
import { servicesOf } from "../../experiment/own-application.js";
import type { Application } from "../../experiment/schema.js";
import type { Clock } from "../../common/clock.js";
import { DEPLOYMENTS, getOrUndefined, NAMESPACES, resourcePath, SERVICES } from "../../kube/api.js";
import { differences } from "../../kube/declared.js";
import type { KubeObject } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { watch, type WatchEvent } from "../../kube/watch.js";
import { lastWriterOf } from "../../kube/written-by.js";
import { ownPods } from "../../application/own-pods.js";
import { isOwnManager } from "../../own/own-fields.js";
import { REPLACED_AT } from "../../own/own-names.js";

/** Interval at which the watches re-list everything, ms. */
const RESYNC_MS = 5_000;

/** How often the namespace itself is read, and the timeout of one read, ms. */
const NAMESPACE_EVERY_MS = 1_000;
const NAMESPACE_TIMEOUT_MS = 2_000;

const GVRS = { Deployment: DEPLOYMENTS, Service: SERVICES } as const;
type Kind = keyof typeof GVRS;

/** An object of the application. */
export interface Deployed {
  readonly kind: Kind;
  readonly name: string;
}

/** The Deployments and Services of the guestbook. Pure. */
export function deployedObjects(options: GuestbookOptions): Deployed[] {
  return guestbookManifests(options, ownPods({}, []), "").flatMap(({ kind, metadata }) =>
    kind === "Deployment" || kind === "Service" ? [{ kind, name: metadata.name }] : [],
  );
}

/** What is watched: all of the guestbook, and the Services of an existing application. Pure. */
export function watchedObjects(
  application: Application,
): Pick<ApplicationWatchOptions, "namespace" | "objects"> {
  const { existing, guestbook } = application;
  if (existing === undefined) return { namespace: guestbook.namespace, objects: deployedObjects(guestbook) };
  return {
    namespace: existing.namespace,
    objects: servicesOf(existing).map((name) => ({ kind: "Service", name })),
  };
}

/**
 * The paths of a spec that someone else changed; empty: none. Pure. The run itself replaces the database pod with a
 * stamp on its template and sets the strategy for that: these two changes are its own at any time.
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
  /** Ends the watch, before the run's own tear-down starts. */
  readonly signal: AbortSignal;
  /** Called once, with the foreign change to the application and, if the API tells, who made it. */
  readonly onChange: (message: string) => void;
  /** Called for each problem of a watch. */
  readonly onNote?: (resource: string, what: string) => void;
  /** Interval of the re-lists, ms; the namespace is read at least as often. */
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
   * Starts watching. The first list is taken as the application as it was deployed.
   *
   * @returns `synced`: resolves when everything was listed once; `done`: resolves when the signal has ended the watch,
   * rejects when the watch cannot continue (no permission).
   */
  start(): { readonly synced: Promise<void>; readonly done: Promise<void> } {
    const kinds = new Set(this.#options.objects.map(({ kind }) => kind));
    const starts = [...kinds].map((kind) => this.#watch(kind));
    const done = Promise.all([...starts.map((each) => each.done), this.#followNamespace()]).then(
      () => undefined,
    );
    const synced = Promise.race([Promise.all(starts.map((each) => each.synced)).then(() => undefined), done]);
    // The caller sees a refusal through `done`. It may come before anyone awaits `synced`.
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
          this.#tell(`${this.#nameOf(kind, name)} is gone: someone else deleted it`);
        markSynced();
      },
      // These objects change rarely: a watch that was silent for long and restarted is no problem.
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
      // The end of an older object, whose name was reused, is not a change.
      if (known === undefined || known.metadata.uid === uid)
        this.#tell(`${this.#nameOf(kind, name)} was deleted by someone else`);
      return;
    }
    if (known === undefined) {
      this.#deployed.set(keyOf(kind, name), object);
      return;
    }
    const by = lastWriterOf(object, isOwnManager) ?? "someone else";
    if (known.metadata.uid !== uid) {
      this.#tell(`${this.#nameOf(kind, name)} was deleted and recreated by ${by}`);
      return;
    }
    const paths = foreignDifferences(known, object);
    if (paths.length > 0)
      this.#tell(`${this.#nameOf(kind, name)} was changed by ${by}: ${paths.slice(0, 5).join(", ")}`);
  }

  /** Reads instead of watches: a run has the permission to read one namespace by its name anyway. */
  async #followNamespace(): Promise<void> {
    const { clock, signal, resyncMs = RESYNC_MS } = this.#options;
    while (!signal.aborted) {
      const problem = await this.#namespaceProblem();
      if (problem !== undefined) this.#tell(problem);
      await clock.sleep(Math.min(NAMESPACE_EVERY_MS, resyncMs), signal);
    }
  }

  /** @returns what is wrong with the namespace; undefined: nothing, or the API server does not answer. */
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
        : `the namespace ${namespace} of the application was recreated`;
    } catch {
      // An unreachable API server says nothing about the application. The probes measure the application meanwhile.
      return undefined;
    }
  }

  #nameOf(kind: Kind, name: string): string {
    return `the application's ${kind} ${this.#options.namespace}/${name}`;
  }

  /** Reports once, with the cause: when the whole namespace is deleted, each of its objects is, too. */
  #tell(what: string): void {
    if (this.#told || this.#options.signal.aborted) return;
    this.#told = true;
    void this.#namespaceProblem().then((problem) => {
      const text = problem ?? what;
      this.#options.onChange(`${text}. Failures measured after that are not caused by the component`);
    });
  }
}

function keyOf(kind: Kind, name: string): string {
  return `${kind} ${name}`;
}
