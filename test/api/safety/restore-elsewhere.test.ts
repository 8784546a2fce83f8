/** This machine restores a run of another machine from the copy of its journal in the cluster. */
import type { ExecutionContext } from "ava";
import test from "ava";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { ChaosError, ExitCode, messageOf, UsageError } from "../../../src/common/errors.js";
import { sanitised } from "../../../src/kube/declared.js";
import type { Deployment } from "../../../src/kube/objects.js";
import { timerName } from "../../../src/nodes/faults.js";
import { copyPath } from "../../../src/safety/journal/cluster-copy.js";
import {
  journalRoot,
  readJournal,
  type Undo,
  UnreadableJournalError,
} from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { NAMESPACES, OWN, removal, TARGET } from "../../helpers/dead-man-world.js";
import {
  cluster,
  type Cluster,
  crashed,
  ELSEWHERE,
  holdOf,
  lease,
  type Machine,
  machine,
  OURS,
  putBack,
} from "../../helpers/restore-bench.js";
import { writes } from "../../helpers/target-fixtures.js";

const GUESTBOOK = `${NAMESPACES}/guestbook`;

interface World {
  readonly c: Cluster;
  readonly a: Machine;
  readonly b: Machine;
  readonly folderOnA: string;
}

/** A run of machine A that deleted kube-dns and died there; B has only a kubeconfig. */
async function twoMachines(t: ExecutionContext): Promise<World> {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  c.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
  const folderOnA = await crashed(c, a, { runId: "run-1", undos: [removal(GUESTBOOK), putBack(c)] });
  c.server.remove(TARGET);
  c.server.requests.length = 0;
  return { c, a, b, folderOnA };
}

const folderOn = ({ env }: Machine, { clusterUid }: Cluster, runId = "run-1"): string =>
  join(journalRoot(env), clusterUid, runId);
const there = ({ kubeconfigPath }: Machine): { kubeconfigPath: string; context: string } => ({
  kubeconfigPath,
  context: "fake",
});

test("listed with --context and the machine's name; without it, the output says how to list it", async (t) => {
  const { c, b } = await twoMachines(t);
  const blind = await b.restore({});
  t.is(blind.code, ExitCode.asExpected);
  t.regex(blind.said, /no unfinished run: nothing to restore\n.*name their cluster with --context NAME/);
  const { code, said } = await b.restore(there(b));
  t.is(code, ExitCode.asExpected);
  t.regex(
    said,
    new RegExp(`run-1 \\(kube-dns, context fake, since 2026-08-01T12:00:00.000Z, of ${ELSEWHERE}\\)`),
  );
  t.deepEqual(writes(c.server), []);
  t.deepEqual(await b.unfinished(), []);
});

test("a dry run shows what would change, adopts nothing and writes nothing", async (t) => {
  const { c, b } = await twoMachines(t);
  const { code, said } = await b.restore({ ...there(b), runId: "run-1", dryRun: true });
  t.is(code, ExitCode.asExpected);
  t.regex(said, /restore Deployment kube-dns\n *\+ Deployment kube-dns, as it was before the run/);
  t.regex(said, /remove Namespace guestbook\n *- Namespace guestbook/);
  t.deepEqual(writes(c.server), []);
  t.deepEqual(await b.unfinished(), []);
});

