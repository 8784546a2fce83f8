/** The user's own application: where its Services and their pods are, and what the probers ask them. */
import { isIPv6 } from "node:net";
import { ChaosError } from "../../common/errors.js";
import type { ProbeName } from "../../experiment/names.js";
import {
  type ExistingApplication,
  type OwnRequest,
  requestsOf,
  servicesOf,
  usesToken,
} from "../../experiment/own-application.js";
import { asksWithToken } from "../../experiment/token.js";
import {
  ENDPOINT_SLICES,
  getOrUndefined,
  list,
  resourcePath,
  selectorString,
  SERVICES,
} from "../../kube/api.js";
import type { EndpointSlice, Service } from "../../kube/objects.js";
import { readyIn, SERVICE_NAME_LABEL } from "../../kube/service-endpoints.js";
import type { Transport } from "../../kube/transport.js";
import { AGENT_PROBES, type FrontEnd, type OwnTarget, type ProberPlan } from "../../probes/prober-plan.js";

/** Where one request goes. */
interface OwnAddress {
  /** Of the Service; "": it is headless. */
  readonly ip: string;
  /** Of the Service; of the pods if it is headless. */
  readonly port: number;
  readonly family: 4 | 6;
  /** The ready ones, by name. */
  readonly pods: readonly (FrontEnd & { readonly node: string })[];
}

export interface OwnAddresses {
  readonly write: OwnAddress;
  readonly read?: OwnAddress;
}

type Found = { readonly address: OwnAddress } | { readonly problem: string };

const nameOf = (namespace: string, { service }: OwnRequest): string => `Service ${namespace}/${service}`;

const withoutPods = (what: string): string =>
  `${what} has no ready pod behind it: there is nothing to measure. Wait until there is one`;

type ServicePort = NonNullable<NonNullable<Service["spec"]>["ports"]>[number];

/** The Service's port that a request names, or why the Service cannot be asked, in a sentence. */
function servicePortOf(
  request: OwnRequest,
  what: string,
  service: Service | undefined,
): { readonly port: ServicePort } | { readonly problem: string } {
  if (service?.spec === undefined) return { problem: `${what} does not exist. Correct the name` };
  const { type, clusterIP, ports = [] } = service.spec;
  if (type === "ExternalName")
    return { problem: `${what} is an ExternalName: it has no pods in this cluster. Name another Service` };
  if (clusterIP === "None" && request.through === "cluster-ip")
    return { problem: `${what} is headless: it has no address of its own. Reach it through dns or pods` };
  const tcp = ports.filter(({ protocol = "TCP" }) => protocol === "TCP");
  const port = tcp.find(({ port: number, name }) => request.port === number || request.port === name);
  if (port !== undefined) return { port };
  const known = tcp.map(({ port: number, name }) =>
    name === undefined ? `${number}` : `${name} (${number})`,
  );
  return { problem: `${what} has no TCP port ${request.port}; its TCP ports: ${known.join(", ") || "none"}` };
}

/** The address of one request, or why it has none, in a sentence. Pure. */
export function addressOf(
  request: OwnRequest,
  namespace: string,
  service: Service | undefined,
  slices: readonly EndpointSlice[],
): Found {
  const what = nameOf(namespace, request);
  const found = servicePortOf(request, what, service);
  if ("problem" in found) return found;
  const { clusterIP = "", ipFamilies: [first] = [] } = service?.spec ?? {};
  const headless = clusterIP === "None";
  const family = isIPv6(clusterIP) || (headless && first === "IPv6") ? 6 : 4;
  const pods = slices
    .filter(({ addressType }) => addressType === `IPv${family}`)
    .flatMap((slice) => podsIn(slice, found.port.name ?? ""))
    .sort((a, b) => a.name.localeCompare(b.name));
  const port = headless ? pods[0]?.port : found.port.port;
  if (port === undefined) return { problem: withoutPods(what) };
  return { address: { ip: headless ? "" : clusterIP, port, family, pods } };
}

