/** `chaos heal kube-dns` while an application writes to its database: what that loses, and what a rolling restart loses. */
import test, { type ExecutionContext } from "ava";
import { architecturesOf, ownPods } from "../../src/application/own-pods.js";
import { lossBeyondNoise, type Counts } from "../../src/analysis/noise.js";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { lossesIn } from "../../src/heal/compare.js";
import { heal } from "../../src/heal/heal.js";
import {
  DEPLOYMENTS,
  getOrUndefined,
  list,
  NAMESPACES,
  patch,
  PODS,
  remove,
  REPLICASETS,
  resourcePath,
} from "../../src/kube/api.js";
import type { Deployment, Pod, ReplicaSet } from "../../src/kube/objects.js";
import { isReady } from "../../src/kube/pod-state.js";
import { deploymentState } from "../../src/kube/workload-state.js";
import { loadAll } from "../../src/load/load-all.js";
import { PROBER_NAMESPACE } from "../../src/own/own-names.js";
import type { ProberPlan } from "../../src/probes/prober-plan.js";
import { findAddresses, GUESTBOOK_SCRIPT } from "../../src/run/measuring/probers.js";
import { apply, applicationManifests } from "../../src/run/phases/deploy.js";
import { type ProbingOptions, withProbers } from "../../src/run/probing/probing.js";
import { createView } from "../../src/ui/view.js";
import { removeGuestbook, type TestCluster } from "./support/cluster.js";
import { chaos, said, setUp, type Workspace } from "./support/run-cli.js";

const DNS = resourcePath(DEPLOYMENTS, "kube-system", "coredns");
const SETS = resourcePath(REPLICASETS, "kube-system");
const LIMIT_MS = 120_000;

/** Deploys the guestbook. @returns the probes of its writes and reads. */
async function guestbook(t: ExecutionContext, cluster: TestCluster): Promise<ProberPlan["probes"]> {
  const { transport } = cluster.connection;
  const [loaded] = await loadAll(["kube-dns"], {});
  if (loaded === undefined) throw new Error("no experiment kube-dns");
  const pods = ownPods({}, architecturesOf(cluster.nodes));
  t.teardown(async () => await removeGuestbook(cluster));
  const { guestbook: manifests } = await applicationManifests({ resolved: loaded.resolved, pods });
  await apply({ transport, clock: systemClock(), pods }, manifests);
  const { namespace = "" } = loaded.resolved.experiment.application.guestbook ?? {};
  await pollUntil(systemClock(), { everyMs: 500, limitMs: LIMIT_MS }, async () => {
    const { items } = await list<Pod>(transport, resourcePath(PODS, namespace));
    return items.length >= 6 && items.every((pod) => isReady(pod)) ? true : undefined;
  });
  const { frontends } = await findAddresses(transport, namespace);
  const app = { frontends, path: GUESTBOOK_SCRIPT };
  return { "app-write": app, "app-read": app };
}

function options(
  cluster: TestCluster,
  space: Workspace,
  also: ProberPlan["probes"],
): Omit<ProbingOptions, "purpose" | "durationMs"> {
  return {
    handle: cluster.handle,
    view: createView({ stream: process.stderr, out: process.stderr, mode: "plain" }),
    external: false,
    also,
    intervalMs: 100,
    env: { ...process.env, ...space.env },
    toolVersion: "0.0.0",
    confirm: async () => await Promise.resolve(false),
    allowing: () => "",
    interrupted: new AbortController().signal,
  };
}

/** Waits until every pod is of the current template and ready. */
async function rolledOut({ connection: { transport } }: TestCluster): Promise<void> {
  await pollUntil(systemClock(), { everyMs: 300, limitMs: LIMIT_MS }, async () => {
    const { isSeen, wanted, total, ready, updated } = deploymentState(
      (await getOrUndefined<Deployment>(transport, DNS)) as Deployment,
    );
    return isSeen && updated === wanted && total === wanted && ready === wanted ? true : undefined;
  });
}

const RESTARTED = "kubectl.kubernetes.io/restartedAt";

/** As `kubectl rollout restart`. `at` null: the template as it was before. */
async function restart(cluster: TestCluster, at: string | null): Promise<void> {
  const template = { metadata: { annotations: { [RESTARTED]: at } } };
  await patch(cluster.connection.transport, DNS, { spec: { template } });
  await rolledOut(cluster);
}

