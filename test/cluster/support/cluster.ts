/** The real cluster that the tests run on: one that is running, or one created for them. */
import { addonManagerProof } from "../../../src/addons/drift.js";
import { installAddons } from "../../../src/addons/install.js";
import { removeAddons } from "../../../src/addons/remove.js";
import { createKindProvider } from "../../../src/clusters/kind-provider.js";
import type { ClusterHandle } from "../../../src/clusters/provider.js";
import { systemClock } from "../../../src/common/clock.js";
import { messageOf, RefusedError } from "../../../src/common/errors.js";
import type { Progress } from "../../../src/common/progress.js";
import { list, NODES, resourcePath } from "../../../src/kube/api.js";
import { connect, type Connection } from "../../../src/kube/connect.js";
import type { Node } from "../../../src/kube/objects.js";
import { createLabProvider, engineForKind } from "../../../src/lab/lab-provider.js";
import { findNodeAccess } from "../../../src/nodes/access.js";
import { type NodeAccess } from "../../../src/nodes/spec.js";

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
  const handle = await bringUp();
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

async function bringUp(): Promise<ClusterHandle> {
  const wanted = process.env["CHAOS_TEST_CLUSTER"] ?? "";
  if (wanted === "kind") {
    const { env, image } = await (kindEngine ??= engineForKind(progress));
    // For the tests' own commands, too: `docker` and `kind` are on PATH.
    Object.assign(process.env, env);
    return await createKindProvider().up({ progress, image });
  }
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
