/** Setting a dead-man's switch up before the first harm: recorded, made, and seen to be ready. */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, messageOf, RefusedError } from "../../common/errors.js";
import { podProgram } from "../../common/pod-program.js";
import {
  create,
  get,
  getOrUndefined,
  list,
  NAMESPACES,
  PODS,
  resourcePath,
  selectorString,
} from "../../kube/api.js";
import type { Endpoints, Namespace, Node, Pod } from "../../kube/objects.js";
import { podProxy } from "../../kube/pod-proxy.js";
import { isReady, isTerminating, reasonOf } from "../../kube/pod-state.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { isPrepared } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
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
  pathsOf,
  withoutPriority,
} from "./dead-man-manifests.js";
import { deadManRights, type DeadManScope, namespacesIn, type PutBack } from "./rights.js";
import { DEAD_MAN_PORT, deadManName, PROGRAM_FILE } from "./settings.js";

/** How long it may take until the switch is ready (the image may have to be pulled), ms. */
const READY_LIMIT_MS = 120_000;
const READY_EVERY_MS = 500;

/** Before Kubernetes 1.24 a ServiceAccount has its token a moment later, and no pod before that, ms. */
const TOKEN_LIMIT_MS = 30_000;
const TOKEN_EVERY_MS = 500;

export interface DeadManOptions {
  readonly runId: string;
  readonly userAgent: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly journal: Pick<Journal, "intent">;
  /** What the run has made, as its journal has it: every object of the switch is added. */
  readonly made: PendingUndo[];
  readonly nodes: readonly Node[];
  readonly target: AnyTarget;
  /** Whatever else the run may have to put back: companions, what the probe of a function sets wrong. */
  readonly others: readonly PutBack[];
  /** Nodes that are attacked; empty: the target is a workload. */
  readonly attacked: readonly string[];
  readonly note: (text: string) => void;
  readonly signal?: AbortSignal;
  /** The program's text. Default: dist/dead-man.mjs of this package. */
  readonly program?: string;
}

/** A switch that was ready once. */
export interface DeployedDeadMan {
  readonly node: string;
  /** What is to be said about this one beforehand; undefined: nothing. */
  readonly remark: string | undefined;
  /** Why it is not to be relied on at this moment; undefined: it is ready. Asked right before the first harm. */
  problem(): Promise<string | undefined>;
}

/**
 * Why a run cannot have a switch; undefined: it can. Asked before anything is touched. Pure.
 *
 * @param probers the probers' namespace as it is; undefined: it is not there, the run makes it.
 */
export function deadManProblem(probers: Pick<Namespace, "metadata"> | undefined): string | undefined {
  if (probers === undefined || !isPrepared(probers)) return undefined;
  return (
    `namespace ${PROBER_NAMESPACE} is prepared and stays, and the Roles of a dead-man's switch go with the namespace ` +
    "that a run makes: leave --dead-man out, or remove that namespace"
  );
}

/** What a switch does not cover of this target; undefined: it covers all. Pure. */
export function deadManRemark(target: Pick<AnyTarget, "kind" | "name">): string | undefined {
  if (target.kind !== "StaticPod" && target.kind !== "SystemdUnit") return undefined;
  return (
    `${target.name} is taken down on its nodes, where the timers on the nodes undo it; the dead-man's switch ` +
    "clears away what is left in the API once it works again"
  );
}

/** What the target needs to be put back. Pure. */
export function scopeOf(
  target: AnyTarget,
  others: readonly PutBack[],
  namespaces: DeadManScope["namespaces"],
): DeadManScope {
  if (isNodeTarget(target)) {
    const namespace = target.namespace === "" ? "kube-system" : target.namespace;
    return { workloads: others, namespaces, nodes: { namespace } };
  }
  const { kind, namespace, name } = target;
  return { workloads: [{ kind, namespace, names: [name] }, ...others], namespaces };
}

/**
 * Records, makes, and waits for the switch. What it is allowed to follows from what the journals (the run's, and the
 * session's) have in them by now: the namespaces that are to be cleared away.
 *
 * @returns undefined when the signal came first.
 * @throws ChaosError when it does not become ready, with the reason; ApiError, ApiUnreachableError when it cannot be
 * made. What was made is in `made`.
 */
export async function deployDeadMan(options: DeadManOptions): Promise<DeployedDeadMan | undefined> {
  const { transport, clock, journal, made, runId, target, note, signal } = options;
  const { objects, node } = await whatToMake(options);
  // One write of the journal for each, before the first of them is made.
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
  for (const object of objects) {
    if (object.gvr === PODS) await createPod(options, object);
    else await create(transport, pathsOf(object).collection, object.manifest);
  }
  const pod = new SwitchPod(transport, runId);
  const wait = {
    everyMs: READY_EVERY_MS,
    limitMs: READY_LIMIT_MS,
    ...(signal === undefined ? {} : { signal }),
  };
  const ready = await pollUntil(clock, wait, async () => {
    const problem = await pod.problem();
    note(problem ?? "ready");
    return problem === undefined ? true : undefined;
  });
  if (ready !== true) {
    if (signal?.aborted === true) return undefined;
    throw new ChaosError(
      `the dead-man's switch on ${node} is not ready ${READY_LIMIT_MS / 1000} s after it was made: ` +
        `${(await pod.problem()) ?? "it became so only now"}${await pod.ownWords()}. Nothing was harmed; ` +
        "leave --dead-man out to run without it",
    );
  }
  const attacked = options.attacked.includes(node)
    ? `every node that takes pods is attacked, ${node} with the dead-man's switch, too`
    : undefined;
  const remarks = [deadManRemark(target), attacked].filter((each) => each !== undefined);
  return {
    node,
    remark: remarks.length === 0 ? undefined : remarks.join("; "),
    problem: async () => await pod.problem(),
  };
}

