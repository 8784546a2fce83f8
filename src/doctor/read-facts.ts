/** Reads what the conditions need: each kind once, in parallel, at most as many requests as the transport has sockets. */
import { components } from "../components/all-components.js";
import { messageOf } from "../common/errors.js";
import {
  API_SERVICES,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CONFIGMAPS,
  DAEMONSETS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  EVENTS,
  getOrUndefined,
  type Gvr,
  LEASES,
  list,
  type ListOptions,
  NAMESPACES,
  NODES,
  PODS,
  REPLICASETS,
  resourcePath,
  selectorString,
  SERVICES,
} from "../kube/api.js";
import { type Certificates, certificatesOf } from "../kube/certificates.js";
import type { Connection } from "../kube/connect.js";
import type {
  ConfigMap,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Event,
  KubeObject,
  Lease,
  Namespace,
  Node,
  Pod,
  ReplicaSet,
  Service,
} from "../kube/objects.js";
import { isNodeReady } from "../kube/pod-state.js";
import { readyIn, SERVICE_NAME_LABEL } from "../kube/service-endpoints.js";
import { ApiError, ApiUnreachableError, jsonOf, type Transport } from "../kube/transport.js";
import { DEAD_MAN_LABELS } from "../safety/restore/order.js";
import { journalRoot, unfinishedRuns } from "../safety/journal/journal.js";
import { clusterUidOf, runsInCluster } from "../safety/journal/unfinished.js";
import { environmentOf, proxyConfigOf } from "../targets/environment.js";
import { formsOn, platformOf } from "../targets/platform.js";
import type {
  ApiService,
  Budget,
  ClusterFacts,
  KubeletCertificates,
  Part,
  Parts,
  PodMetrics,
  Readiness,
  SigningRequest,
  Webhook,
} from "./facts.js";
import { type WebhookConfiguration, webhooksOf } from "./webhooks.js";

const BUDGETS: Gvr = { group: "policy", version: "v1", resource: "poddisruptionbudgets" };
const SIGNING_REQUESTS: Gvr = {
  group: "certificates.k8s.io",
  version: "v1",
  resource: "certificatesigningrequests",
};
const POD_METRICS: Gvr = { group: "metrics.k8s.io", version: "v1beta1", resource: "pods" };
const WEBHOOKS = {
  ValidatingWebhookConfiguration: "validatingwebhookconfigurations",
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
} as const;

const KUBE_SYSTEM = "kube-system";
/** Kubelets that are asked for their certificates: each answers with some 300 kB. A choice. */
const KUBELETS = 20;
/** Pods without a node, in all namespaces: one page. */
const UNSCHEDULED = 500;
/** Services of webhooks whose endpoints are read. A choice. */
const WEBHOOK_SERVICES = 50;

export interface ReadOptions {
  readonly connection: Connection;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Default: reads them from the kubeconfig and a TLS connection. */
  readonly certificates?: () => Promise<Certificates>;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Collects the parts, and why one is missing. */
class Reader {
  readonly parts: Partial<Writable<Parts>> = {};
  readonly notRead: Partial<Record<Part, string>> = {};

  /** A refusal or a missing API makes the part unknown. Any other error is thrown. */
  async read<Name extends Part>(name: Name, work: () => Promise<Parts[Name]>): Promise<void> {
    const value = await this.optional(name, work);
    if (value !== undefined) this.parts[name] = value;
  }

  async optional<T>(name: Part, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ApiUnreachableError)) throw error;
      this.lacks(name, reasonOf(error));
      return undefined;
    }
  }

  lacks(name: Part, reason: string): void {
    const before = this.notRead[name];
    this.notRead[name] = before === undefined || before === reason ? reason : `${before}; ${reason}`;
  }
}

function reasonOf(error: ApiError | ApiUnreachableError): string {
  if (!(error instanceof ApiError)) return messageOf(error);
  if (error.status === 404) return `the API server does not serve ${error.path}`;
  const said = /cannot [a-z]+ resource .*$/.exec(error.message)?.[0];
  return error.status === 403 ? `forbidden: the user ${said ?? `may not read ${error.path}`}` : error.message;
}

