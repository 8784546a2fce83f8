/** Foreign changes to the cluster, and faults of this machine, during a run: each has one defined outcome. */
import { execa } from "execa";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import {
  DEPLOYMENTS,
  get,
  getOrUndefined,
  LEASES,
  list,
  NAMESPACES,
  patch,
  PODS,
  remove,
  resourcePath,
} from "../../src/kube/api.js";
import type { Deployment, KubeObject } from "../../src/kube/objects.js";
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

const DEPLOYMENT = resourcePath(DEPLOYMENTS, "kube-system", "coredns");
const GUESTBOOK = resourcePath(NAMESPACES, undefined, "guestbook");
const LOCK = resourcePath(LEASES, "kube-system", "kube-system-chaos");
const MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml";
/** Outside the folder that the kubelet reads, on the same file system. */
const HELD = "/etc/kubernetes/kube-apiserver.yaml.held-by-test";

/** What a test changes or applies as another field manager. */
const APPLIED_HERE = ["kube-system deployments coredns"];

const pause = async (ms: number): Promise<void> => await new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until a condition is true. A failed request counts as false. */
async function until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > end) throw new Error(`timed out after ${limitMs / 1000} s waiting until ${what}`);
    await pause(500);
  }
}

function controlPlaneOf(cluster: TestCluster): string {
  const node = cluster.nodes.find(({ metadata }) =>
    Object.keys(metadata.labels ?? {}).some((label) => /node-role.*(control-plane|master)/.test(label)),
  );
  if (node === undefined) throw new Error("the test cluster has no control-plane node");
  return node.metadata.name;
}

/** Moves the API server's manifest away. The returned function and the teardown move it back, and may be called twice. */
async function stopApiServer(t: ExecutionContext, cluster: TestCluster): Promise<() => Promise<void>> {
  const node = controlPlaneOf(cluster);
  const move = async (from: string, to: string): Promise<void> =>
    void (await cluster.access.exec(
      node,
      ["sh", "-c", '[ ! -e "$1" ] || mv -n "$1" "$2"', "move", from, to],
      15_000,
    ));
  const restoreManifest = async (): Promise<void> => await move(HELD, MANIFEST);
  t.teardown(async () => {
    await restoreManifest();
    await apiServerAnswers(cluster);
  });
  await move(MANIFEST, HELD);
  return restoreManifest;
}

async function apiServerAnswers(cluster: TestCluster): Promise<void> {
  const { transport } = cluster.connection;
  // A kubelet reads its manifest folder every 20 s; a container that restarted may be in back-off.
  await until("the API server answers", 7 * 60_000, async () => {
    const { status } = await transport.request({
      method: "GET",
      path: "/readyz",
      timeoutMs: 3_000,
      retry: false,
    });
    return status === 200;
  });
}

/** Nothing of the run is left. The end of the test asserts that everything else is as before. */
async function assertRestored(t: ExecutionContext, { cluster }: { cluster: TestCluster }): Promise<void> {
  const { transport } = cluster.connection;
  for (const path of [GUESTBOOK, resourcePath(NAMESPACES, undefined, "kube-system-chaos"), LOCK])
    t.is(await getOrUndefined<KubeObject>(transport, path), undefined, path);
}

const experiment = (change: Partial<ExperimentText>): ExperimentText => ({
  name: "hostile",
  attack: "{ type: delete-workload }",
  window: "25s",
  impact: "outage",
  ...change,
});

/**
 * The outcome: the run continues. Samples wait in the probers, the lock is kept, the attack continues when the API
 * server is back, and the target stays down (without an API server no controller acts). The measured suppression
 * decides the verdict; everything is restored in any case.
 */
test.serial(
  "the API server is unavailable for 30 s in the window: the run continues and restores",
  async (t) => {
    const at = await setUp(t);
    const { cluster, space } = at;
    const file = await writeExperiment(space, experiment({ name: "api-away", window: "50s" }));
    // A kube-proxy's watch can hang for up to ten minutes after the API server was down (client-go's minWatchTimeout).
    await writeFile(file, (await readFile(file, "utf8")).replace("recovery: 4m", "recovery: 12m"));
    const child = chaosRun(cluster, space, file);
    await windowStarted(child);
    await pause(8_000);
    const restoreManifest = await stopApiServer(t, cluster);
    await until("the API server is unavailable", 60_000, async () => {
      const { transport } = cluster.connection;
      const call = { method: "GET", path: "/version", timeoutMs: 1_000, retry: false } as const;
      return await transport.request(call).then(
        () => false,
        () => true,
      );
    });
    await pause(30_000);
    await restoreManifest();
    const ended = await child;
    const { exitCode } = ended;
    await apiServerAnswers(cluster);
    const { result } = await onlyReport(space);
    const text = `${said(ended)}\n${result.verdictBecause}\n${result.reasons.map(({ message }) => message).join("\n")}`;
    t.false(
      result.reasons.some(({ code }) =>
        ["lock-lost", "attack-failed", "application-changed", "target-changed"].includes(code),
      ),
      text,
    );
    // kube-dns was down the whole time and the probers saw it: the outage is measured. If the API server came back too
    // late to show that the target was down, the run is inconclusive.
    t.true([0, 2].includes(exitCode ?? -1), text);
    if (exitCode === 0) {
      t.is(result.severity, "outage", text);
      t.deepEqual(result.reasons, []);
    } else t.is(result.verdict, "inconclusive", text);
    t.true((result.suppression?.kills ?? 0) > 0);
    t.true((result.recovery?.readyMs ?? null) !== null, "the target was seen ready again");
    t.true((result.recovery?.healthyMs ?? null) !== null, "the probes were seen healthy again");
    await assertRestored(t, at);
  },
);

