/** Machines, each with its own journals, and one cluster (the fake API server) on which runs have crashed. */
import type { ExecutionContext } from "ava";
import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { forget } from "../../src/commands/forget-command.js";
import { restore } from "../../src/commands/restore-command.js";
import type { ExitCode } from "../../src/common/errors.js";
import type { KubeObject } from "../../src/kube/objects.js";
import { RUN_LABEL } from "../../src/own/manifest.js";
import { ClusterCopy, copyPath } from "../../src/safety/journal/cluster-copy.js";
import {
  Journal,
  journalRoot,
  type JournalState,
  type Undo,
  unfinishedRuns,
} from "../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../src/safety/lock/lease.js";
import { type RestoreOptions } from "../../src/safety/restore/options.js";
import type { RunView } from "../../src/ui/base.js";
import { createView } from "../../src/ui/view.js";
import { controllers, LEASES, NAMESPACES, OWN, removal, SleepingClock, TARGET } from "./dead-man-world.js";
import type { FakeApiServer } from "./fake-api-server.js";
import { kubeconfigOf } from "./kubeconfig.js";
import { deployment, DEPLOYMENTS, serve, type Served } from "./target-fixtures.js";

export const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" } as const;

/** Host name of a runner on another machine. */
export const ELSEWHERE = `not-${hostname()}`;

export interface Cluster extends Served {
  readonly clusterUid: string;
  /** The Deployment kube-dns as it was before any run. */
  readonly before: KubeObject;
}

/** A kube-dns with two ready replicas. Deleting a namespace also deletes the Secrets in it. */
export async function cluster(t: ExecutionContext): Promise<Cluster> {
  const served = await serve(t);
  const { server } = served;
  const { uid } = server.put(NAMESPACES, { metadata: { name: "kube-system" } }).metadata;
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec: { providerID: "kind://docker/x/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const status = { replicas: 2, readyReplicas: 2, updatedReplicas: 2, observedGeneration: 9 };
  const before = server.put(DEPLOYMENTS, deployment("kube-dns", { status }));
  server.onDelete = (object) => {
    if (object.kind !== "Namespace") return;
    for (const { metadata } of server.objects(`${NAMESPACES}/${object.metadata.name}/secrets`))
      server.remove(`${NAMESPACES}/${object.metadata.name}/secrets/${metadata.name}`);
  };
  return { ...served, clusterUid: uid, before };
}

/** The undo that restores the Deployment kube-dns. */
export function putBack({ before }: Cluster): Undo {
  const object = { ...before, apiVersion: "apps/v1", kind: "Deployment" };
  return { action: "restore-workload", path: TARGET, collection: DEPLOYMENTS, object };
}

export interface Machine {
  readonly env: { readonly XDG_STATE_HOME: string };
  readonly folder: string;
  readonly kubeconfigPath: string;
  /** A clock that only sleeping moves; by default controllers work meanwhile. */
  readonly clock: SleepingClock;
  /** Runs `chaos restore` on this machine. */
  /** With --yes: most tests are not about the consent. */
  restore(
    change: Partial<RestoreOptions>,
  ): Promise<{ readonly code?: ExitCode; readonly error?: unknown; readonly said: string }>;
  /** Runs `chaos restore --forget RUN --yes` on this machine. */
  forget(
    runId: string,
    change?: Partial<RestoreOptions>,
  ): Promise<{ readonly code?: ExitCode; readonly error?: unknown; readonly said: string }>;
  /** Its unfinished journals, oldest first. */
  unfinished(): Promise<readonly JournalState[]>;
}

/** A machine whose kubeconfig names the cluster "fake". */
export async function machine(t: ExecutionContext, server: FakeApiServer): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-machine-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const kubeconfigPath = await kubeconfigOf(folder, server.url);
  const env = { XDG_STATE_HOME: join(folder, "state") };
  const clock = new SleepingClock();
  clock.onTime = () => controllers(server);
  return {
    env,
    folder,
    kubeconfigPath,
    clock,
    unfinished: async () => (await unfinishedRuns(journalRoot(env))).runs,
    restore: async (change) =>
      await said(
        async (view) => await restore({ all: false, dryRun: false, yes: true, view, env, clock, ...change }),
      ),
    forget: async (runId, change = {}) =>
      await said(async (view) => await forget({ yes: true, view, env, clock, ...change, runId })),
  };
}

async function said(
  command: (view: RunView) => Promise<ExitCode>,
): Promise<{ readonly code?: ExitCode; readonly error?: unknown; readonly said: string }> {
  const stream = new PassThrough();
  const view = createView({ stream, out: stream, mode: "plain" });
  const outcome = await command(view).then(
    (code) => ({ code }),
    (error: unknown) => ({ error }),
  );
  view.close();
  stream.end();
  return { ...outcome, said: await text(stream) };
}

export interface Crash {
  readonly runId: string;
  readonly experiment?: string;
  readonly startedAt?: string;
  readonly host?: string;
  readonly pid?: number;
  /** Its journal entries besides lock, namespace and copy. */
  readonly undos?: readonly Undo[];
  /** Whether the run itself has lock and namespace, not a session. Default true. */
  readonly holds?: boolean;
}

/** A run that crashed: its journal on the machine; its copy, lock and namespace in the cluster. */
export async function crashed(
  { server, transport, clusterUid }: Cluster,
  { env, kubeconfigPath }: Machine,
  crash: Crash,
): Promise<string> {
  const { runId, experiment = "kube-dns", host = ELSEWHERE, pid = 1, undos = [], holds = true } = crash;
  const journal = await Journal.create(journalRoot(env), {
    type: "open",
    runId,
    experiment,
    clusterUid,
    server: server.url,
    context: "fake",
    kubeconfigPath,
    toolVersion: "0.0.0",
    startedAt: crash.startedAt ?? "2026-08-01T12:00:00.000Z",
    host,
    pid,
  });
  const ofRun = { ...OURS, [RUN_LABEL]: runId };
  if (holds) {
    await journal.intent(removal(LOCK_PATH, ofRun, "Lease"));
    lease(server, runId, "2026-08-01T12:00:01.000000Z");
    await journal.intent(removal(OWN));
    server.put(NAMESPACES, { metadata: { name: "kube-system-chaos", labels: OURS } });
  }
  await journal.intent(copyRemoval(runId));
  await journal.keepCopy(new ClusterCopy(transport, runId));
  for (const undo of undos) await journal.intent(undo);
  await journal.close();
  return journal.folder;
}

/** The Lease as the run's runner last renewed it. */
export function lease(server: FakeApiServer, runId: string, renewTime: string): void {
  server.put(LEASES, {
    metadata: { name: "kube-system-chaos", labels: { ...OURS, [RUN_LABEL]: runId } },
    spec: { holderIdentity: `${runId}@${ELSEWHERE}`, renewTime },
  });
}

function copyRemoval(runId: string): Undo {
  return {
    action: "remove",
    path: copyPath(runId),
    object: { kind: "Secret", namespace: "kube-system-chaos", name: `journal-${runId}` },
    labels: { ...OURS, [RUN_LABEL]: runId },
  };
}

/** What a run still has in the cluster: "Lease", "Namespace", "Secret". */
export function holdOf(server: FakeApiServer, runId: string): string[] {
  const paths = { Lease: LOCK_PATH, Namespace: OWN, Secret: copyPath(runId) };
  return Object.entries(paths).flatMap(([kind, path]) => (server.object(path) === undefined ? [] : [kind]));
}
