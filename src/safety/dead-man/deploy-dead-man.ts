/** Sets a dead-man's switch up before the attack: records it, creates it, and waits until it is ready. */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import { hostInUrl } from "../../common/host-in-url.js";
import { podProgram } from "../../common/pod-program.js";
import {
  CLUSTER_ROLES,
  create,
  ENDPOINT_SLICES,
  get,
  getOrUndefined,
  list,
  NAMESPACES,
  PODS,
  resourcePath,
  selectorString,
} from "../../kube/api.js";
import type { EndpointSlice, KubeObject, Namespace, Node, Pod } from "../../kube/objects.js";
import { podProxy } from "../../kube/pod-proxy.js";
import { isReady, isTerminating, reasonOf } from "../../kube/pod-state.js";
import { readyIn, SERVICE_NAME_LABEL } from "../../kube/service-endpoints.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { isPrepared } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import type { PodSource } from "../../own/pod-spec.js";
import { StartWatch } from "../../own/start.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import { copiesInCluster } from "../journal/cluster-copy.js";
import { record } from "../journal/entries.js";
import { type Journal, parseJournal, type PendingUndo } from "../journal/journal.js";
import {
  chooseNode,
  type DeadManObject,
  deadManObjects,
  labelsOf,
  MAX_PROGRAM_BYTES,
  ownedBy,
  type OwnerReference,
  pathsOf,
  withoutPriority,
} from "./dead-man-manifests.js";
import { deadManRights, type DeadManScope, namespacesIn, type WorkloadToRestore } from "./rights.js";
import { DEAD_MAN_PORT, deadManName, PROGRAM_FILE } from "./settings.js";

/** How long the switch may take to become ready, ms. Its image may have to be pulled. */
const READY_LIMIT_MS = 120_000;
const READY_EVERY_MS = 500;

export interface DeadManOptions {
  readonly runId: string;
  readonly userAgent: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly journal: Pick<Journal, "intent">;
  /** What the run has created, from its journal. Every object of the switch is added. */
  readonly made: PendingUndo[];
  readonly nodes: readonly Node[];
  readonly target: AnyTarget;
  /** What else the run may have to restore: companions, and what a function check changes. */
  readonly others: readonly WorkloadToRestore[];
  /** Nodes that are attacked; empty: the target is a workload. */
  readonly attacked: readonly string[];
  /** Where its image comes from. */
  readonly pods: PodSource;
  readonly note: (text: string) => void;
  readonly signal?: AbortSignal;
  /** The program's text. Default: dist/dead-man.mjs of this package. */
  readonly program?: string;
}

/** A switch that was ready once. */
export interface DeployedDeadMan {
  readonly node: string;
  /** A remark for the user about this switch; undefined: none. */
  readonly remark: string | undefined;
  /** Why the switch is not ready; undefined: it is. Called right before the attack. */
  problem(): Promise<string | undefined>;
}

/** What the switch does not cover for this target; undefined: it covers everything. Pure. */
export function deadManRemark(target: Pick<AnyTarget, "kind" | "name">): string | undefined {
  if (target.kind !== "StaticPod" && target.kind !== "SystemdUnit") return undefined;
  return (
    `${target.name} is taken down on its nodes, and timers on the nodes undo it; the dead-man's switch waits until ` +
    "it works again, then removes what the run created in the API"
  );
}

/** The scope of the rights that restoring this target needs. Pure. */
export function scopeOf(
  target: AnyTarget,
  others: readonly WorkloadToRestore[],
  namespaces: DeadManScope["namespaces"],
  prepared?: DeadManScope["prepared"],
): DeadManScope {
  const common = { namespaces, ...(prepared === undefined ? {} : { prepared }) };
  if (isNodeTarget(target)) {
    const namespace = target.namespace === "" ? "kube-system" : target.namespace;
    return { ...common, workloads: others, nodes: { namespace } };
  }
  const { kind, namespace, name } = target;
  return { ...common, workloads: [{ kind, namespace, names: [name] }, ...others] };
}

/**
 * Records and creates the switch, and waits until it is ready. Its rights follow from the namespaces that the journals of
 * the run and of the session remove at this moment.
 *
 * @returns undefined when the signal came first.
 * @throws ChaosError with the reason when it does not become ready; ApiError, ApiUnreachableError when it cannot be
 * created. What was created is in `made`.
 */
