/** `chaos run --dry-run` of several experiments on the inventories: a block each, and nothing stops it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { ExecutionContext } from "ava";
import test from "ava";
import { width } from "../../../src/ui/width.js";
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

/** The block of an experiment, its lines joined. */
function blockOf(out: string, name: string): string {
  const block = out
    .split("\n\n")
    .find((each) => each.startsWith(`${name}\n`) || each.startsWith(`${name} (`));
  return (block ?? "").replace(/\s*\n\s*/g, " ");
}

test("GKE: a block per experiment; what is not found does not stop the rest; nothing is changed", async (t) => {
  const server = await served(t, "gke");
  const { code, out, progress } = await dryRun(t, server);
  t.is(code, ExitCode.preflightRefused, "some of them cannot be attacked");
  const lines = out.split("\n");
  t.is(lines[0], "dry run of 15 experiments: nothing was changed");
  t.is(lines[1], "platform: GKE (the nodes are Google's and called gke-…)");
  const block = (name: string): string => blockOf(out, name);
  t.regex(
    block("kube-proxy"),
    /target +static pods with component=kube-proxy in kube-system, 3 nodes \(assumed\) owners/,
  );
  t.regex(
    block("kube-proxy"),
    /attack +static-pod on each of its nodes undo +move the manifest of kube-proxy back/,
  );
  t.regex(
    block("fluentd"),
    /target +DaemonSet kube-system\/fluentbit-gke, 3 of 3 pods ready owners .* attack +delete-workload undo /,
  );
  t.regex(block("fluentd"), /time +about \d min .*; at most \d+ min, .* rights +\d+ needed, all granted$/);
  t.regex(block("etcd"), /^etcd not +GKE runs the control plane itself/);
  t.regex(
    block("fluentd-scaler"),
    /^fluentd-scaler not +looked for a Deployment with k8s-app=fluentd-gcp-scaler/,
  );
  t.deepEqual(
    lines.filter((line) => width(line) > 100),
    [],
    "readable in 100 columns",
  );
  t.regex(out, /\n\d+ of 15 would be attacked: about \d+ min; at most /);
  t.regex(out, /\nassumed: checked once node access is there/);
  t.notRegex(progress, /ok: /, "the checks of each are not listed");
  t.deepEqual(writes(server), []);
});

test("all that can be attacked: exit 0; one that cannot: exit 4", async (t) => {
  const server = await served(t, "aks");
  t.is((await dryRun(t, server, { only: ["kube-dns", "metrics-server"] })).code, ExitCode.asExpected);
  t.is((await dryRun(t, server, { only: ["kube-dns", "etcd"] })).code, ExitCode.preflightRefused);
});

test("a problem that is not an experiment's own is told once, below the plans", async (t) => {
  const server = await served(t, "prod-baremetal");
  server.put("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-0@elsewhere", renewTime: "2026-08-01T12:00:00Z" },
  });
  const { code, out } = await dryRun(t, server, { only: ["kube-dns", "kube-proxy"] });
  t.is(code, ExitCode.preflightRefused);
  t.is(out.match(/refused \(all of them\): lock: held by run-0@elsewhere/g)?.length, 1);
  t.regex(out, /Deployment kube-system\/coredns/, "the plans are there all the same");
});

test("an API error of one experiment is its row, and the others follow", async (t) => {
  const server = await served(t, "aks");
  server.fault({ kind: "status", status: 500, path: "/daemonsets", times: Infinity });
  const { code, out } = await dryRun(t, server, { only: ["kube-dns", "kube-proxy", "metrics-server"] });
  t.is(code, ExitCode.preflightRefused);
  t.regex(blockOf(out, "kube-proxy"), /^kube-proxy not +.*HTTP 500/);
  t.regex(
    blockOf(out, "metrics-server"),
    /target +Deployment kube-system\/metrics-server, 2 of 2 pods ready owners .* attack +scale-to-zero undo +scale Deployment kube-system\/metrics-server back to 2 time/,
  );
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
  for (const { owners, undo, duration, rights } of result.experiments) {
    t.is(owners[0], "Pod");
    t.is(undo.length, 1);
    t.true((duration?.aboutMs ?? 0) > 75_000 && (duration?.atMostMs ?? 0) > (duration?.aboutMs ?? 0));
    t.true((rights ?? []).length > 30 && (rights ?? []).every(({ granted, why }) => granted && why !== ""));
  }
});

