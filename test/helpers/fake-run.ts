/** `chaos run` of kube-dns against the fake API server. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { ExecutionContext } from "ava";
import { resolveExperiment } from "../../src/components/resolve.js";
import { experimentSchema } from "../../src/experiment/schema.js";
import { runExperiment, type RunOutcome } from "../../src/run/run.js";
import { journalRoot, type JournalState, unfinishedRuns } from "../../src/safety/journal/journal.js";
import { createView } from "../../src/ui/view.js";
import type { FakeApiServer } from "./fake-api-server.js";
import { kubeconfigOf } from "./kubeconfig.js";
import { putKubeDns } from "./target-fixtures.js";

interface Ended {
  /** undefined: it failed with `error`. */
  readonly outcome: RunOutcome | undefined;
  readonly error: unknown;
  /** Everything that the view printed. */
  readonly printed: string;
  readonly unfinished: readonly JournalState[];
  /** Entries of the reports folder. */
  readonly reports: readonly string[];
}

/** A run on one node: up to its lock, or a dry run. */
export async function fakeRun(t: ExecutionContext, server: FakeApiServer, dryRun = false): Promise<Ended> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-run-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  putKubeDns(server);
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec: { providerID: "kind://docker/x/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const kubeconfigPath = await kubeconfigOf(folder, server.url);
  const env = { XDG_STATE_HOME: join(folder, "state") };
  let printed = "";
  const stream = new PassThrough().on("data", (chunk: Buffer) => (printed += chunk.toString("utf8")));
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
    view: createView({ stream, out: stream, mode: "plain" }),
    reportsFolder,
    keepApp: false,
    dryRun,
    confirm: async () => await Promise.resolve(false),
    allowing: (context) => `chaos run x --context ${context} --yes`,
    interrupted: new AbortController().signal,
    env,
    toolVersion: "0.0.0",
  });
  const [ended] = await Promise.allSettled([running]);
  const reports = await readdir(reportsFolder).catch(() => []);
  const { runs: unfinished, unreadable } = await unfinishedRuns(journalRoot(env));
  t.deepEqual(unreadable, []);
  return {
    outcome: ended.status === "fulfilled" ? ended.value : undefined,
    error: ended.status === "rejected" ? ended.reason : undefined,
    printed,
    unfinished,
    reports,
  };
}
