import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import test from "ava";
import type { KubeObject, Secret } from "../../../src/kube/objects.js";
import { ApiError } from "../../../src/kube/transport.js";
import { ChaosError, ExitCode, messageOf } from "../../../src/common/errors.js";
import { ClusterCopy, copiesInCluster, copyPath } from "../../../src/safety/journal/cluster-copy.js";
import {
  Journal,
  journalLine,
  journalRoot,
  parseJournal,
  UnreadableJournalError,
} from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import {
  IN_CLUSTER,
  otherUnfinishedRuns,
  runsInCluster,
  unfinishedProblem,
} from "../../../src/safety/journal/unfinished.js";
import { killedRun, journalText, opened, OWN, TARGET } from "../../helpers/dead-man-world.js";
import type { Draft } from "../../helpers/fake-api-server.js";
import { cluster, machine, OURS, putBack } from "../../helpers/restore-bench.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

const SECRETS = "/api/v1/namespaces/kube-system-chaos/secrets";
/** A secret that no message may show: a password in a workload's environment. */
const PASSWORD = "correct-horse-battery-staple";
const LABELS = { ...OURS, app: "chaos-journal" };

/** A Secret with the labels of a run's copy. */
const secret = (runId: string, packed: string | undefined): Draft => ({
  metadata: { name: `journal-${runId}`, labels: { ...LABELS, "kube-system-chaos/run": runId } },
  type: "kube-system-chaos/journal",
  data: packed === undefined ? {} : { "journal.gz": packed },
});

test("a written copy reads back; a second write replaces the first", async (t) => {
  const { server, transport } = await serve(t);
  const copy = new ClusterCopy(transport, "run-1");
  await copy.write("連打\n");
  const text = `${"kube-dns ".repeat(200_000)}\0\u{1f980}\n`;
  await copy.write(text);
  t.deepEqual(await copiesInCluster(transport), [{ runId: "run-1", text }]);
  t.deepEqual(
    writes(server).map(({ method, path }) => `${method} ${path}`),
    [`POST ${SECRETS}`, `PUT ${copyPath("run-1")}`],
  );
  const kept = server.object(copyPath("run-1")) as Secret | undefined;
  t.is(kept?.type, "kube-system-chaos/journal");
  t.like(kept?.metadata, {
    name: "journal-run-1",
    namespace: "kube-system-chaos",
    labels: { ...LABELS, "kube-system-chaos/run": "run-1" },
  });
});

test("the copies of several runs are kept apart", async (t) => {
  const { transport } = await serve(t);
  for (const runId of ["run-2", "run-1"]) await new ClusterCopy(transport, runId).write(`of ${runId}`);
  t.deepEqual(await copiesInCluster(transport), [
    { runId: "run-1", text: "of run-1" },
    { runId: "run-2", text: "of run-2" },
  ]);
});

test("too large for a Secret: refused before it is sent, and the error shows no content", async (t) => {
  const { server, transport } = await serve(t);
  const text = PASSWORD + randomBytes(1_200_000).toString("hex");
  const error = await t.throwsAsync(new ClusterCopy(transport, "run-1").write(text), {
    instanceOf: ChaosError,
  });
  t.is(error?.exitCode, ExitCode.preflightRefused);
  t.regex(error?.message ?? "", /the copy has \d{7} bytes, but a Secret can have only 1000000/);
  t.false(messageOf(error).includes(PASSWORD));
  t.deepEqual(writes(server), []);
});

test("the error of a refused write shows no content", async (t) => {
  const { server, transport } = await serve(t);
  const copy = new ClusterCopy(transport, "run-1");
  server.fault({ kind: "status", status: 403, reason: "Forbidden", message: "secrets is forbidden" });
  const error = await t.throwsAsync(copy.write(PASSWORD), { instanceOf: ApiError });
  t.regex(messageOf(error), /403.*secrets is forbidden/);
  t.false(messageOf(error).includes(PASSWORD));
  // Nothing was created: the next write creates it.
  await copy.write("again");
  t.deepEqual(await copiesInCluster(transport), [{ runId: "run-1", text: "again" }]);
});