export async function deployDeadMan(options: DeadManOptions): Promise<DeployedDeadMan | undefined> {
  const { transport, clock, journal, made, runId, target, note, signal } = options;
  const { objects, node } = await objectsToCreate(options);
  // All journal entries are written before the first object is created.
  for (const object of objects) {
    const { kind, metadata } = object.manifest;
    const { name, namespace } = metadata;
    await record(journal, made, {
      action: "remove",
      path: pathsOf(object).path,
      object: { kind, name, ...(namespace === undefined ? {} : { namespace }) },
      labels: labelsOf(runId),
    });
  }
  await createAll(options, objects);
  const pod = new SwitchPod(transport, runId);
  const wait = {
    everyMs: READY_EVERY_MS,
    limitMs: READY_LIMIT_MS,
    ...(signal === undefined ? {} : { signal }),
  };
  const watch = new StartWatch(
    {
      transport,
      clock,
      failed: `cannot start the dead-man's switch on ${node}`,
      consequence: async () =>
        `${(await pod.readyzAnswer()).trim()} Nothing was attacked. To run without it, leave --dead-man out`,
    },
    objects.map(({ manifest }) => manifest),
  );
  const ready = await pollUntil(clock, wait, async () => {
    const problem = await pod.problem();
    note(problem ?? "ready");
    if (problem === undefined) return true;
    await watch.look();
    return undefined;
  });
  if (ready !== true) {
    if (signal?.aborted === true) return undefined;
    throw new ChaosError(
      `timed out after ${READY_LIMIT_MS / 1000} s waiting for the dead-man's switch on ${node}: ` +
        `${(await pod.problem()) ?? "it has only just become ready"}${await pod.readyzAnswer()}. Nothing was attacked. ` +
        "To run without it, leave --dead-man out",
    );
  }
  const attacked = options.attacked.includes(node)
    ? `every schedulable node is attacked, also ${node}, where the dead-man's switch runs`
    : undefined;
  const remarks = [deadManRemark(target), attacked].filter((each) => each !== undefined);
  return {
    node,
    remark: remarks.length === 0 ? undefined : remarks.join("; "),
    problem: async () => await pod.problem(),
  };
}

/** Creates the objects. The first owns the others if it is the ClusterRole (see deadManObjects). */
async function createAll(options: DeadManOptions, objects: readonly DeadManObject[]): Promise<void> {
  let owner: OwnerReference | undefined;
  for (const [index, object] of objects.entries()) {
    const owned = owner === undefined ? object : ownedBy(object, owner);
    if (object.gvr === PODS) {
      await createPod(options, owned);
      continue;
    }
    const { metadata } = await create<KubeObject>(
      options.transport,
      pathsOf(object).collection,
      owned.manifest,
    );
    const { apiVersion, kind } = object.manifest;
    if (index === 0 && object.gvr === CLUSTER_ROLES)
      owner = { apiVersion, kind, name: metadata.name, uid: metadata.uid };
  }
}

async function objectsToCreate(
  options: DeadManOptions,
): Promise<{ readonly objects: readonly DeadManObject[]; readonly node: string }> {
  const { transport, runId, userAgent, target, nodes, attacked } = options;
  const probers = await get<Namespace>(transport, resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE));
  const prepared = isPrepared(probers) ? { role: deadManName(runId) } : undefined;
  const node = chooseNode(nodes, attacked, await nodesOf(transport, target));
  if (node === undefined)
    throw new ChaosError(
      "cannot create the dead-man's switch: no node is schedulable. Uncordon a node, or leave --dead-man out",
    );
  const rights = deadManRights(scopeOf(target, options.others, await namespacesToClear(transport), prepared));
  const asked = [...new Set(rights.flatMap(({ namespace }) => namespace ?? []))];
  const existing = await Promise.all(
    asked.map(async (name) => {
      const path = resourcePath(NAMESPACES, undefined, name);
      return (await getOrUndefined<Namespace>(transport, path)) === undefined ? [] : [name];
    }),
  );
  const objects = deadManObjects({
    settings: { runId, servers: await apiServers(transport), userAgent },
    rights,
    program: options.program ?? (await readProgram()),
    namespaceUid: prepared === undefined ? probers.metadata.uid : undefined,
    namespaces: existing.flat(),
    node,
    pods: options.pods,
  });
  return { objects, node };
}

