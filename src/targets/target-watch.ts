import type { RunEventBody } from "../evidence/events.js";
import { type AttackName, isControl, leavesSpecAlone } from "../experiment/attacks.js";
import { ENDPOINT_SLICES, PODS, REPLICASETS, list, resourcePath, selectorString } from "../kube/api.js";
import type { Deployment, EndpointSlice, KubeObject, Pod } from "../kube/objects.js";
import { isReady, isTerminating } from "../kube/pod-state.js";
import { SERVICE_NAME_LABEL, ServiceEndpoints } from "../kube/service-endpoints.js";
import type { Transport } from "../kube/transport.js";
import type { WatchEvent } from "../kube/watch.js";
import { watch } from "../kube/watch.js";
import { creatorOf } from "../kube/written-by.js";
import { ForeignChanges, type ForeignChangesOptions } from "./foreign-changes.js";
import type { TargetMonitor } from "./monitor.js";
import { ownedByTarget } from "./ownership.js";
import { readyCount, wantedCount } from "./find-workload.js";
import { type Target, refOf } from "./target.js";

export type WatchedKind = "Deployment" | "DaemonSet" | "ReplicaSet" | "Pod";

/** Called for every change of the target, inside the socket's event and before anything is recorded. */
export type TargetListener = (kind: WatchedKind, event: WatchEvent<KubeObject>) => void;

export interface TargetWatchOptions {
  readonly transport: Transport;
  readonly target: Target;
  readonly emit: (body: RunEventBody) => void;
  readonly signal: AbortSignal;
  /** How often everything is re-listed, ms: the longest time that a silent watch can hide a change. */
  readonly resyncMs: number;
  /** The attack of the run, and what is called when a foreign change invalidates it. */
  readonly foreign?: {
    readonly attack: AttackName;
    /** Called once when a foreign change invalidates the measurement, with the reason. */
    readonly onChanged: (message: string) => void;
    /** Timers, so that tests are exact. Default: the platform's. */
    readonly after?: NonNullable<ForeignChangesOptions["after"]>;
  };
}

/** Timeout of the request for another workload with the target's selector, ms. */
const NAMESAKE_TIMEOUT_MS = 2_000;

/**
 * Watches the target for the whole run: the workload, its ReplicaSets and pods, the endpoints of its Services.
 * Keeps the current objects, and records what was created, changed and deleted.
 */
export class TargetWatch implements TargetMonitor {
  readonly #options: TargetWatchOptions;
  readonly #objects = new Map<string, { kind: WatchedKind; object: KubeObject }>();
  readonly #endpoints: ServiceEndpoints;
  readonly #instanceStates = new Map<string, string>();
  readonly #foreign: ForeignChanges | undefined;
  #listener: TargetListener | undefined;
  #attackBegan = false;

