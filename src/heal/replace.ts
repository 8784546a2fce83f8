/** Replaces one pod: it is deleted, and its successor must be Ready, an endpoint of its Services, and serve. */
import { type Clock, pollUntil } from "../common/clock.js";
import { ChaosError, messageOf } from "../common/errors.js";
import { seconds } from "../common/figures.js";
import { ENDPOINT_SLICES, list, resourcePath } from "../kube/api.js";
import type { EndpointSlice, Pod } from "../kube/objects.js";
import { isReady, isTerminating, reasonOf } from "../kube/pod-state.js";
import { readyIn, SERVICE_NAME_LABEL } from "../kube/service-endpoints.js";
import { ApiError, ApiUnreachableError, type Transport } from "../kube/transport.js";
import { StartWatch } from "../own/start.js";
import type { Target } from "../targets/target.js";
import { evict } from "./evict.js";
import { podsOfTarget } from "./pods.js";

export interface ReplaceOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly target: Target;
  readonly disableEviction: boolean;
  /** For the eviction, and then for the successor, ms. */
  readonly limitMs: number;
  /** Interrupted, or the lock was lost. */
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  /** What does not work since a time though it worked before; empty: all of it does. */
  readonly notGoodSince: (fromMs: number) => Promise<readonly string[]>;
}

/** `deleted`: whether its deletion has begun. `problem`: why there is no successor that serves. */
export interface Replaced {
  readonly deleted: boolean;
  readonly successor?: string;
  readonly tookMs: number;
  readonly problem?: string;
}

/** How long the probes may fail after the successor is an endpoint, ms: kube-proxy follows within a second or two. */
const ANSWER_LIMIT_MS = 30_000;
const EVERY_MS = 500;

export async function replacePod(pod: Pod, options: ReplaceOptions): Promise<Replaced> {
  const { transport, clock, target, signal, note } = options;
  const startedMs = clock.now();
  const took = (): number => clock.now() - startedMs;
  const before = new Set((await podsOfTarget(transport, target)).map(({ metadata }) => metadata.uid));
  const refused = await evict(pod, options);
  if (refused !== undefined)
    return {
      deleted: false,
      tookMs: took(),
      problem: `pod ${pod.metadata.name} was not deleted: ${refused}`,
    };
  const wait = new Waiting(pod, before, options);
  const poll = { everyMs: EVERY_MS, limitMs: options.limitMs, signal };
  const ready = await pollUntil(clock, poll, async () => await wait.look());
  const { successor = {}, missing } = wait;
  const gone = { deleted: true, ...successor, tookMs: took() };
  if (ready !== true && wait.problem === undefined)
    return {
      ...gone,
      problem: signal.aborted
        ? `interrupted while pod ${pod.metadata.name} was replaced (${missing}): its controller completes it`
        : `pod ${pod.metadata.name} was deleted, and within ${seconds(options.limitMs)} ${missing}`,
    };
  if (wait.problem !== undefined) return { ...gone, problem: wait.problem };
  const sinceMs = clock.now();
  let failing: readonly string[] = [];
  const answers = await pollUntil(
    clock,
    { everyMs: EVERY_MS, limitMs: ANSWER_LIMIT_MS, signal },
    async () => {
      failing = await options.notGoodSince(sinceMs);
      note(`ready; waits until it answers: ${failing[0] ?? ""}`);
      return failing.length === 0 ? true : undefined;
    },
  );
  const done = { deleted: true, ...successor, tookMs: took() };
  if (answers === true || signal.aborted) return done;
  return {
    ...done,
    problem: `pod ${successor.successor ?? ""} is ready, but ${seconds(ANSWER_LIMIT_MS)} later this still fails, which worked before: ${failing.join(", ")}`,
  };
}

/** The wait for a successor. */
class Waiting {
  readonly #pod: Pod;
  readonly #before: ReadonlySet<string>;
  readonly #options: ReplaceOptions;
  #watch: { readonly of: string; readonly watch: StartWatch } | undefined;
  successor: { readonly successor?: string } = {};
  /** What is waited for, as the end of a sentence. */
  missing = "its controller has made no new pod";
  /** Why waiting does not help. */
  problem: string | undefined;