async function whatToMake(
  options: DeadManOptions,
): Promise<{ readonly objects: readonly DeadManObject[]; readonly node: string }> {
  const { transport, runId, userAgent, target, nodes, attacked } = options;
  const probers = await get<Namespace>(transport, resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE));
  const problem = deadManProblem(probers);
  if (problem !== undefined) throw new RefusedError(problem);
  const node = chooseNode(nodes, attacked, await nodesOf(transport, target));
  if (node === undefined)
    throw new ChaosError("no node takes pods: the dead-man's switch has nowhere to run");
  const rights = deadManRights(scopeOf(target, options.others, await namespacesToClear(transport)));
  const asked = [...new Set(rights.flatMap(({ namespace }) => namespace ?? []))];
  const there = await Promise.all(
    asked.map(async (name) => {
      const path = resourcePath(NAMESPACES, undefined, name);
      return (await getOrUndefined<Namespace>(transport, path)) === undefined ? [] : [name];
    }),
  );
  const objects = deadManObjects({
    settings: { runId, servers: await apiServers(transport), userAgent },
    rights,
    program: options.program ?? (await readProgram()),
    namespaceUid: probers.metadata.uid,
    namespaces: there.flat(),
    node,
  });
  return { objects, node };
}

/** @throws ChaosError when the package was not built, or the program is too large for a ConfigMap. */
async function readProgram(): Promise<string> {
  const text = await podProgram(PROGRAM_FILE);
  if (Buffer.byteLength(text) <= MAX_PROGRAM_BYTES) return text;
  throw new ChaosError(
    `${PROGRAM_FILE} has ${Buffer.byteLength(text)} bytes, and a ConfigMap takes ${MAX_PROGRAM_BYTES}. Rebuild it with \`npm run build\``,
  );
}

/**
 * The addresses of the API servers, as the Service `kubernetes` leads to them: called by these, the switch needs neither
 * DNS nor kube-proxy.
 */
async function apiServers(transport: Transport): Promise<readonly string[]> {
  const endpoints = await get<Endpoints>(transport, "/api/v1/namespaces/default/endpoints/kubernetes");
  const servers = (endpoints.subsets ?? []).flatMap(({ addresses = [], ports = [] }) => {
    const port = (ports.find(({ name }) => name === "https") ?? ports[0])?.port ?? 443;
    return addresses.map(({ ip }) => `https://${ip.includes(":") ? `[${ip}]` : ip}:${port}`);
  });
  if (servers.length > 0) return servers;
  throw new ChaosError(
    "the Service default/kubernetes has no endpoint: the dead-man's switch would not know the API server's address",
  );
}

/** What this run, and a session that it is one of, will clear away. */
async function namespacesToClear(transport: Transport): Promise<DeadManScope["namespaces"]> {
  const entries = (await copiesInCluster(transport)).flatMap((copy) => {
    // What is not known cannot be covered: nothing is harmed yet.
    if (copy.error !== undefined) throw copy.error;
    return parseJournal(`the copy of ${copy.runId}`, copy.text)?.pending ?? [];
  });
  return namespacesIn(entries.map(({ undo }) => undo));
}

/** Nodes on which the target's pods are. */
async function nodesOf(transport: Transport, target: AnyTarget): Promise<readonly string[]> {
  if (isNodeTarget(target)) return target.nodes;
  const { items } = await list<Pod>(transport, resourcePath(PODS, target.namespace), {
    labelSelector: selectorString(target.labels),
  });
  return items.flatMap(({ spec }) => spec?.nodeName ?? []);
}

/** Makes the pod: once its ServiceAccount has a token, and as a critical one where that is allowed. */
async function createPod({ transport, clock, note }: DeadManOptions, object: DeadManObject): Promise<void> {
  const { collection } = pathsOf(object);
  let { manifest } = object;
  let last: unknown;
  const made = await pollUntil(clock, { everyMs: TOKEN_EVERY_MS, limitMs: TOKEN_LIMIT_MS }, async () => {
    try {
      await create(transport, collection, manifest);
      return true;
    } catch (error) {
      last = error;
      if (!(error instanceof ApiError)) throw error;
      // Its name is this run's own: the answer to the try before was lost.
      if (error.status === 409) return true;
      if (error.status === 403 && /priority|quota|scope/i.test(error.message)) {
        note("without the critical priority, which this namespace may not have");
        manifest = withoutPriority(manifest);
        return undefined;
      }
      // "No API token found for service account …, retry after the token is automatically created" (500 in 1.20).
      if (!/API token|looking up service account/i.test(error.message)) throw error;
      return undefined;
    }
  });
  if (made !== true) throw last;
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
    if (pod === undefined) return `pod ${PROBER_NAMESPACE}/${this.#name} is gone`;
    if (isTerminating(pod)) return `pod ${PROBER_NAMESPACE}/${this.#name} is being deleted`;
    return isReady(pod) ? undefined : `pod ${PROBER_NAMESPACE}/${this.#name}: ${reasonOf(pod)}`;
  }

  /** What its /readyz says; "" when it does not answer: then the pod's own state has to do. */
  async ownWords(): Promise<string> {
    try {
      const { body } = await podProxy(this.#transport, {
        namespace: PROBER_NAMESPACE,
        pod: this.#name,
        port: DEAD_MAN_PORT,
        path: "/readyz",
        timeoutMs: 3_000,
      });
      return ` (it says: ${body.toString("utf8").trim().slice(0, 500)})`;
    } catch (error) {
      return ` (it could not be asked: ${messageOf(error)})`;
    }
  }
}
