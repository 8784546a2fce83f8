/** A run that was killed in its window, on the fake API server, and a dead-man's switch with its own clock. */
import { after } from "../../src/common/clock.js";
import type { ExecutionContext } from "ava";
import type { Clock } from "../../src/common/clock.js";
import type { KubeObject } from "../../src/kube/objects.js";
import { RUN_LABEL } from "../../src/own/manifest.js";
import { DeadMan } from "../../src/safety/dead-man/dead-man.js";
import { ClusterCopy, copyPath } from "../../src/safety/journal/cluster-copy.js";
import { journalLine, type JournalOpen, type Undo } from "../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../src/safety/lock/lease.js";
import type { FakeApiServer } from "./fake-api-server.js";
import { DEPLOYMENTS, deployment, serve, writes, type Served } from "./target-fixtures.js";

export const RUN = "run-1";

export const NAMESPACES = "/api/v1/namespaces";

export const LEASES = LOCK_PATH.replace(/\/[^/]+$/, "");

export const TARGET = `${DEPLOYMENTS}/kube-dns`;

export const OWN = `${NAMESPACES}/kube-system-chaos`;
const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" } as const;

/** A clock that only sleeping moves; `onTime` is what the rest of the cluster does meanwhile. */
export class SleepingClock implements Clock {
  readonly after = after;
  #now = 0;
  onTime: (nowMs: number) => void | Promise<void> = () => undefined;
  now = (): number => this.#now;
  wall(): Date {
    return new Date(Date.parse("2026-08-01T12:00:00.000Z") + this.#now);
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    this.#now += ms;
    await this.onTime(this.#now);
  }
}

export interface World extends Served {
  readonly clock: SleepingClock;
  readonly deadMan: DeadMan;
  /** Its log, without times. */
  readonly lines: string[];
  readonly before: KubeObject;
  /** Every write since the world was created: "METHOD path". */
  readonly written: () => string[];
  /** Runs the switch until `until` is true, or until the limit on its clock. @returns how long it took, ms. */
  readonly run: (options: { readonly limitMs: number; readonly until?: () => boolean }) => Promise<number>;
}

export const opened = (runId: string, startedAt = "2026-08-01T11:00:00.000Z"): JournalOpen => ({
  type: "open",
  runId,
  experiment: "kube-dns",
  clusterUid: "uid",
  server: "https://127.0.0.1:6443",
  context: "kind",
  toolVersion: "1",
  startedAt,
  host: "elsewhere",
  pid: 1,
});

export const journalText = (open: JournalOpen, undos: readonly Undo[]): string =>
  [open, ...undos.map((undo, index) => ({ type: "intent", seq: index + 1, undo }) as const)]
    .map((record) => `${journalLine(record)}\n`)
    .join("");

export const removal = (
  path: string,
  labels: Readonly<Record<string, string>> = OURS,
  kind = "Namespace",
): Undo => ({
  action: "remove",
  path,
  object: { kind, name: path.split("/").at(-1) ?? "" },
  labels,
});

/** Renews the Lease as a runner does. */
export function renew(server: FakeApiServer, time: number | string, holder = `${RUN}@laptop`): void {
  server.put(LEASES, {
    metadata: { name: "kube-system-chaos", labels: { ...OURS, [RUN_LABEL]: RUN } },
    spec: { holderIdentity: holder, renewTime: String(time) },
  });
}

/** Entries of a run's journal, in the order in which a run writes them. */
export function undosOf(before: KubeObject, runId = RUN): Undo[] {
  const ofRun = { ...OURS, [RUN_LABEL]: runId };
  return [
    removal(LOCK_PATH, ofRun, "Lease"),
    removal(OWN),
    {
      action: "remove",
      path: copyPath(runId),
      object: { kind: "Secret", namespace: "kube-system-chaos", name: `journal-${runId}` },
      labels: ofRun,
    },
    removal(`${NAMESPACES}/guestbook`),
    removal(
      "/apis/rbac.authorization.k8s.io/v1/clusterroles/chaos-dead-man-run-1",
      { ...ofRun, app: "chaos-dead-man" },
      "ClusterRole",
    ),
    { action: "restore-workload", path: TARGET, collection: DEPLOYMENTS, object: before },
  ];
}

/** What a controller-manager does: kube-dns becomes ready. */
export function controllers(server: FakeApiServer): void {
  const kubeDns = server.object(TARGET);
  if (kubeDns !== undefined && kubeDns.status === undefined) {
    server.update(TARGET, { status: { readyReplicas: 2, updatedReplicas: 2, observedGeneration: 9 } });
  }
}

/** The target is deleted and the runner is dead; its Lease, journal copy and namespaces still exist. */
export async function killedRun(
  t: ExecutionContext,
  change: (undos: Undo[]) => Undo[] = (undos) => undos,
): Promise<World> {
  const { server, transport } = await serve(t);
  const before = server.put(DEPLOYMENTS, deployment());
  for (const name of ["guestbook", "kube-system-chaos"])
    server.put(NAMESPACES, { metadata: { name, labels: OURS } });
  server.put("/apis/rbac.authorization.k8s.io/v1/clusterroles", {
    metadata: { name: "chaos-dead-man-run-1", labels: { ...OURS, app: "chaos-dead-man", [RUN_LABEL]: RUN } },
  });
  await new ClusterCopy(transport, RUN).write(journalText(opened(RUN), change(undosOf(before))));
  renew(server, "before");
  server.remove(TARGET);
  server.onDelete = (object) => {
    if (object.kind !== "Namespace") return;
    for (const { metadata } of server.objects(`${NAMESPACES}/${object.metadata.name}/secrets`))
      server.remove(`${NAMESPACES}/${object.metadata.name}/secrets/${metadata.name}`);
  };
  server.requests.length = 0;
  const clock = new SleepingClock();
  clock.onTime = () => controllers(server);
  const lines: string[] = [];
  const rights = [{ verb: "get", group: "", resource: "pods" }];
  const log = (text: string): void => void lines.push(text);
  const deadMan = new DeadMan({ transport, clock, settings: { runId: RUN, rights }, log });
  return {
    server,
    transport,
    clock,
    deadMan,
    lines,
    before,
    written: () =>
      writes(server)
        .filter(({ path }) => !path.endsWith("/selfsubjectaccessreviews"))
        .map(({ method, path }) => `${method} ${path}`),
    run: async ({ limitMs, until = () => false }) => {
      const startedAt = clock.now();
      const end = new AbortController();
      const world = clock.onTime;
      clock.onTime = async (nowMs) => {
        await world(nowMs);
        if (until() || nowMs - startedAt >= limitMs) end.abort();
      };
      await deadMan.run(end.signal);
      clock.onTime = world;
      return clock.now() - startedAt;
    },
  };
}