  constructor(pod: Pod, before: ReadonlySet<string>, options: ReplaceOptions) {
    this.#pod = pod;
    this.#before = before;
    this.#options = options;
  }

  /** true: done, or waiting does not help. */
  async look(): Promise<true | undefined> {
    const { transport, target, note } = this.#options;
    try {
      const pods = await podsOfTarget(transport, target);
      const next = this.#nextIn(pods);
      if (next === undefined || !isReady(next)) {
        this.successor = next === undefined ? {} : { successor: next.metadata.name };
        this.missing =
          next === undefined
            ? "its controller has made no new pod"
            : `its successor ${next.metadata.name} is not ready: ${reasonOf(next)}`;
        note(this.missing);
        await this.#starts(next);
        return undefined;
      }
      this.successor = { successor: next.metadata.name };
      const service = await this.#notEndpointOf(next);
      const old = pods.some(({ metadata }) => metadata.uid === this.#pod.metadata.uid);
      if (service === undefined && !old) return true;
      this.missing =
        service === undefined
          ? `pod ${this.#pod.metadata.name} has not ended`
          : `its successor ${next.metadata.name} is no endpoint of Service ${service}`;
      note(this.missing);
      return undefined;
    } catch (error) {
      // A component that serves the API may be what is replaced: ask again until the limit.
      if (error instanceof ApiUnreachableError || (error instanceof ApiError && error.status >= 500)) {
        this.missing = `the API server did not answer: ${messageOf(error)}`;
        return undefined;
      }
      if (!(error instanceof ChaosError)) throw error;
      this.problem = messageOf(error);
      return true;
    }
  }

  /** The new pod; of a DaemonSet the one on the same node. */
  #nextIn(pods: readonly Pod[]): Pod | undefined {
    const { target } = this.#options;
    const fresh = pods.filter(
      (pod) =>
        !isTerminating(pod) &&
        !this.#before.has(pod.metadata.uid) &&
        (target.kind === "Deployment" || nodeOf(pod) === nodeOf(this.#pod)),
    );
    return fresh.find((pod) => isReady(pod)) ?? fresh[0];
  }

  /** @throws ChaosError when the successor will not start. */
  async #starts(next: Pod | undefined): Promise<void> {
    const { transport, clock, target } = this.#options;
    const { namespace, kind } = target;
    const of = next?.metadata.name ?? "";
    if (this.#watch?.of !== of) {
      const awaited =
        next === undefined
          ? { kind, metadata: { name: target.name, namespace } }
          : { kind: "Pod", metadata: { name: of, namespace } };
      const failed = `pod ${this.#pod.metadata.name} was deleted, and its successor does not start`;
      this.#watch = { of, watch: new StartWatch({ transport, clock, failed }, [awaited]) };
    }
    await this.#watch.watch.look();
  }

  /** A Service of the target whose slices do not have the pod as a ready endpoint; undefined: all have it. */
  async #notEndpointOf(pod: Pod): Promise<string | undefined> {
    const { transport, target } = this.#options;
    if (target.services.length === 0) return undefined;
    const { items } = await list<EndpointSlice>(transport, resourcePath(ENDPOINT_SLICES, target.namespace));
    return target.services.find(
      ({ name }) =>
        !items
          .filter(({ metadata }) => metadata.labels?.[SERVICE_NAME_LABEL] === name)
          .some((slice) => readyIn(slice).some(({ targetRef }) => targetRef?.uid === pod.metadata.uid)),
    )?.name;
  }
}

const nodeOf = ({ spec }: Pod): string => spec?.nodeName ?? nodeWanted(spec) ?? "";

/** A DaemonSet's pod that is not scheduled yet names its node in an affinity (pkg/controller/daemon/util/daemonset_util.go). */
function nodeWanted(spec: Pod["spec"]): string | undefined {
  const terms =
    spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return (terms ?? [])
    .flatMap(({ matchFields = [] }) => matchFields)
    .find(({ key }) => key === "metadata.name")?.values?.[0];
}