test("a single experiment prints its plan with the platform, what was found, and whether it is assumed", async (t) => {
  const kops = await served(t, "synthetic-rke2");
  const dns = await dryRun(t, kops, { only: ["kube-dns"] });
  t.is(dns.code, ExitCode.asExpected);
  t.regex(dns.out, /^platform: RKE2 \(the kubelets' version has \+rke2\)$/m);
  t.regex(dns.out, /^ {2}target +Deployment kube-system\/rke2-coredns-rke2-coredns, 2 of 2 pods ready$/m);
  for (const head of ["owners", "attack", "undo", "time", "deploys", "measures", "removes", "expects"])
    t.regex(dns.out, new RegExp(`^  ${head} +\\S`, "m"));
  t.regex(dns.out, /^rights: \d+ needed, all granted$/m);
  t.regex(dns.out, /^ {4}✓ apps\/deployments rke2-coredns-rke2-coredns: get, update, delete$/m);
  t.notRegex(dns.out, /assumed/);
  t.deepEqual(
    dns.out.split("\n").filter((line) => width(line) > 100),
    [],
  );
  const scheduler = await dryRun(t, kops, { only: ["kube-scheduler"] });
  t.regex(
    scheduler.out.replace(/\s+/g, " "),
    / \? target: [^✓]*assumed, checked once node access is there\) ✓/,
  );
  t.notRegex(scheduler.out, /✓ target/);
  t.regex(scheduler.progress, /info: target: .*assumed/);
  t.notRegex(scheduler.progress, /ok: target/);
});

test("a missing right is marked in the plan, which is shown although the run would be refused", async (t) => {
  const server = await served(t, "aks");
  server.handle("POST", /selfsubjectaccessreviews$/, ({ body }) => {
    const { verb, resource, namespace } = (
      body as { spec: { resourceAttributes: Readonly<Record<string, string>> } }
    ).spec.resourceAttributes;
    const allowed = !(verb === "delete" && resource === "deployments" && namespace === "kube-system");
    return { status: 201, body: { status: { allowed } } };
  });
  const one = await dryRun(t, server, { only: ["kube-dns"] });
  t.is(one.code, ExitCode.preflightRefused);
  t.regex(one.out, /^ {2}✗ permissions: missing: delete apps\/deployments coredns in kube-system/m);
  t.regex(one.out, /^rights: \d+ needed, 1 missing$/m);
  t.regex(one.out, /^ {4}✗ apps\/deployments coredns: delete \(missing; for the attack delete-workload\)$/m);
  t.regex(one.out, /^ {4}✓ apps\/deployments coredns: get, update$/m);
  t.regex(one.progress, /preflight refused; nothing was changed/);
  const two = await dryRun(t, server, { only: ["kube-dns", "metrics-server"] });
  t.regex(blockOf(two.out, "kube-dns"), /rights +\d+ needed, 1 missing: apps\/deployments coredns: delete/);
  t.regex(blockOf(two.out, "metrics-server"), /rights +\d+ needed, all granted/);
  t.deepEqual(writes(server), []);
});

test("companions that are missing, and names that differ from the component, are in the list", (t) => {
  const row: PlanRow = {
    experiment: "kube-dns-scale-to-zero",
    file: "x.yaml",
    target: "kube-dns",
    found: "Deployment kube-system/coredns",
    runs: "2 of 2 pods ready",
    owners: ["Pod", "ReplicaSet", "Deployment coredns"],
    attack: "scale-to-zero",
    undo: ["scale Deployment kube-system/coredns back to 2", "scale kube-dns-autoscaler back to 1"],
    duration: { aboutMs: 100_000, atMostMs: 40 * 60_000 },
    rights: null,
    assumed: false,
    why: null,
    missing: ["kube-dns-autoscaler: looked for a Deployment; found none"],
    platform: null,
    others: [],
  };
  t.deepEqual(tableLines([row]), [
    "dry run of 1 experiments: nothing was changed",
    "",
    "kube-dns-scale-to-zero (kube-dns)",
    "  target    Deployment kube-system/coredns, 2 of 2 pods ready",
    "  owners    Pod → ReplicaSet → Deployment coredns",
    "  attack    scale-to-zero",
    "  undo      scale Deployment kube-system/coredns back to 2; then scale kube-dns-autoscaler back to 1",
    "  time      about 1 min 40 s; at most 40 min, if every step takes its limit",
    "",
    "1 of 1 would be attacked: about 1 min 40 s; at most 40 min, if every step takes its limit; without",
    "                          the pauses in which the cluster settles between two runs",
    "companion not found: kube-dns-autoscaler: looked for a Deployment; found none",
  ]);
});
