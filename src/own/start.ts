/** Follows why own pods do not start, so that a wait for them ends with the reason instead of a time limit. */
import type { Stopwatch } from "../common/clock.js";
import { ChaosError } from "../common/errors.js";
import { DAEMONSETS, DEPLOYMENTS, EVENTS, list, PODS, REPLICASETS, resourcePath } from "../kube/api.js";
import type { DaemonSet, Deployment, Event, KubeObject, Pod, ReplicaSet } from "../kube/objects.js";
import { ApiError, ApiUnreachableError, type Transport } from "../kube/transport.js";
import { type NotStarted, type Started, whyNotStarted } from "../kube/why-not-started.js";

/** How often the reasons are read, ms: an event appears a second or more after its cause. */
const LOOK_EVERY_MS = 2_000;
/**
 * How long a reason that may pass is waited for, ms. Two failed pulls and two restarts (after 10 and 20 s) fit in, a new
 * service account or the network of a node that has just joined, too; and the user learns it within a minute.
 */
const PASSING_LIMIT_MS = 50_000;
/** Reasons in one message. */
const SHOWN = 3;

/** A workload or a pod that should start. */
export interface Awaited {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export interface StartWatchOptions {
  readonly transport: Transport;
  readonly clock: Stopwatch;
  /** The start of the message: "cannot start the guestbook". */
  readonly failed: string;
  /** The end of the message: what the failure means for the run. */
  readonly consequence?: () => string | Promise<string>;
  /** How long a reason that may pass is waited for, ms. Default 50 s. */
  readonly passingLimitMs?: number;
}

export class StartWatch {
  readonly #options: StartWatchOptions;
  readonly #awaited: readonly Awaited[];
  /** Since when each workload has had its reason, ms. */
  readonly #since = new Map<string, number>();
  #lookAt = 0;
  #last: readonly NotStarted[] = [];

  /** @param awaited objects of other kinds are ignored. */
  constructor(options: StartWatchOptions, awaited: readonly Awaited[]) {
    this.#options = options;
    this.#awaited = awaited.filter(({ kind }) => ["Deployment", "DaemonSet", "Pod"].includes(kind));
    this.#lookAt = options.clock.now() + LOOK_EVERY_MS;
  }

  /** The reasons of the last look. */
  get reasons(): readonly string[] {
    return this.#last.map(({ reason }) => reason);
  }

  /** Whether an image is being pulled and nothing has failed: then waiting longer makes sense. */
  get pulls(): boolean {
    return this.#last.some(({ pulling }) => pulling) && this.#last.every(({ cause }) => cause === "starting");
  }

  /** What happens, for a progress line; "": nothing special. */
  get words(): string {
    return this.#last.find(({ cause, pulling }) => cause !== "starting" || pulling)?.reason ?? "";
  }

  /**
   * Looks, unless the last look was less than 2 s ago.
   *
   * @throws ChaosError when a reason is final, or has lasted for `passingLimitMs`.
   */
  async look(): Promise<void> {
    const { clock, passingLimitMs = PASSING_LIMIT_MS } = this.#options;
    if (clock.now() < this.#lookAt) return;
    const found = await this.#find().catch((error: unknown) => {
      // A busy API server is not a reason why pods do not start.
      if (error instanceof ApiUnreachableError || (error instanceof ApiError && error.status >= 500))
        return undefined;
      throw error;
    });
    const now = clock.now();
    this.#lookAt = now + LOOK_EVERY_MS;
    if (found === undefined) return;
    this.#last = found.map(({ problem }) => problem);
    const failing = found.filter(({ problem }) => problem.cause !== "starting");
    const keys = new Set(failing.map(({ key }) => key));
    for (const key of this.#since.keys()) if (!keys.has(key)) this.#since.delete(key);
    const over = failing.filter(({ key, problem }) => {
      const since = this.#since.get(key) ?? now;
      this.#since.set(key, since);
      return problem.final || now - since >= passingLimitMs;
    });
    if (over.length > 0) throw await this.#error(over.map(({ problem }) => problem));
  }

  async #error(problems: readonly NotStarted[]): Promise<ChaosError> {
    const { failed, consequence } = this.#options;
    const shown = problems.slice(0, SHOWN).map(({ reason }) => reason.replace(/\.$/, ""));
    const more = problems.length - shown.length;
    const all = [...shown, ...(more > 0 ? [`${more} more like these`] : [])].join("; ");
    const advice = [...new Set(problems.map((each) => each.advice))];
    const end = consequence === undefined ? [] : [await consequence()];
    return new ChaosError([`${failed}: ${all}`, ...advice, ...end].join(". "));
  }

  /** Reads each namespace once. `key`: the workload and its kind of reason. */
  async #find(): Promise<{ readonly key: string; readonly problem: NotStarted }[]> {
    const namespaces = [...new Set(this.#awaited.map(({ metadata }) => metadata.namespace ?? ""))];
    const found = await Promise.all(
      namespaces.map(async (namespace) => {
        const awaited = this.#awaited.filter(({ metadata }) => metadata.namespace === namespace);
        const has = (kind: string): boolean => awaited.some((each) => each.kind === kind);
        const [deployments, replicaSets, daemonSets, pods, events] = await Promise.all([
          has("Deployment") ? this.#list<Deployment>(DEPLOYMENTS, namespace) : [],
          has("Deployment") ? this.#list<ReplicaSet>(REPLICASETS, namespace) : [],
          has("DaemonSet") ? this.#list<DaemonSet>(DAEMONSETS, namespace) : [],
          this.#list<Pod>(PODS, namespace),
          this.#list<Event>(EVENTS, namespace).catch((error: unknown) => {
            // Without this right the conditions and the containers' states still tell most reasons.
            if (error instanceof ApiError && error.status === 403) return [];
            throw error;
          }),
        ]);
        const objects: readonly Started[] = [...deployments, ...daemonSets, ...pods];
        return awaited.flatMap(({ kind, metadata: { name } }) => {
          const live = objects.find((each) => each.kind === kind && each.metadata.name === name);
          if (live === undefined) return [];
          const problem = whyNotStarted(live, replicaSets, pods, events);
          return problem === undefined
            ? []
            : [{ key: `${kind} ${namespace}/${name} ${problem.cause}`, problem }];
        });
      }),
    );
    return found.flat();
  }

  async #list<T extends KubeObject>(gvr: typeof PODS, namespace: string): Promise<T[]> {
    return (await list<T>(this.#options.transport, resourcePath(gvr, namespace))).items;
  }
}
