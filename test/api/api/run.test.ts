/** What a program imports from the package, against the fake API server. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ChaosError, matrix, runExperiment, type RunExperimentOptions, validate } from "../../../src/api.js";
import { createProgram, type Handlers } from "../../../src/commands/program.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { emptyMachine } from "../../helpers/cli.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { kubeconfigOf } from "../../helpers/kubeconfig.js";
import { putKubeDns, serve, writes } from "../../helpers/target-fixtures.js";

interface Place {
  readonly server: FakeApiServer;
  readonly options: RunExperimentOptions & { readonly reports: string };
}

/** kube-dns on a cluster with one node. */
async function place(t: ExecutionContext): Promise<Place> {
  const { server } = await serve(t);
  putKubeDns(server);
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec: { providerID: "kind://docker/x/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const { cwd, env } = await emptyMachine(t);
  const kubeconfig = await kubeconfigOf(cwd, server.url);
  const options = {
    experiments: "kube-dns",
    kubeconfig,
    watchdog: false,
    env,
    reports: join(cwd, "reports"),
  };
  return { server, options };
}

test("a dry run: messages one by one, then the plan; nothing is written", async (t) => {
  const { server, options } = await place(t);
  const running = runExperiment({ ...options, dryRun: true });
  const types = new Set<string>();
  let before = 0;
  for await (const message of running) {
    types.add(message.type);
    t.true(message.tMs >= before);
    before = message.tMs;
  }
  t.true(types.has("event") && types.has("result"), [...types].join(", "));
  const { exitCode, plan, runs, warnings } = await running.outcome;
  t.is(exitCode, 0, warnings.join("\n"));
  t.is(plan[0]?.experiment, "kube-dns");
  t.deepEqual(runs, []);
  t.deepEqual(writes(server), []);
});

test("the outcome needs no reader of the messages", async (t) => {
  const { options } = await place(t);
  t.is((await runExperiment({ ...options, dryRun: true }).outcome).exitCode, 0);
});

test("leaving the loop stops the run, restores, and only then continues", async (t) => {
  const { server, options } = await place(t);
  let locked: unknown;
  const running = runExperiment(options);
  const seen: string[] = [];
  const types = new Set<string>();
  for await (const message of running) {
    seen.push(JSON.stringify(message));
    types.add(message.type);
    locked = server.object(LOCK_PATH);
    if (locked !== undefined) break;
  }
  t.truthy(locked, seen.join("\n"));
  t.is(server.object(LOCK_PATH), undefined);
  t.is(server.object("/api/v1/namespaces/kube-system-chaos"), undefined);
  const { exitCode, runs } = await running.outcome;
  t.is(exitCode, 130);
  t.is(runs[0]?.result.verdict, "interrupted");
  t.regex(
    runs[0]?.result.verdictBecause ?? "",
    /^Interrupted by the caller \d[\d.]* m?s after the start\. Nothing was taken down\.$/,
  );
  const docs = await readFile(join(packageRoot(), "docs/api.md"), "utf8");
  for (const type of types) t.true(docs.includes(`| \`${type}\``), `docs/api.md describes ${type}`);
  t.true(runs[0]?.folder.startsWith(options.reports));
  t.deepEqual(await running.next(), { value: undefined, done: true });
});

test("an AbortSignal that is aborted before anything was changed: exit code 130, in the error", async (t) => {
  const { server, options } = await place(t);
  const { outcome } = runExperiment({ ...options, signal: AbortSignal.abort() });
  const error = await t.throwsAsync(outcome, { instanceOf: ChaosError });
  t.is(error.exitCode, 130);
  t.deepEqual(writes(server), []);
});

test("bad usage: the outcome and the loop have the same error, with exit code 3", async (t) => {
  const { options } = await place(t);
  const running = runExperiment({ ...options, experiments: ["no-such-experiment"] });
  const thrown = await t.throwsAsync(
    async () => {
      for await (const message of running) t.fail(JSON.stringify(message));
    },
    { instanceOf: ChaosError },
  );
  t.is(thrown.exitCode, 3);
  t.is(await t.throwsAsync(running.outcome), thrown);
});

test("a refusal is an outcome with exit code 4 and the reason", async (t) => {
  const { server, options } = await place(t);
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec: { providerID: "gce://x/y/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const { exitCode, warnings } = await runExperiment({ ...options, dryRun: true }).outcome;
  t.is(exitCode, 4);
  t.regex(warnings.join("\n"), /runExperiment\(\{ …, context: "fake", yes: true \}\)/);
});

test("every flag of chaos run is an option", (t) => {
  // `satisfies`: the compiler knows each option; the test knows each flag.
  const options = {
    ...{ experiments: [], cluster: "kind", context: "", kubeconfig: "", image: "", yes: true, dryRun: true },
    ...{ only: [], skip: [], control: true, nodeAccess: "pod", allowCommands: true, config: "", set: [] },
    ...{ keepApp: true, anyway: true, watchdog: true, deadMan: true, reports: "" },
  } satisfies RunExperimentOptions;
  // A reporter writes what the messages and the outcome have.
  const others = ["reporter", "reporters"];
  const program = createProgram({} as Handlers);
  const flags = program.commands.find((each) => each.name() === "run")?.options ?? [];
  t.true(flags.length > 10);
  for (const flag of flags) {
    const name = flag.attributeName();
    t.true(name in options || others.includes(name), name);
  }
});

test("validate: files with names, problems with positions, references without a file", async (t) => {
  const { cwd } = await emptyMachine(t);
  const bad = join(cwd, "bad.yaml");
  await writeFile(
    bad,
    "apiVersion: kube-system-chaos/v1\nkind: Experiment\ntarget:\n  component: kube-dnss\n",
  );
  const good = join(packageRoot(), "experiments/kube-dns.yaml");
  const found = await validate([good, bad, "no-such-name"]);
  t.false(found.ok);
  t.deepEqual(
    found.files.map(({ name }) => name),
    ["kube-dns", null],
  );
  const problem = found.files[1]?.problems.find(({ path }) => path === "target.component");
  t.like(problem, { line: 4, column: 14 });
  t.regex(found.unmatched.join(), /no experiment "no-such-name"/);
  t.true((await validate(good)).ok);
});

test("matrix: data without files, or with files in a folder; a folder without results is an error", async (t) => {
  const { cwd } = await emptyMachine(t);
  const example = join(packageRoot(), "reports/example");
  const made = await matrix(example);
  t.deepEqual(made.files, []);
  t.true(made.matrix.groups.some(({ component, main }) => component === "kube-dns" && main !== null));
  const written = await matrix([example], { out: join(cwd, "out") });
  t.true(written.files.some((file) => file.endsWith("impact-matrix.md")));
  await mkdir(join(cwd, "empty"));
  t.is((await t.throwsAsync(matrix(join(cwd, "empty")), { instanceOf: ChaosError })).exitCode, 3);
});