/**
 * @throws ApiUnreachableError, ApiError when the API server does not answer, or forbids even the pods of kube-system.
 */
export async function readFacts(options: ReadOptions): Promise<ClusterFacts> {
  const { connection, signal } = options;
  const { transport, context, kubeconfigPath } = connection;
  const { version, nowMs } = await versionAndTime(transport, signal);
  const reader = new Reader();
  const objects = async <T extends KubeObject>(path: string, more: ListOptions = {}): Promise<T[]> =>
    (await list<T>(transport, path, { signal, ...more })).items;
  await reader.read("nodes", async () => await objects<Node>(resourcePath(NODES)));
  const { nodes = [] } = reader.parts;
  const platform = platformOf(nodes);
  const namespaces = namespacesOn(platform);

  const namespaced = async <Name extends Part, T extends KubeObject>(
    name: Name,
    gvr: Gvr,
    keep: (items: T[]) => Parts[Name],
  ): Promise<void> => {
    const lists = await Promise.all(
      namespaces.map(
        async (namespace) =>
          await reader.optional(name, async () => await objects<T>(resourcePath(gvr, namespace))),
      ),
    );
    // Without kube-system there is nothing to judge; the others are additions of a platform.
    if (lists[0] !== undefined) reader.parts[name] = keep(lists.flatMap((each) => each ?? []));
  };

  const uid = clusterUidOf(transport, { signal }).catch(() => undefined);
  await Promise.all([
    list<Pod>(transport, resourcePath(PODS, KUBE_SYSTEM), { signal }).then(async ({ items }) => {
      const rest = await Promise.all(
        namespaces
          .slice(1)
          .map(
            async (each) =>
              await reader.optional("pods", async () => await objects<Pod>(resourcePath(PODS, each))),
          ),
      );
      reader.parts.pods = [...items, ...rest.flatMap((each) => each ?? [])];
    }),
    namespaced<"deployments", Deployment>("deployments", DEPLOYMENTS, (items) => items),
    namespaced<"daemonSets", DaemonSet>("daemonSets", DAEMONSETS, (items) => items),
    namespaced<"replicaSets", ReplicaSet>("replicaSets", REPLICASETS, (items) => items),
    namespaced<"services", Service>("services", SERVICES, (items) => items),
    namespaced<"events", Event>("events", EVENTS, (items) => items),
    namespaced<"budgets", Budget>("budgets", BUDGETS, (items) => items),
    namespaced<"podMetrics", PodMetrics>("podMetrics", POD_METRICS, (items) => items),
    reader.read("leases", async () => await objects<Lease>(resourcePath(LEASES, KUBE_SYSTEM))),
    reader.read("namespaces", async () => await objects<Namespace>(resourcePath(NAMESPACES))),
    reader.read("unscheduled", async () => await unscheduled(transport, signal)),
    reader.read("apiServices", async () => await objects<ApiService>(resourcePath(API_SERVICES))),
    reader.read("signingRequests", async () => await objects<SigningRequest>(resourcePath(SIGNING_REQUESTS))),
    reader.read("readiness", async () => await readinessOf(transport, signal)),
    readKubelets(reader, transport, { nodes, signal }),
    readCertificates(reader, options),
    readLeftovers(reader, options, uid),
  ]);
  const { pods = [] } = reader.parts;
  const [proxyConfig] = await Promise.all([
    proxyConfigIn(transport, pods),
    readWebhooks(reader, transport, signal),
  ]);
  return {
    ...reader.parts,
    environment: environmentOf({ version, nodes, pods, proxyConfig, apiServers: null }, []),
    nowMs,
    version,
    platform,
    place: { context, kubeconfigPath },
    notRead: reader.notRead,
  };
}