test("Secrets of someone else are ignored: another type, other labels", async (t) => {
  const { server, transport } = await serve(t);
  const packed = gzipSync("x").toString("base64");
  server.put(SECRETS, { ...secret("run-1", packed), type: "Opaque" });
  server.put(SECRETS, {
    ...secret("run-2", packed),
    metadata: { name: "journal-run-2", labels: { app: "chaos-journal" } },
  });
  t.deepEqual(await copiesInCluster(transport), []);
});

const bytes = gzipSync(PASSWORD.repeat(3));
const DAMAGED: Readonly<Record<string, string | undefined>> = {
  "nothing in it": undefined,
  "an empty value": "",
  "not packed at all": Buffer.from(PASSWORD).toString("base64"),
  "no base64": `***${PASSWORD}***`,
  "cut off": bytes.subarray(0, bytes.length - 9).toString("base64"),
  "a flipped bit": Buffer.from(bytes.map((byte, at) => (at === bytes.length - 6 ? byte ^ 1 : byte))).toString(
    "base64",
  ),
  "far too much in it": gzipSync(Buffer.alloc(64_000_001)).toString("base64"),
};

for (const [what, packed] of Object.entries(DAMAGED)) {
  test(`a damaged copy (${what}): the error shows its name but no content, and it hides no other`, async (t) => {
    const { server, transport } = await serve(t);
    await new ClusterCopy(transport, "run-1").write(journalText(opened("run-1"), []));
    server.put(SECRETS, secret("run-2", packed));
    await new ClusterCopy(transport, "run-3").write(journalText(opened("run-3"), []));
    const found = await copiesInCluster(transport);
    t.deepEqual(
      found.map(({ runId, error }) => [runId, error === undefined]),
      [
        ["run-1", true],
        ["run-2", false],
        ["run-3", true],
      ],
    );
    const error = found[1]?.error;
    t.true(error instanceof UnreadableJournalError);
    t.regex(
      messageOf(error),
      /Secret kube-system-chaos\/journal-run-2 cannot be read.*then close it with `chaos restore --forget run-2 --context NAME`/,
    );
    t.false(messageOf(error).includes(PASSWORD));
    const { runs, unreadable } = await runsInCluster(transport);
    t.deepEqual(
      runs.map(({ open, folder }) => [open.runId, folder]),
      [
        ["run-1", IN_CLUSTER],
        ["run-3", IN_CLUSTER],
      ],
    );
    t.deepEqual(unreadable, [error]);
  });
}

test("a copy with a damaged opening record: the error names the way out", async (t) => {
  const { transport } = await serve(t);
  await new ClusterCopy(transport, "run-1").write(
    journalText(opened("run-1"), []).replace("elsewhere", PASSWORD),
  );
  const { runs, unreadable } = await runsInCluster(transport);
  t.deepEqual(runs, []);
  const said = unreadable.map((error) => messageOf(error)).join();
  t.regex(said, /then close it with `chaos restore --forget run-1 --context NAME`$/);
  t.false(said.includes(PASSWORD));
});

test("no namespace: no runs; forbidden and an outage are errors", async (t) => {
  const { server, transport } = await serve(t);
  server.fault({ kind: "status", status: 404, path: "secrets" });
  t.deepEqual(await copiesInCluster(transport), []);
  server.fault({ kind: "status", status: 403, path: "secrets" });
  await t.throwsAsync(runsInCluster(transport), { instanceOf: ApiError, message: /403/ });
  const options = { root: "/nowhere", clusterUid: "u" };
  server.fault({ kind: "status", status: 403, path: "secrets" });
  t.deepEqual(await otherUnfinishedRuns(transport, options), { runs: [], unreadable: [] });
  server.fault({ kind: "status", status: 403, path: "secrets" });
  await t.throwsAsync(copiesInCluster(transport), { instanceOf: ApiError, message: /403/ });
  server.fault({ kind: "status", status: 500, path: "secrets" });
  await t.throwsAsync(runsInCluster(transport), { instanceOf: ApiError, message: /500/ });
});

