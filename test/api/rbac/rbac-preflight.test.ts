/** Preflight as a ServiceAccount with nothing but a shipped Role, and with some of its verbs removed. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { serverVersion } from "../../../src/kube/api.js";
import type { Node } from "../../../src/kube/objects.js";
import { loadExperiment } from "../../../src/load/read.js";
import { resolveExperiment, type ResolvedExperiment } from "../../../src/components/resolve.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { preflight } from "../../../src/run/phases/preflight.js";
import {
  enforce,
  isOptionalRight,
  type Manifest,
  manifestsOf,
  rightsOf,
} from "../../helpers/rbac-fixtures.js";
import {
  DAEMONSETS,
  DEPLOYMENTS,
  deployment,
  PODS,
  putKubeDns,
  type Served,
  serve,
} from "../../helpers/target-fixtures.js";

/** Of a node, to the scripts of src/nodes/look.ts and to systemctl. */
const ANSWERS: Readonly<Record<string, string>> = {
  "look-at-processes": "process=kubelet kubelet.service\narg=--pod-manifest-path=/etc/kubernetes/manifests",
  "look-at-configuration": "",
  "look-at-manifests": `file=${Buffer.from("kind: Pod\nmetadata:\n  name: kube-scheduler\n  namespace: kube-system\n").toString("base64")} /etc/kubernetes/manifests/kube-scheduler.yaml`,
  systemctl: "LoadState=loaded\nActiveState=active",
};

/** How many verbs are removed at a time: each is still named, and the test takes a fourth of the time. */
const AT_ONCE = 4;

const ADDON = { "addonmanager.kubernetes.io/mode": "Reconcile" };

/** A cluster with the experiment's target and the namespaces that the file prepares. */
async function cluster(t: ExecutionContext, manifests: readonly Manifest[]): Promise<Served> {
  const served = await serve(t);
  const { server } = served;
  putKubeDns(server);
  server.update(`${DEPLOYMENTS}/kube-dns`, { metadata: { labels: ADDON } });
  const metricsServer = { "k8s-app": "metrics-server" };
  server.put(
    DEPLOYMENTS,
    deployment("metrics-server", {
      metadata: { name: "metrics-server", labels: { ...metricsServer, ...ADDON } },
    }),
  );
  server.put(DAEMONSETS, { metadata: { name: "other" } });
  server.put(PODS, {
    metadata: {
      name: "kube-scheduler-worker-1",
      labels: { component: "kube-scheduler" },
      annotations: { "kubernetes.io/config.mirror": "x" },
    },
    spec: { nodeName: "worker-1", containers: [] },
  });
  for (const { kind, metadata } of manifests)
    if (kind === "Namespace") server.put("/api/v1/namespaces", { metadata: { ...metadata } });
  return served;
}

async function ask(
  { transport }: Served,
  resolved: ResolvedExperiment,
): Promise<{ failed: string[]; missing: string[] }> {
  const node = {
    metadata: { name: "worker-1" },
    spec: { providerID: "kind://x/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  } as unknown as Node;
  const { checks } = await preflight({
    transport,
    context: "kind-chaos",
    version: await serverVersion(transport),
    nodes: [node],
    canaries: "kube-system-chaos-canary-3f9a",
    podSettings: {},
    resolved,
    nodeAccess: {
      how: "docker exec",
      spec: { type: "command", argv: [] },
      exec: async (_node, argv) =>
        await Promise.resolve(ANSWERS[argv[3] ?? ""] ?? ANSWERS["systemctl"] ?? ""),
    },
    unfinished: { runs: [], unreadable: [] },
    confirm: async () => await Promise.resolve(false),
    allowing: String,
    emit: () => undefined,
  });
  const said = checks.find(({ name }) => name === "permissions")?.detail ?? "";
  return {
    failed: checks.filter(({ ok }) => !ok).map(({ name }) => name),
    missing: said.startsWith("missing: ") ? said.slice("missing: ".length).split("; ") : [],
  };
}

for (const [file, experiment] of [
  ["delete-workload", "kube-dns"],
  ["delete-pods", "variants/kube-dns-delete-pods"],
  ["scale-to-zero", "metrics-server"],
  ["static-pod", "kube-scheduler"],
  ["systemd-unit", "kubelet"],
  ["none", "variants/control"],
] as const) {
  test(`rbac/${file}.yaml is enough for preflight; with verbs removed, exactly those are named`, async (t) => {
    const text = await readFile(join(packageRoot(), "rbac", `${file}.yaml`), "utf8");
    const resolved = resolveExperiment(
      (await loadExperiment(join(packageRoot(), "experiments", `${experiment}.yaml`))).experiment,
    );
    const manifests = manifestsOf(text);
    const served = await cluster(t, manifests);
    enforce(served.server, manifests);
    t.deepEqual(await ask(served, resolved), { failed: [], missing: [] });
    const single = manifests
      .flatMap(({ rules = [], metadata }) =>
        rules.flatMap((rule) =>
          rule.verbs.map((verb) => ({ rule, verb, rights: rightsOf(rule, verb, metadata.namespace) })),
        ),
      )
      .filter(({ rights }) => !rights.every(isOptionalRight));
    t.true(single.length > 40, String(single.length));
    for (let first = 0; first < single.length; first += AT_ONCE) {
      const taken = single.slice(first, first + AT_ONCE);
      const before = taken.map(({ rule }) => rule.verbs);
      for (const { rule, verb } of taken) rule.verbs = rule.verbs.filter((each) => each !== verb);
      const { failed, missing } = await ask(served, resolved);
      // From the last to the first: two of them may be of one rule.
      for (const [index, { rule }] of [...taken.entries()].reverse()) rule.verbs = before[index] ?? [];
      t.true(failed.includes("permissions"));
      const rights = taken.flatMap((each) => each.rights);
      t.deepEqual(
        missing.filter((right) => !rights.includes(right)),
        [],
        `without ${rights.join()}`,
      );
      for (const each of taken) {
        t.true(
          each.rights.some((right) => missing.includes(right)),
          `${each.rights.join()} is held, and not asked for`,
        );
      }
    }
  });
}