function podsIn(slice: EndpointSlice, portName: string): OwnAddress["pods"] {
  const port = (slice.ports ?? []).find(({ name = "" }) => name === portName)?.port;
  if (port === undefined) return [];
  return readyIn(slice).flatMap(({ addresses: [ip], targetRef, nodeName = "" }) =>
    ip === undefined ? [] : [{ name: targetRef?.name ?? ip, ip, port, node: nodeName }],
  );
}

async function find(transport: Transport, namespace: string, request: OwnRequest): Promise<Found> {
  const labelSelector = selectorString({ [SERVICE_NAME_LABEL]: request.service });
  const [service, slices] = await Promise.all([
    getOrUndefined<Service>(transport, resourcePath(SERVICES, namespace, request.service)),
    list<EndpointSlice>(transport, resourcePath(ENDPOINT_SLICES, namespace), { labelSelector }),
  ]);
  return addressOf(request, namespace, service, slices.items);
}

/** Why the application cannot be measured, one sentence each; empty: it can. */
export async function ownProblems(transport: Transport, existing: ExistingApplication): Promise<string[]> {
  const { namespace } = existing;
  const found = await Promise.all(
    requestsOf(existing).map(async (request) => {
      const each = await find(transport, namespace, request);
      if ("problem" in each) return each.problem;
      return each.address.pods.length === 0 ? withoutPods(nameOf(namespace, request)) : undefined;
    }),
  );
  return [...new Set(found)].filter((problem) => problem !== undefined);
}

/** The current addresses. They may have no pods. @throws ChaosError when a Service has no address. */
export async function findOwnAddresses(
  transport: Transport,
  { namespace, write, read }: ExistingApplication,
): Promise<OwnAddresses> {
  const address = async (request: OwnRequest): Promise<OwnAddress> => {
    const found = await find(transport, namespace, request);
    if ("problem" in found) throw new ChaosError(`the application cannot be reached: ${found.problem}`);
    return found.address;
  };
  const [ofWrite, ofRead] = await Promise.all([address(write), read && address(read)]);
  return { write: ofWrite, ...(ofRead === undefined ? {} : { read: ofRead }) };
}

/** The nodes of the application's pods, the one with most of them first. Pure. */
export function nodesOf({ write, read }: OwnAddresses): string[] {
  const counts = new Map<string, number>();
  const pods = new Map([...write.pods, ...(read?.pods ?? [])].map((pod) => [pod.ip, pod]));
  for (const { node } of pods.values()) if (node !== "") counts.set(node, (counts.get(node) ?? 0) + 1);
  return [...counts].sort(([a, most], [b, more]) => more - most || a.localeCompare(b)).map(([node]) => node);
}

/** What is measured besides writes and reads is about the Service of the reads, else of the writes. */
function layersOf({ write, read }: ExistingApplication, addresses: OwnAddresses): [OwnRequest, OwnAddress] {
  return read !== undefined && addresses.read !== undefined && read.http !== undefined && !usesToken(read)
    ? [read, addresses.read]
    : [write, addresses.write];
}

/** The probes of a prober's plan. Pure. */
export function ownProbes(existing: ExistingApplication, addresses: OwnAddresses): ProberPlan["probes"] {
  const { namespace, write, read } = existing;
  const [layer, { ip, port, family, pods }] = layersOf(existing, addresses);
  const name = `${layer.service}.${namespace}`;
  const families = family === 6 ? { family } : {};
  const internal = { name: `${name}.svc`, ...families };
  const [pod] = pods;
  const http =
    layer === read && layer.http !== undefined && ip !== ""
      ? { ip, port, path: "/", http: httpOf(namespace, layer, port) }
      : undefined;
  return {
    "app-write": targetOf(namespace, write, addresses.write),
    ...(read === undefined || addresses.read === undefined
      ? {}
      : { "app-read": targetOf(namespace, read, addresses.read) }),
    ...(http === undefined ? {} : { "http-service": http, "http-service-reused": http }),
    "dns-internal": internal,
    "dns-same-socket": internal,
    "dns-search": { name, ...families },
    ...(ip === "" ? {} : { "tcp-service": { ip, port } }),
    ...(pod === undefined ? {} : { "tcp-pod": { ip: pod.ip, port: pod.port } }),
  };
}

