import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import test from "ava";
import type { ExecutionContext } from "ava";
import { RefusedError } from "../../../src/common/errors.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import { journalRoot, type JournalState, unfinishedRuns } from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { runExperiment } from "../../../src/run/run.js";
import { createView } from "../../../src/ui/view.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { putKubeDns, serve, writes } from "../../helpers/target-fixtures.js";

const LEASES = LOCK_PATH.replace(/\/[^/]+$/, "");

interface Outcome {
  readonly error: unknown;
  readonly unfinished: readonly JournalState[];
  /** Entries of the reports folder. */
  readonly reports: readonly string[];
}

/** A run up to its lock, against the fake API server. */
async function run(t: ExecutionContext, server: FakeApiServer): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-run-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  putKubeDns(server);
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const kubeconfigPath = join(folder, "kubeconfig");
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "fake", cluster: { server: server.url } }],
    users: [{ name: "fake", user: {} }],
    contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
    "current-context": "fake",
  };
  await writeFile(kubeconfigPath, JSON.stringify(kubeconfig));
  const env = { XDG_STATE_HOME: join(folder, "state") };
  const reportsFolder = join(folder, "reports");
  const running = runExperiment({
    resolved: resolveExperiment(
      experimentSchema.parse({
        apiVersion: "kube-system-chaos/v1",
        kind: "Experiment",
        metadata: { name: "x" },
        target: { component: "kube-dns" },
      }),
    ),
    file: "x.yaml",
    handle: { provider: "current", kubeconfigPath, context: "fake", env: {} },
    view: createView({ stream: new PassThrough().resume(), out: new PassThrough().resume(), mode: "plain" }),
    reportsFolder,
    keepApp: false,
    dryRun: false,
    confirm: async () => await Promise.resolve(false),
    interrupted: new AbortController().signal,
    env,
    toolVersion: "0.0.0",
  });
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const reports = await readdir(reportsFolder);
  const { runs: unfinished, unreadable } = await unfinishedRuns(journalRoot(env));
  t.deepEqual(unreadable, []);
  return { error, unfinished, reports };
}

/** The lock is created, but the response says that it failed: a timeout in the store, a proxy that gave up. */
function answersTooLate(server: FakeApiServer): void {
  server.handle("POST", /leases$/, ({ body }) => {
    server.put(LEASES, body as never);
    return { status: 500, body: { kind: "Status", code: 500, message: "etcdserver: request timed out" } };
  });
}

test("someone else acquires the lock after preflight: refused, their lock stays, nothing is left to restore", async (t) => {
  const { server } = await serve(t);
  server.handle("POST", /leases$/, () => {
    server.put(LEASES, {
      metadata: { name: "kube-system-chaos" },
      spec: { holderIdentity: "run-0@elsewhere" },
    });
    return undefined;
  });
  const { error, unfinished, reports } = await run(t, server);
  t.true(error instanceof RefusedError);
  t.regex(String(error), /run-0@elsewhere/);
  t.deepEqual(unfinished, []);
  t.deepEqual(reports, []);
  t.not(server.object(LOCK_PATH), undefined);
  t.deepEqual(
    writes(server).map(({ method, path }) => `${method} ${path}`),
    [`POST ${LEASES}`],
  );
});

test("the lock was created but the response was lost: it is removed again", async (t) => {
  const { server } = await serve(t);
  answersTooLate(server);
  const { error, unfinished, reports } = await run(t, server);
  t.regex(String(error), /request timed out/);
  t.is(server.object(LOCK_PATH), undefined);
  t.deepEqual(unfinished, []);
  t.deepEqual(reports, []);
});

test("the same, but the lock cannot be removed: the journal keeps it for a restore", async (t) => {
  const { server } = await serve(t);
  answersTooLate(server);
  server.fault({ kind: "status", status: 500, method: "DELETE", times: Infinity });
  const { error, unfinished } = await run(t, server);
  t.regex(String(error), /request timed out/);
  t.not(server.object(LOCK_PATH), undefined);
  t.deepEqual(
    unfinished.flatMap(({ pending }) => pending.map(({ undo }) => undo.action === "remove" && undo.path)),
    [LOCK_PATH],
  );
});

test("a refused preflight leaves nothing behind: no journal, no report, no write", async (t) => {
  const { server } = await serve(t);
  server.put(LEASES, {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-0@elsewhere" },
  });
  const { error, unfinished, reports } = await run(t, server);
  t.true(error instanceof RefusedError);
  t.regex(String(error), /preflight refused; nothing was changed:\n {2}lock: held by run-0@elsewhere/);
  t.deepEqual(unfinished, []);
  t.deepEqual(reports, []);
  t.deepEqual(writes(server), []);
});