test("unfinished runs of a cluster: first of this machine, then of others, each once, without the own one", async (t) => {
  const c = await cluster(t);
  const { env } = await machine(t, c.server);
  const root = journalRoot(env);
  const local = await Journal.create(root, { ...opened("run-1"), clusterUid: c.clusterUid });
  await local.intent(putBack(c));
  await local.close();
  for (const runId of ["run-1", "run-2", "session-1"])
    await new ClusterCopy(c.transport, runId).write(journalText(opened(runId), []));
  c.server.put(SECRETS, secret("run-3", ""));
  const found = await otherUnfinishedRuns(c.transport, {
    root,
    clusterUid: c.clusterUid,
    ownId: "session-1",
  });
  t.deepEqual(
    found.runs.map(({ open, folder, pending }) => [open.runId, folder, pending.length]),
    [
      ["run-1", local.folder, 1],
      ["run-2", IN_CLUSTER, 0],
    ],
  );
  const problem = unfinishedProblem(found, { context: "prod" }) ?? "";
  t.regex(problem, /^run run-1 is unfinished or still running\. .*`chaos restore --all`/);
  t.regex(
    problem,
    /run run-2 of elsewhere is unfinished or still running\. .*`chaos restore --all --context prod`/,
  );
  t.regex(problem, /journal-run-3 cannot be read/);
  t.is(unfinishedProblem({ runs: [], unreadable: [] }, { context: "prod" }), undefined);
});

test("the copy holds the same records as the journal on disk", async (t) => {
  const c = await cluster(t);
  const { env } = await machine(t, c.server);
  const journal = await Journal.create(journalRoot(env), opened("run-1"));
  await journal.intent(putBack(c));
  await journal.keepCopy(new ClusterCopy(c.transport, "run-1"));
  await journal.intent(putBack(c));
  await journal.close();
  const [copy] = await copiesInCluster(c.transport);
  const state = parseJournal("copy", copy?.text ?? "");
  t.is(state?.damage, undefined);
  t.true(state?.copied);
  t.deepEqual(
    state?.pending.map(({ seq, undo }) => [seq, (undo.object as KubeObject).metadata.uid]),
    [1, 2].map((seq) => [seq, c.before.metadata.uid]),
  );
  t.true((copy?.text ?? "").startsWith(`${journalLine(opened("run-1"))}\n`));
});

test("the dead-man's switch restores despite a damaged copy, and removes nothing while there is one", async (t) => {
  const w = await killedRun(t);
  w.server.put(SECRETS, secret("run-0", "bm90IHBhY2tlZA=="));
  await w.run({ limitMs: 200_000 });
  t.not(w.server.object(TARGET), undefined);
  t.true(w.lines.some((line) => /journal-run-0 cannot be read/.test(line)));
  t.not(w.server.object(OWN), undefined);
  t.like(w.server.object(LOCK_PATH), { spec: { holderIdentity: "dead-man@run-1" } });
  // After the user has removed the damaged copy by hand, it finishes.
  w.server.remove(`${SECRETS}/journal-run-0`);
  await w.run({ limitMs: 200_000, until: () => w.server.object(OWN) === undefined });
  t.is(w.server.object(LOCK_PATH), undefined);
});

test("a switch with a damaged copy of its own run is not ready, and says so", async (t) => {
  const w = await killedRun(t);
  w.server.update(copyPath("run-1"), { data: { "journal.gz": "bm90IHBhY2tlZA==" } });
  await w.run({ limitMs: 10_000 });
  t.regex(w.deadMan.notReady ?? "", /journal-run-1 cannot be read/);
});