for (const change of [{ runId: "run-1" }, { all: true }]) {
  test(`restored from another machine: ${JSON.stringify(change)}`, async (t) => {
    const { c, b } = await twoMachines(t);
    const { code, said } = await b.restore({ ...there(b), ...change });
    t.is(code, ExitCode.asExpected, said);
    t.regex(said, /Deployment kube-dns: created/);
    const live = c.server.object(TARGET);
    t.deepEqual(live && sanitised(live), sanitised(c.before));
    t.deepEqual(holdOf(c.server, "run-1"), []);
    t.is(c.server.object(GUESTBOOK), undefined);
    const folder = folderOn(b, c);
    t.like(await readJournal(folder), { closed: true, pending: [], copied: true });
    t.is((await stat(join(folder, "journal"))).mode & 0o777, 0o600);
    t.is((await stat(folder)).mode & 0o777, 0o700);
    // The target first, then what keeps other runs away, from the copy to the lock.
    t.deepEqual(
      writes(c.server)
        .map(({ method, path }) => `${method} ${path}`)
        .filter((each) => /deployments|Lease|leases|secrets|chaos$/.test(each)),
      [
        `POST ${TARGET.replace(/\/[^/]+$/, "")}`,
        `PUT ${TARGET}`,
        `DELETE ${copyPath("run-1")}`,
        `DELETE ${OWN}`,
        `DELETE ${LOCK_PATH}`,
      ],
    );
  });
}

test("the run's lock is still renewed: refused, nothing is changed, and nothing is adopted", async (t) => {
  const { c, b } = await twoMachines(t);
  const work = b.clock.onTime;
  b.clock.onTime = async (nowMs) => {
    await work(nowMs);
    if (nowMs === 14_000) lease(c.server, "run-1", "2026-08-01T12:00:16.000000Z");
  };
  const { error } = await b.restore({ ...there(b), runId: "run-1" });
  t.true(error instanceof ChaosError);
  t.is((error as ChaosError).exitCode, ExitCode.preflightRefused);
  t.regex(
    String(error),
    new RegExp(
      `run-1@${ELSEWHERE} still renews the lock .* End that run on its machine with Ctrl-C or SIGTERM`,
    ),
  );
  t.deepEqual(writes(c.server), []);
  t.deepEqual(await b.unfinished(), []);
  // The same among several runs: reported, and not restored.
  b.clock.onTime = (nowMs) =>
    lease(c.server, "run-1", `2026-08-01T13:00:00.${String(nowMs).padStart(9, "0")}Z`);
  const all = await b.restore({ ...there(b), all: true });
  t.regex(String(all.error), /still renews the lock/);
  t.is(c.server.object(TARGET), undefined);
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
});

test("the dead-man's switch has the lock: the error says that the switch is restoring", async (t) => {
  const { c, b } = await twoMachines(t);
  b.clock.onTime = (nowMs) => {
    lease(c.server, "run-1", `at ${nowMs}`);
    c.server.update(LOCK_PATH, { spec: { holderIdentity: "dead-man@run-1" } });
  };
  const { error } = await b.restore({ ...there(b), runId: "run-1" });
  t.regex(String(error), /the run's dead-man's switch is already restoring the cluster.*dead-man@run-1/);
  t.deepEqual(writes(c.server), []);
});

test("a runner counts as dead after 50 s of the local clock without a renewal", async (t) => {
  const { b } = await twoMachines(t);
  t.is((await b.restore({ ...there(b), runId: "run-1" })).code, ExitCode.asExpected);
  t.true(b.clock.now() >= 50_000, `${b.clock.now()} ms`);
});

test("afterwards the first machine finds its copy gone: later changes stay, and it closes the journal", async (t) => {
  const { c, a, b, folderOnA } = await twoMachines(t);
  t.is((await b.restore({ ...there(b), runId: "run-1" })).code, ExitCode.asExpected);
  c.server.update(TARGET, { spec: { replicas: 5 } });
  c.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: { theirs: "1" } } });
  c.server.requests.length = 0;
  const { code, said } = await a.restore({ all: true });
  t.is(code, ExitCode.asExpected, said);
  t.is((c.server.object(TARGET) as Deployment | undefined)?.spec?.replicas, 5);
  t.not(c.server.object(GUESTBOOK), undefined);
  t.deepEqual(writes(c.server), []);
  t.true((await readJournal(folderOnA))?.closed);
  t.regex((await a.restore({ all: true })).said, /nothing to restore/);
});

