/**
 * What must be the same before and after every run: all objects outside the run's own namespaces, with managedFields;
 * the nodes' labels, taints, files, units and firewall rules; Leases and the lock. What is left out is listed here.
 */
import type { ExecutionContext } from "ava";
import { isDeepStrictEqual } from "node:util";
import { pollUntil, systemClock } from "../../../src/common/clock.js";
import { shortHash } from "../../../src/common/hash.js";
import { isRecord } from "../../../src/common/is-record.js";
import { get, list, NAMESPACES, NODES, resourcePath } from "../../../src/kube/api.js";
import type { KubeObject, Node, Pod } from "../../../src/kube/objects.js";
import type { Transport } from "../../../src/kube/transport.js";
import { heldRoot } from "../../../src/nodes/faults.js";
import { isOwn } from "../../../src/own/manifest.js";
import { lockHolder } from "../../../src/safety/lock/lease.js";
import type { TestCluster } from "./cluster.js";

export type State = Readonly<Record<string, unknown>>;

/** Kinds that are not compared, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  events: "a record of what happened",
  endpoints: "follow the addresses of pods",
  endpointslices: "follow the addresses of pods",
  ipaddresses: "follow Services",
  componentstatuses: "status",
  certificatesigningrequests: "kubelets rotate certificates by themselves",
  csinodes: "written by kubelets",
  leases: "renewed all the time: compared by name",
  nodes: "compared below, without status",
  pods: "compared below: recreated pods have other names",
};

/** Its objects are measurements. */
const LEFT_OUT_GROUP = "metrics.k8s.io";

/** Set by the server. A recreated object has new ones. */
const SERVER_SET = ["uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"];

/** Annotations that are status, or the counter of a controller that starts again with a recreated object. */
const NOT_DECLARED = [
  "control-plane.alpha.kubernetes.io/leader",
  "deployment.kubernetes.io/revision",
  "deprecated.daemonset.template.generation",
];

/**
 * A controller's history of templates: a function check that changes one, to see whether it is corrected, adds to it, and
 * a DaemonSet that is deleted loses the templates before its last one. What the revisions of before contain is compared.
 */
const HISTORY = /^\S+ controllerrevisions \S+( \.revision:|: was not there|: is gone)/;

/**
 * Made by a controller from another object, which a run recreates or removes: the garbage collector may need a moment, and
 * so may kube-proxy for the rule of a Service.
 */
const FOLLOWS = /^\S+ (replicasets|controllerrevisions|pods) |^node \S+ \.files: .*-A KUBE-/;
const FOLLOW_LIMIT_MS = 15_000;

/** Longest text of a value in a difference. */
const LONGEST = 160;
/** Most differences in an error. */
const MOST = 30;
const EXEC_TIMEOUT_MS = 20_000;

/**
 * On each node: static manifests and where a run keeps them, unit files and transient units, the state of the units that
 * runs stop, timers and services of a run, firewall rules. kube-proxy's rules name a Service's namespace in their
 * comments ("kube-system-chaos/NAME"), and follow it.
 */
const ON_NODE = `
for folder in /etc/kubernetes/manifests "$1"; do
  if [ -e "$folder" ]; then find "$folder" -exec stat -c '%A %U:%G %n' {} + ; find "$folder" -type f -exec sha256sum {} +; fi
done
find / -xdev -maxdepth 4 -name '*kube-system-chaos*' -not -path '/proc/*' -not -path '/var/log/*' 2>/dev/null || true
find /etc/systemd/system -type f -exec sha256sum {} +
find /run/systemd/transient /run/systemd/system -name '*kube-system-chaos*' 2>/dev/null || true
systemctl list-units --all --plain --no-legend --full 'kube-system-chaos-*'
for unit in kubelet containerd; do systemctl show "$unit" -p Id -p ActiveState -p UnitFileState -p DropInPaths; done
for program in iptables-save ip6tables-save; do
  if command -v "$program" >/dev/null; then "$program" 2>/dev/null | grep kube-system-chaos | grep -v '"kube-system-chaos[a-z-]*/' || true; fi
done
`;

