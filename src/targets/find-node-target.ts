/** Finds targets that run on nodes: from the API where it knows them, and from the nodes where there is access. */
import type { ComponentDefinition, FindStaticPod, FindUnit } from "../components/component.js";
import { list, PODS, resourcePath, selectorString } from "../kube/api.js";
import type { Node, Pod } from "../kube/objects.js";
import { isReady } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { manifestOn, processesOn, type Role, unitOf } from "../nodes/look.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { NodeTarget } from "./node-target.js";

/** The kubelet's annotation on a mirror pod (kubelet/types.ConfigMirrorAnnotationKey of Kubernetes). */
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

/** Timeout of one command on a node, ms. */
const ASK_TIMEOUT_MS = 10_000;

export interface NodesToCheck {
  /** Without those that are left out. */
  readonly nodes: readonly Node[];
  /** With the nodes that are left out, which tell the platform, too. Default: `nodes`. */
  readonly all?: readonly Node[];
  readonly access?: NodeAccess;
}

/** Why a component was found and no target chosen. */
interface NoTarget {
  readonly problem: string;
}

type NotFound = NoTarget | { readonly looked: string };

/** The mirror pods that the kubelets publish for a static pod. */
export async function mirrorPods(
  transport: Transport,
  where: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  timeoutMs?: number,
): Promise<Pod[]> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, where.namespace), {
    labelSelector: selectorString(where.labels),
    ...(timeoutMs === undefined ? {} : { timeoutMs, retry: false }),
  });
  return items.filter((pod) => pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined);
}

/** Whether a static pod is Ready on the node, as its kubelet says. */
export async function hasReadyMirrorPod(
  transport: Transport,
  where: Parameters<typeof mirrorPods>[1],
  node: string,
): Promise<boolean> {
  return (await mirrorPods(transport, where)).some((pod) => pod.spec?.nodeName === node && isReady(pod));
}

/** @returns the target; `looked`: what was looked for and does not exist; `problem`: it exists and cannot be attacked. */
export async function findStaticPod(
  transport: Transport,
  component: Pick<ComponentDefinition, "name">,
  find: FindStaticPod,
  { nodes: usable, access }: NodesToCheck,
): Promise<NodeTarget | NotFound> {
  const { namespace, labels, manifests, knownAs } = find;
  const all = await mirrorPods(transport, find);
  const looked = `static pods with ${selectorString(labels)} in ${namespace} (${knownAs.join(", ")})`;
  // Without a list of nodes none is left out.
  const isUsable = ({ spec }: Pod): boolean =>
    usable.length === 0 || usable.some(({ metadata }) => metadata.name === spec?.nodeName);
  const pods = all.filter((pod) => isUsable(pod) && (pod.spec?.nodeName ?? "") !== "");
  const leftOut = namesOf(all.filter((pod) => !isUsable(pod)));
  const nodes = namesOf(pods);
  if (nodes.length === 0)
    return { looked: leftOut.length === 0 ? looked : `${looked}, which run only on nodes that are left out` };
  const on = access === undefined ? undefined : await findManifests(access, pods, find);
  if (on !== undefined && "problem" in on) return on;
  const paths = on === undefined ? manifests.slice(0, 1) : [...on.values()];
  // Without access (privileged pods, for example, come later) the most common path is assumed, and looked up later.
  const manifest = mostCommon(paths);
  const images = pods.flatMap((pod) =>
    (pod.spec?.containers ?? []).map((container) => container.image ?? ""),
  );
  const where = [...new Set(paths)].join(" or ");
  return {
    kind: "StaticPod",
    name: component.name,
    namespace,
    ...(manifest === undefined ? {} : { manifest }),
    ...(on === undefined ? { assumed: true } : { on: Object.fromEntries(on) }),
    labels,
    nodes,
    count: nodes.length,
    images: [...new Set(images)],
    services: [],
    ownerChain: ["Pod", `kubelet of each node (manifest ${where})`],
    ...(leftOut.length === 0
      ? {}
      : { remarks: [`${component.name} also runs on ${leftOut.join(", ")}, which is left out`] }),
  };
}

/** The nodes of pods, sorted. */
function namesOf(pods: readonly Pod[]): string[] {
  return [...new Set(pods.map(({ spec }) => spec?.nodeName ?? ""))].filter((name) => name !== "").sort();
}

/** The path of the manifest on each node. */
async function findManifests(
  access: NodeAccess,
  pods: readonly Pod[],
  { namespace, manifests }: FindStaticPod,
): Promise<ReadonlyMap<string, string> | NoTarget> {
  const folders = [...new Set(manifests.map((manifest) => manifest.replace(/\/[^/]*$/, "")))];
  const found = await Promise.all(
    pods.map(async ({ metadata, spec }) => {
      const node = spec?.nodeName ?? "";
      const pod = { name: metadata.name, namespace };
      return { node, manifest: await manifestOn({ access, node }, { pod, folders }) };
    }),
  );
  const missing = found.flatMap(({ manifest }) => ("none" in manifest ? manifest.none : []));
  if (missing.length > 0) return { problem: `cannot find the manifest: ${missing.join("; ")}` };
  return new Map(
    found.flatMap(({ node, manifest }) => ("path" in manifest ? [[node, manifest.path] as const] : [])),
  );
}