function targetOf(namespace: string, request: OwnRequest, address: OwnAddress): OwnTarget {
  const { through, service, tcp } = request;
  const { ip, port, family, pods } = address;
  const name = `${service}.${namespace}.svc`;
  return {
    endpoints:
      through === "pods"
        ? pods.map((pod) => ({ name: pod.name, ip: pod.ip, port: pod.port }))
        : through === "cluster-ip"
          ? [{ name: service, ip, port }]
          : [],
    ...(through === "dns" ? { host: { name, port, ...(family === 6 ? { family } : {}) } } : {}),
    ...(request.http === undefined
      ? { tcp: withoutUndefined(tcp ?? {}) }
      : { http: httpOf(namespace, request, port) }),
  };
}

/** The application sees the same Host header, whichever way it is reached. */
function httpOf(
  namespace: string,
  { service, http }: OwnRequest,
  port: number,
): NonNullable<OwnTarget["http"]> {
  const host = `${service}.${namespace}.svc${port === 80 ? "" : `:${port}`}`;
  const { method = "GET", path = "/", headers = {}, body, good } = http ?? {};
  return {
    method,
    path,
    headers: { host, ...headers },
    ...(body === undefined ? {} : { body }),
    good: { status: { from: 200, to: 299 }, ...withoutUndefined(good ?? {}) },
  };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Defined<T>;
}

const NOT_MEASURED: Partial<Record<ProbeName, string>> = {
  "app-read": "the experiment has no read",
  "app-write-env": "an existing application has no control arm",
  "app-read-env": "an existing application has no control arm",
  "http-service": "the experiment has no HTTP read without a token, or its Service is headless",
  "http-service-reused": "the experiment has no HTTP read without a token, or its Service is headless",
  "tcp-service": "the Service is headless",
  "tcp-long-lived": "no protocol is known that an existing application keeps a connection open for",
};

/** The probes that are not in a plan, except those that the experiment switches off. Pure. */
export function ownNotMeasured(
  probes: ProberPlan["probes"],
): { readonly probe: ProbeName; readonly reason: string }[] {
  return AGENT_PROBES.flatMap((probe) => {
    const reason = NOT_MEASURED[probe];
    return probes[probe] !== undefined || reason === undefined ? [] : [{ probe, reason }];
  });
}

/** Why repeating the write may add something each time; undefined: it does not look so. Pure. */
export function addsWithEach({ write }: ExistingApplication): string | undefined {
  const { http } = write;
  if (http === undefined) return undefined;
  const { method } = http;
  if (method === "POST" || method === "PATCH") return `${method} is not idempotent`;
  return method === "PUT" && asksWithToken({ ...write, http: { ...http, headers: {}, body: undefined } })
    ? "its path has a token"
    : undefined;
}

/** "POST api:80/orders through dns": without what may be secret (query, headers, body). Pure. */
export function requestWords({ service, port, through, http, tcp }: OwnRequest): string {
  const what =
    http === undefined
      ? `TCP ${service}:${port}${tcp?.send === undefined && tcp?.expect === undefined ? "" : ", one exchange"}`
      : `${http.method} ${service}:${port}${http.path.split("?")[0]}`;
  return `${what} through ${through}`;
}

/** "shop/api", or "shop/writer and reader". Pure. */
export function ownName(existing: ExistingApplication): string {
  return `${existing.namespace}/${servicesOf(existing).join(" and ")}`;
}
