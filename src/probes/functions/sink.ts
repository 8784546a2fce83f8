/** The sink of the study's add-ons: a small service that stores what is forwarded to it. */
import { ChaosError } from "../../common/errors.js";
import { list, PODS, resourcePath, selectorString } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import type { Need } from "../../kube/permission.js";
import { podProxyPath } from "../../kube/pod-proxy.js";
import type { Transport } from "../../kube/transport.js";
import { ApiUnreachableError } from "../../kube/transport.js";
import { SINK_NAMESPACE } from "../../own/own-names.js";
import { type CheckTime, preparation } from "./attempt.js";
import { isRunning } from "./canary.js";
import type { FunctionContext } from "./function-check.js";
import { checkNeeds } from "./function-check.js";

const SINK_LABELS = { app: "chaos-sink" } as const;

const SINK_PORT = 8080;
const FIND_LIMIT_MS = 10_000;

/** A forwarded item. Times are in the sink's clock, ms. */
export interface SinkEntry {
  readonly receivedAt: number;
  /** Of a log line. */
  readonly text?: string;
  /** Of an Event. */
  readonly message?: string;
}

export interface SinkAnswer {
  /** The sink's clock, ms. */
  readonly now: number;
  readonly entries: readonly SinkEntry[];
}

export interface SinkMetrics {
  readonly now: number;
  readonly byNode: Readonly<Record<string, { readonly receivedAt: number; readonly time?: unknown }>>;
}

export class Sink {
  readonly #transport: Transport;
  #pod: string | undefined;

  private constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws ChaosError when there is none. */
  static async find(context: FunctionContext): Promise<Sink> {
    const sink = new Sink(context.transport);
    const check = preparation(context, FIND_LIMIT_MS);
    const found = await check.until(500, async () => {
      await sink.logs("kube-system-chaos", check);
      return { done: true };
    });
    if ("not" in found) {
      throw new ChaosError(
        `the sink in namespace ${SINK_NAMESPACE} does not answer: ${found.not}. Install it with the study's add-ons: chaos cluster up --addons`,
      );
    }
    return sink;
  }

  /** Log lines that contain a text. Rejects with ApiError or ApiUnreachableError, as the other requests do. */
  async logs(contains: string, check: CheckTime): Promise<SinkAnswer> {
    return await this.#get("/logs", check, { contains });
  }

  /** Events that contain a text. */
  async events(contains: string, check: CheckTime): Promise<SinkAnswer> {
    return await this.#get("/events", check, { contains });
  }

  /** The newest metric point of each node. */
  async metrics(check: CheckTime): Promise<SinkMetrics> {
    return await this.#get("/metrics/latest", check);
  }

  async #get<T>(path: string, check: CheckTime, query: Readonly<Record<string, string>> = {}): Promise<T> {
    const pod = this.#pod ?? (await this.#find(check));
    // After a failed request the pod is looked up again: it may have moved.
    this.#pod = undefined;
    const answer = await this.#transport.json<T>({
      ...check.call(),
      method: "GET",
      path: podProxyPath(SINK_NAMESPACE, pod, SINK_PORT, path),
      query,
    });
    this.#pod = pod;
    return answer;
  }

  async #find(check: CheckTime): Promise<string> {
    const path = resourcePath(PODS, SINK_NAMESPACE);
    const { items } = await list<Pod>(this.#transport, path, {
      ...check.call(),
      labelSelector: selectorString(SINK_LABELS),
    });
    const pod = items.find(isRunning);
    if (pod === undefined)
      throw new ApiUnreachableError(
        { method: "GET", path },
        { cause: new Error("no pod of the sink is running") },
      );
    return pod.metadata.name;
  }
}

/**
 * The delivery time, ms: the time since it was sent in the runner's clock, less the time that the sink has had it in the
 * sink's clock. The two clocks are never compared.
 */
export function onItsWayMs(sinceSentMs: number, answer: { readonly now: number }, entry: SinkEntry): number {
  return Math.max(0, sinceSentMs - (answer.now - entry.receivedAt));
}

/** Rights to ask the sink. */
export function sinkNeeds(): Need[] {
  const namespace = SINK_NAMESPACE;
  const what = "read what has arrived at the sink";
  return [
    ...checkNeeds(what, ["list"], { resource: "pods", namespace }),
    ...checkNeeds(what, ["get"], { resource: "pods", subresource: "proxy", namespace }),
    ...checkNeeds(what, ["get", "create"], { resource: "pods", subresource: "portforward", namespace }).map(
      (need) => ({ ...need, optional: true as const }),
    ),
  ];
}
