/** What several runs share: locked before anything is created, then removed at the end or kept for a restore. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { ChaosError, ExitCode, RefusedError } from "../../../src/common/errors.js";
import { ClusterCopy, copiesInCluster, copyPath } from "../../../src/safety/journal/cluster-copy.js";
import { parseJournal, readJournal } from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { Session, type SessionOptions } from "../../../src/run/session.js";
import type { Watchdog } from "../../../src/safety/watchdog.js";
import { createView } from "../../../src/ui/view.js";
import { journalText, LEASES, NAMESPACES, opened, OWN } from "../../helpers/dead-man-world.js";
import {
  cluster,
  type Cluster,
  crashed,
  holdOf,
  type Machine,
  machine,
  OURS,
  putBack,
} from "../../helpers/restore-bench.js";
import { writes } from "../../helpers/target-fixtures.js";

const GUESTBOOK = `${NAMESPACES}/guestbook`;

interface Bench {
  readonly c: Cluster;
  readonly m: Machine;
  /** Calls of the watchdog. */
  readonly told: string[];
  open(change?: Partial<SessionOptions>): Promise<Session>;
  said(): Promise<string>;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const c = await cluster(t);
  const m = await machine(t, c.server);
  const stream = new PassThrough();
  const view = createView({ stream, out: stream, mode: "plain" });
  const told: string[] = [];
  const watchdog = {
    watch: async (folder: string) => void (await Promise.resolve(told.push(`watch ${folder}`))),
    release: (folder: string) => void told.push(`release ${folder}`),
  } as unknown as Watchdog;
  const { kubeconfigPath, env } = m;
  return {
    c,
    m,
    told,
    open: async (change = {}) => {
      const session = await Session.open({
        handle: { provider: "current", kubeconfigPath, context: "fake", env: {} },
        namespaces: ["guestbook", "guestbook"],
        view,
        env,
        toolVersion: "0.0.0",
        confirm: async () => await Promise.resolve(false),
        allowing: (context) => `chaos run x --context ${context} --yes`,
        durationMs: 60_000,
        watchdog,
        ...change,
      });
      t.teardown(async () => await session.lock.stopRenewing());
      return session;
    },
    said: async () => {
      view.close();
      stream.end();
      return await text(stream);
    },
  };
}

const folderOf = async ({ m }: Bench): Promise<string> => (await m.unfinished())[0]?.folder ?? "";

test("open: watchdog, then lock, namespace and copy; the copy names the application's namespace", async (t) => {
  const b = await bench(t);
  let watchedBefore = false;
  b.c.server.handle("POST", /leases$/, () => {
    watchedBefore = b.told.length === 1;
    return undefined;
  });
  const { id } = await b.open();
  t.true(watchedBefore);
  t.deepEqual(b.told, [`watch ${await folderOf(b)}`]);
  t.deepEqual(holdOf(b.c.server, id), ["Lease", "Namespace", "Secret"]);
  const [copy] = await copiesInCluster(b.c.transport);
  const state = parseJournal("copy", copy?.text ?? "");
  t.is(state?.open.experiment, "session");
  t.deepEqual(
    state?.pending.map(({ undo }) => `${undo.action} ${undo.object.kind}`),
    ["remove Lease", "remove Namespace", "remove Secret", "remove Namespace"],
  );
  t.is(b.c.server.object(GUESTBOOK), undefined, "named before it is created, and only once");
});

test("probers alone: the id says what for, nothing that settles is read, and restore knows it as a session", async (t) => {
  const b = await bench(t);
  const session = await b.open({
    namespaces: ["kube-system-chaos-canary-0000"],
    purpose: { name: "heal", removing: "remove the probers" },
  });
  t.regex(session.id, /^\d{8}t\d{6}z-heal-[0-9a-f]{4}$/);
  t.false(b.c.server.requests.some(({ path }) => path.includes("/apiservices")));
  const [copy] = await copiesInCluster(b.c.transport);
  t.is(parseJournal("copy", copy?.text ?? "")?.open.experiment, "session");
  t.true(await session.close({ whole: true }));
  t.deepEqual(holdOf(b.c.server, session.id), []);
  t.regex(await b.said(), /remove the probers/);
});

test("close after restored runs: shared objects are removed, the lock last; the journal is closed and released", async (t) => {
  const b = await bench(t);
  const session = await b.open();
  const folder = await folderOf(b);
  b.c.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
  b.c.server.requests.length = 0;
  t.true(await session.close({ whole: true }));
  t.deepEqual(holdOf(b.c.server, session.id), []);
  t.is(b.c.server.object(GUESTBOOK), undefined);
  t.is(
    writes(b.c.server)
      .map(({ method, path }) => `${method} ${path}`)
      .at(-1),
    `DELETE ${LOCK_PATH}`,
  );
  t.true((await readJournal(folder))?.closed);
  t.deepEqual(b.told, [`watch ${folder}`, `release ${folder}`]);
});

