import { isIPv6 } from "node:net";
import {
  CONTROL_LABELS,
  FRONTEND_LABELS,
  FRONTEND_PORT,
  FRONTEND_SERVICE,
  LEADER_LABELS,
  LEADER_SERVICE,
  REDIS_PORT,
} from "../../application/guestbook.js";
import { pollUntil, type Stopwatch } from "../../common/clock.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import type { BootLine, SampleLine } from "../../evidence/sample.js";
import type { Application, Experiment } from "../../experiment/schema.js";
import { list, resourcePath, SERVICES } from "../../kube/api.js";
import type { Node, Pod, Service } from "../../kube/objects.js";
import { podProxy } from "../../kube/pod-proxy.js";
import type { Transport } from "../../kube/transport.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { podsOf } from "../../own/pods.js";
import { PROBER_LABELS, PROBER_PORT } from "../../probes/prober-manifests.js";
import type { FrontEnd, ProberPlan } from "../../probes/prober-plan.js";
import { sampledWorkers } from "../../probes/sampling.js";
import { findOwnAddresses, nodesOf, type OwnAddresses, ownProbes } from "./own-application.js";

/** Path of the guestbook's script in the sample. */
export const GUESTBOOK_SCRIPT = "/guestbook.php";

/** One prober: a pod on a node. */
export interface Prober {
  readonly node: string;
  readonly pod: string;
}

/** Addresses of the application for the probers' plans. */
export interface Addresses {
  readonly frontends: readonly FrontEnd[];
  /** The nodes of the front ends. */
  readonly frontendNodes: readonly { readonly name: string; readonly node: string }[];
  readonly control: readonly FrontEnd[];
  readonly leaderPodIp: string;
  readonly leaderServiceIp: string;
  readonly frontendServiceIp: string;
}

/** Of the application that is measured. */
export type AnyAddresses = Addresses | OwnAddresses;

export async function findProbers(transport: Transport): Promise<Prober[]> {
  const pods = await podsOf(transport, PROBER_NAMESPACE, PROBER_LABELS);
  return pods
    .map((pod) => ({ node: pod.spec?.nodeName ?? "", pod: pod.metadata.name }))
    .sort((a, b) => a.node.localeCompare(b.node));
}

/**
 * The probers that sample in this run, of all that were found: those of the attacked nodes, of the database's node, of a
 * node with a front end and of one without any pod of the application, then of others.
 */
export async function chooseProbers(
  transport: Transport,
  probers: readonly Prober[],
  {
    workers,
    nodes,
    namespace,
    attacked,
    own,
  }: {
    /** How many are sampled. */
    readonly workers: number;
    readonly nodes: readonly Node[];
    /** The guestbook's. */
    readonly namespace: string;
    readonly attacked: readonly string[];
    /** Of an existing application, which is measured instead of the guestbook. */
    readonly own?: OwnAddresses;
  },
): Promise<Prober[]> {
  if (workers >= probers.length) return [...probers];
  const { important, busy } =
    own === undefined
      ? await nodesOfGuestbook(transport, namespace)
      : { important: nodesOf(own).slice(0, 2), busy: new Set(nodesOf(own)) };
  const idle = probers.find(({ node }) => !busy.has(node))?.node ?? "";
  // Of many attacked nodes some, so that there is room for the application's.
  const first = [...attacked.slice(0, Math.ceil(workers / 2)), ...important, idle];
  const probed = new Set(probers.map(({ node }) => node));
  const chosen = sampledWorkers(
    nodes.filter((node) => probed.has(node.metadata.name)),
    workers,
    first,
  );
  return probers.filter(({ node }) => chosen.includes(node));
}

/** The nodes of the guestbook's database and of a front end; `busy`: every node with a pod of it. */
async function nodesOfGuestbook(
  transport: Transport,
  namespace: string,
): Promise<{ readonly important: readonly string[]; readonly busy: ReadonlySet<string> }> {
  const [leaders, frontends, all] = await Promise.all([
    podsOf(transport, namespace, LEADER_LABELS),
    podsOf(transport, namespace, FRONTEND_LABELS),
    podsOf(transport, namespace, {}),
  ]);
  const nodeOf = (pod: Pod | undefined): string => pod?.spec?.nodeName ?? "";
  return { important: [nodeOf(leaders[0]), nodeOf(frontends[0])], busy: new Set(all.map(nodeOf)) };
}

/** The current addresses of the application that is measured. @throws ChaosError when it has none. */
export async function addressesOf(transport: Transport, application: Application): Promise<AnyAddresses> {
  return application.existing === undefined
    ? await findAddresses(transport, application.guestbook.namespace)
    : await findOwnAddresses(transport, application.existing);
}