/** Everything by its name; comparable with `changes`. */
export async function snapshot(cluster: TestCluster): Promise<State> {
  const { transport } = cluster.connection;
  const nodes = (await list<Node>(transport, resourcePath(NODES))).items;
  const [objects, leases, pods, holder, ...onNodes] = await Promise.all([
    objectsOf(transport),
    list<KubeObject>(transport, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"),
    list<Pod>(transport, "/api/v1/namespaces/kube-system/pods"),
    lockHolder(transport),
    ...nodes.map(async ({ metadata: { name } }) => {
      const argv = ["sh", "-c", ON_NODE, "look", heldRoot("/etc/kubernetes/manifests/etcd.yaml")];
      return (await cluster.access.exec(name, argv, EXEC_TIMEOUT_MS)).split("\n").sort();
    }),
  ]);
  const perNode = nodes.map(({ metadata, spec }, index) => [
    `node ${metadata.name}`,
    {
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
      taints: (spec?.taints ?? []).map(({ key, value, effect }) => ({ key, value, effect })),
      unschedulable: spec?.unschedulable ?? false,
      files: onNodes[index],
    },
  ]);
  return {
    ...objects,
    ...(Object.fromEntries(perNode) as State),
    ...podsOf(pods.items),
    leases: leases.items.map((lease) => lease.metadata.name).sort(),
    lock: holder ?? "nobody",
  };
}

interface ResourceList {
  readonly resources: readonly {
    readonly name: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

interface GroupList {
  readonly groups: readonly {
    readonly name: string;
    readonly preferredVersion: { readonly groupVersion: string };
  }[];
}

/** The collections of every kind that the API server has, without LEFT_OUT. */
async function collections(transport: Transport): Promise<{ path: string; resource: string }[]> {
  const { groups } = await get<GroupList>(transport, "/apis");
  const roots = groups
    .filter(({ name }) => name !== LEFT_OUT_GROUP)
    .map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`);
  const found = await Promise.all(
    ["/api/v1", ...roots].map(async (root) =>
      (await get<ResourceList>(transport, root)).resources
        .filter(({ name, verbs }) => verbs.includes("list") && !(name in LEFT_OUT))
        .map(({ name }) => ({ path: `${root}/${name}`, resource: name })),
    ),
  );
  return found.flat();
}

/** All objects outside own namespaces. */
async function objectsOf(transport: Transport): Promise<State> {
  const namespaces = (await list<KubeObject>(transport, resourcePath(NAMESPACES))).items;
  const own = new Set(namespaces.filter(isOwn).map(({ metadata }) => metadata.name));
  const found = await Promise.all(
    (await collections(transport)).map(async ({ path, resource }) =>
      (await list<KubeObject>(transport, path)).items
        .filter(({ metadata }) => !own.has(metadata.namespace ?? ""))
        .map((item) => {
          const place = item.metadata.namespace ?? "cluster";
          return [
            `${place} ${resource} ${item.metadata.name}`,
            declared(item, resource === "secrets"),
          ] as const;
        }),
    ),
  );
  return Object.fromEntries(found.flat());
}

interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: unknown;
}

/** An object without its status and what the server sets. The values of a Secret must not appear in a difference. Pure. */
function declared(object: KubeObject, secret: boolean): unknown {
  const { data, metadata, ...others } = object as KubeObject & Record<string, unknown>;
  const rest = { ...others, status: undefined };
  const kept = Object.entries(metadata).filter(([key]) => !SERVER_SET.includes(key));
  const { annotations, managedFields, ownerReferences, ...labels } = Object.fromEntries(kept) as Record<
    string,
    unknown
  >;
  return {
    ...rest,
    data: secret ? shortHash(JSON.stringify(data)) : data,
    metadata: {
      ...labels,
      annotations: Object.fromEntries(
        Object.entries((annotations ?? {}) as Record<string, string>).filter(
          ([key]) => !NOT_DECLARED.includes(key),
        ),
      ),
      ownerReferences: ((ownerReferences ?? []) as { kind: string; name: string }[]).map(
        ({ kind, name }) => `${kind} ${name}`,
      ),
      managedFields: owned((managedFields ?? []) as ManagedFields[]),
    },
  };
}

/** Who manages which fields, without times, and without the status. */
function owned(entries: readonly ManagedFields[]): Record<string, unknown> {
  return Object.fromEntries(
    entries
      .filter(({ subresource }) => subresource !== "status")
      .map(({ manager, operation, subresource = "", fieldsV1 }) => [
        [manager, operation, subresource].filter(Boolean).join(" "),
        // The field of an owner has the owner's uid in its name.
        JSON.parse(JSON.stringify(fieldsV1 ?? {}).replaceAll(/\{\\"uid\\":\\"[^"]*\\"\}/g, "uid")) as unknown,
      ]),
  );
}

/** A static pod by its name; the pods of a workload by their owner, with their number. */
function podsOf(pods: readonly Pod[]): State {
  const found: Record<string, unknown> = {};
  for (const { metadata } of pods.filter(
    (pod) =>
      pod.metadata.deletionTimestamp === undefined && !/^(Succeeded|Failed)$/.test(pod.status?.phase ?? ""),
  )) {
    const owner = metadata.ownerReferences?.[0];
    const key = `kube-system pods ${owner === undefined || owner.kind === "Node" ? metadata.name : `of ${owner.kind} ${owner.name}`}`;
    found[key] = ((found[key] ?? 0) as number) + 1;
  }
  return found;
}

/** What differs, as lines "KEY PATH: BEFORE → AFTER". Pure. */
export function changes(before: State, after: State): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => {
    if (before[key] === undefined) return [`${key}: was not there`];
    if (after[key] === undefined) return [`${key}: is gone`];
    return valuesThatDiffer(before[key], after[key], key);
  });
}

function valuesThatDiffer(was: unknown, is: unknown, path: string): string[] {
  if (isDeepStrictEqual(was, is)) return [];
  if (Array.isArray(was) && Array.isArray(is)) {
    const gone = was.filter((each) => !is.some((other) => isDeepStrictEqual(each, other)));
    const added = is.filter((each) => !was.some((other) => isDeepStrictEqual(each, other)));
    return [`${path}: ${brief(gone)} → ${brief(added)}`];
  }
  if (!isRecord(was) || !isRecord(is)) return [`${path}: ${brief(was)} → ${brief(is)}`];
  const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])].sort();
  return keys.flatMap((key) => valuesThatDiffer(was[key], is[key], `${path} .${key}`));
}

function brief(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** What differs from a state before, at once; only what a controller makes may follow. */
export async function changesSince(cluster: TestCluster, before: State): Promise<string[]> {
  let found: string[] = [];
  await pollUntil(systemClock(), { everyMs: 1_000, limitMs: FOLLOW_LIMIT_MS }, async () => {
    found = changes(before, await snapshot(cluster)).filter((line) => !HISTORY.test(line));
    return found.every((line) => FOLLOWS.test(line)) && found.length > 0 ? undefined : found;
  });
  return found;
}

/**
 * Asserts that nothing has changed, at the end of the test, whatever its result.
 *
 * @param recreated objects, or all of a kind, that the test itself or the cluster's own restorer creates or applies during the run, such as
 * "kube-system deployments coredns": who manages their fields is not compared.
 */
export function assertAsBeforeAtEnd(
  t: ExecutionContext,
  cluster: TestCluster,
  before: State,
  recreated: readonly string[] = [],
): void {
  t.teardown(async () => {
    const found = (await changesSince(cluster, before)).filter(
      (line) =>
        !recreated.some((key) => line.startsWith(`${key} `) && line.includes(" .metadata .managedFields")),
    );
    if (found.length > 0) throw new Error(`not as before the test:\n${found.slice(0, MOST).join("\n")}`);
  });
}
