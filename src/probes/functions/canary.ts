/** Canaries: small objects that a check creates to see whether a component acts on them. */
import { shortHash } from "../../common/hash.js";
import { ChaosError } from "../../common/errors.js";
import { create, get, PODS, remove, resourcePath, type CallOptions } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { isTerminating, waitingContainers } from "../../kube/pod-state.js";
import type { Need } from "../../kube/permission.js";
import { ApiError, ApiUnreachableError, type Transport } from "../../kube/transport.js";
import { MANAGED_BY, MANAGED_BY_LABEL, type Manifest } from "../../own/manifest.js";
import {
  CONTAINER_SECURITY,
  NODE_USER,
  type PodSource,
  podSecurity,
  pulledWith,
} from "../../own/pod-spec.js";
import { podsLabelled } from "../../own/pods.js";
import { attempt, codeOf, outageOf, preparation } from "./attempt.js";
import type { FunctionContext } from "./function-check.js";
import { checkNeeds } from "./function-check.js";

/** All objects of one canary carry its name in this label. */
export const CANARY_LABEL = "kube-system-chaos/canary";

/** Grace period of canary pods, seconds. With 0 the object disappears while its containers still run. */
const GRACE_SECONDS = 1;

/** How long clean-up may delay the end of a check, ms. */
const SWEEP_MS = 700;

/** Wait for a new namespace, ms: it accepts pods only after its service account exists. */
const NAMESPACE_LIMIT_MS = 30_000;

/** Runs until SIGTERM and then exits immediately: as PID 1 a bare `sleep` would ignore the signal. */
export const IDLE = ["sh", "-c", "trap exit TERM; sleep 86400 & wait"];

export interface CanaryPodOptions {
  readonly namespace: string;
  readonly pods: PodSource;
  readonly name: string;
  /** Default: the scheduler chooses. */
  readonly node?: string;
}

export function canaryPod({ namespace, pods, name, node }: CanaryPodOptions): Manifest {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: canaryLabels(name) },
    spec: {
      // A NotReady node carries taints, and it may be the node to check.
      ...(node === undefined ? {} : { nodeName: node, tolerations: [{ operator: "Exists" }] }),
      ...podSpec(pods, { command: IDLE }),
    },
  };
}

/** The spec of every canary pod: one container, from the image that the nodes already have. */
export function podSpec(
  { image, pullSecrets }: PodSource,
  container: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return {
    ...pulledWith(pullSecrets),
    securityContext: podSecurity(NODE_USER),
    terminationGracePeriodSeconds: GRACE_SECONDS,
    automountServiceAccountToken: false,
    containers: [
      {
        name: "canary",
        image,
        imagePullPolicy: "IfNotPresent",
        securityContext: CONTAINER_SECURITY,
        ...container,
      },
    ],
  };
}

export function canaryLabels(name: string): Record<string, string> {
  return { app: "chaos-canary", [CANARY_LABEL]: name, [MANAGED_BY_LABEL]: MANAGED_BY };
}

/** Unique names in the canaries' namespace, short enough for the names derived from them: "chaos-node-0003". */
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

/** Names that are unique for the run and of equal length, so that none is a prefix of another. */
export function runNames(context: FunctionContext, what: string): Names {
  // A run's id is too long for a name with suffixes, and its last part alone is not unique.
  const run = shortHash(context.runId, 8);
  return new Names(`chaos-${what}-${run}`);
}

/**
 * Creates an object with a unique name. Sends the request once more if a kept-alive connection was dead. If the second
 * request gets 409, the first one created the object.
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

/** An object created in a preparation. @throws ChaosError if the API refuses or does not answer. */
export async function made<T>(what: string, work: Promise<T>): Promise<T> {
  const result = await attempt(work);
  if ("not" in result) throw new ChaosError(`setup of the function check failed at ${what}: ${result.not}`);
  return result.done;
}

/**
 * Waits until the canaries' namespace accepts pods, without creating one.
 *
 * @throws ChaosError if it does not.
 */
export async function podsAreAdmitted(context: FunctionContext): Promise<void> {
  const { transport, namespace, pods } = context;
  const check = preparation(context, NAMESPACE_LIMIT_MS);
  const pod = canaryPod({ namespace, pods, name: "chaos-admission" });
  const admitted = await check.until(200, async () => {
    await create(transport, resourcePath(PODS, namespace), pod, { ...check.call(), dryRun: "All" });
    return { done: true };
  });
  if ("not" in admitted)
    throw new ChaosError(`cannot create a canary pod in namespace ${namespace}: ${admitted.not}`);
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

/** The phase of a pod, and what keeps it from running as the cluster reports it. */
export function stateOf(pod: Pod): string {
  const { phase = "no phase", reason, message, conditions = [] } = pod.status ?? {};
  const waiting = waitingContainers(pod).map((container) => container.reason);
  const unmet = conditions
    .filter(({ status }) => status === "False")
    .map((condition) =>
      [`${condition.type}=False`, condition.reason, condition.message].filter(isNotEmpty).join(" "),
    );
  const reasons = [reason, message, ...waiting, unmet[0]].filter(isNotEmpty);
  return [phase, ...(reasons.length === 0 ? ["no reason given"] : reasons)].join(", ");
}

function isNotEmpty(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

/** Objects to delete at the end of each check, until the API has accepted the deletion. */
export class Leftovers {
  readonly #transport: Transport;
  readonly #paths = new Set<string>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get size(): number {
    return this.#paths.size;
  }

  /** Call it before creating the object: a lost response would leave it behind. @param path URL path of the canary. */
  add(path: string): void {
    this.#paths.add(path);
  }

  /** Takes an object off the list. */
  keep(path: string): void {
    this.#paths.delete(path);
  }

  /** Deletes all of them, including those of earlier checks. Never throws because of an unavailable API. */
  async sweep(): Promise<void> {
    await Promise.all([...this.#paths].map(async (path) => await this.#remove(path)));
  }

  async #remove(path: string): Promise<void> {
    try {
      await removeCanary(this.#transport, path, { timeoutMs: SWEEP_MS, retry: false });
      this.#paths.delete(path);
    } catch (error) {
      outageOf(error); // stays on the list; an error other than an outage is rethrown
    }
  }
}

/** Deletes a canary and its dependents. It is no error if the canary no longer exists. */
export async function removeCanary(transport: Transport, path: string, options: CallOptions): Promise<void> {
  await remove(transport, path, {
    ...options,
    gracePeriodSeconds: GRACE_SECONDS,
    propagationPolicy: "Background",
  });
}

/** "get": to find the object if the response to its creation was lost. */
export const MAKE = ["get", "create"];

/** Rights for canaries of one kind. */
export function canaryNeeds(namespace: string, verbs: readonly string[], resource: string): Need[] {
  return checkNeeds("canaries of its own", verbs, { resource, namespace });
}