/** @throws ChaosError when the package was not built, or the program is too large for a ConfigMap. */
async function readProgram(): Promise<string> {
  const text = await podProgram(PROGRAM_FILE);
  if (Buffer.byteLength(text) <= MAX_PROGRAM_BYTES) return text;
  throw new ChaosError(
    `cannot create the dead-man's switch: ${PROGRAM_FILE} has ${Buffer.byteLength(text)} bytes, but the limit is ${MAX_PROGRAM_BYTES}. Rebuild it with \`npm run build\``,
  );
}

/**
 * The addresses of the API servers, from the EndpointSlices of the Service `kubernetes`. With these the switch needs neither
 * DNS nor kube-proxy.
 */
async function apiServers(transport: Transport): Promise<readonly string[]> {
  const path = resourcePath(ENDPOINT_SLICES, "default");
  const { items } = await list<EndpointSlice>(transport, path, {
    labelSelector: `${SERVICE_NAME_LABEL}=kubernetes`,
  });
  const servers = items.flatMap((slice) => {
    const { ports = [] } = slice;
    const port = (ports.find(({ name }) => name === "https") ?? ports[0])?.port ?? 443;
    return readyIn(slice)
      .flatMap(({ addresses }) => addresses)
      .map((ip) => `https://${hostInUrl(ip)}:${port}`);
  });
  if (servers.length > 0) return [...new Set(servers)];
  throw new ChaosError(
    "cannot create the dead-man's switch: the Service default/kubernetes has no endpoint, so the address of the API server " +
      "is unknown. Check that Service, or leave --dead-man out",
  );
}

/** The namespaces that this run and its session will remove or empty. */
async function namespacesToClear(transport: Transport): Promise<DeadManScope["namespaces"]> {
  const entries = (await copiesInCluster(transport)).flatMap((copy) => {
    // The switch could not undo what a damaged copy names. Failing here is safe: nothing is attacked yet.
    if (copy.error !== undefined) throw copy.error;
    return parseJournal(`the copy of ${copy.runId}`, copy.text)?.pending ?? [];
  });
  return namespacesIn(entries.map(({ undo }) => undo));
}

/** The nodes that run the target's pods. */
async function nodesOf(transport: Transport, target: AnyTarget): Promise<readonly string[]> {
  if (isNodeTarget(target)) return target.nodes;
  const { items } = await list<Pod>(transport, resourcePath(PODS, target.namespace), {
    labelSelector: selectorString(target.labels),
  });
  return items.flatMap(({ spec }) => spec?.nodeName ?? []);
}

/** Creates the pod, as a critical pod where that is allowed. */
async function createPod({ transport, note }: DeadManOptions, object: DeadManObject): Promise<void> {
  const make = async (manifest: DeadManObject["manifest"]): Promise<void> => {
    try {
      await create(transport, pathsOf(object).collection, manifest);
    } catch (error) {
      // The name is unique to this run, so an earlier attempt created it and its answer was lost.
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  };
  try {
    await make(object.manifest);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 403)) throw error;
    if (!/priority|quota|scope/i.test(error.message)) throw error;
    note("create it without critical priority, which this namespace does not allow");
    await make(withoutPriority(object.manifest));
  }
}

class SwitchPod {
  readonly #transport: Transport;
  readonly #name: string;
  readonly #path: string;

  constructor(transport: Transport, runId: string) {
    this.#transport = transport;
    this.#name = deadManName(runId);
    this.#path = resourcePath(PODS, PROBER_NAMESPACE, this.#name);
  }

  /** @returns why it is not ready; undefined: it is. */
  async problem(): Promise<string | undefined> {
    const pod = await getOrUndefined<Pod>(this.#transport, this.#path);
    if (pod === undefined) return `pod ${PROBER_NAMESPACE}/${this.#name} no longer exists`;
    if (isTerminating(pod)) return `pod ${PROBER_NAMESPACE}/${this.#name} is being deleted`;
    return isReady(pod) ? undefined : `pod ${PROBER_NAMESPACE}/${this.#name}: ${reasonOf(pod)}`;
  }

  /** The answer of its /readyz, or why there is none. */
  async readyzAnswer(): Promise<string> {
    try {
      const { body } = await podProxy(this.#transport, {
        namespace: PROBER_NAMESPACE,
        pod: this.#name,
        port: DEAD_MAN_PORT,
        path: "/readyz",
        timeoutMs: 3_000,
      });
      return ` (its /readyz answers: ${body.toString("utf8").trim().slice(0, 500)})`;
    } catch (error) {
      return ` (its /readyz does not answer: ${messageOf(error)})`;
    }
  }
}
