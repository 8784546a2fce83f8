/**
 * Every row of the study on the real cluster, in one session with short phases: each attack, and each function check
 * (it passes at the baseline, fails in the window, passes again afterwards), compared with the API server's audit log.
 * With CHAOS_TEST_STUDY=short: seven rows, which have each attack and each kind of target.
 */
import test, { type ExecutionContext } from "ava";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunResult } from "../../src/analysis/result.js";
import { components } from "../../src/components/all-components.js";
import type { RunEvent } from "../../src/evidence/events.js";
import { eventsOf } from "../../src/evidence/serialise.js";
import { type ComponentName, COMPONENTS } from "../../src/experiment/names.js";
import { functionProbes } from "../../src/probes/functions/all-function-checks.js";
import { acceptedDeletions, auditOf } from "./support/audit.js";
import { removeGuestbook, testCluster, type TestCluster, withAddons } from "./support/cluster.js";
import { chaosRun, said, setUp, type Workspace } from "./support/run-cli.js";

/** addon-manager recreates deleted workloads, as another field manager than the one that installed them. */
const BY_ADDON_MANAGER = ["kube-system deployments", "kube-system daemonsets"];

interface Row {
  readonly result: RunResult;
  readonly events: readonly RunEvent[];
}

/** The rows of the short form. */
const SHORT: readonly ComponentName[] = [
  "kubelet",
  "kube-proxy",
  "kube-dns",
  "fluentd-scaler",
  "metrics-server",
  "kube-scheduler",
  "kube-apiserver",
];

let removeAddons: () => Promise<void> = async () => await Promise.resolve();
test.before(async () => {
  const cluster = await testCluster();
  removeAddons = await withAddons(cluster);
});
test.after.always(async () => await removeAddons());

/**
 * Seconds; long enough for a function check that starts while the component is down to reach its deadline, for a pod that
 * addon-manager has recreated to serve for three seconds of it, as on a busy machine, and for one of its rounds (60 s) in
 * that of kube-dns.
 */
function windowOf(name: ComponentName): number {
  if (name === "kube-dns") return 75;
  const probe = components[name].functionProbe;
  const deadlineMs =
    probe === undefined || functionProbes[probe].disturbs ? 12_000 : functionProbes[probe].deadlineMs;
  return Math.max(15, Math.ceil(deadlineMs / 1000) + 6);
}

async function writeRow(folder: string, name: ComponentName): Promise<void> {
  const recovery = components[name].longestWindowMs === undefined ? "3m" : "7m";
  await writeFile(
    join(folder, `${name}.yaml`),
    `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: { name: ${name} }
target: { component: ${name} }
phases: { baseline: 10s, window: ${windowOf(name)}s, recovery: ${recovery} }
# In such short phases one failed sample would exceed the default thresholds.
thresholds: { baselineAvailability: 0.9, suppression: 0.7, degradedBelow: 0.9, slowFrom: 1s }
`,
  );
}

async function readRows(space: Workspace): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  const reports = join(space.folder, "reports");
  // A refused run has no report: the caller says what it printed.
  for (const entry of await readdir(reports, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory()) continue;
    const read = async (name: string): Promise<string> =>
      await readFile(join(reports, entry.name, name), "utf8");
    const result = JSON.parse(await read("result.json")) as RunResult;
    rows.set(result.facts.experiment.name, {
      result,
      events: (await eventsOf((await read("events.ndjson")).split("\n"))).value,
    });
  }
  return rows;
}

async function runAll(
  cluster: TestCluster,
  space: Workspace,
  folder: string,
  flags: readonly string[] = [],
): Promise<string> {
  return said(await chaosRun(cluster, space, folder, flags));
}

/** The kills that a report counts are the deletions that the API server's audit log has for its run. */
async function comparedWithAuditLog(
  t: { is(actual: unknown, expected: unknown, message?: string): unknown },
  cluster: TestCluster,
  { result }: Row,
): Promise<void> {
  if (result.facts.experiment.attack.type !== "delete-workload") return;
  const audit = await auditOf(cluster, result.facts.runId);
  const deletions = acceptedDeletions(audit, "kube-system", [
    "pods",
    "replicasets",
    "deployments",
    "daemonsets",
  ]);
  t.is(
    result.suppression?.kills,
    deletions.length,
    `${result.facts.experiment.name}: deletions in the audit log`,
  );
}

/** Runs one experiment from its text. */
async function runVariant(
  cluster: TestCluster,
  space: Workspace,
  text: string,
): Promise<{ readonly row: Row; readonly output: string }> {
  const file = join(space.folder, "variant.yaml");
  await writeFile(
    file,
    `apiVersion: kube-system-chaos/v1\nkind: Experiment\nmetadata: { name: variant }\n${text}`,
  );
  const output = await runAll(cluster, space, file);
  const row = (await readRows(space)).get("variant");
  if (row === undefined) throw new Error(`no report: ${output}`);
  return { row, output };
}

test.serial("kube-proxy: the outage starts when the database's pod is replaced", async (t) => {
  const { cluster, space } = await setUp(t, BY_ADDON_MANAGER);
  const { row, output } = await runVariant(
    cluster,
    space,
    `target: { component: kube-proxy }
churn: { after: 10s }
# An outage is over half of the window, and a busy node takes ten seconds to replace the pod.
phases: { baseline: 10s, window: 60s, recovery: 4m }
thresholds: { baselineAvailability: 0.9, suppression: 0.7 }
`,
  );
  const { result, events } = row;
  t.deepEqual(result.reasons, [], output);
  const churn = events.filter((event) => event.type === "churn");
  t.deepEqual(
    churn.map(({ rehearsal, ok }) => [rehearsal, ok]),
    [
      [true, true],
      [false, true],
    ],
    output,
  );
  const windowFrom = result.phases.window?.fromMs ?? 0;
  const replacedAt = (churn[1]?.tMs ?? 0) - windowFrom;
  const impact = result.probes
    .filter(({ probe, timeToImpactMs }) => probe === "app-write" && timeToImpactMs !== null)
    .map(({ timeToImpactMs }) => timeToImpactMs ?? 0);
  t.true(
    impact.length > 0 && Math.min(...impact) > replacedAt - 500,
    `no impact before the pod was replaced: ${impact.join(", ")}`,
  );
  t.is(result.severity, "outage", result.severityBecause);
});