test("afterwards, if the target is not ready, the first machine still closes its journal: it is not its damage", async (t) => {
  const { c, a, b, folderOnA } = await twoMachines(t);
  t.is((await b.restore({ ...there(b), runId: "run-1" })).code, ExitCode.asExpected);
  c.server.update(TARGET, { spec: { replicas: 5 }, status: { readyReplicas: 0 } });
  a.clock.onTime = () => undefined;
  t.is((await a.restore({ all: true })).code, ExitCode.asExpected);
  t.true((await readJournal(folderOnA))?.closed);
});

test("restored elsewhere and deleted again since: it is restored again", async (t) => {
  const { c, a, b, folderOnA } = await twoMachines(t);
  t.is((await b.restore({ ...there(b), runId: "run-1" })).code, ExitCode.asExpected);
  c.server.remove(TARGET);
  t.is((await a.restore({ all: true })).code, ExitCode.asExpected);
  t.not(c.server.object(TARGET), undefined);
  t.true((await readJournal(folderOnA))?.closed);
});

test("an interrupted restore continues from its own journal, without --context", async (t) => {
  const { c, b } = await twoMachines(t);
  const heal = c.server.fault({
    kind: "status",
    status: 403,
    method: "DELETE",
    path: "guestbook",
    times: Infinity,
  });
  const first = await b.restore({ ...there(b), runId: "run-1" });
  t.is(first.code, ExitCode.notRestored, first.said);
  t.regex(first.said, /Namespace guestbook not restored: .*403/);
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"], "nobody else is to begin");
  t.false((await readJournal(folderOn(b, c)))?.closed);
  heal();
  c.server.remove(LOCK_PATH);
  const { code, said } = await b.restore({ all: true, kubeconfigPath: b.kubeconfigPath });
  t.is(code, ExitCode.asExpected, said);
  t.true((await readJournal(folderOn(b, c)))?.closed);
  t.deepEqual(holdOf(c.server, "run-1"), []);
});

test("the user named another cluster: its copy is left unchanged", async (t) => {
  const { c, b } = await twoMachines(t);
  c.server.put(NAMESPACES, { metadata: { name: "kube-system", uid: randomUUID() } });
  const { error } = await b.restore({ ...there(b), runId: "run-1" });
  t.regex(String(error), /was on another cluster/);
  t.deepEqual(writes(c.server), []);
});

test("an unknown RUN: a usage error that lists the unfinished runs", async (t) => {
  const { b } = await twoMachines(t);
  const { error } = await b.restore({ ...there(b), runId: "run-9" });
  t.true(error instanceof UsageError);
  t.regex(String(error), /no unfinished run run-9\. unfinished runs:\n *run-1/);
});

test("someone else has just restored it: the error says so, and nothing is adopted", async (t) => {
  const { c, b } = await twoMachines(t);
  c.server.remove(LOCK_PATH);
  let lists = 0;
  c.server.handle("GET", /secrets$/, () => {
    lists += 1;
    if (lists === 2) c.server.remove(copyPath("run-1"));
    return undefined;
  });
  const { error } = await b.restore({ ...there(b), runId: "run-1" });
  t.regex(String(error), /no longer in the cluster, so someone else has restored it\. Nothing was changed/);
  t.deepEqual(await b.unfinished(), []);
});

test("a damaged copy is named and the others are restored; naming its run is refused", async (t) => {
  const { c, a, b } = await twoMachines(t);
  await crashed(c, a, { runId: "run-2", startedAt: "2026-08-01T13:00:00.000Z", holds: false });
  c.server.update(copyPath("run-2"), { data: { "journal.gz": "bm90IHBhY2tlZA==" } });
  const named = await b.restore({ ...there(b), runId: "run-2" });
  t.true(named.error instanceof UnreadableJournalError, String(named.error));
  const { code, said } = await b.restore({ ...there(b), all: true });
  t.is(code, ExitCode.notRestored);
  t.regex(said, /Secret kube-system-chaos\/journal-run-2 cannot be read/);
  t.not(c.server.object(TARGET), undefined);
  t.true((await readJournal(folderOn(b, c)))?.closed);
});