/** kube-proxy's ConfigMap tells its mode; null: it has none; undefined: it cannot be read. */
async function proxyConfigIn(
  transport: Transport,
  pods: readonly Pod[],
): Promise<ConfigMap | null | undefined> {
  const name = proxyConfigOf(pods);
  if (name === undefined) return null;
  const read = getOrUndefined<ConfigMap>(transport, resourcePath(CONFIGMAPS, KUBE_SYSTEM, name));
  return await read.then(
    (found) => found ?? null,
    () => undefined,
  );
}

/** kube-system first, then the namespaces where this platform has components. */
function namespacesOn(platform: ClusterFacts["platform"]): string[] {
  const forms = Object.values(components).flatMap((each) => formsOn(each, platform));
  const all = forms.flatMap((form) => (form.how === "systemd-unit" ? [] : [form.namespace]));
  return [...new Set([KUBE_SYSTEM, ...all])];
}

async function versionAndTime(
  transport: Transport,
  signal: AbortSignal,
): Promise<{ readonly version: string; readonly nowMs: number }> {
  const request = { method: "GET", path: "/version", signal } as const;
  const response = await transport.request(request);
  const { gitVersion = "" } = jsonOf<{ gitVersion?: string }>(request, response);
  const date = Date.parse(String(response.headers["date"] ?? ""));
  return { version: gitVersion, nowMs: Number.isNaN(date) ? Date.now() : date };
}

async function unscheduled(transport: Transport, signal: AbortSignal): Promise<readonly Pod[]> {
  const query = { fieldSelector: "spec.nodeName=,status.phase=Pending", limit: UNSCHEDULED };
  const body = await transport.json<{ items: Pod[] | null }>({
    method: "GET",
    path: resourcePath(PODS),
    query,
    signal,
  });
  return body.items ?? [];
}

/** 200, or 500 with the failed checks: "[-]etcd failed: reason withheld". */
async function readinessOf(transport: Transport, signal: AbortSignal): Promise<Readiness> {
  const request = {
    method: "GET",
    path: "/readyz",
    query: { verbose: true },
    retry: false,
    signal,
  } as const;
  const response = await transport.request(request);
  const failing = [...response.body.toString().matchAll(/^\[-\](\S+) failed/gm)].map(([, name = ""]) => name);
  if (response.status !== 200 && failing.length === 0) throw new ApiError(request, response);
  return { ready: response.status === 200, failing };
}

/** cmd/kubelet/app/server.go and pkg/kubelet/certificate/kubelet.go of kubernetes/kubernetes; +Inf: it has none. */
export function kubeletCertificatesIn(node: string, metrics: string): KubeletCertificates {
  const figure = (name: string): number | undefined => {
    const text = new RegExp(`^kubelet_${name} (\\S+)$`, "m").exec(metrics)?.[1];
    const value = Number(text);
    return text === undefined || !Number.isFinite(value) ? undefined : value;
  };
  const clientTtl = figure("certificate_manager_client_ttl_seconds");
  const servingTtl = figure("certificate_manager_server_ttl_seconds");
  return {
    node,
    ...(clientTtl === undefined ? {} : { clientTtl }),
    ...(servingTtl === undefined ? {} : { servingTtl }),
    renewErrors:
      (figure("certificate_manager_client_expiration_renew_errors") ?? 0) +
      (figure("server_expiration_renew_errors") ?? 0),
  };
}

async function readKubelets(
  reader: Reader,
  transport: Transport,
  { nodes, signal }: { readonly nodes: readonly Node[]; readonly signal: AbortSignal },
): Promise<void> {
  const asked = nodes.filter(isNodeReady).slice(0, KUBELETS);
  const answers = await Promise.all(
    asked.map(
      async ({ metadata: { name } }) =>
        await reader.optional("kubelets", async () => {
          const request = {
            method: "GET",
            path: `${resourcePath(NODES, undefined, name, "proxy")}/metrics`,
            retry: false,
            signal,
          } as const;
          const response = await transport.request(request);
          if (response.status !== 200) throw new ApiError(request, response);
          return kubeletCertificatesIn(name, response.body.toString());
        }),
    ),
  );
  reader.parts.kubelets = answers.flatMap((each) => each ?? []);
  if (nodes.length > asked.length)
    reader.lacks("kubelets", `only ${asked.length} of ${nodes.length} kubelets were asked`);
}