/** The template, and no ReplicaSet of the restart. */
async function undoRestart(cluster: TestCluster, before: readonly string[]): Promise<void> {
  const { transport } = cluster.connection;
  const { spec } = (await getOrUndefined<Deployment>(transport, DNS)) as Deployment;
  if (spec?.template.metadata?.annotations?.[RESTARTED] === undefined) return;
  await restart(cluster, null);
  for (const { metadata } of (await list<ReplicaSet>(transport, SETS)).items) {
    if (!before.includes(metadata.name)) await remove(transport, `${SETS}/${metadata.name}`);
    else if (metadata.annotations?.["deployment.kubernetes.io/revision-history"] !== undefined)
      await patch(transport, `${SETS}/${metadata.name}`, {
        metadata: { annotations: { "deployment.kubernetes.io/revision-history": null } },
      });
  }
}

const text = (what: string, { failed, samples }: Counts): string => `${what}: ${failed} of ${samples}`;

test.serial(
  "heal kube-dns loses no write of an application beyond what the Deployment's own strategy loses",
  async (t) => {
    t.timeout(10 * 60_000);
    const { cluster, space } = await setUp(t, ["kube-system deployments coredns", "kube-system replicasets"]);
    const { transport } = cluster.connection;
    const sets = (await list<ReplicaSet>(transport, SETS)).items.map(({ metadata }) => metadata.name);
    t.teardown(async () => await undoRestart(cluster, sets));
    const common = options(cluster, space, await guestbook(t, cluster));
    const before = (
      await list<Pod>(transport, resourcePath(PODS, "kube-system"), { labelSelector: "k8s-app=kube-dns" })
    ).items;
    const healed = await heal({
      ...common,
      ...{ component: "kube-dns", allowLast: false, disableEviction: false, dryRun: false },
      ...{ limitMs: LIMIT_MS, measureMs: 6_000 },
    });
    t.log(healed.lines);
    t.is(healed.exitCode, 0, healed.lines.join("\n"));
    const after = (
      await list<Pod>(transport, resourcePath(PODS, "kube-system"), { labelSelector: "k8s-app=kube-dns" })
    ).items;
    t.is(after.length, before.length);
    for (const { metadata } of after) t.false(before.some((pod) => pod.metadata.uid === metadata.uid));

    const yardstick = await withProbers(
      cluster.connection,
      { ...common, purpose: "probe", durationMs: 5 * 60_000 },
      async (probing) => {
        await probing.measure(3_000);
        const fromMs = probing.clock.now();
        await restart(cluster, new Date().toISOString());
        return lossesIn(await probing.since(fromMs));
      },
    );
    const writes = healed.losses?.["app-write"] ?? { failed: 0, samples: 0 };
    const restarted = yardstick["app-write"] ?? { failed: 0, samples: 0 };
    t.log(text("writes that failed while healing", writes), text("while restarting", restarted));
    for (const [when, losses] of [
      ["healing", healed.losses],
      ["restarting", yardstick],
    ] as const)
      t.log(`while ${when}:`, JSON.stringify(losses));
    t.true(writes.samples > 100, `${writes.samples} writes`);
    t.false(lossBeyondNoise(writes, restarted, 1), text("writes", writes));
  },
);

test.serial("interrupted between two pods: the rest stays, the probers go, exit 130", async (t) => {
  const { cluster, space } = await setUp(t);
  const { transport } = cluster.connection;
  const at = [
    ...(cluster.handle.kubeconfigPath === undefined ? [] : ["--kubeconfig", cluster.handle.kubeconfigPath]),
    ...["--context", cluster.handle.context],
  ];
  const child = chaos(cluster, space, ["heal", "kube-proxy", "--external", "none", ...at]);
  let output = "";
  let interrupted = false;
  child.stdout.on("data", (chunk: Buffer | string) => {
    output += chunk.toString();
    // Once: a later Ctrl-C ends the removal of the probers, too.
    if (interrupted || !output.includes("serves in its place")) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  const ended = await child;
  t.is(ended.exitCode, 130, said(ended));
  t.regex(
    `${ended.stdout}${ended.stderr}`,
    /interrupted after [12] pods? of DaemonSet kube-system\/kube-proxy had been deleted/,
  );
  t.is(await getOrUndefined(transport, resourcePath(NAMESPACES, undefined, PROBER_NAMESPACE)), undefined);
});