test("a damaged copy does not matter when the run's journal is on this machine", async (t) => {
  const { c, a, folderOnA } = await twoMachines(t);
  c.server.update(copyPath("run-1"), { data: { "journal.gz": "bm90IHBhY2tlZA==" } });
  const { code, said } = await a.restore({ ...there(a), all: true });
  t.is(code, ExitCode.asExpected, said);
  t.notRegex(said, /cannot be read/);
  t.true((await readJournal(folderOnA))?.closed);
  t.deepEqual(holdOf(c.server, "run-1"), []);
});

test("several runs of a session: the newest first, the session last", async (t) => {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  const shared = { experiment: "session", startedAt: "2026-08-01T12:00:00.000Z" };
  await crashed(c, a, { runId: "session-1", ...shared });
  for (const [runId, startedAt] of [
    ["run-1", "2026-08-01T12:10:00.000Z"],
    ["run-2", "2026-08-01T12:20:00.000Z"],
  ] as const)
    await crashed(c, a, { runId, startedAt, holds: false, undos: [putBack(c)] });
  c.server.remove(TARGET);
  const early = await b.restore({ ...there(b), runId: "session-1" });
  t.regex(String(early.error), /cannot restore session session-1: its run run-1 is unfinished.*--all/);
  t.is((early.error as ChaosError).exitCode, ExitCode.preflightRefused);
  const { code, said } = await b.restore({ ...there(b), all: true });
  t.is(code, ExitCode.asExpected, said);
  t.deepEqual(
    [...said.matchAll(/^run (\S+):$/gm)].map(([, runId]) => runId),
    ["run-2", "run-1", "session-1"],
  );
  for (const runId of ["run-1", "run-2", "session-1"]) t.deepEqual(holdOf(c.server, runId), []);
  for (const runId of ["run-1", "run-2", "session-1"])
    t.true((await readJournal(folderOn(b, c, runId)))?.closed);
});

test("the session stays while one of its runs is not restored", async (t) => {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  await crashed(c, a, { runId: "session-1", experiment: "session", startedAt: "2026-08-01T12:00:00.000Z" });
  await crashed(c, a, {
    runId: "run-1",
    startedAt: "2026-08-01T12:10:00.000Z",
    holds: false,
    undos: [putBack(c)],
  });
  c.server.remove(TARGET);
  c.server.fault({ kind: "status", status: 403, method: "POST", path: "deployments", times: Infinity });
  const { code, said } = await b.restore({ ...there(b), all: true });
  t.is(code, ExitCode.notRestored);
  t.regex(said, /Deployment kube-dns not restored: .*403/);
  t.regex(said, /session-1 is the session that several runs share: it stays until they are restored/);
  t.deepEqual(holdOf(c.server, "session-1"), ["Lease", "Namespace", "Secret"]);
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
});

test("a restore never prints the content of a workload: listed, as a dry run, or done", async (t) => {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  const word = "hunter2-hunter2";
  const undo = structuredClone(putBack(c)) as { object: { spec: unknown } };
  undo.object.spec = {
    replicas: 2,
    template: { spec: { containers: [{ name: "dns", env: [{ name: "PASSWORD", value: word }] }] } },
  };
  await crashed(c, a, { runId: "run-1", undos: [undo as never] });
  const said = [
    await b.restore(there(b)),
    await b.restore({ ...there(b), all: true, dryRun: true }),
    await b.restore({ ...there(b), all: true }),
  ].map((each) => `${each.said}${String(each.error)}`);
  t.false(said.join("").includes(word));
  t.true((await readFile(join(folderOn(b, c), "journal"), "utf8")).includes(word), "it was there to be said");
});

