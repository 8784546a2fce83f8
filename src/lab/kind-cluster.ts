import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import {
  CLUSTER_NAME,
  listNodes,
  parseNodes,
  weighWorkers,
  WORKER_CPU_SHARES,
} from "../clusters/kind-nodes.js";
import { ChaosError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import type { Built } from "./build.js";
import { ask, run } from "./command.js";
import type { Engine } from "./engine.js";
import { builtVersions } from "./go-modules.js";
import { hashOfFiles, keyOf } from "./keys.js";
import { Kubectl } from "./kubectl.js";
import type { LabPaths } from "./paths.js";
import { endAll } from "./process.js";
import { publishSubstituteImages, readSubstituteImages } from "./substitutes.js";

export const CLUSTER_CONTEXT = `kind-${CLUSTER_NAME}`;
const NODES = ["control-plane", "worker", "worker2"].map((role) => `${CLUSTER_NAME}-${role}`);

const clusterRecord = z.object({
  /** The hash of the node image's name, kind-config.yaml, and what else a cluster is made from. */
  key: z.string(),
  images: z.array(z.string()),
  /** What the lab compiled for it: names and versions. */
  versions: z.string().default("unknown"),
  /** The folder with kubectl. */
  kubernetes: z.string(),
});
/** The record of a complete cluster. An incomplete cluster has none. */
export type ClusterRecord = z.infer<typeof clusterRecord>;

interface ClusterParts {
  readonly paths: LabPaths;
  readonly engine: Engine;
}

export function kubeconfigPath(paths: LabPaths): string {
  return join(paths.state, "kubeconfig");
}

function recordPath(paths: LabPaths): string {
  return join(paths.state, "cluster.json");
}

/** The record of the last complete cluster; undefined: there is none, or it cannot be read. */
export async function readRecord(paths: LabPaths): Promise<ClusterRecord | undefined> {
  const text = await readFile(recordPath(paths), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return clusterRecord.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export async function clusterKey(paths: LabPaths, nodeImage: string): Promise<string> {
  return keyOf({
    nodeImage,
    config: await hashOfFiles(join(paths.root, "kind-config.yaml")),
    audit: await hashOfFiles(join(paths.root, "src/clusters/audit-policy.yaml")),
    workerCpuShares: WORKER_CPU_SHARES,
  });
}

/** Whether every node's container runs and all nodes are Ready. */
export async function isHealthy(parts: ClusterParts, record: ClusterRecord): Promise<boolean> {
  const format = "{{.State.Running}}";
  const containers = await ask(parts.engine.client, ["inspect", "--format", format, ...NODES], {
    timeoutMs: 10_000,
    env: parts.engine.env,
  });
  if (containers.exitCode !== 0 || containers.stdout.includes("false")) return false;
  const kubectl = new Kubectl(record.kubernetes, kubeconfigPath(parts.paths));
  const ready = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}';
  const nodes = await kubectl.ask(
    ["get", "nodes", "-o", `jsonpath=${ready}`, "--request-timeout=5s"],
    10_000,
  );
  const states = nodes.stdout.trim().split(" ");
  return nodes.exitCode === 0 && states.length === NODES.length && states.every((state) => state === "True");
}

/** Whether all of the cluster's containers, if there are any, run this image as it is now. */
export async function hasOnlyNodesOf({ engine }: ClusterParts, image: string): Promise<boolean> {
  const options = { timeoutMs: 30_000, env: engine.env };
  const wanted = await ask(engine.client, ["image", "inspect", "--format", "{{.Id}}", image], options);
  const nodes = await nodesOf(engine);
  if (nodes.length === 0) return true;
  const used = await ask(engine.client, ["inspect", "--format", "{{.Image}}", ...nodes], options);
  return used.stdout.split("\n").every((id) => id.trim() === wanted.stdout.trim());
}

/** The names of the cluster's containers, running or not. */
async function nodesOf(engine: Engine): Promise<readonly string[]> {
  const options = { timeoutMs: 180_000, env: engine.env };
  const listed = await ask(engine.client, listNodes(CLUSTER_NAME), options);
  return parseNodes(listed.stdout).map(({ name }) => name);
}

/** Removes the cluster's containers and its record, in any state. */
export async function removeCluster(parts: ClusterParts): Promise<void> {
  // A kind process left by an interrupted attempt would recreate what is removed here.
  await endAll(kubeconfigPath(parts.paths), { program: "kind" });
  await rm(recordPath(parts.paths), { force: true });
  await rm(kubeconfigPath(parts.paths), { force: true });
  const nodes = await nodesOf(parts.engine);
  if (nodes.length > 0)
    await parts.engine.docker(["rm", "--force", "--volumes", ...nodes], { timeoutMs: 180_000 });
}

/**
 * Creates the cluster with kind and waits until every node and the cluster's DNS are ready.
 *
 * @throws ChaosError when kind fails, or something is not ready in time. The next `up`, or `down`, removes the
 *   incomplete cluster.
 */
export async function createCluster(parts: ClusterParts, built: Built, progress: Progress): Promise<void> {
  const { paths, engine } = parts;
  const kubeconfig = kubeconfigPath(paths);
  await mkdir(paths.state, { recursive: true });
  await progress.step(`Creating the cluster ${CLUSTER_NAME} with kind`, async (note) => {
    await run(
      built.kind,
      [
        ...["create", "cluster", "--name", CLUSTER_NAME, "--config", "kind-config.yaml"],
        ...["--image", built.nodeImage],
        ...["--kubeconfig", kubeconfig, "--retain"],
      ],
      {
        timeoutMs: 300_000,
        cwd: paths.root,
        env: engine.env,
        onLine: (line) => note(line.replace(/[^\x20-\x7e]/g, "").trim()),
        advice:
          "The incomplete cluster is kept for inspection. `chaos cluster down` removes it; " +
          "`chaos cluster up` creates it again.",
      },
    );
  });
  for (const args of weighWorkers(NODES)) await engine.docker(args, { timeoutMs: 30_000 });
  const kubectl = new Kubectl(built.kubernetes, kubeconfig);
  await progress.step("Waiting for the nodes and the cluster's DNS", async () => {
    await waitFor(kubectl, ["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s"]);
    await waitFor(kubectl, [
      ...["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s"],
    ]);
  });
  await publishSubstituteImages(kubectl, await readSubstituteImages(engine, built.images));
  const record: ClusterRecord = {
    key: await clusterKey(paths, built.nodeImage),
    images: [...built.images],
    versions: builtVersions(),
    kubernetes: built.kubernetes,
  };
  await writeFile(recordPath(paths), JSON.stringify(record, null, 2));
}

async function waitFor(kubectl: Kubectl, args: readonly string[]): Promise<void> {
  try {
    await kubectl.run(args, { timeoutMs: 150_000 });
  } catch (error) {
    const pods = await kubectl.ask(["get", "nodes,pods", "-A", "-o", "wide"], 15_000);
    throw new ChaosError(
      `the new cluster did not become ready. Its state:\n${pods.stdout}\n` +
        "Run `chaos cluster down` and try again.",
      { cause: error },
    );
  }
}
