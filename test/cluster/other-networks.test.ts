/**
 * A cluster that has little in common with the default one: IPv6 only, a cluster domain of its own, PodSecurity's
 * `restricted` for every namespace, and a kubeconfig in two files. It exists for this file's tests only.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { parse, stringify } from "yaml";
import { weighWorkers } from "../../src/clusters/kind-nodes.js";
import { clusterOf, kindTools } from "./support/cluster.js";
import { chaos, onlyReport, said, workspace, writeExperiment } from "./support/run-cli.js";
import { assertAsBeforeAtEnd, snapshot } from "./support/snapshot.js";

const NAME = "kube-system-chaos-other";
const DOMAIN = "corp.example";

/** Where the machine has no IPv6, the rest is tried with IPv4. */
const IPV6 = existsSync("/proc/net/if_inet6");

/** Kubernetes' own namespaces and the one of kind's storage are exempt, as on any cluster with such a default. */
const ADMISSION = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AdmissionConfiguration",
  plugins: [
    {
      name: "PodSecurity",
      configuration: {
        apiVersion: "pod-security.admission.config.k8s.io/v1",
        kind: "PodSecurityConfiguration",
        defaults: { enforce: "restricted", "enforce-version": "latest" },
        exemptions: { namespaces: ["kube-system", "local-path-storage"] },
      },
    },
  ],
};

function clusterConfig(admissionFile: string): object {
  const inNode = "/etc/kubernetes/admission.yaml";
  const patches = [
    {
      kind: "ClusterConfiguration",
      networking: { dnsDomain: DOMAIN },
      apiServer: {
        extraArgs: { "admission-control-config-file": inNode },
        extraVolumes: [
          { name: "admission", hostPath: inNode, mountPath: inNode, readOnly: true, pathType: "File" },
        ],
      },
    },
    { kind: "KubeletConfiguration", clusterDomain: DOMAIN },
  ];
  return {
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    name: NAME,
    networking: { ipFamily: IPV6 ? "ipv6" : "ipv4", apiServerAddress: "127.0.0.1" },
    nodes: [
      {
        role: "control-plane",
        extraMounts: [{ hostPath: admissionFile, containerPath: inNode, readOnly: true }],
      },
      { role: "worker" },
      { role: "worker" },
    ],
    kubeadmConfigPatches: patches.map((patch) => stringify(patch)),
  };
}

/** Splits a kubeconfig: the clusters and contexts, and the users. */
async function inTwoFiles(folder: string, text: string): Promise<string> {
  const { users, ...rest } = parse(text) as Record<string, unknown>;
  const files = { "clusters.yaml": rest, "users.yaml": { apiVersion: "v1", kind: "Config", users } };
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), stringify(content));
  return Object.keys(files)
    .map((name) => join(folder, name))
    .join(":");
}

test.serial(
  "IPv6, another cluster domain, restricted pods, a kubeconfig of two files: kube-dns as anywhere",
  async (t) => {
    const tools = await kindTools();
    if (tools === undefined) {
      t.log("not tried: kind is not on PATH. CHAOS_TEST_CLUSTER=kind brings one");
      t.pass();
      return;
    }
    const space = await workspace();
    t.teardown(space.remove);
    const path = (name: string): string => join(space.folder, name);
    await writeFile(path("admission.yaml"), stringify(ADMISSION));
    await writeFile(path("kind.yaml"), stringify(clusterConfig(path("admission.yaml"))));
    const kubeconfigPath = path("whole.yaml");
    const kind = ["--name", NAME, "--kubeconfig", kubeconfigPath];
    t.teardown(async () => {
      await execa("kind", ["delete", "cluster", ...kind]);
    });
    const image = tools.image === undefined ? [] : ["--image", tools.image];
    await execa("kind", [
      "create",
      "cluster",
      ...kind,
      "--config",
      path("kind.yaml"),
      "--wait",
      "2m",
      ...image,
    ]);

    // As for every cluster that `chaos` makes: its probers share the CPUs with two control planes.
    const workers = [`${NAME}-worker`, `${NAME}-worker2`];
    for (const args of weighWorkers(workers, NAME)) await execa("docker", args);

    const kubectl = ["exec", `${NAME}-control-plane`, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"];
    const rollout = ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s"];
    await execa("docker", [...kubectl, ...rollout]);

    const handle = { provider: "current", context: `kind-${NAME}`, kubeconfigPath, env: {} } as const;
    const cluster = await clusterOf(handle);
    t.teardown(() => cluster.connection.transport.close());
    assertAsBeforeAtEnd(t, cluster, await snapshot(cluster));
    const file = await writeExperiment(space, {
      name: "elsewhere",
      attack: "{ type: delete-workload }",
      window: "15s",
    });
    const KUBECONFIG = await inTwoFiles(space.folder, await readFile(kubeconfigPath, "utf8"));
    const ended = await chaos({ handle: { ...handle, env: { KUBECONFIG } } }, space, [
      "run",
      file,
      "--reports",
      path("reports"),
    ]);
    t.is(ended.exitCode, 0, said(ended));
    const { result } = await onlyReport(space);
    t.is(result.severity, "outage", result.severityBecause);
    t.is(result.ownFunction.state, "lost");
  },
);