test("the user named a cluster: runs of another cluster are left unchanged, though their journals are on this machine", async (t) => {
  const [c, other] = [await cluster(t), await cluster(t)];
  const a = await machine(t, c.server);
  await crashed(c, a, { runId: "run-1", undos: [putBack(c)] });
  await crashed(other, a, { runId: "run-2", undos: [putBack(other)] });
  for (const { server } of [c, other]) {
    server.remove(TARGET);
    server.requests.length = 0;
  }
  const { code, said } = await a.restore({ ...there(a), all: true });
  t.is(code, ExitCode.asExpected, said);
  t.not(c.server.object(TARGET), undefined);
  t.deepEqual(other.server.requests, []);
  t.deepEqual(
    (await a.unfinished()).map(({ open }) => open.runId),
    ["run-2"],
  );
});

test("the named cluster does not answer: the runs of this machine are still listed", async (t) => {
  const { c, a } = await twoMachines(t);
  await c.server.close();
  const { code, said } = await a.restore({ ...there(a) });
  t.is(code, ExitCode.asExpected);
  t.regex(said, /cannot look for runs on context fake: .*ECONNREFUSED/);
  t.regex(said, /run-1 \(kube-dns/);
});

test("the named cluster does not answer and no journal is here: refused, because nobody knows what is there", async (t) => {
  const { c, a, b } = await twoMachines(t);
  await c.server.close();
  for (const [on, change] of [
    [b, {}],
    [b, { all: true }],
    [b, { all: true, dryRun: true }],
    [b, { runId: "run-1" }],
    // Its own run is here, but another one is asked for.
    [a, { runId: "run-9" }],
  ] as const) {
    const { error } = await on.restore({ ...there(on), ...change });
    t.is((error as ChaosError).exitCode, ExitCode.preflightRefused);
    t.regex(
      messageOf(error),
      /^cannot look for runs on context fake: the API server http:\S+ does not answer: nothing listens there \(ECONNREFUSED\)\. Start that cluster, or name another cluster with --context$/,
    );
  }
});

test("the named cluster refuses, fails or is no API server: the reason is explained as for a run", async (t) => {
  for (const [status, body, expected] of [
    [401, {}, /refuses the credentials of the kubeconfig \(HTTP 401\)\. .*Sign in again/],
    [403, {}, /forbids the request: .*Ask for the right, or name another cluster/],
    [503, {}, /answers with an error: .*503.*Try again, or name another cluster/],
    [200, "<!doctype html>", /is not an API server: HTTP 200 with an HTML page\. /],
    [200, {}, /is not an API server: JSON that is no list of an API server\. /],
    [404, "page not found", /is not an API server: .*404/],
  ] as const) {
    const { c, b } = await twoMachines(t);
    // 503 is retried within the time limit unless the server asks for a longer delay.
    const headers = { "retry-after": "60" };
    c.server.handle("GET", /./, () => ({ status, headers, body }));
    for (const all of [false, true]) {
      const { error } = await b.restore({ ...there(b), all });
      t.is((error as ChaosError).exitCode, ExitCode.preflightRefused);
      t.regex(messageOf(error), expected);
      t.regex(messageOf(error), /^cannot look for runs on context fake: the API server http:/);
      t.notRegex(messageOf(error), /--cluster kind/);
    }
  }
});

test("a run and --all, an empty run, an unknown run without others", async (t) => {
  const { b } = await twoMachines(t);
  for (const [change, expected] of [
    [{ runId: "run-1", all: true }, /^name a run, or --all/],
    [{ runId: "" }, /^the run has no name/],
    [{ runId: "run-9" }, /^no unfinished run run-9\. \(to list runs of other machines, [^\n]*\)$/],
  ] as const) {
    const { error } = await b.restore({ ...change });
    t.true(error instanceof UsageError);
    t.regex(messageOf(error), expected);
  }
});

test("another machine of the same name: its lock is checked, not a process on this machine", async (t) => {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  await crashed(c, a, { runId: "run-1", host: hostname(), pid: 4_194_304, undos: [putBack(c)] });
  c.server.remove(TARGET);
  c.server.requests.length = 0;
  b.clock.onTime = (nowMs) => lease(c.server, "run-1", `at ${nowMs}`);
  const { error } = await b.restore({ ...there(b), runId: "run-1" });
  t.regex(String(error), /still renews the lock/);
  t.deepEqual(writes(c.server), []);
});

/** How the cluster shows which run has scaled a workload down. */
const MARKS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  annotation: { annotations: { "kube-system-chaos/run": "run-1", "kube-system-chaos/replicas": "2" } },
  "field manager": {
    managedFields: [
      {
        manager: "kube-system-chaos/run-1/replicas-2",
        operation: "Update",
        apiVersion: "apps/v1",
        fieldsV1: { "f:spec": { "f:replicas": {} } },
      },
    ],
  },
};

