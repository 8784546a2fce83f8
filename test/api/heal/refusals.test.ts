/** What heal and doctor --probe refuse before anything is created or deleted. */
import test, { type ExecutionContext } from "ava";
import { PassThrough } from "node:stream";
import { doctorProbe } from "../../../src/commands/doctor-probe.js";
import { heal, type HealCommandOptions } from "../../../src/commands/heal-command.js";
import { ExitCode } from "../../../src/common/errors.js";
import { createView } from "../../../src/ui/view.js";
import { cluster, machine, type Cluster } from "../../helpers/restore-bench.js";
import { LABELS, pod, PODS, putKubeDns, REPLICASET, writes } from "../../helpers/target-fixtures.js";

interface Bench {
  readonly c: Cluster;
  readonly heal: (change?: Partial<HealCommandOptions>) => Promise<ExitCode>;
  readonly probe: (change?: Partial<Parameters<typeof doctorProbe>[0]>) => Promise<unknown>;
  /** How each review of a right ends. */
  readonly allow: (allowed: boolean) => void;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const c = await cluster(t);
  const { kubeconfigPath, env: state } = await machine(t, c.server);
  // A folder without a local configuration.
  const env = { ...state, XDG_CONFIG_HOME: state["XDG_STATE_HOME"] };
  const stream = new PassThrough();
  stream.resume();
  const view = createView({ stream, out: stream, mode: "plain" });
  t.teardown(() => view.close());
  let allowed = true;
  c.server.handle("POST", /selfsubjectaccessreviews$/, () => ({
    status: 201,
    body: { status: { allowed } },
  }));
  const common = {
    view,
    env,
    toolVersion: "0.0.0",
    external: "none",
    set: [],
    yes: false,
    interrupted: new AbortController().signal,
    allowing: (context: string) => `chaos x --context ${context} --yes`,
  };
  return {
    c,
    allow: (value) => (allowed = value),
    heal: async (change = {}) =>
      await heal({
        ...common,
        component: "kube-dns",
        select: { kubeconfigPath, context: "fake" },
        dryRun: false,
        allowLast: false,
        disableEviction: false,
        timeout: "5m",
        ...change,
      }),
    probe: async (change = {}) =>
      await doctorProbe({ ...common, ...change })({
        provider: "current",
        kubeconfigPath,
        context: "fake",
        env: {},
      }),
  };
}

/** Pods of kube-dns: the names of those that are ready, and of those that are not. */
function putPods({ server }: Cluster, ready: readonly string[], broken: readonly string[] = []): void {
  putKubeDns(server);
  const set = "/apis/apps/v1/namespaces/kube-system/replicasets";
  const uid = server.object("/apis/apps/v1/namespaces/kube-system/deployments/kube-dns")?.metadata.uid;
  const owned = (kind: string, name: string, of: string | undefined): Record<string, unknown> => ({
    ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: of, controller: true }],
  });
  const made = server.put(set, {
    metadata: { name: REPLICASET, labels: LABELS, ...owned("Deployment", "kube-dns", uid) },
  });
  for (const name of ["a", "b"]) server.remove(`${PODS}/${REPLICASET}-${name}`);
  const of = owned("ReplicaSet", REPLICASET, made.metadata.uid);
  for (const name of ready) server.put(PODS, pod(name, { of }));
  for (const name of broken) server.put(PODS, pod(name, { of, ready: false }));
}

test("bad usage: exit 3", async (t) => {
  const b = await bench(t);
  await t.throwsAsync(async () => await b.heal({ component: "coredns" }), {
    message: /; did you mean kube-dns\?/,
  });
  await t.throwsAsync(async () => await b.heal({ timeout: "5" }), {
    message: /^--timeout must be a duration/,
  });
  await t.throwsAsync(async () => await b.heal({ external: "no name" }), {
    message: /^--external must be a host name/,
  });
  t.throws(() => void doctorProbe({ external: "a b" } as never), {
    message: /^--external must be a host name/,
  });
  t.deepEqual(writes(b.c.server), []);
});

test("the last ready pod is refused, unless told; a pod that is not ready goes first and is no reason", async (t) => {
  const b = await bench(t);
  putPods(b.c, ["a"]);
  const last = { message: /^pod a is the last one that is ready: .*--allow-last.* Nothing was changed$/ };
  t.like(await t.throwsAsync(async () => await b.heal(), last), { exitCode: ExitCode.preflightRefused });
  b.allow(false);
  const rights = { message: /^permissions: missing: .*create pods\/eviction in kube-system/ };
  await t.throwsAsync(async () => await b.heal({ allowLast: true }), rights);
  putPods(b.c, [], ["broken"]);
  await t.throwsAsync(async () => await b.heal(), rights);
  t.deepEqual(writes(b.c.server), []);
});

test("a workload without pods, and one that is not there", async (t) => {
  const b = await bench(t);
  putPods(b.c, []);
  await t.throwsAsync(async () => await b.heal(), {
    message: /has no pod to replace.*chaos doctor.*Nothing was changed/,
  });
  await t.throwsAsync(async () => await b.heal({ component: "heapster" }), {
    message: /found none.*Nothing was changed$/,
  });
});

test("a dry run asks the budgets with dryRun, and writes nothing", async (t) => {
  const b = await bench(t);
  putPods(b.c, ["a", "b"]);
  const asked: unknown[] = [];
  b.c.server.handle("POST", /\/eviction$/, ({ body }) => {
    asked.push((body as { deleteOptions?: { dryRun?: unknown } }).deleteOptions?.dryRun);
    return { status: 201, body: {} };
  });
  t.is(await b.heal({ dryRun: true }), ExitCode.asExpected);
  t.deepEqual(asked, [["All"], ["All"]]);
  b.allow(false);
  t.is(await b.heal({ dryRun: true }), ExitCode.preflightRefused, "rights are missing");
  t.is(asked.length, 2);
  t.deepEqual(
    writes(b.c.server).filter(({ path }) => !path.endsWith("/eviction")),
    [],
  );
});

test("probes: missing rights, a foreign namespace, and no node to run on are refused", async (t) => {
  const b = await bench(t);
  b.allow(false);
  await t.throwsAsync(async () => await b.probe(), {
    message: /^permissions: missing: .*create apps\/daemonsets in kube-system-chaos.*docs\/heal\.md/,
  });
  b.c.server.put("/api/v1/namespaces", { metadata: { name: "kube-system-chaos" } });
  await t.throwsAsync(async () => await b.probe(), {
    message: /^namespace kube-system-chaos already exists and was not created by this tool/,
  });
  b.c.server.remove("/api/v1/namespaces/kube-system-chaos");
  b.c.server.remove("/api/v1/nodes/worker-1");
  await t.throwsAsync(async () => await b.probe(), { message: /^no node is schedulable/ });
  t.deepEqual(writes(b.c.server), []);
});

test("a cluster that is not local is changed only when it was confirmed", async (t) => {
  const b = await bench(t);
  putPods(b.c, ["a", "b"]);
  b.c.server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec: { providerID: "gce://p/z/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const questions: string[] = [];
  const ask = async (question: string): Promise<boolean> => {
    questions.push(question);
    return await Promise.resolve(false);
  };
  const refused = { message: /chaos x --context fake --yes/ };
  await t.throwsAsync(async () => await b.heal({ ask }), refused);
  await t.throwsAsync(async () => await b.probe({ ask, context: "fake" }), refused);
  t.deepEqual(questions, [
    "Replace the pods of kube-dns in context fake, one at a time?",
    "Deploy probers in context fake for a minute?",
  ]);
  t.deepEqual(writes(b.c.server), []);
});