/** The pods that the probers ask in turn, and their nodes. Pure. */
export function frontEndsOf(addresses: AnyAddresses): Addresses["frontendNodes"] {
  if (!("write" in addresses)) return addresses.frontendNodes;
  const pods = [...addresses.write.pods, ...(addresses.read?.pods ?? [])];
  return [...new Map(pods.map(({ name, node }) => [name, { name, node }])).values()];
}

/** The guestbook's current addresses. @throws ChaosError when a part of it has no address. */
export async function findAddresses(transport: Transport, namespace: string): Promise<Addresses> {
  const [frontends, control, leaders, services] = await Promise.all([
    podsOf(transport, namespace, FRONTEND_LABELS),
    podsOf(transport, namespace, CONTROL_LABELS),
    podsOf(transport, namespace, LEADER_LABELS),
    list<Service>(transport, resourcePath(SERVICES, namespace)),
  ]);
  const serviceIp = (name: string): string =>
    services.items.find((each) => each.metadata.name === name)?.spec?.clusterIP ?? "";
  const addresses = {
    frontends: frontends.map(frontEnd),
    frontendNodes: frontends.map(({ metadata, spec }) => ({
      name: metadata.name,
      node: spec?.nodeName ?? "",
    })),
    control: control.map(frontEnd),
    leaderPodIp: leaders[0]?.status?.podIP ?? "",
    leaderServiceIp: serviceIp(LEADER_SERVICE),
    frontendServiceIp: serviceIp(FRONTEND_SERVICE),
  };
  for (const [part, address] of Object.entries(addresses)) {
    if (address.length === 0)
      throw new ChaosError(`the guestbook in ${namespace} has no address for ${part}`);
  }
  return addresses;
}

function frontEnd(pod: Pod): FrontEnd {
  return { name: pod.metadata.name, ip: pod.status?.podIP ?? "", port: FRONTEND_PORT };
}

/** The plan of every prober. Pure. */
export function proberPlan(runId: string, experiment: Experiment, addresses: AnyAddresses): ProberPlan {
  const { probes, application } = experiment;
  const { external } = probes;
  return {
    runId,
    interval: probes.interval,
    timeout: probes.timeout,
    tcpTimeout: probes.tcpTimeout,
    searchInterval: probes.searchInterval,
    probes: {
      ...applicationProbes(application, addresses),
      ...(external === false ? {} : { "dns-external": { name: external } }),
    },
  };
}

function applicationProbes(application: Application, addresses: AnyAddresses): ProberPlan["probes"] {
  if (application.existing !== undefined && "write" in addresses)
    return ownProbes(application.existing, addresses);
  if (application.guestbook !== undefined && "control" in addresses)
    return guestbookProbes(application.guestbook.namespace, addresses);
  throw new TypeError("these are the addresses of another application");
}

function guestbookProbes(namespace: string, addresses: Addresses): ProberPlan["probes"] {
  const app = { frontends: addresses.frontends, path: GUESTBOOK_SCRIPT };
  const control = { frontends: addresses.control, path: GUESTBOOK_SCRIPT };
  // With IPv6 alone, or first, a Service has AAAA records and no A record.
  const family = isIPv6(addresses.leaderServiceIp) ? { family: 6 as const } : {};
  const service = { ip: addresses.frontendServiceIp, port: FRONTEND_PORT, path: "/" };
  // The prober adds the cluster's domain, which its pod's search path tells.
  const internal = { name: `${LEADER_SERVICE}.${namespace}.svc`, ...family };
  return {
    "app-write": app,
    "app-read": app,
    "app-write-env": control,
    "app-read-env": control,
    "http-service": service,
    "http-service-reused": service,
    "dns-internal": internal,
    "dns-same-socket": internal,
    // The search path of the prober's pod completes it, as it does for an application.
    "dns-search": { name: `${LEADER_SERVICE}.${namespace}`, ...family },
    "tcp-service": { ip: addresses.leaderServiceIp, port: REDIS_PORT },
    "tcp-pod": { ip: addresses.leaderPodIp, port: REDIS_PORT },
    "tcp-long-lived": { ip: addresses.leaderServiceIp, port: REDIS_PORT },
  };
}

/** Sends a plan. @throws ChaosError with the prober's reason when it refuses. */
export async function sendPlan(transport: Transport, prober: Prober, plan: ProberPlan): Promise<void> {
  const answer = await podProxy(transport, {
    ...place(prober),
    method: "POST",
    path: "/plan",
    body: plan,
    timeoutMs: 5_000,
  });
  if (answer.status >= 300) {
    throw new ChaosError(
      `the prober on ${prober.node} refused its plan: HTTP ${answer.status} ${answer.body.toString("utf8").slice(0, 300)}`,
    );
  }
}

function place(prober: Prober): { namespace: string; pod: string; port: number } {
  return { namespace: PROBER_NAMESPACE, pod: prober.pod, port: PROBER_PORT };
}

/** How long a prober may leave requests unanswered before it has begun to measure, ms. */
const ANSWER_LIMIT_MS = 30_000;