test.serial(
  "someone else deletes the guestbook's namespace: the run stops, reports no outage, and restores",
  async (t) => {
    const at = await setUp(t);
    const { cluster, space } = at;
    const file = await writeExperiment(space, experiment({ name: "app-deleted", window: "120s" }));
    const child = chaosRun(cluster, space, file);
    await windowStarted(child);
    await pause(5_000);
    const deletedAt = performance.now();
    await remove(cluster.connection.transport, GUESTBOOK);
    const ended = await child;
    const { exitCode } = ended;
    const tookMs = performance.now() - deletedAt;
    const { result } = await onlyReport(space);
    t.is(exitCode, 2, `${said(ended)}\n${result.verdictBecause}`);
    t.is(result.verdict, "inconclusive");
    t.is(result.severity, "inconclusive");
    t.is(result.reasons[0]?.code, "application-changed");
    t.regex(result.reasons[0]?.message ?? "", /guestbook/);
    // Two minutes of window and four of recovery were left: the run waited for neither.
    t.true(tookMs < 110_000, `ended ${Math.round(tookMs / 1000)} s after the deletion`);
    t.true((result.suppression?.kills ?? 0) > 0);
    t.true((result.recovery?.readyMs ?? null) !== null, "the target was seen ready again");
    await assertRestored(t, at);
  },
);

test.serial(
  "someone else scales kube-dns up under scale-to-zero: it is scaled down again, reported, and restored",
  async (t) => {
    const at = await setUp(t, APPLIED_HERE);
    const { cluster, space } = at;
    const { transport } = cluster.connection;
    const replicas = async (): Promise<number> =>
      (await get<Deployment>(transport, DEPLOYMENT)).spec?.replicas ?? 1;
    const wanted = await replicas();
    const file = await writeExperiment(
      space,
      // Each change makes pods that serve until they have ended: CoreDNS waits 5 s before it does (lameduck), and a busy node
      // takes as long again to stop a container.
      experiment({ name: "scaled", attack: "{ type: scale-to-zero }", window: "75s", suppression: 0.5 }),
    );
    const child = chaosRun(cluster, space, file);
    await windowStarted(child);
    const pods = async (): Promise<number> =>
      (await list(transport, resourcePath(PODS, "kube-system"), { labelSelector: "k8s-app=kube-dns" })).items
        .length;
    await until("kube-dns is down", 35_000, async () => (await pods()) === 0);
    for (const count of [3, 1]) {
      await patch(transport, DEPLOYMENT, { spec: { replicas: count } }, { fieldManager: "somebody-else" });
      await until("kube-dns is scaled down again", 10_000, async () => (await replicas()) === 0);
    }
    const ended = await child;
    const { exitCode } = ended;
    const { result } = await onlyReport(space);
    t.is(exitCode, 0, `${said(ended)}\n${result.verdictBecause}`);
    t.is(result.severity, "outage");
    t.deepEqual(result.reasons, []);
    const foreignChanges = result.warnings.filter((text) =>
      /was set to [13] replicas, .*\(by somebody-else\)/.test(text),
    );
    t.is(foreignChanges.length, 2, result.warnings.join("\n"));
    const audit = await auditOf(cluster, result.facts.runId);
    t.is(
      acceptedDeletions(audit, "kube-system", ["deployments"]).length,
      0,
      "scale-to-zero deletes no workload",
    );
    t.is(await replicas(), wanted);
    await assertRestored(t, at);
  },
);

test.serial(
  "the disk for the reports is full: the run restores everything and reports the verdict and the failed files",
  async (t) => {
    const at = await setUp(t);
    const { cluster, space } = at;
    const reports = join(space.folder, "reports");
    await mkdir(reports);
    await execa("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", reports]);
    let mounted = true;
    const unmount = async (): Promise<void> => {
      if (mounted) await execa("umount", [reports]);
      mounted = false;
    };
    t.teardown(unmount);
    const file = await writeExperiment(space, experiment({ name: "disk-full" }));
    const { exitCode, stdout, stderr } = await chaosRun(cluster, space, file);
    // The evidence could not be written: exit code 2 instead of 0. Everything is restored.
    t.is(exitCode, 2, said({ stdout, stderr }));
    t.regex(`${stdout}\n${stderr}`, /could not be written: ENOSPC/);
    const result = stdout
      .split("\n")
      .filter((line) => line.includes('"type":"result"'))
      .at(-1);
    t.regex(result ?? "", /"verdict":"as expected"/, "the verdict is reported");
    await unmount();
    await assertRestored(t, at);
  },
);
