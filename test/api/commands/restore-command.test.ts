import type { ExecutionContext } from "ava";
import test from "ava";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { restore } from "../../../src/commands/restore-command.js";
import { type ChaosError, ExitCode, UsageError } from "../../../src/common/errors.js";
import { identify } from "../../../src/common/process-identity.js";
import { heldPath, holdManifest, stopUnit, timerName } from "../../../src/nodes/faults.js";
import {
  Journal,
  type JournalOpen,
  journalRoot,
  type NodeUndo,
  readJournal,
  type Undo,
  UnreadableJournalError,
} from "../../../src/safety/journal/journal.js";
import { claimRestore } from "../../../src/safety/restore/claim.js";
import { type RestoreOptions } from "../../../src/safety/restore/options.js";
import { nodeUndos } from "../../../src/safety/restore/undo-entries.js";
import { createView } from "../../../src/ui/view.js";
import { LEASES, SleepingClock } from "../../helpers/dead-man-world.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { fakeNodes, type FakeNodes, MANIFEST, MANIFEST_TEXT } from "../../helpers/fake-node.js";
import { kubeconfigOf } from "../../helpers/kubeconfig.js";
import { KUBELET, staticPod } from "../../helpers/node-targets.js";
import { ownProcess } from "../../helpers/sleeper.js";
import { deployment, DEPLOYMENTS, putKubeDns, serve, until, writes } from "../../helpers/target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;

interface Bench {
  readonly server: FakeApiServer;
  /** A run that took the Deployment away (or did this) and ended there. @returns its journal's folder. */
  crashed(
    runId: string,
    more?: readonly Undo[],
    runner?: Pick<JournalOpen, "host" | "pid" | "startTicks" | "bootId" | "pidNamespace">,
  ): Promise<string>;
  restore(change: Partial<RestoreOptions>): Promise<{ code?: ExitCode; error?: unknown; said: string }>;
}

