/** kube-dns taken down by each attack; the report is compared with what the cluster itself shows. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { RunResult } from "../../src/analysis/result.js";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { DEPLOYMENTS, ENDPOINT_SLICES, get, list, PODS, resourcePath } from "../../src/kube/api.js";
import { sanitised } from "../../src/kube/declared.js";
import type { EndpointSlice, KubeObject, Pod } from "../../src/kube/objects.js";
import { acceptedDeletions, auditOf } from "./support/audit.js";
import type { TestCluster } from "./support/cluster.js";
import {
  chaosRun,
  onlyReport,
  said,
  setUp,
  windowStarted,
  writeExperiment,
  type ExperimentText,
} from "./support/run-cli.js";

const SELECTOR = { labelSelector: "k8s-app=kube-dns" };
const DEPLOYMENT = resourcePath(DEPLOYMENTS, "kube-system", "coredns");

/** A run of which the target is down later than after half of its window is inconclusive. */
const DOWN_LIMIT_MS = 20_000;

/** What the test itself sees while the run continues: on its own connection, and in the nodes' process tables. */
interface Seen {
  readonly endpoints: number[];
  /** Nodes and process ids of the DNS server, one list for each check. */
  readonly processes: string[][];
}

async function podUids(cluster: TestCluster): Promise<string[]> {
  const { items } = await list<Pod>(
    cluster.connection.transport,
    resourcePath(PODS, "kube-system"),
    SELECTOR,
  );
  return items
    .filter((pod) => pod.metadata.deletionTimestamp === undefined)
    .map((pod) => pod.metadata.uid)
    .sort();
}

/** Process ids of coredns on every node, without asking the API or the container runtime. */
async function dnsProcesses(cluster: TestCluster): Promise<string[]> {
  const each = cluster.nodes.map(async (node) => {
    const { name } = node.metadata;
    const pids = await cluster.access.exec(name, ["sh", "-c", "pgrep -x coredns || true"], 10_000);
    return pids
      .split("\n")
      .filter((pid) => pid !== "")
      .map((pid) => `${name} ${pid}`);
  });
  return (await Promise.all(each)).flat();
}

/** Waits until each pod has one process: a busy kubelet may run a container for a minute after its pod is deleted. */
async function processesOfPods(cluster: TestCluster, pods: number): Promise<string[]> {
  let found: string[] = [];
  const settled = await pollUntil(systemClock(), { everyMs: 1_000, limitMs: 180_000 }, async () => {
    found = await dnsProcesses(cluster);
    return found.length === pods ? found : undefined;
  });
  if (settled === undefined)
    throw new Error(
      `timed out waiting for one process of the DNS server for each of ${pods} pods; found: ${found.join(", ")}`,
    );
  return settled;
}

/** How many endpoints of kube-dns are ready. */
async function readyEndpoints({ connection }: TestCluster): Promise<number> {
  const { items: slices } = await list<EndpointSlice>(
    connection.transport,
    resourcePath(ENDPOINT_SLICES, "kube-system"),
    { labelSelector: "kubernetes.io/service-name=kube-dns" },
  );
  const endpoints = slices.flatMap((slice) => slice.endpoints ?? []);
  return endpoints.filter(({ conditions }) => conditions?.ready !== false).length;
}

/** Waits for the effect of the first kill: a busy node takes seconds to stop a container. */
async function down(cluster: TestCluster, before: readonly string[]): Promise<void> {
  const found = await pollUntil(systemClock(), { everyMs: 1_000, limitMs: DOWN_LIMIT_MS }, async () => {
    if ((await readyEndpoints(cluster)) > 0) return undefined;
    return (await dnsProcesses(cluster)).some((each) => before.includes(each)) ? undefined : true;
  });
  if (found === undefined)
    throw new Error(`timed out after ${DOWN_LIMIT_MS / 1000} s waiting until kube-dns is down`);
}

async function record(cluster: TestCluster, seen: Seen, untilMs: number): Promise<void> {
  while (performance.now() < untilMs) {
    seen.endpoints.push(await readyEndpoints(cluster));
    seen.processes.push(await dnsProcesses(cluster));
    // Each look enters every node: more often, it would take the CPUs that the probers need.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
  }
}