for (const [mark, metadata] of Object.entries(MARKS)) {
  test(`someone deleted the copy with its namespace: a workload with the run's ${mark} is still restored`, async (t) => {
    const c = await cluster(t);
    const a = await machine(t, c.server);
    const undo = { ...putBack(c), onlyReplicas: true } as const;
    const folder = await crashed(c, a, { runId: "run-1", undos: [undo] });
    c.server.update(TARGET, { metadata, spec: { replicas: 0 } });
    c.server.remove(OWN);
    t.is(c.server.object(copyPath("run-1")), undefined);
    const { code, said } = await a.restore({ all: true });
    t.is(code, ExitCode.asExpected, said);
    t.is((c.server.object(TARGET) as Deployment | undefined)?.spec?.replicas, 2);
    t.true((await readJournal(folder))?.closed);
  });
}

test("a journal from the cluster runs no command on this machine, not even a container engine's, unless allowed", async (t) => {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  const proof = join(b.folder, "was-run");
  const docker = join(b.folder, "docker");
  await writeFile(docker, `#!/bin/sh\ntouch ${proof}\n`, { mode: 0o755 });
  const unit: Undo = {
    action: "start-unit",
    object: { kind: "SystemdUnit", name: "kubelet on worker-1" },
    node: "worker-1",
    unit: "kubelet.service",
    also: [],
    invocation: "i",
    timer: timerName("run-1", "kubelet.service"),
    machineId: "0".repeat(32),
    access: { type: "engine", command: docker, env: {} },
  };
  await crashed(c, a, { runId: "run-1", undos: [unit, putBack(c)] });
  c.server.remove(TARGET);
  const dry = await b.restore({ ...there(b), runId: "run-1", dryRun: true });
  t.regex(dry.said, /--allow-commands/);
  for (const again of ["adopted now", "adopted before"]) {
    const { code, said } = await b.restore({ ...there(b), runId: "run-1" });
    t.is(code, ExitCode.notRestored, again);
    t.regex(said, /kubelet on worker-1 not restored: .*--allow-commands/);
    t.false(existsSync(proof), again);
  }
  t.not(c.server.object(TARGET), undefined, "the rest is restored");
});

test("a journal from the cluster that asks for what no run does is refused, and nothing is changed", async (t) => {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  c.server.put(NAMESPACES, { metadata: { name: "production" } });
  const victim = `${NAMESPACES}/production`;
  await crashed(c, a, {
    runId: "run-1",
    undos: [
      { action: "remove", path: victim, object: { kind: "Namespace", name: "production" }, labels: {} },
    ],
  });
  c.server.requests.length = 0;
  const { error } = await b.restore({ ...there(b), runId: "run-1" });
  t.true(error instanceof UnreadableJournalError);
  t.regex(String(error), /it would remove "\/api\/v1\/namespaces\/production", which no run created/);
  t.deepEqual(writes(c.server), []);
  t.deepEqual(await b.unfinished(), []);
});