  constructor(options: TargetWatchOptions) {
    this.#options = options;
    const { target, emit, foreign } = options;
    this.#endpoints = new ServiceEndpoints((name, count) => {
      const service = target.services.find((each) => each.name === name);
      if (service !== undefined) emit({ type: "endpoints", service, ...count });
    });
    this.#foreign =
      foreign === undefined
        ? undefined
        : new ForeignChanges({
            ...foreign,
            target,
            emit,
            findNamesake: async () => await this.#findNamesake(),
          });
    options.signal.addEventListener("abort", () => this.#foreign?.end(), { once: true });
  }

  /** The attack's reaction: called first, synchronously, for each event from now on. */
  set listener(listener: TargetListener | undefined) {
    this.#listener = listener;
    if (listener === undefined) {
      this.#foreign?.end();
      return;
    }
    this.#attackBegan = true;
    this.#foreign?.begin(this.#workload);
  }

  /** The current objects of one kind. */
  current(kind: WatchedKind): KubeObject[] {
    return [...this.#objects.values()].filter((entry) => entry.kind === kind).map((entry) => entry.object);
  }

  /** Ready addresses over all Services of the target; undefined when it has no Service. */
  get endpointsReady(): number | undefined {
    const { services } = this.#options.target;
    if (services.length === 0) return undefined;
    return services.reduce((sum, { name }) => sum + this.#endpoints.ready(name), 0);
  }

  /** Whether the workload exists, all wanted pods are ready, and each of its Services has as many endpoints. */
  isTargetReady(): boolean {
    const { target } = this.#options;
    const ready = this.current("Pod").filter(
      (pod) => isReady(pod as unknown as Pod) && !isTerminating(pod),
    ).length;
    const workload = this.#workload;
    if (workload === undefined || isTerminating(workload)) return false;
    // An attack that leaves the spec alone does not restore it either: the owner's current replica count is the
    // wanted one.
    const attack = this.#options.foreign?.attack;
    const ownersWord = attack !== undefined && leavesSpecAlone(attack);
    const wanted = ownersWord ? wantedCount(target.kind, workload) : target.count;
    // The pods of a DaemonSet on nodes that are not ready never become ready: as many as before are enough.
    const before = target.kind === "DaemonSet" ? readyCount(target.kind, target.object) : undefined;
    const count = Math.min(wanted, before ?? wanted);
    const endpoints = target.services.every(({ name }) => this.#endpoints.ready(name) >= count);
    return ready >= count && endpoints;
  }

  get #workload(): KubeObject | undefined {
    const { kind, name } = this.#options.target;
    return this.current(kind).find((object) => object.metadata.name === name);
  }

  /**
   * Starts every watch.
   *
   * @returns `synced`: resolves when all of them have listed once. `done`: resolves when the signal has ended them,
   * rejects when one of them cannot continue (no permission, or a handler threw).
   */
  start(): { synced: Promise<void>; done: Promise<void> } {
    const { target } = this.#options;
    const selector = selectorString(target.labels);
    const starts = [
      this.#run(target.kind, target.collection, { fieldSelector: `metadata.name=${target.name}` }),
      this.#run("Pod", resourcePath(PODS, target.namespace), { labelSelector: selector }),
    ];
    if (target.kind === "Deployment") {
      starts.push(
        this.#run("ReplicaSet", resourcePath(REPLICASETS, target.namespace), { labelSelector: selector }),
      );
    }
    for (const service of target.services) {
      starts.push(
        this.#watch<EndpointSlice>(
          resourcePath(ENDPOINT_SLICES, target.namespace),
          { labelSelector: `${SERVICE_NAME_LABEL}=${service.name}` },
          (event) => this.#endpoints.apply(event),
        ),
      );
    }
    const done = Promise.all(starts.map(async (start) => await start.done)).then(() => undefined);
    const synced = Promise.race([
      Promise.all(starts.map(async (start) => await start.synced)).then(() => undefined),
      done,
    ]);
    // `done` reports a refusal to its caller. `synced` may reject before anyone waits for it.
    synced.then(() => this.#beginControl()).catch(() => undefined);
    return { synced, done };
  }

  /** A control run has no attack that begins: every change after the first list is foreign. */
  #beginControl(): void {
    const { foreign, signal } = this.#options;
    if (foreign !== undefined && isControl({ type: foreign.attack }) && !signal.aborted)
      this.#foreign?.begin(this.#workload);
  }

  #run(kind: WatchedKind, path: string, selector: Selector): Started {
    return this.#watch<KubeObject>(path, selector, (event) => {
      this.#listener?.(kind, event);
      this.#onObject(kind, event);
    });
  }

  #watch<T extends { metadata?: unknown }>(
    path: string,
    selector: Selector,
    onEvent: (event: WatchEvent<T>) => void,
  ): Started {
    let markSynced = (): void => undefined;
    const synced = new Promise<void>((resolve) => (markSynced = resolve));
    const { transport, signal, resyncMs, emit } = this.#options;
    const resource = path.split("/").at(-1) ?? path;
    const done = watch<KubeObject>({
      transport,
      path,
      ...selector,
      signal,
      resyncMs,
      onEvent: (event) => onEvent(event as unknown as WatchEvent<T>),
      onSynced: () => markSynced(),
      onNote: (what) => emit({ type: "watch", resource, what }),
    });
    return { synced, done };
  }

  #reportForeign(kind: WatchedKind, event: WatchEvent<KubeObject>, owned: boolean): void {
    if (owned && kind === this.#options.target.kind) this.#foreign?.see(event);
    if (!owned && kind === "Pod" && event.type !== "DELETED") this.#foreign?.seeStranger(event.object);
  }

  #onObject(kind: WatchedKind, event: WatchEvent<KubeObject>): void {
    const { emit, target } = this.#options;
    const { object } = event;
    const key = object.metadata.uid;
    const known = this.#objects.has(key);
    // Another workload may have the same labels: its objects do not count. An object that no longer belongs to the
    // target (an orphaned pod) counts as gone.
    const owned = ownedByTarget(target, kind, object);
    this.#reportForeign(kind, event, owned);
    if (!owned && !known) return;
    if (!owned || event.type === "DELETED") {
      this.#objects.delete(key);
      this.#instanceStates.delete(key);
      emit({ type: "gone", object: refOf(kind, object) });
      return;
    }
    this.#objects.set(key, { kind, object });
    if (!known && this.#attackBegan) {
      const by = creatorOf(object);
      emit({ type: "recreated", object: refOf(kind, object), ...(by === undefined ? {} : { by }) });
    }
    if (kind === "Pod") this.#onPod(object);
  }

  /** Finds another workload of the target's kind with the same selector: the target may have been renamed. */
  async #findNamesake(): Promise<string | undefined> {
    const { target, transport, signal } = this.#options;
    const call = { timeoutMs: NAMESAKE_TIMEOUT_MS, retry: false, signal };
    const selector = (object: KubeObject): string =>
      JSON.stringify((object as unknown as Deployment).spec?.selector ?? null);
    try {
      const { items } = await list<KubeObject>(transport, target.collection, call);
      const wanted = selector(target.object);
      const found = items.find((item) => item.metadata.name !== target.name && selector(item) === wanted);
      return found === undefined ? undefined : `${target.kind} ${found.metadata.name}`;
    } catch {
      // This is only for the message: the target is gone either way.
      return undefined;
    }
  }

  #onPod(object: KubeObject): void {
    const pod = object as unknown as Pod;
    const node = pod.spec?.nodeName;
    const state = {
      podPhase: pod.status?.phase ?? "Unknown",
      ready: isReady(pod),
      terminating: isTerminating(object),
      ...(node === undefined ? {} : { node }),
    };
    const text = JSON.stringify(state);
    if (this.#instanceStates.get(object.metadata.uid) === text) return;
    this.#instanceStates.set(object.metadata.uid, text);
    this.#options.emit({ type: "instance", object: refOf("Pod", object), ...state });
  }
}

interface Selector {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

interface Started {
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
}
