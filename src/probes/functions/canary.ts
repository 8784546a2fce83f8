/** Canaries: small objects of ours, made to see whether something happens to them. */
import { shortHash } from "../../common/hash.js";
import { ChaosError } from "../../common/errors.js";
import { create, get, PODS, remove, resourcePath, type CallOptions } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { isTerminating, waitingContainers } from "../../kube/pod-state.js";
import type { Need } from "../../kube/permission.js";
import { ApiError, ApiUnreachableError, type Transport } from "../../kube/transport.js";
import { MANAGED_BY, MANAGED_BY_LABEL, type Manifest } from "../../own/manifest.js";
import { PROBER_IMAGE } from "../../own/own-names.js";
import { podsLabelled } from "../../own/pods.js";
import { attempt, codeOf, outageOf, preparation } from "./attempt.js";
import type { FunctionContext } from "./function-check.js";
import { checkNeeds } from "./function-check.js";

/** Everything that belongs to one canary carries its name under this label. */
export const CANARY_LABEL = "kube-system-chaos/canary";

/** A pod's goodbye, seconds: with none at all its containers would run on unseen. */
const GRACE_SECONDS = 1;

/** How long clearing up may hold up the end of a look, ms. */
const SWEEP_MS = 700;

/** A fresh namespace takes pods only once it has its service account, ms. */
const NAMESPACE_LIMIT_MS = 30_000;

/** Runs until it is told to end, and then ends at once: as PID 1 a bare `sleep` would ignore the signal. */
export const IDLE = ["sh", "-c", "trap exit TERM; sleep 86400 & wait"];

export interface CanaryPodOptions {
  readonly namespace: string;
  readonly name: string;
  /** Default: the scheduler chooses. */
  readonly node?: string;
}

export function canaryPod({ namespace, name, node }: CanaryPodOptions): Manifest {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: canaryLabels(name) },
    spec: {
      // A node that is NotReady carries taints, and may be the very one to be asked.
      ...(node === undefined ? {} : { nodeName: node, tolerations: [{ operator: "Exists" }] }),
      ...podSpec({ command: IDLE }),
    },
  };
}

/** What every canary's pod has: one container from the image that is on the nodes already. */
export function podSpec(container: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    terminationGracePeriodSeconds: GRACE_SECONDS,
    automountServiceAccountToken: false,
    containers: [
      {
        name: "canary",
        image: PROBER_IMAGE,
        imagePullPolicy: "IfNotPresent",
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        ...container,
      },
    ],
  };
}

export function canaryLabels(name: string): Record<string, string> {
  return { app: "chaos-canary", [CANARY_LABEL]: name, [MANAGED_BY_LABEL]: MANAGED_BY };
}

/** Unique names in the canaries' namespace, short enough for what is made from them: "chaos-node-0003". */
export class Names {
  readonly #prefix: string;
  #count = 0;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  next(): string {
    this.#count += 1;
    return `${this.#prefix}-${String(this.#count).padStart(4, "0")}`;
  }
}

/** Names that are unique for the run, and of one length: none is the beginning of another. */
export function runNames(context: FunctionContext, what: string): Names {
  // A run's id is too long for what is appended to a name, and its end alone may come twice.
  const run = shortHash(context.runId, 8);
  return new Names(`chaos-${what}-${run}`);
}

/**
 * Creates an object whose name is its own. Sent again, once, when a kept-alive connection turned out to be dead:
 * what the first one may have made is then there (409), and is ours.
 */
export async function createCanary<T>(
  transport: Transport,
  collection: string,
  manifest: Manifest,
  options: CallOptions,
): Promise<T> {
  try {
    return await create<T>(transport, collection, manifest, options);
  } catch (error) {
    const stale =
      error instanceof ApiUnreachableError && ["ECONNRESET", "EPIPE"].includes(codeOf(error) ?? "");
    if (!stale) throw error;
  }
  try {
    return await create<T>(transport, collection, manifest, options);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
    return await get<T>(transport, `${collection}/${manifest.metadata.name}`, options);
  }
}

/** What was made in a preparation. @throws ChaosError when the API would not have it. */
export async function made<T>(what: string, work: Promise<T>): Promise<T> {
  const result = await attempt(work);
  if ("not" in result) throw new ChaosError(`${what} cannot be made: ${result.not}`);
  return result.done;
}

/**
 * Waits until pods can be made in the canaries' namespace, without making one.
 *
 * @throws ChaosError when they cannot be.
 */
export async function podsAreAdmitted(context: FunctionContext): Promise<void> {
  const { transport, namespace } = context;
  const look = preparation(context, NAMESPACE_LIMIT_MS);
  const pod = canaryPod({ namespace, name: "chaos-admission" });
  const admitted = await look.until(200, async () => {
    await create(transport, resourcePath(PODS, namespace), pod, { ...look.call(), dryRun: "All" });
    return { done: true };
  });
  if ("not" in admitted)
    throw new ChaosError(`no canary pod can be made in namespace ${namespace}: ${admitted.not}`);
}

/** Pods of one canary. */
export async function podsOfCanary(
  context: FunctionContext,
  name: string,
  options: CallOptions,
): Promise<readonly Pod[]> {
  return await podsLabelled(context.transport, context.namespace, { [CANARY_LABEL]: name }, options);
}

export function isRunning(pod: Pod): boolean {
  return pod.status?.phase === "Running" && !isTerminating(pod);
}

/** Phase, and what keeps a pod from running, in the cluster's own words. */
export function stateOf(pod: Pod): string {
  const { phase = "no phase", reason, message, conditions = [] } = pod.status ?? {};
  const waiting = waitingContainers(pod).map((container) => container.reason);
  const unmet = conditions
    .filter(({ status }) => status === "False")
    .map((condition) =>
      [`${condition.type}=False`, condition.reason, condition.message].filter(isSaid).join(" "),
    );
  const said = [reason, message, ...waiting, unmet[0]].filter(isSaid);
  return [phase, ...(said.length === 0 ? ["nothing else is said of it"] : said)].join(", ");
}

function isSaid(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

/** Objects that are to go: tried at the end of each look, until the API has taken it. */
export class Leftovers {
  readonly #transport: Transport;
  readonly #paths = new Set<string>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get size(): number {
    return this.#paths.size;
  }

  /** @param path URL path of an object of ours. Before it is made: an answer that got lost leaves it behind. */
  add(path: string): void {
    this.#paths.add(path);
  }

  /** It stays. */
  keep(path: string): void {
    this.#paths.delete(path);
  }

  /** Deletes all of them, also those of earlier looks. Never throws for an API that is away. */
  async sweep(): Promise<void> {
    await Promise.all([...this.#paths].map(async (path) => await this.#remove(path)));
  }

  async #remove(path: string): Promise<void> {
    try {
      await removeCanary(this.#transport, path, { timeoutMs: SWEEP_MS, retry: false });
      this.#paths.delete(path);
    } catch (error) {
      outageOf(error); // stays on the list; anything but an outage is thrown on
    }
  }
}

/** Deletes an object of ours, with what it made. That it is gone already is well, too. */
export async function removeCanary(transport: Transport, path: string, options: CallOptions): Promise<void> {
  await remove(transport, path, {
    ...options,
    gracePeriodSeconds: GRACE_SECONDS,
    propagationPolicy: "Background",
  });
}

/** What is made is looked up again when the answer to its creation was lost. */
export const MAKE = ["get", "create"];

/** Rights to canaries of one kind. */
export function canaryNeeds(namespace: string, verbs: readonly string[], resource: string): Need[] {
  return checkNeeds("canaries of its own", verbs, { resource, namespace });
}
