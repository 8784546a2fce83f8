/**
 * `chaos doctor` on a real cluster: nothing on a healthy one; a crash-looping pod, a single kube-dns and a node without
 * kube-proxy are named, and nothing else.
 */
import test, { type ExecutionContext } from "ava";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import {
  create,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  patch,
  PODS,
  remove,
  resourcePath,
} from "../../src/kube/api.js";
import type { DaemonSet, KubeObject } from "../../src/kube/objects.js";
import type { Transport } from "../../src/kube/transport.js";
import { MANAGED_BY } from "../../src/own/manifest.js";
import { undo } from "../../src/safety/restore/undo-entries.js";
import { workloadNotReady } from "../../src/safety/restore/verify.js";
import type { TestCluster } from "./support/cluster.js";
import { chaos, said, setUp, type Workspace } from "./support/run-cli.js";

const NAMESPACE = "kube-system";
const POD = "chaos-test-crashing";
const PROXY = resourcePath(DAEMONSETS, NAMESPACE, "kube-proxy");
/** The autoscaler scales kube-dns back, and addon-manager the autoscaler every minute: the faults are found before. */
const FOUND_WITHIN_MS = 45_000;
const BACK_WITHIN_MS = 90_000;

interface Told {
  readonly exitCode: number | undefined;
  readonly faults: readonly string[];
  readonly text: string;
}

/** Errors and warnings, as "code component". Not restarts: earlier tests stop what others depend on. */
async function look(cluster: TestCluster, space: Workspace): Promise<Told> {
  const { kubeconfigPath, context } = cluster.handle;
  const where = [
    ...(kubeconfigPath === undefined ? [] : ["--kubeconfig", kubeconfigPath]),
    "--context",
    context,
  ];
  const ended = await chaos(cluster, space, ["doctor", ...where]);
  const line = ended.stdout.split("\n").find((each) => each.startsWith('{"type":"result"'));
  if (line === undefined) throw new Error(`chaos doctor printed no result: ${said(ended)}`);
  type Found = { severity: string; code: string; component?: string };
  const { findings } = (JSON.parse(line) as { result: { findings: Found[] } }).result;
  const faults = findings
    .filter(({ severity, code }) => severity !== "info" && code !== "restarts")
    .map(({ code, component = "" }) => `${code} ${component}`.trim());
  return { exitCode: ended.exitCode, faults: faults.sort(), text: JSON.stringify(findings, null, 1) };
}

/** Changes a workload. The end of the test restores it, and waits until its pods are ready and of the old template. */
async function changed(
  t: ExecutionContext,
  transport: Transport,
  { kind, path }: { readonly kind: string; readonly path: string },
  change: object,
): Promise<void> {
  const object = await getOrUndefined<KubeObject>(transport, path);
  if (object === undefined) return;
  const before = { ...object, kind };
  t.teardown(async () => {
    const collection = path.slice(0, path.lastIndexOf("/"));
    await undo(transport, { action: "restore-workload", path, collection, object: before });
    await pollUntil(systemClock(), { everyMs: 500, limitMs: BACK_WITHIN_MS }, async () => {
      const live = await getOrUndefined<KubeObject>(transport, path);
      return live !== undefined && workloadNotReady(before, live) === undefined ? true : undefined;
    });
  });
  await patch(transport, path, change, { fieldManager: MANAGED_BY });
}

/** A pod of kube-proxy's image, which every node has, that ends at once. */
async function crashing(t: ExecutionContext, transport: Transport): Promise<void> {
  const proxy = await getOrUndefined<DaemonSet>(transport, PROXY);
  const [container] = proxy?.spec?.template.spec?.containers ?? [];
  t.teardown(
    async () => await remove(transport, resourcePath(PODS, NAMESPACE, POD), { gracePeriodSeconds: 0 }),
  );
  await create(transport, resourcePath(PODS, NAMESPACE), {
    metadata: { name: POD },
    spec: {
      terminationGracePeriodSeconds: 1,
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name: "main",
          image: container?.image,
          imagePullPolicy: "IfNotPresent",
          command: [container?.command?.[0], "--no-such-flag"],
        },
      ],
    },
  });
}

test.serial("nothing on a healthy cluster; then the three faults, and nothing else", async (t) => {
  // The API server keeps the number of a DaemonSet's template in an annotation, and counts this test's change of it.
  const { cluster, space } = await setUp(t, ["kube-system daemonsets kube-proxy"]);
  const { transport } = cluster.connection;
  const healthy = await look(cluster, space);
  t.deepEqual(healthy.faults, [], healthy.text);

  const [node] = cluster.nodes.filter(({ spec }) => (spec?.taints ?? []).length === 0);
  const excluding = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          {
            matchExpressions: [
              { key: "kubernetes.io/hostname", operator: "NotIn", values: [node?.metadata.name] },
            ],
          },
        ],
      },
    },
  };
  await crashing(t, transport);
  await changed(
    t,
    transport,
    { kind: "DaemonSet", path: PROXY },
    { spec: { template: { spec: { affinity: excluding } } } },
  );
  for (const [name, replicas] of [
    ["kube-dns-autoscaler", 0],
    ["coredns", 1],
  ] as const)
    await changed(
      t,
      transport,
      { kind: "Deployment", path: resourcePath(DEPLOYMENTS, NAMESPACE, name) },
      { spec: { replicas } },
    );

  const expected = ["crash-loop", "kube-dns-few-ready kube-dns", "kube-proxy-missing kube-proxy"];
  let last: Told | undefined;
  await pollUntil(systemClock(), { everyMs: 1_000, limitMs: FOUND_WITHIN_MS }, async () => {
    last = await look(cluster, space);
    return last.faults.join() === expected.join() ? true : undefined;
  });
  t.deepEqual(last?.faults, expected, last?.text);
  t.is(last?.exitCode, 1);
  t.regex(
    last?.text ?? "",
    new RegExp(`no kube-proxy works on 1 of ${cluster.nodes.length} nodes: ${node?.metadata.name}`),
  );
  t.regex(last?.text ?? "", /"kube-system\/chaos-test-crashing crashes again and again"/);
});