async function readCertificates(reader: Reader, options: ReadOptions): Promise<void> {
  const { connection, env, signal } = options;
  const { kubeconfigPath, kubeconfigList, context } = connection;
  const read =
    options.certificates ??
    (async () =>
      await certificatesOf({
        kubeconfigPath,
        kubeconfigList,
        context,
        env,
        signal,
        userAgent: "kube-system-chaos",
      }));
  const certificates = await read();
  reader.parts.certificates = certificates;
  for (const reason of certificates.notRead) reader.lacks("certificates", reason);
}

/** What this tool left behind, here and in the cluster. What may not be read is said, and the rest is judged. */
async function readLeftovers(
  reader: Reader,
  { connection: { transport }, env }: ReadOptions,
  uid: Promise<string | undefined>,
): Promise<void> {
  const clusterUid = await uid;
  if (clusterUid === undefined) reader.lacks("unfinished", "the namespace kube-system cannot be read");
  const [local, there, roles] = await Promise.all([
    clusterUid === undefined ? undefined : unfinishedRuns(journalRoot(env), clusterUid),
    reader.optional("unfinished", async () => await runsInCluster(transport)),
    reader.optional("deadMan", async () => await deadManRoles(transport)),
  ]);
  const here = local?.runs ?? [];
  const known = new Set(here.map(({ open }) => open.runId));
  reader.parts.unfinished = {
    runs: [...here, ...(there?.runs ?? []).filter(({ open }) => !known.has(open.runId))],
    unreadable: [...(local?.unreadable ?? []), ...(there?.unreadable ?? [])],
  };
  reader.parts.deadMan = roles ?? [];
}

async function deadManRoles(transport: Transport): Promise<string[]> {
  const labelSelector = selectorString(DEAD_MAN_LABELS);
  const kinds = [
    ["ClusterRole", CLUSTER_ROLES],
    ["ClusterRoleBinding", CLUSTER_ROLE_BINDINGS],
  ] as const;
  const found = await Promise.all(
    kinds.map(async ([kind, gvr]) => {
      const { items } = await list<KubeObject>(transport, resourcePath(gvr), { labelSelector });
      return items.map(({ metadata }) => `${kind} ${metadata.name}`);
    }),
  );
  return found.flat();
}

/** The webhooks, and how many endpoints their Services have. */
async function readWebhooks(reader: Reader, transport: Transport, signal: AbortSignal): Promise<void> {
  const lists = await Promise.all(
    Object.entries(WEBHOOKS).map(
      async ([kind, resource]) =>
        await reader.optional("webhooks", async () => {
          const path = resourcePath({ group: "admissionregistration.k8s.io", version: "v1", resource });
          const { items } = await list<WebhookConfiguration>(transport, path, { signal });
          return webhooksOf(kind as Webhook["kind"], items, reader.parts);
        }),
    ),
  );
  if (lists.every((each) => each === undefined)) return;
  const webhooks = lists.flatMap((each) => each ?? []);
  const services = [...new Set(webhooks.map(({ service }) => `${service.namespace}/${service.name}`))];
  if (services.length > WEBHOOK_SERVICES)
    reader.lacks("webhooks", `only ${WEBHOOK_SERVICES} of ${services.length} Services of webhooks were read`);
  const counts = new Map<string, number>();
  await Promise.all(
    services.slice(0, WEBHOOK_SERVICES).map(async (service) => {
      const [namespace = "", name = ""] = service.split("/");
      await reader.optional("webhooks", async () => {
        const { items } = await list<EndpointSlice>(transport, resourcePath(ENDPOINT_SLICES, namespace), {
          labelSelector: selectorString({ [SERVICE_NAME_LABEL]: name }),
          signal,
        });
        counts.set(service, items.flatMap(readyIn).length);
      });
    }),
  );
  reader.parts.webhooks = webhooks.map((each) => ({
    ...each,
    endpoints: counts.get(`${each.service.namespace}/${each.service.name}`),
  }));
}
