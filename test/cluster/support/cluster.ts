/** The real cluster that the tests run on: one that is running, or one created for them. */
import { execa } from "execa";
import { addonManagerProof } from "../../../src/addons/drift.js";
import { installAddons } from "../../../src/addons/install.js";
import { removeAddons } from "../../../src/addons/remove.js";
import { createKindProvider } from "../../../src/clusters/kind-provider.js";
import type { ClusterHandle } from "../../../src/clusters/provider.js";
import { systemClock } from "../../../src/common/clock.js";
import { messageOf, RefusedError } from "../../../src/common/errors.js";
import type { Progress } from "../../../src/common/progress.js";
import { getOrUndefined, list, NAMESPACES, NODES, resourcePath } from "../../../src/kube/api.js";
import { connect, type Connection } from "../../../src/kube/connect.js";
import type { Node } from "../../../src/kube/objects.js";
import { createLabProvider, engineForKind } from "../../../src/lab/lab-provider.js";
import { findNodeAccess } from "../../../src/nodes/access.js";
import { type NodeAccess } from "../../../src/nodes/spec.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../../src/own/manifest.js";
import { removedNamespaces } from "../../../src/own/namespaces.js";
import { undo } from "../../../src/safety/restore/undo-entries.js";

export interface TestCluster {
  readonly handle: ClusterHandle;
  readonly connection: Connection;
  readonly nodes: readonly Node[];
  readonly access: NodeAccess;
}

/** Plain lines on stderr: creating a cluster takes minutes, and a silent test looks hung. */
const progress: Progress = {
  step: async (title, work) => {
    const startedAt = performance.now();
    const result = await work(() => undefined);
    process.stderr.write(`    ${title} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)\n`);
    return result;
  },
  info: (text) => process.stderr.write(`    ${text}\n`),
  warn: (text) => process.stderr.write(`    warning: ${text}\n`),
};

/**
 * A running cluster if there is one; else a kind cluster where kind and an engine are installed, else the lab.
 * CHAOS_TEST_CLUSTER=kind: one that the kind provider creates with the lab's engine, kind and node image, as a user's
 * machine would have them.
 */
export async function testCluster(): Promise<TestCluster> {
  return await clusterOf(await bringUp());
}

/** The connection and the node access of a cluster that exists. */
export async function clusterOf(handle: ClusterHandle): Promise<TestCluster> {
  const connection = await connect({
    ...(handle.kubeconfigPath === undefined ? {} : { kubeconfigPath: handle.kubeconfigPath }),
    context: handle.context,
    userAgent: "kube-system-chaos-tests",
  });
  const nodes = (await list<Node>(connection.transport, resourcePath(NODES))).items;
  const access = await findNodeAccess(nodes, handle);
  if ("none" in access) throw new Error(`the tests need access to the nodes: ${access.none}`);
  return { handle, connection, nodes, access };
}

/** Looked up once per process: it compares every image with its sources. */
let kindEngine: ReturnType<typeof engineForKind> | undefined;

/**
 * What `kind` needs to create one more cluster: the node image to name, if any. undefined: no kind is on PATH. With
 * CHAOS_TEST_CLUSTER=kind, `kind` and `docker` are put on the PATH of the tests.
 */
export async function kindTools(): Promise<{ readonly image?: string } | undefined> {
  if (process.env["CHAOS_TEST_CLUSTER"] === "kind") {
    const { env, image } = await (kindEngine ??= engineForKind(progress));
    Object.assign(process.env, env);
    return { image };
  }
  return (await execa("kind", ["version"], { reject: false })).failed ? undefined : {};
}

async function bringUp(): Promise<ClusterHandle> {
  const wanted = process.env["CHAOS_TEST_CLUSTER"] ?? "";
  if (wanted === "kind") return await createKindProvider().up({ progress, ...(await kindTools()) });
  if (wanted !== "") throw new Error(`CHAOS_TEST_CLUSTER is ${wanted}: it can only be kind`);
  const providers = [createKindProvider(), createLabProvider()];
  for (const provider of providers) {
    if ((await provider.status()).running) return await provider.up({ progress });
  }
  const refusals: string[] = [];
  for (const provider of providers) {
    try {
      return await provider.up({ progress });
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusals.push(`${provider.name}: ${messageOf(error)}`);
    }
  }
  throw new Error(`no cluster to test on: ${refusals.join("; ")}`);
}

/** Removes a guestbook that runs have kept, as a run does it: deleting a namespace that still has pods takes a minute. */
export async function removeGuestbook({ connection: { transport } }: TestCluster): Promise<void> {
  const name = "guestbook";
  const path = resourcePath(NAMESPACES, undefined, name);
  if ((await getOrUndefined(transport, path)) === undefined) return;
  await undo(transport, {
    action: "remove",
    path,
    object: { kind: "Namespace", name },
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
  });
  await removedNamespaces(transport, systemClock(), [name]);
}

/** Installs the study's add-ons for the tests of a file. The result removes them, unless they were installed before. */
export async function withAddons(cluster: TestCluster): Promise<() => Promise<void>> {
  const { transport } = cluster.connection;
  const options = { transport, clock: systemClock(), progress };
  const installed = (await addonManagerProof(transport)).state !== "absent";
  await installAddons(options);
  return async () => {
    if (!installed) await removeAddons(options);
    transport.close();
  };
}
