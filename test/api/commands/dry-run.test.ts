/** `chaos run --dry-run` of several experiments on the inventories: one table, and nothing stops it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { ExecutionContext } from "ava";
import test from "ava";
import { run } from "../../../src/commands/run-command.js";
import { ExitCode } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import type { PlanRow } from "../../../src/run/phases/dry-run-table.js";
import { tableLines } from "../../../src/run/phases/dry-run-table.js";
import { createView } from "../../../src/ui/view.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { inventory, putInventory } from "../../helpers/inventories.js";
import { kubeconfigOf } from "../../helpers/kubeconfig.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly progress: string;
}

const EXPERIMENTS = join(packageRoot(), "experiments");

async function dryRun(
  t: ExecutionContext,
  server: FakeApiServer,
  options: {
    readonly mode?: "plain" | "json";
    readonly only?: readonly string[];
    readonly yes?: boolean;
  } = {},
): Promise<Ran> {
  const { mode = "plain", only = [], yes = true } = options;
  const folder = await mkdtemp(join(tmpdir(), "chaos-dry-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const kubeconfigPath = await kubeconfigOf(folder, server.url);
  const texts = { out: "", progress: "" };
  const into = (name: keyof typeof texts): PassThrough =>
    new PassThrough().on("data", (chunk: Buffer) => (texts[name] += chunk.toString("utf8")));
  const view = createView({ stream: into("progress"), out: into("out"), mode });
  const code = await run({
    references: [EXPERIMENTS],
    select: { provider: "current", context: "fake", kubeconfigPath },
    reportsFolder: join(folder, "reports"),
    only,
    skip: [],
    control: false,
    nodeAccess: "pod",
    allowCommands: false,
    configFile: undefined,
    set: [],
    keepApp: false,
    anyway: false,
    deadMan: false,
    dryRun: true,
    yes,
    allowing: () => "chaos run",
    view,
    interrupted: new AbortController().signal,
    env: { XDG_STATE_HOME: join(folder, "state"), XDG_CONFIG_HOME: join(folder, "config") },
  });
  view.close();
  return { code, ...texts };
}

async function served(t: ExecutionContext, name: string): Promise<FakeApiServer> {
  const { server } = await serve(t);
  putInventory(server, inventory(name));
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  return server;
}

test("GKE: a row per experiment; what is not found does not stop the rest; nothing is changed", async (t) => {
  const server = await served(t, "gke");
  const { code, out, progress } = await dryRun(t, server);
  t.is(code, ExitCode.preflightRefused, "some of them cannot be attacked");
  const lines = out.split("\n");
  t.is(lines[0], "dry run of 15 experiments: nothing was changed");
  t.is(lines[1], "platform: GKE (the nodes are Google's and called gke-…)");
  const row = (name: string): string => lines.find((line) => line.startsWith(`  ${name} `)) ?? "";
  t.regex(
    row("kube-proxy"),
    /static pods with component=kube-proxy in kube-system \(assumed\) +3 nodes +static-pod on/,
  );
  t.regex(row("fluentd"), /DaemonSet kube-system\/fluentbit-gke +3 of 3 pods ready +delete-workload$/);
  t.regex(row("etcd"), /– +– +not: GKE runs the control plane itself/);
  t.regex(row("fluentd-scaler"), /– +– +not: looked for a Deployment with k8s-app=fluentd-gcp-scaler/);
  t.regex(out, /\nassumed: checked once node access is there/);
  t.notRegex(progress, /ok: /, "the checks of each are not listed");
  t.deepEqual(writes(server), []);
});

test("all that can be attacked: exit 0; one that cannot: exit 4", async (t) => {
  const server = await served(t, "aks");
  t.is((await dryRun(t, server, { only: ["kube-dns", "metrics-server"] })).code, ExitCode.asExpected);
  t.is((await dryRun(t, server, { only: ["kube-dns", "etcd"] })).code, ExitCode.preflightRefused);
});

test("a problem that is not an experiment's own is told once, below the table", async (t) => {
  const server = await served(t, "prod-baremetal");
  server.put("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-0@elsewhere", renewTime: "2026-08-01T12:00:00Z" },
  });
  const { code, out } = await dryRun(t, server, { only: ["kube-dns", "kube-proxy"] });
  t.is(code, ExitCode.preflightRefused);
  t.is(out.match(/refused \(all of them\): lock: held by run-0@elsewhere/g)?.length, 1);
  t.regex(out, /Deployment kube-system\/coredns/, "the table is there all the same");
});

test("an API error of one experiment is its row, and the others follow", async (t) => {
  const server = await served(t, "aks");
  server.fault({ kind: "status", status: 500, path: "/daemonsets", times: Infinity });
  const { code, out } = await dryRun(t, server, { only: ["kube-dns", "kube-proxy", "metrics-server"] });
  t.is(code, ExitCode.preflightRefused);
  t.regex(out, /kube-proxy +– +– +not: .*HTTP 500/);
  t.regex(out, /metrics-server +Deployment kube-system\/metrics-server +2 of 2 pods ready +scale-to-zero/);
});

test("--json: the same rows as data", async (t) => {
  const server = await served(t, "kops");
  const { out } = await dryRun(t, server, { mode: "json", only: ["kube-dns", "kube-scheduler"] });
  const texts = out.split("\n").filter((line) => line.includes('"dryRun"'));
  t.is(texts.length, 1);
  const found = JSON.parse(texts[0] ?? "") as Record<string, unknown>;
  const result = (found["result"] ?? found) as { experiments: readonly PlanRow[] };
  t.like(result.experiments, [
    { target: "kube-dns", found: "Deployment kube-system/coredns", runs: "2 of 2 pods ready", why: null },
    { target: "kube-scheduler", runs: "1 node", assumed: true, attack: "static-pod on each of its nodes" },
  ]);
});

test("a single experiment prints its plan with the platform, what was found, and whether it is assumed", async (t) => {
  const kops = await served(t, "synthetic-rke2");
  const dns = await dryRun(t, kops, { only: ["kube-dns"] });
  t.is(dns.code, ExitCode.asExpected);
  t.regex(dns.out, /^platform: RKE2 \(the kubelets' version has \+rke2\)$/m);
  t.regex(dns.out, /^found: Deployment kube-system\/rke2-coredns-rke2-coredns, 2 of 2 pods ready$/m);
  t.notRegex(dns.out, /assumed/);
  const scheduler = await dryRun(t, kops, { only: ["kube-scheduler"] });
  t.regex(scheduler.out, /^ {2}\? target: .*assumed, checked once node access is there\)$/m);
  t.notRegex(scheduler.out, /✓ target/);
  t.regex(scheduler.progress, /info: target: .*assumed/);
  t.notRegex(scheduler.progress, /ok: target/);
});

test("companions that are missing, and names that differ from the component, are in the table", (t) => {
  const row: PlanRow = {
    experiment: "kube-dns-scale-to-zero",
    file: "x.yaml",
    target: "kube-dns",
    found: "Deployment kube-system/coredns",
    runs: "2 of 2 pods ready",
    attack: "scale-to-zero",
    assumed: false,
    why: null,
    missing: ["kube-dns-autoscaler: looked for a Deployment; found none"],
    platform: null,
    others: [],
  };
  t.deepEqual(tableLines([row]), [
    "dry run of 1 experiments: nothing was changed",
    "  component                          found                           runs               how it would be attacked",
    "  kube-dns-scale-to-zero (kube-dns)  Deployment kube-system/coredns  2 of 2 pods ready  scale-to-zero",
    "companion not found: kube-dns-autoscaler: looked for a Deployment; found none",
  ]);
});