/** Replaces the cluster's controllers: a Deployment becomes ready when it is read. */
function controllersWork(server: FakeApiServer): void {
  server.handle("GET", /deployments\/kube-dns$/, () => {
    const live = server.object(PATH);
    const status = { observedGeneration: live?.metadata.generation, readyReplicas: 2, updatedReplicas: 2 };
    if (live !== undefined) server.put(DEPLOYMENTS, { ...live, status } as never);
    return undefined;
  });
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const { server } = await serve(t);
  putKubeDns(server);
  controllersWork(server);
  server.put("/api/v1/nodes", {
    metadata: { name: "a" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  server.put("/api/v1/namespaces/kube-system/pods", {
    metadata: {
      name: "kube-apiserver-a",
      labels: { component: "kube-apiserver" },
      annotations: { "kubernetes.io/config.mirror": "x" },
    },
    spec: { nodeName: "a" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const clusterUid = server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } }).metadata.uid;
  const folder = await mkdtemp(join(tmpdir(), "chaos-restore-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const kubeconfigPath = await kubeconfigOf(folder, server.url);
  const env = { XDG_STATE_HOME: join(folder, "state") };
  return {
    server,
    crashed: async (runId, more = [], runner = { host: `not ${hostname()}`, pid: 1 }) => {
      const object = server.object(PATH) ?? server.put(DEPLOYMENTS, deployment());
      const journal = await Journal.create(journalRoot(env), {
        type: "open",
        runId,
        experiment: "kube-dns",
        clusterUid,
        server: server.url,
        context: "fake",
        kubeconfigPath,
        toolVersion: "0.0.0",
        startedAt: "2026-08-01T12:00:00.000Z",
        ...runner,
      });
      await journal.intent({
        action: "restore-workload",
        path: PATH,
        collection: DEPLOYMENTS,
        object: { ...object, apiVersion: "apps/v1", kind: "Deployment" },
      });
      for (const undo of more) await journal.intent(undo);
      await journal.close();
      return journal.folder;
    },
    restore: async (change) => {
      const stream = new PassThrough();
      const view = createView({ stream, out: stream, mode: "plain" });
      const outcome = await restore({ all: false, dryRun: false, view, env, ...change }).then(
        (code) => ({ code }),
        (error: unknown) => ({ error }),
      );
      view.close();
      stream.end();
      return { ...outcome, said: await text(stream) };
    },
  };
}

/** Changes one character of the opening record. */
async function damage(folder: string): Promise<void> {
  const file = join(folder, "journal");
  const content = await readFile(file, "utf8");
  await writeFile(file, content.replace('"experiment":"kube-dns"', '"experiment":"kube-dnr"'));
}

test("restore: a run is restored from its journal, once", async (t) => {
  const b = await bench(t);
  const folder = await b.crashed("run-1");
  b.server.remove(PATH);
  const listed = await b.restore({});
  t.is(listed.code, ExitCode.asExpected);
  t.regex(listed.said, /run-1 \(kube-dns, context fake/);
  t.deepEqual(writes(b.server), []);
  const { code, said } = await b.restore({ runId: "run-1" });
  t.is(code, ExitCode.asExpected);
  t.regex(said, /Deployment kube-dns: created/);
  t.not(b.server.object(PATH), undefined);
  t.true((await readJournal(folder))?.closed);
  t.true((await b.restore({ runId: "run-1" })).error instanceof UsageError);
  const again = await b.restore({ all: true });
  t.is(again.code, ExitCode.asExpected);
  t.regex(again.said, /nothing to restore/);
});

test("restore: a workload that was never deleted is reported as untouched", async (t) => {
  const b = await bench(t);
  await b.crashed("run-1");
  const { code, said } = await b.restore({ all: true });
  t.is(code, ExitCode.asExpected);
  t.regex(said, /Deployment kube-dns: untouched$/m);
  t.deepEqual(writes(b.server), []);
});

test("restore: an unreadable journal is reported with a remedy; the other runs are still restored", async (t) => {
  const b = await bench(t);
  const damaged = await b.crashed("run-1");
  const folder = await b.crashed("run-2");
  await damage(damaged);
  b.server.remove(PATH);
  const remedy = new RegExp(
    `${damaged} cannot be read.*by hand, then close it with .chaos restore --forget run-1.`,
  );

  const listed = await b.restore({});
  t.is(listed.code, ExitCode.asExpected);
  t.regex(listed.said, remedy);
  t.regex(listed.said, /run-2 \(kube-dns/);

  const dry = await b.restore({ all: true, dryRun: true });
  t.is(dry.code, ExitCode.asExpected);
  t.regex(dry.said, remedy);
  t.deepEqual(writes(b.server), []);

  const named = await b.restore({ runId: "run-1" });
  t.true(named.error instanceof UnreadableJournalError);
  t.is((named.error as UnreadableJournalError).exitCode, ExitCode.preflightRefused);

  const all = await b.restore({ all: true });
  t.is(all.code, ExitCode.notRestored, "not everything");
  t.regex(all.said, remedy);
  t.not(b.server.object(PATH), undefined);
  t.true((await readJournal(folder))?.closed);

  const alone = await b.restore({ all: true });
  t.is(alone.code, ExitCode.notRestored);
  t.regex(alone.said, remedy);
  t.notRegex(alone.said, /nothing to restore/);
});

test("restore: an unreadable journal does not affect another run", async (t) => {
  const b = await bench(t);
  await damage(await b.crashed("run-1"));
  await b.crashed("run-2");
  b.server.remove(PATH);
  const { code, said } = await b.restore({ runId: "run-2" });
  t.is(code, ExitCode.asExpected);
  t.notRegex(said, /cannot be read/);
});

const API_SERVER = staticPod("kube-apiserver", MANIFEST);

/** A node with a stopped kubelet and a moved manifest, and the entries that undo this. */
async function harmedNode(
  t: ExecutionContext,
  runId: string,
): Promise<{ nodes: FakeNodes; entries: NodeUndo[] }> {
  const nodes = await fakeNodes(t, ["a"]);
  const { access } = nodes;
  const entries = [
    ...(await nodeUndos(KUBELET, ["a"], access, runId)),
    ...(await nodeUndos(API_SERVER, ["a"], access, runId)),
  ];
  const on = { access, node: "a" };
  const healAfterMs = 60_000;
  await stopUnit(on, { unit: "kubelet.service", timer: timerName(runId, "kubelet.service"), healAfterMs });
  await holdManifest(on, {
    manifest: MANIFEST,
    heldAt: heldPath(runId, MANIFEST),
    timer: timerName(runId, MANIFEST),
    healAfterMs,
  });
  return { nodes, entries };
}

test("restore: nodes first, then objects of the API; each is reported", async (t) => {
  const b = await bench(t);
  const { nodes, entries } = await harmedNode(t, "run-1");
  const folder = await b.crashed("run-1", entries);
  b.server.remove(PATH);
  b.server.handle("POST", /deployments$/, () => {
    t.is(nodes.unit("a", "kubelet.service"), "active", "before any object of the API");
    return undefined;
  });
  const dry = await b.restore({ runId: "run-1", dryRun: true });
  t.regex(
    dry.said,
    /move back the manifest of StaticPod kube-apiserver on a\n *\+ \/etc.*\n *start SystemdUnit kubelet on a\n *inactive → active\n/,
  );
  t.is(nodes.unit("a", "kubelet.service"), "inactive");
  const { code, said } = await b.restore({ runId: "run-1" });
  t.is(code, ExitCode.asExpected, said);
  // Faults on nodes are undone in parallel, so either may be reported first.
  for (const fault of ["StaticPod kube-apiserver on a: returned", "SystemdUnit kubelet on a: started"])
    t.true(
      said.indexOf(fault) > 0 && said.indexOf(fault) < said.indexOf("Deployment kube-dns: created"),
      said,
    );
  t.is(nodes.text("a", MANIFEST), MANIFEST_TEXT);
  t.true((await readJournal(folder))?.closed);
});

test("restore: restores the nodes, then waits for an API server that the run took down", async (t) => {
  const b = await bench(t);
  const { nodes, entries } = await harmedNode(t, "run-1");
  const folder = await b.crashed("run-1", entries);
  b.server.remove(PATH);
  const disarm = b.server.fault({ kind: "reset", times: Infinity });
  const restoring = b.restore({ runId: "run-1" });
  await until("the nodes are restored without it", () => {
    return nodes.text("a", MANIFEST) !== undefined && nodes.unit("a", "kubelet.service") === "active";
  });
  t.is(b.server.object(PATH), undefined);
  disarm();
  const { code, said } = await restoring;
  t.is(code, ExitCode.asExpected, said);
  t.not(b.server.object(PATH), undefined);
  t.true((await readJournal(folder))?.closed);
});

test("restore: nodes of another cluster with the same names are left unchanged", async (t) => {
  const b = await bench(t);
  const { nodes, entries } = await harmedNode(t, "run-1");
  await b.crashed("run-1", entries);
  b.server.remove("/api/v1/namespaces/kube-system");
  b.server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  const { error } = await b.restore({ runId: "run-1" });
  t.regex(String(error), /was on another cluster/);
  t.is(nodes.unit("a", "kubelet.service"), "inactive");
});

test("restore: another machine with the node's name is left unchanged and reported; the rest is restored", async (t) => {
  const b = await bench(t);
  const { nodes, entries } = await harmedNode(t, "run-1");
  const folder = await b.crashed("run-1", entries.slice(0, 1));
  await nodes.put("a", "etc/machine-id", `${"9".repeat(32)}\n`);
  b.server.remove(PATH);
  const { code, said } = await b.restore({ runId: "run-1" });
  t.is(code, ExitCode.notRestored);
  t.regex(said, /SystemdUnit kubelet on a not restored: a is another machine/);
  t.regex(said, /Deployment kube-dns: created/);
  t.is((await readJournal(folder))?.pending.length, 1);
  t.false((await readJournal(folder))?.closed);
});

test("restore: a command of this machine runs only if it is allowed", async (t) => {
  const b = await bench(t);
  const { nodes, entries } = await harmedNode(t, "run-1");
  const argv = [`${nodes.root}/docker`, "exec", "{node}"];
  const byCommand = entries.map((entry) => ({ ...entry, access: { type: "command", argv } as const }));
  await b.crashed("run-1", byCommand);
  b.server.remove(PATH);
  const refused = await b.restore({ runId: "run-1" });
  t.is(refused.code, ExitCode.notRestored);
  t.regex(refused.said, /SystemdUnit kubelet on a not restored: .*--allow-commands/);
  t.is(nodes.unit("a", "kubelet.service"), "inactive");
  t.not(b.server.object(PATH), undefined, "the rest is restored");
  const allowed = await b.restore({ runId: "run-1", allowCommands: true });
  t.is(allowed.code, ExitCode.asExpected, allowed.said);
  t.is(nodes.unit("a", "kubelet.service"), "active");
});

test("restore: without the API and without permission to reach the node it does not wait", async (t) => {
  const b = await bench(t);
  const { entries } = await harmedNode(t, "run-1");
  const byCommand = entries.map((entry) => ({ ...entry, access: { type: "command", argv: ["x"] } as const }));
  await b.crashed("run-1", byCommand);
  b.server.fault({ kind: "reset", times: Infinity });
  const { error } = await b.restore({ runId: "run-1" });
  t.regex(String(error), /run-1 is not restored: .*--allow-commands/);
});

test("restore: a running run of this machine is left unchanged until its process has exited", async (t) => {
  const b = await bench(t);
  const { pid, end } = await ownProcess(t);
  await b.crashed("run-1", [], { host: hostname(), pid });
  const folder = await b.crashed("run-2");
  b.server.remove(PATH);
  const { error } = await b.restore({ runId: "run-1" });
  t.regex(
    String(error),
    new RegExp(`run-1: it is still running \\(process ${pid}\\)\\. End it with Ctrl-C or SIGTERM`),
  );
  t.is((error as ChaosError).exitCode, ExitCode.preflightRefused);
  t.deepEqual(writes(b.server), []);
  const all = await b.restore({ all: true });
  t.is(all.code, ExitCode.notRestored);
  t.regex(all.said, /run-1: it is still running/);
  t.true((await readJournal(folder))?.closed, "the other one is restored");
  await end();
  t.is((await b.restore({ all: true })).code, ExitCode.asExpected);
});

for (const [what, runner] of [
  ["another process of this tool has its PID", { startTicks: "1" }],
  ["the machine has rebooted since", { bootId: "another" }],
] as const) {
  test(`restore: a run of this machine whose process is gone, and ${what}`, async (t) => {
    const b = await bench(t);
    const { pid } = await ownProcess(t);
    const now = await identify(pid);
    if (now === undefined) return t.pass("without /proc only the PID identifies a process");
    const folder = await b.crashed("run-1", [], { host: hostname(), ...now, ...runner });
    t.is((await b.restore({ runId: "run-1" })).code, ExitCode.asExpected);
    return t.true((await readJournal(folder))?.closed);
  });
}

test("restore: a run in another container of this machine is left unchanged while it renews its lock", async (t) => {
  const b = await bench(t);
  await b.crashed("run-1", [], { host: hostname(), pid: 1, pidNamespace: "pid:[1]" });
  b.server.put(LEASES, {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-1@x", renewTime: "2026-08-01T12:00:00.000000Z" },
  });
  const clock = new SleepingClock();
  clock.onTime = () => {
    b.server.update(`${LEASES}/kube-system-chaos`, {
      spec: { holderIdentity: "run-1@x", renewTime: "2026-08-01T12:00:15.000000Z" },
    });
  };
  const { error } = await b.restore({ runId: "run-1", clock });
  t.regex(String(error), /run-1@x still renews the lock/);
  t.deepEqual(writes(b.server), []);
});

test("restore: waits while another process restores the run; then nothing is left to do", async (t) => {
  const b = await bench(t);
  const { pid } = await ownProcess(t);
  const folder = await b.crashed("run-1");
  b.server.remove(PATH);
  const clock = new SleepingClock();
  const first = await claimRestore(folder, { clock, note: () => undefined, self: { pid } });
  clock.onTime = async (nowMs) => {
    t.is(b.server.object(PATH), undefined, "nothing is changed before");
    if (nowMs < 1_000) return;
    const state = await readJournal(folder);
    if (state !== undefined) await (await Journal.reopen(state)).finish();
    await first.release();
  };
  const { code, said } = await b.restore({ runId: "run-1", clock });
  t.is(code, ExitCode.asExpected, said);
  t.deepEqual(writes(b.server), []);
  t.true(clock.now() >= 1_000);
});

test("restore: the claim of a killed restore does not block the next one", async (t) => {
  const b = await bench(t);
  const { pid, end } = await ownProcess(t);
  const folder = await b.crashed("run-1");
  b.server.remove(PATH);
  await claimRestore(folder, { clock: new SleepingClock(), note: () => undefined, self: { pid } });
  await end();
  t.is((await b.restore({ runId: "run-1", clock: new SleepingClock() })).code, ExitCode.asExpected);
  t.not(b.server.object(PATH), undefined);
});
