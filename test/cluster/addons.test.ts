/** The study's add-ons on a real cluster: installed, working, and fully removed. */
import test from "ava";
import { addonManagerProof } from "../../src/addons/drift.js";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { DEPLOYMENTS, getOrUndefined, remove, resourcePath } from "../../src/kube/api.js";
import type { KubeObject } from "../../src/kube/objects.js";
import { creatorOf } from "../../src/kube/written-by.js";
import type { TestCluster } from "./support/cluster.js";
import { chaos, said, setUp, type Workspace } from "./support/run-cli.js";
import { changesSince, snapshot } from "./support/snapshot.js";

/** `chaos cluster up` on the test cluster. */
async function clusterUp(cluster: TestCluster, space: Workspace, flag: string): Promise<string> {
  const { kubeconfigPath, context } = cluster.handle;
  const where = kubeconfigPath === undefined ? [] : ["--kubeconfig", kubeconfigPath];
  const ended = await chaos(cluster, space, ["cluster", "up", ...where, "--context", context, flag]);
  if (ended.exitCode !== 0) throw new Error(`${flag} ended with ${String(ended.exitCode)}: ${said(ended)}`);
  return ended.stdout;
}

test.serial(
  "addon-manager is proven to work and restores kube-dns; after the removal kube-system is as before",
  async (t) => {
    // addon-manager applies the DNS, so other managers have its fields afterwards.
    const { cluster, space } = await setUp(t, ["kube-system deployments coredns"]);
    const { transport } = cluster.connection;
    const clock = systemClock();
    await clusterUp(cluster, space, "--no-addons");
    const before = await snapshot(cluster);

    t.regex(
      await clusterUp(cluster, space, "--addons"),
      /study add-ons: installed; addon-manager reverted a change/,
    );
    t.like(await addonManagerProof(transport), { state: "proven" });
    const startedAt = clock.now();
    await clusterUp(cluster, space, "--addons");
    t.log(`found the add-ons installed in ${Math.round(clock.now() - startedAt)} ms`);

    const path = resourcePath(DEPLOYMENTS, "kube-system", "coredns");
    const dns = await getOrUndefined<KubeObject>(transport, path);
    await remove(transport, path, { propagationPolicy: "Background" });
    const deletedAt = clock.now();
    const recreated = await pollUntil(clock, { everyMs: 250, limitMs: 150_000 }, async () => {
      const live = await getOrUndefined<KubeObject>(transport, path);
      return live === undefined || live.metadata.uid === dns?.metadata.uid ? undefined : live;
    });
    t.log(`kube-dns was recreated after ${((clock.now() - deletedAt) / 1000).toFixed(1)} s`);
    t.regex(
      recreated === undefined ? "not recreated" : (creatorOf(recreated) ?? "unknown creator"),
      /^kubectl/,
    );

    await clusterUp(cluster, space, "--no-addons");
    const fields = "kube-system deployments coredns .metadata .managedFields ";
    const found = await changesSince(cluster, before);
    t.deepEqual(
      found.filter((line) => !line.startsWith(fields)),
      [],
    );
  },
);
