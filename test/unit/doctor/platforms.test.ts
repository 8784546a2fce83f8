/** The conditions on what other platforms list: no nonsense about what they hide, embed or replace. */
import test from "ava";
import type { DaemonSet, Deployment, KubeObject, Node, Pod, Service } from "../../../src/kube/objects.js";
import { platformOf } from "../../../src/targets/platform.js";
import { codesOf, healthy, NOW_MS } from "../../helpers/doctor-facts.js";
import { type Inventory, inventory, inventoryNames } from "../../helpers/inventories.js";

/** What is really so there: the listings of GKE and k3s have one kube-dns, and one has kube-proxy on 2 of 5 nodes. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  gke: ["warning kube-dns-few-ready"],
  "synthetic-k3s": ["warning kube-dns-few-ready"],
  "prod-baremetal": ["error kube-proxy-missing"],
};

const uid = (object: KubeObject, kind: string): string =>
  `${kind} ${object.metadata.namespace} ${object.metadata.name}`;

function withStatus(pod: KubeObject, node: string | undefined): Pod {
  const given = pod as unknown as Pod;
  return {
    ...given,
    metadata: {
      ...given.metadata,
      uid: uid(pod, "Pod"),
      creationTimestamp: new Date(NOW_MS - 1e9).toISOString(),
    },
    spec: { containers: [], ...given.spec, ...(node === undefined ? {} : { nodeName: node }) },
    status: {
      ...given.status,
      phase: "Running",
      conditions: [
        { type: "Ready", status: "True", lastTransitionTime: new Date(NOW_MS - 1e9).toISOString() },
      ],
      containerStatuses: [
        { name: "c", image: "x", imageID: "x", ready: true, restartCount: 1, lastState: {} },
      ],
    },
  };
}

/** The pods that the workloads of an inventory would have. */
function podsOf(kind: string, object: KubeObject, nodes: readonly Node[], count: number): Pod[] {
  return Array.from({ length: count }, (_each, index) =>
    withStatus(
      {
        metadata: {
          name: `${object.metadata.name}-${index}`,
          namespace: object.metadata.namespace ?? "kube-system",
          uid: "",
          resourceVersion: "1",
          labels:
            (object as unknown as Deployment).spec?.template.metadata?.labels ?? object.metadata.labels ?? {},
          ownerReferences: [
            {
              apiVersion: "apps/v1",
              kind,
              name: object.metadata.name,
              uid: uid(object, kind),
              controller: true,
            },
          ],
        },
      },
      nodes[index % nodes.length]?.metadata.name,
    ),
  );
}

function factsOf({ nodes, objects }: Inventory): ReturnType<typeof healthy> {
  const known = <T>(kind: string, list: readonly KubeObject[] = []): T[] =>
    list.map((each) => ({ ...each, metadata: { ...each.metadata, uid: uid(each, kind) } }) as T);
  const deployments = known<Deployment>("Deployment", objects.deployments).map((each) => {
    const replicas = each.spec?.replicas ?? 1;
    return { ...each, status: { replicas, readyReplicas: replicas } };
  });
  const daemonSets = known<DaemonSet>("DaemonSet", objects.daemonsets).map((each) => {
    const count = each.status?.desiredNumberScheduled ?? 0;
    return {
      ...each,
      status: { ...each.status, numberReady: count, currentNumberScheduled: count },
    } as DaemonSet;
  });
  const replicaSets = deployments.map((each) => ({
    metadata: {
      ...each.metadata,
      uid: uid(each, "ReplicaSet"),
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "Deployment",
          name: each.metadata.name,
          uid: each.metadata.uid,
          controller: true,
        },
      ],
    },
  }));
  const pods = [
    ...(objects.pods ?? []).map((each) => withStatus(each, undefined)),
    ...replicaSets.flatMap((each, index) =>
      podsOf(
        "ReplicaSet",
        { ...deployments[index], ...each },
        nodes,
        deployments[index]?.status?.replicas ?? 0,
      ),
    ),
    ...daemonSets.flatMap((each) =>
      podsOf("DaemonSet", each, nodes, each.status?.desiredNumberScheduled ?? 0),
    ),
  ];
  return healthy({
    platform: platformOf(nodes),
    nodes,
    pods,
    deployments,
    daemonSets,
    replicaSets,
    services: known<Service>("Service", objects.services),
    version: nodes[0]?.status?.nodeInfo?.kubeletVersion ?? "v1.36.3",
    budgets: [],
    leases: [],
    kubelets: [],
  });
}

for (const name of inventoryNames()) {
  test(`${name}: only what is really so there`, (t) => {
    const codes = codesOf(factsOf(inventory(name)));
    t.deepEqual(
      codes.filter((code) => !code.startsWith("info ")),
      [...(EXPECTED[name] ?? [])],
    );
  });
}