test.serial("a flapping kube-dns goes down several times and is ready again in between", async (t) => {
  const { cluster, space } = await setUp(t, BY_ADDON_MANAGER);
  const { row, output } = await runVariant(
    cluster,
    space,
    `target: { component: kube-dns }
attack: { type: delete-pods, every: 20s }
phases: { baseline: 10s, window: 60s, recovery: 3m }
thresholds: { baselineAvailability: 0.9 }
`,
  );
  const { result } = row;
  t.deepEqual(result.reasons, [], output);
  t.true((result.suppression?.timesDown ?? 0) >= 2, `went down ${result.suppression?.timesDown ?? 0} times`);
  t.true((result.suppression?.readySeen ?? 0) >= 2, "and became ready in between");
});

/** addon-manager recreated kube-dns in the window, and it never served; the audit log says the same. */
async function keptDownAgainstAddonManager(
  t: ExecutionContext,
  cluster: TestCluster,
  result: RunResult,
): Promise<void> {
  t.is(result.severity, "outage");
  t.is(result.suppression?.readySeen, 0);
  const fight = result.suppression?.fight ?? [];
  t.true(fight.length >= 1, `recreated ${fight.length} times`);
  t.true(
    fight.every(({ served }) => !served),
    "never served",
  );
  // The API server's audit log shows who created the Deployment in the window.
  const audit = await auditOf(cluster, "system:serviceaccount:kube-system:kube-addon-manager");
  const startedAt = Date.parse(result.facts.startedAt);
  const from = startedAt + (result.phases.window?.fromMs ?? 0);
  const to = startedAt + (result.releaseMs ?? 0);
  const created = audit.filter(({ verb, objectRef, responseStatus, requestReceivedTimestamp }) => {
    const at = Date.parse(requestReceivedTimestamp);
    const isDns =
      objectRef?.resource === "deployments" && objectRef.name === result.facts.target?.object.name;
    return verb === "create" && isDns && responseStatus?.code === 201 && at >= from && at <= to;
  });
  t.is(created.length, fight.length, "recreations in the report and by addon-manager in the audit log");
}

/** The component was down; its function worked before, was lost meanwhile, and worked again afterwards. */
function functionLostAndRestored(t: ExecutionContext, name: ComponentName, result: RunResult): void {
  const { state, because, baseline, window, recovery } = result.ownFunction;
  const said = `${name}: ${result.verdictBecause}; ${because}; ${result.warnings.join("; ")}`;
  t.deepEqual(result.reasons, [], said);
  // addon-manager recreates a deleted workload once a minute, and its pods may live for two seconds before they are
  // deleted again: long enough for an agent to forward something, and for a server to answer once.
  const leaks = ["fluentd", "heapster", "l7-default-backend"].includes(name) ? 1 : 0;
  t.true(state === "lost" || (leaks > 0 && state === "partly lost"), said);
  t.true((result.suppression?.share ?? 0) >= 0.7, said);
  if (components[name].functionProbe === undefined) return;
  t.true(
    baseline !== null && baseline.looks > 0 && baseline.present === baseline.looks,
    `works before: ${said}`,
  );
  t.true(window !== null && window.looks > 0 && window.present <= leaks, `lost in the window: ${said}`);
  t.true(recovery !== null && recovery.present > 0, `works afterwards: ${said}`);
}

// Last in the file: after etcd was down, a kube-proxy may need minutes to follow new Services.
test.serial(
  "every row of the study is measured, addon-manager is beaten, and everything is as before",
  async (t) => {
    t.timeout(40 * 60_000);
    const { cluster, space } = await setUp(t, BY_ADDON_MANAGER);
    const folder = join(space.folder, "experiments");
    await mkdir(folder);
    const names = process.env["CHAOS_TEST_STUDY"] === "short" ? SHORT : COMPONENTS;
    for (const name of names) await writeRow(folder, name);
    // One guestbook for all rows: other tests show that a run deploys and removes its own.
    t.teardown(async () => await removeGuestbook(cluster));
    const output = await runAll(cluster, space, folder, ["--keep-app"]);
    const rows = await readRows(space);
    t.deepEqual([...rows.keys()].sort(), [...names].sort(), output);
    for (const name of names) {
      const row = rows.get(name);
      if (row === undefined) continue;
      functionLostAndRestored(t, name, row.result);
      await comparedWithAuditLog(t, cluster, row);
    }
    const dns = rows.get("kube-dns");
    if (dns !== undefined) await keptDownAgainstAddonManager(t, cluster, dns.result);
    for (const name of ["kubelet", "kube-proxy", "fluentd", "metrics-server", "kube-scheduler"] as const)
      if (rows.has(name)) t.is(rows.get(name)?.result.severity, "function lost", name);
    const types = new Set([...rows.values()].map(({ result }) => result.facts.experiment.attack.type));
    t.deepEqual([...types].sort(), ["delete-workload", "scale-to-zero", "static-pod", "systemd-unit"]);
  },
);