/** One run of an attack, with the assertions that all attacks share. */
async function attacked(
  t: ExecutionContext,
  experiment: ExperimentText,
  meanwhile?: (cluster: TestCluster) => Promise<{ stop(): Promise<void> }>,
): Promise<{ result: RunResult; folder: string }> {
  // A companion of the test applies the Deployment as another field manager.
  const { cluster, space } = await setUp(
    t,
    meanwhile === undefined ? [] : ["kube-system deployments coredns"],
  );
  const companion = await meanwhile?.(cluster);
  const uidsBefore = await podUids(cluster);
  const processesBefore = await processesOfPods(cluster, uidsBefore.length);
  const file = await writeExperiment(space, experiment);
  const child = chaosRun(cluster, space, file);
  await windowStarted(child);
  const seen: Seen = { endpoints: [], processes: [] };
  const endsAt = performance.now() + Number.parseInt(experiment.window, 10) * 1000;
  await down(cluster, processesBefore);
  // Until shortly before the end of the window: the last look must end within it.
  await record(cluster, seen, endsAt - 3_000);
  const ended = await child;
  const { exitCode } = ended;
  await companion?.stop();
  const { result, folder } = await onlyReport(space);

  t.is(exitCode, 0, `${said(ended)}\n${result.verdictBecause}`);
  t.is(result.verdict, "as expected");
  t.is(result.severity, "outage");
  // The cluster itself shows that the target was down.
  t.true(seen.endpoints.length > 1, "checks of the cluster");
  t.deepEqual([...new Set(seen.endpoints)], [0], "endpoints of kube-dns during the window");
  const running = seen.processes.flat();
  t.deepEqual(
    running.filter((process) => processesBefore.includes(process)),
    [],
    "processes that served before",
  );
  // A runner with hardly any CPU time may be late for one of the hundreds of pods of delete-pods, and reports it.
  const late = experiment.name === "pods" ? 1 : 0;
  t.true((result.suppression?.readySeen ?? Infinity) <= late, "replacements that became ready");
  // The audit log confirms the kills that the report counts.
  const audit = await auditOf(cluster, result.facts.runId);
  const deletions = acceptedDeletions(audit, "kube-system", ["pods", "replicasets", "deployments"]);
  t.is(result.suppression?.kills, deletions.length, "kills in the report and deletions in the audit log");
  t.true(deletions.length > 0);
  const uidsAfter = await podUids(cluster);
  t.is(uidsAfter.length, uidsBefore.length);
  t.deepEqual(
    uidsAfter.filter((uid) => uidsBefore.includes(uid)),
    [],
    "pods that survived",
  );
  // The control arm needs no DNS: it shows that the guestbook itself worked.
  const controlArm = result.probes.filter((probe) => probe.probe === "app-write-env");
  t.true(controlArm.length > 0);
  for (const { source, phases } of controlArm)
    t.true((phases.window.availability ?? 0) > 0.95, `control arm on ${source}`);
  return { result, folder };
}

test.serial("delete-pods keeps kube-dns down against the ReplicaSet controller", async (t) => {
  const { result } = await attacked(t, {
    name: "pods",
    attack: "{ type: delete-pods }",
    // Hundreds of pods keep a small machine busy for seconds at a stretch, of which a fifth of the window may be.
    window: "30s",
    impact: "outage",
  });
  t.true(
    (result.suppression?.recreationsByKind["Pod"] ?? 0) > 10,
    "the controller recreated pods again and again",
  );
});

/** As a GitOps controller does: applies the Deployment server-side every 5 s, whether it exists or not. */
async function applyRepeatedly({ connection: { transport } }: TestCluster): Promise<{
  readonly answers: number[];
  readonly stop: () => Promise<void>;
}> {
  const live = await get<KubeObject>(transport, DEPLOYMENT);
  const body = sanitised({ ...live, apiVersion: "apps/v1", kind: "Deployment" });
  const apply = async (): Promise<number> => {
    const query = { fieldManager: "gitops-test", force: true };
    const contentType = "application/apply-patch+yaml";
    return (await transport.request({ method: "PATCH", path: DEPLOYMENT, query, contentType, body })).status;
  };
  // The run finds the field manager of the first one.
  const answers = [await apply()];
  const stopping = new AbortController();
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      for (let waited = 0; waited < 5_000 && !stopping.signal.aborted; waited += 100)
        await new Promise((resolve) => setTimeout(resolve, 100));
      if (!stopping.signal.aborted) answers.push(await apply());
    }
  })();
  return {
    answers,
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

test.serial(
  "delete-workload keeps kube-dns down against a GitOps controller that applies it every 5 s, and the report names it",
  async (t) => {
    let gitops: Awaited<ReturnType<typeof applyRepeatedly>> | undefined;
    const { result, folder } = await attacked(
      t,
      { name: "gitops", attack: "{ type: delete-workload }", window: "40s", impact: "outage" },
      async (cluster) => {
        gitops = await applyRepeatedly(cluster);
        t.teardown(gitops.stop);
        return gitops;
      },
    );
    t.deepEqual(
      gitops?.answers.filter((status) => status >= 300),
      [],
    );
    const { suppression } = result;
    const fight = suppression?.fight ?? [];
    // One every 5 s for 40 s.
    t.true(fight.length >= 6, `${fight.length} rounds`);
    t.deepEqual([...new Set(fight.map(({ by }) => by))], ["gitops-test"]);
    t.true(
      fight.every(({ served }) => !served),
      "no recreated Deployment served",
    );
    t.true((suppression?.share ?? 0) > 0.9, `kept down for ${suppression?.share ?? 0} of the window`);
    t.regex(
      result.facts.target?.ownerChain.at(-1) ?? "",
      /^gitops-test, which applies it server-side \(unknown how fast; from field manager gitops-test[,)]/,
    );
    t.regex(await readFile(join(folder, "report.md"), "utf8"), /Recreated during the attack: .*gitops-test/);
    t.log(
      `${fight.length} rounds, each at most ${Math.max(...fight.map(({ livedMs }) => livedMs ?? 0))} ms; ` +
        `kept down ${suppression?.share ?? 0}; restored by ${result.restored.at(-1)?.by ?? "nobody"}`,
    );
  },
);