test("close after a run that is not restored: shared objects and copies stay; restore --all removes both", async (t) => {
  const b = await bench(t);
  const session = await b.open();
  const folder = await folderOf(b);
  const startedAt = new Date(Date.now() + 1_000).toISOString();
  await crashed(b.c, b.m, { runId: "run-1", startedAt, holds: false, undos: [putBack(b.c)] });
  b.c.server.remove("/apis/apps/v1/namespaces/kube-system/deployments/kube-dns");
  b.c.server.requests.length = 0;
  t.false(await session.close({ whole: false }));
  t.deepEqual(writes(b.c.server), []);
  t.deepEqual(holdOf(b.c.server, session.id), ["Lease", "Namespace", "Secret"]);
  t.deepEqual(holdOf(b.c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
  t.false((await readJournal(folder))?.closed);
  t.deepEqual(
    b.told,
    [`watch ${folder}`, `release ${folder}`],
    "the run itself has reported what is left to do",
  );
  const { code, said } = await b.m.restore({ all: true });
  t.is(code, ExitCode.asExpected, said);
  t.true(said.indexOf("run run-1:") < said.indexOf(`run ${session.id}:`));
  t.deepEqual(await b.m.unfinished(), []);
  t.deepEqual(holdOf(b.c.server, session.id), []);
});

test("an object that cannot be removed is reported; lock and journal stay for a restore", async (t) => {
  const b = await bench(t);
  const session = await b.open();
  b.c.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
  const heal = b.c.server.fault({
    kind: "status",
    status: 403,
    method: "DELETE",
    path: "guestbook",
    times: Infinity,
  });
  t.false(await session.close({ whole: true }));
  t.not(b.c.server.object(LOCK_PATH), undefined);
  t.regex(await b.said(), /not removed: .*403/);
  t.is((await b.m.unfinished()).length, 1);
  heal();
  t.is((await b.m.restore({ all: true })).code, ExitCode.asExpected);
  t.is(b.c.server.object(LOCK_PATH), undefined);
  t.is(b.c.server.object(GUESTBOOK), undefined);
});

test("someone else holds the lock: refused, their lock stays, nothing is left to restore or to watch", async (t) => {
  const b = await bench(t);
  const theirs = b.c.server.put(LEASES, {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-0@elsewhere" },
  });
  await t.throwsAsync(b.open(), { instanceOf: RefusedError, message: /run-0@elsewhere/ });
  t.deepEqual(b.c.server.object(LOCK_PATH), theirs);
  t.deepEqual(await b.m.unfinished(), []);
  t.is(b.c.server.object(OWN), undefined);
});

test("an unfinished run of this or another machine: refused before anything is changed", async (t) => {
  const b = await bench(t);
  await new ClusterCopy(b.c.transport, "run-1").write(journalText(opened("run-1"), []));
  b.c.server.requests.length = 0;
  await t.throwsAsync(b.open(), {
    instanceOf: RefusedError,
    message:
      /run-1 of elsewhere is unfinished or still running\. .*--all --context fake.*Nothing was changed/,
  });
  t.deepEqual(writes(b.c.server), []);
  t.deepEqual(b.told, []);
  b.c.server.remove(copyPath("run-1"));
  await crashed(b.c, b.m, { runId: "run-2", undos: [putBack(b.c)] });
  await t.throwsAsync(b.open(), {
    instanceOf: RefusedError,
    message: /run run-2 is unfinished or still running/,
  });
});

test("a cluster that is not local and was not named: refused before anything is changed", async (t) => {
  const b = await bench(t);
  b.c.server.update("/api/v1/nodes/worker-1", { spec: { providerID: "gce://project/zone/node" } });
  await t.throwsAsync(b.open(), { instanceOf: RefusedError, message: /not a local cluster/ });
  t.deepEqual(writes(b.c.server), []);
});

test("a watchdog that cannot watch: nothing is created, and no journal stays open", async (t) => {
  const b = await bench(t);
  const watchdog = {
    watch: async () =>
      await Promise.reject(new ChaosError("has ended", { exitCode: ExitCode.preflightRefused })),
  } as unknown as Watchdog;
  await t.throwsAsync(b.open({ watchdog }), { instanceOf: ChaosError, message: /has ended/ });
  t.deepEqual(writes(b.c.server), []);
  t.deepEqual(await b.m.unfinished(), []);
});

test("a guestbook that an earlier run kept: the session says that it goes, before it is used", async (t) => {
  const b = await bench(t);
  b.c.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
  const session = await b.open();
  t.true(await session.close({ whole: true }));
  t.regex(await b.said(), /earlier run left its guestbook in guestbook .--keep-app.*removes it at its end/);
  t.is(b.c.server.object(GUESTBOOK), undefined);
});