/** The first of the most common values. */
function mostCommon(values: readonly string[]): string | undefined {
  const count = (value: string): number => values.filter((each) => each === value).length;
  return [...values].sort((a, b) => count(b) - count(a))[0];
}

/** A unit's properties, as systemd reports them. */
type Properties = Readonly<Record<string, string>>;

/** Which of a node's processes a component is. Another component is looked for by the names of its units. */
const ROLES: Readonly<Record<string, Role>> = { kubelet: "kubelet", "container-runtime": "runtime" };

/** @returns the target; `looked`: what was looked for and does not exist; `problem`: it exists and cannot be attacked. */
export async function findUnit(
  component: Pick<ComponentDefinition, "name">,
  find: FindUnit,
  { nodes, access }: NodesToCheck,
): Promise<NodeTarget | NotFound> {
  const names = nodes.map((node) => node.metadata.name).sort();
  const looked = `a systemd unit ${find.units.join(" or ")} on ${names.join(", ")}`;
  const [assumed] = find.units;
  if (access === undefined) {
    // Every node has such a unit, or it would not be a node. Only access tells which of the names it has.
    if (assumed === undefined || names.length === 0) return { looked };
    return unitTarget(component.name, { on: new Map(names.map((name) => [name, assumed])), assumed: true });
  }
  const found = await Promise.all(
    nodes.map(async (node) => ({
      node: node.metadata.name,
      ...(await unitOn(access, node, component.name, find.units)),
    })),
  );
  const shared = found.flatMap(({ node, unit, shared: why }) =>
    why === undefined ? [] : [`it is in ${unit ?? ""} on ${node}, and ${why}`],
  );
  if (shared.length > 0)
    return { problem: `${component.name} cannot be taken down alone: ${shared.join("; ")}` };
  const active = found
    .filter(({ restart }) => restart !== undefined)
    .sort((a, b) => a.node.localeCompare(b.node));
  if (active.length === 0) return { looked };
  const without = found.filter(({ restart }) => restart === undefined).map(({ node }) => node);
  return unitTarget(component.name, {
    on: new Map(active.map(({ node, unit = "" }) => [node, unit])),
    restart: active[0]?.restart,
    ...(without.length === 0
      ? {}
      : {
          remarks: [`${component.name} was not found on ${without.sort().join(", ")}: looked for ${looked}`],
        }),
  });
}

/** A node's unit. */
interface UnitOnNode {
  readonly unit?: string;
  /** Why it cannot be stopped alone. */
  readonly shared?: string;
  /** Its Restart= setting, "" when systemd does not say; undefined: the unit is not active. */
  readonly restart?: string | undefined;
}

/** The unit of the process that the component is; else the first of the names that is active. */
async function unitOn(
  access: NodeAccess,
  node: Node,
  component: string,
  units: readonly string[],
): Promise<UnitOnNode> {
  const { name } = node.metadata;
  const role = ROLES[component];
  const runtime = node.status?.nodeInfo?.containerRuntimeVersion;
  const running =
    role === undefined
      ? undefined
      : unitOf(await processesOn({ access, node: name }), role, {
          preferred: units,
          ...(runtime === undefined ? {} : { runtime }),
        });
  for (const unit of running === undefined ? units : [running.unit]) {
    const state = await propertiesOf(access, name, unit);
    if (state["LoadState"] === "loaded" && isUp(state))
      return { ...running, unit, restart: state["Restart"] ?? "" };
  }
  return {};
}

/** A unit that crashes repeatedly is "activating" most of the time. It exists, even if it does not work well. */
function isUp(state: Properties): boolean {
  return state["ActiveState"] === "active" || state["ActiveState"] === "activating";
}

async function propertiesOf(access: NodeAccess, node: string, unit: string): Promise<Properties> {
  const argv = ["systemctl", "show", "-p", "LoadState,ActiveState,Restart", unit];
  const lines = (await access.exec(node, argv, ASK_TIMEOUT_MS)).split("\n");
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

interface FoundUnits {
  /** The unit of each node, by the nodes' names. */
  readonly on: ReadonlyMap<string, string>;
  readonly restart?: string | undefined;
  readonly assumed?: true;
  readonly remarks?: readonly string[];
}

function unitTarget(name: string, { on, restart = "", assumed, remarks }: FoundUnits): NodeTarget {
  const nodes = [...on.keys()];
  const unit = mostCommon([...on.values()]) ?? "";
  return {
    kind: "SystemdUnit",
    name,
    namespace: "",
    unit,
    ...(assumed === true ? { assumed } : { on: Object.fromEntries(on) }),
    labels: {},
    nodes,
    count: nodes.length,
    images: [],
    services: [],
    ownerChain: [
      [...new Set(on.values())].join(" or "),
      restart === "" ? "systemd" : `systemd (Restart=${restart})`,
    ],
    ...(remarks === undefined ? {} : { remarks }),
  };
}