/**
 * Asks again while there is no answer: an API server or node that is busy with new pods pauses for seconds.
 *
 * @param ask may be called again after it has failed.
 * @throws the error of the last attempt, after 30 s or when the signal has aborted.
 */
export async function untilAnswered<T>(
  { clock, signal }: { readonly clock: Stopwatch; readonly signal: AbortSignal },
  ask: () => Promise<T>,
): Promise<T> {
  let problem: unknown;
  const poll = { everyMs: 1_000, limitMs: ANSWER_LIMIT_MS, signal };
  const answered = await pollUntil(clock, poll, async () => {
    try {
      return { answer: await ask() };
    } catch (error) {
      problem = error;
      return undefined;
    }
  });
  if (answered === undefined) throw problem;
  return answered.answer;
}

/** The versions of control groups on these nodes, sorted; a prober that does not tell adds none. */
export async function readCgroups(transport: Transport, nodes: readonly string[]): Promise<string[]> {
  const probers = (await findProbers(transport)).filter(({ node }) => nodes.includes(node));
  const found = await Promise.all(
    probers.map(async (prober) => {
      const answer = await podProxy(transport, { ...place(prober), path: "/healthz", timeoutMs: 2_000 });
      if (answer.status !== 200) return undefined;
      return (JSON.parse(answer.body.toString("utf8")) as { readonly cgroup?: string }).cgroup;
    }),
  );
  return [...new Set(found.filter((each) => each !== undefined))].sort();
}

/** A measured clock offset: runnerMs = agentMs + offsetMs ± uncertaintyMs. */
export interface ClockReading {
  readonly boot: string;
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
}

/**
 * Reads a prober's clock several times and keeps the reading with the shortest round trip. The agent read its clock
 * between request and answer, so the midpoint is off by at most half the round trip (Cristian's algorithm).
 */
export async function readClock(
  transport: Transport,
  prober: Prober,
  now: () => number,
  times: number,
): Promise<ClockReading | undefined> {
  let best: ClockReading | undefined;
  for (let index = 0; index < times; index += 1) {
    const sent = now();
    const answer = await podProxy(transport, { ...place(prober), path: "/clock", timeoutMs: 2_000 });
    const received = now();
    if (answer.status !== 200) continue;
    const { boot, t } = JSON.parse(answer.body.toString("utf8")) as { boot: string; t: number };
    const uncertaintyMs = (received - sent) / 2;
    if (best === undefined || best.boot !== boot || uncertaintyMs < best.uncertaintyMs) {
      best = { boot, offsetMs: (sent + received) / 2 - t, uncertaintyMs };
    }
  }
  return best;
}

/** The samples of a prober from an offset on. */
export interface SampleChunk {
  readonly lines: readonly SampleLine[];
  readonly nextOffset: number;
}

/** @throws ChaosError when the prober does not answer with samples. */
export async function fetchSamples(
  transport: Transport,
  prober: Prober,
  offset: number,
): Promise<SampleChunk> {
  const answer = await podProxy(transport, {
    ...place(prober),
    path: "/samples",
    query: { offset },
    timeoutMs: 5_000,
  });
  // The file is shorter than the offset: the pod was replaced and its successor starts at 0.
  if (answer.status === 416) return { lines: [], nextOffset: 0 };
  if (answer.status !== 200) {
    throw new ChaosError(
      `the prober on ${prober.node} sent no samples: HTTP ${answer.status} ${answer.body.toString("utf8").slice(0, 200)}`,
    );
  }
  const next = Number(answer.headers["x-next-offset"]);
  if (!Number.isSafeInteger(next))
    throw new ChaosError(`the prober on ${prober.node} sent no valid x-next-offset header`);
  const lines: SampleLine[] = [];
  for (const text of answer.body.toString("utf8").split("\n")) {
    if (text === "") continue;
    try {
      lines.push(JSON.parse(text) as SampleLine);
    } catch (error) {
      throw new ChaosError(
        `the prober on ${prober.node} wrote a line that is not JSON: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    }
  }
  return { lines, nextOffset: next };
}

/**
 * A prober sends at most one mebibyte per answer. An answer below half of that means that everything was read. (Reading
 * until nothing is left would never end if a request takes longer than the prober needs to write the next sample.)
 */
const FULL_CHUNK_BYTES = 512 * 1024;

/** Gives `take` everything that a prober has written since an offset. @throws as `fetchSamples` and `take`. */
export async function fetchAll(
  transport: Transport,
  prober: Prober,
  from: number,
  take: (chunk: SampleChunk) => void | Promise<void>,
): Promise<void> {
  for (let offset = from; ;) {
    const chunk = await fetchSamples(transport, prober, offset);
    await take(chunk);
    if (chunk.nextOffset - offset < FULL_CHUNK_BYTES) return;
    offset = chunk.nextOffset;
  }
}

export function isBoot(line: SampleLine): line is BootLine {
  return "boot" in line;
}
