/** Finds targets that run on nodes: from the API where it knows them, and from the nodes where there is access. */
import type { ComponentDefinition, FindStaticPod, FindUnit } from "../components/component.js";
import { list, PODS, resourcePath, selectorString } from "../kube/api.js";
import type { Node, Pod } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import type { NodeAccess } from "../nodes/spec.js";
import type { NodeTarget } from "./node-target.js";

/** The kubelet's annotation on a mirror pod (kubelet/types.ConfigMirrorAnnotationKey of Kubernetes). */
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

/** Timeout of one command on a node, ms. */
const ASK_TIMEOUT_MS = 10_000;

export interface NodesToCheck {
  readonly nodes: readonly Node[];
  readonly access?: NodeAccess;
}

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

/** @returns the target; `looked`: a description of what was looked for and does not exist. */
export async function findStaticPod(
  transport: Transport,
  component: Pick<ComponentDefinition, "name">,
  find: FindStaticPod,
  { access }: Pick<NodesToCheck, "access">,
): Promise<NodeTarget | { readonly looked: string }> {
  const { namespace, labels, manifests, knownAs } = find;
  const pods = await mirrorPods(transport, find);
  const nodes = [...new Set(pods.map((pod) => pod.spec?.nodeName ?? ""))]
    .filter((node) => node !== "")
    .sort();
  if (nodes.length === 0) {
    return { looked: `static pods with ${selectorString(labels)} in ${namespace} (${knownAs.join(", ")})` };
  }
  // Without access (privileged pods, for example, come later) assume the most common path. It is checked before
  // anything is moved.
  const manifest = access === undefined ? manifests[0] : await findManifest(access, nodes, manifests);
  const images = pods.flatMap((pod) =>
    (pod.spec?.containers ?? []).map((container) => container.image ?? ""),
  );
  return {
    kind: "StaticPod",
    name: component.name,
    namespace,
    ...(manifest === undefined ? {} : { manifest }),
    labels,
    nodes,
    count: nodes.length,
    images: [...new Set(images)],
    services: [],
    ownerChain: ["Pod", `kubelet of each node (manifest ${manifest ?? manifests.join(" or ")})`],
  };
}

/** The first of the paths that exists on every node; undefined: none does. */
async function findManifest(
  access: NodeAccess,
  nodes: readonly string[],
  manifests: readonly string[],
): Promise<string | undefined> {
  const script = `for each in "$@"; do if [ -f "$each" ]; then echo "$each"; fi; done`;
  const found = await Promise.all(
    nodes.map(async (node) =>
      (await access.exec(node, ["sh", "-c", script, "find-manifest", ...manifests], ASK_TIMEOUT_MS)).split(
        "\n",
      ),
    ),
  );
  return manifests.find((manifest) => found.every((paths) => paths.includes(manifest)));
}

/** A unit's properties, as systemd reports them. */
type Properties = Readonly<Record<string, string>>;

/** @returns the target; `looked`: a description of what was looked for and does not exist. */
export async function findUnit(
  component: Pick<ComponentDefinition, "name">,
  find: FindUnit,
  { nodes, access }: NodesToCheck,
): Promise<NodeTarget | { readonly looked: string }> {
  const names = nodes.map((node) => node.metadata.name).sort();
  const looked = `a systemd unit ${find.units.join(" or ")} on ${names.join(", ")}`;
  const [assumed] = find.units;
  if (access === undefined) {
    // Every node has such a unit, or it would not be a node. Only access tells which of the names it has.
    if (assumed === undefined || names.length === 0) return { looked };
    return unitTarget(component.name, { unit: assumed, nodes: names, restart: undefined });
  }
  for (const unit of find.units) {
    const states = await Promise.all(
      names.map(async (node) => ({ node, state: await propertiesOf(access, node, unit) })),
    );
    const active = states.filter(({ state }) => state["LoadState"] === "loaded" && isUp(state));
    if (active.length > 0) {
      const restart = active[0]?.state["Restart"];
      return unitTarget(component.name, { unit, nodes: active.map(({ node }) => node), restart });
    }
  }
  return { looked };
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

interface FoundUnit {
  readonly unit: string;
  readonly nodes: readonly string[];
  readonly restart: string | undefined;
}

function unitTarget(name: string, { unit, nodes, restart }: FoundUnit): NodeTarget {
  return {
    kind: "SystemdUnit",
    name,
    namespace: "",
    unit,
    labels: {},
    nodes,
    count: nodes.length,
    images: [],
    services: [],
    ownerChain: [unit, restart === undefined ? "systemd" : `systemd (Restart=${restart})`],
  };
}
