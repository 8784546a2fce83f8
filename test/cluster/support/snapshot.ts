/** What must be the same before and after a run: kube-system's objects, the nodes' units, and no leftover own objects. */
import { list, NODES, resourcePath, type Gvr } from "../../../src/kube/api.js";
import { sanitised } from "../../../src/kube/declared.js";
import type { KubeObject, Node } from "../../../src/kube/objects.js";
import type { TestCluster } from "./cluster.js";

const core = (resource: string): Gvr => ({ group: "", version: "v1", resource });
const apps = (resource: string): Gvr => ({ group: "apps", version: "v1", resource });
const rbac = (resource: string): Gvr => ({ group: "rbac.authorization.k8s.io", version: "v1", resource });

const NAMESPACED = [
  core("services"),
  core("configmaps"),
  core("serviceaccounts"),
  apps("deployments"),
  apps("daemonsets"),
  apps("statefulsets"),
  rbac("roles"),
  rbac("rolebindings"),
];
const CLUSTER_WIDE = [core("namespaces"), rbac("clusterroles"), rbac("clusterrolebindings")];

/** Only their names are compared: leader election rewrites them all the time. */
const LEASES: Gvr = { group: "coordination.k8s.io", version: "v1", resource: "leases" };
const UNITS = ["kubelet", "containerd"];

/** Every object by its name, without the fields that the server sets; comparable with deepEqual. */
export async function snapshot(cluster: TestCluster): Promise<Record<string, unknown>> {
  const { transport } = cluster.connection;
  const all: Record<string, unknown> = {};
  for (const gvr of NAMESPACED) {
    const { items } = await list<KubeObject>(transport, resourcePath(gvr, "kube-system"));
    for (const item of items) all[`kube-system ${gvr.resource} ${item.metadata.name}`] = declared(item);
  }
  for (const gvr of CLUSTER_WIDE) {
    const { items } = await list<KubeObject>(transport, resourcePath(gvr));
    for (const item of items) all[`${gvr.resource} ${item.metadata.name}`] = declared(item);
  }
  const leases = await list<KubeObject>(transport, resourcePath(LEASES, "kube-system"));
  all["leases"] = leases.items.map((lease) => lease.metadata.name).sort();
  // Taints change with the readiness of the nodes, so the nodes are listed again.
  const nodes = (await list<Node>(transport, resourcePath(NODES))).items;
  for (const node of nodes) {
    const { name } = node.metadata;
    all[`units of ${name}`] = await cluster.access.exec(name, ["systemctl", "is-active", ...UNITS], 10_000);
    all[`manifests of ${name}`] = await cluster.access.exec(
      name,
      ["sh", "-c", "ls /etc/kubernetes/manifests 2>/dev/null || true"],
      10_000,
    );
    all[`taints of ${name}`] = (node.spec?.taints ?? []).map((taint) => taint.key);
  }
  return all;
}

/** Without the annotation of leader election, which is status. */
function declared(object: KubeObject): unknown {
  const clean = sanitised(object);
  const annotations = Object.fromEntries(
    Object.entries(clean.metadata.annotations ?? {}).filter(
      ([key]) => key !== "control-plane.alpha.kubernetes.io/leader",
    ),
  );
  return { ...clean, metadata: { ...clean.metadata, annotations } };
}
