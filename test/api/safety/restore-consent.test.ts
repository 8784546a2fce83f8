/** Copies in the cluster are not believed: plan, consent, and what is checked on a node. */
import type { ExecutionContext } from "ava";
import test from "ava";
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ChaosError, ExitCode, messageOf } from "../../../src/common/errors.js";
import type { Secret } from "../../../src/kube/objects.js";
import { stopUnit, timerName } from "../../../src/nodes/faults.js";
import { readJournal, type Undo } from "../../../src/safety/journal/journal.js";
import { powersOf } from "../../../src/safety/restore/consent.js";
import { nodeUndos } from "../../../src/safety/restore/undo-entries.js";
import { TARGET } from "../../helpers/dead-man-world.js";
import { fakeNodes } from "../../helpers/fake-node.js";
import { KUBELET } from "../../helpers/node-targets.js";
import {
  cluster,
  type Cluster,
  crashed,
  holdOf,
  lease,
  type Machine,
  machine,
  putBack,
} from "../../helpers/restore-bench.js";
import { writes } from "../../helpers/target-fixtures.js";

interface World {
  readonly c: Cluster;
  readonly a: Machine;
  readonly b: Machine;
}

/** A run of machine A that died; B has only a kubeconfig. */
async function twoMachines(t: ExecutionContext, undos?: readonly Undo[]): Promise<World> {
  const c = await cluster(t);
  const [a, b] = [await machine(t, c.server), await machine(t, c.server)];
  await crashed(c, a, { runId: "run-1", undos: undos ?? [putBack(c)] });
  c.server.remove(TARGET);
  c.server.requests.length = 0;
  return { c, a, b };
}

const there = ({ kubeconfigPath }: Machine): { kubeconfigPath: string; context: string } => ({
  kubeconfigPath,
  context: "fake",
});

test("a copy in the cluster: its plan is shown, and without consent nothing is changed", async (t) => {
  const { c, b } = await twoMachines(t);
  for (const ask of [undefined, async () => await Promise.resolve(false)]) {
    const { error, said } = await b.restore({
      ...there(b),
      runId: "run-1",
      yes: false,
      ...(ask === undefined ? {} : { ask }),
    });
    t.is((error as ChaosError).exitCode, ExitCode.preflightRefused);
    t.regex(
      messageOf(error),
      /run-1 without your consent: .* can change it\. Nothing was changed\. .* add --yes/,
    );
    t.regex(
      said,
      /restore Deployment kube-dns\n *\+ Deployment kube-dns, as it was before the run\n *in namespace kube-system: images /,
    );
    t.deepEqual(writes(c.server), []);
    t.deepEqual(await b.unfinished(), []);
  }
});

test("the user consents once; the adopted journal is then restored without another question", async (t) => {
  const { c, b } = await twoMachines(t);
  const questions: string[] = [];
  const heal = c.server.fault({
    kind: "status",
    status: 403,
    method: "POST",
    path: "deployments",
    times: Infinity,
  });
  const ask = async (question: string): Promise<boolean> =>
    await Promise.resolve(questions.push(question) > 0);
  const first = await b.restore({ ...there(b), runId: "run-1", yes: false, ask });
  t.is(first.code, ExitCode.notRestored);
  t.regex(first.said, /if this cannot succeed, close the run with `chaos restore --forget run-1`/);
  t.deepEqual(questions, ["Restore run run-1 as listed above?"]);
  heal();
  c.server.remove("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-system-chaos");
  const { code, said } = await b.restore({ runId: "run-1", kubeconfigPath: b.kubeconfigPath, yes: false });
  t.is(code, ExitCode.asExpected, said);
});

test("a journal of this machine needs no consent", async (t) => {
  const { a } = await twoMachines(t);
  t.is((await a.restore({ runId: "run-1", yes: false })).code, ExitCode.asExpected);
});

test("what the pods of a workload may do is part of the plan", (t) => {
  const spec = {
    serviceAccountName: "admin",
    hostNetwork: true,
    hostPID: false,
    volumes: [
      { name: "x", hostPath: { path: "/" } },
      { name: "y", emptyDir: {} },
    ],
    initContainers: [{ image: "a:1" }],
    containers: [{ image: "b:2", securityContext: { privileged: true } }],
  };
  const metadata = { name: "x", uid: "u", resourceVersion: "1" };
  t.is(
    powersOf({ metadata, spec: { template: { spec } } }),
    "images a:1, b:2; ServiceAccount admin; privileged; hostNetwork; host path /",
  );
  t.is(powersOf({ metadata }), "images none; ServiceAccount default");
});

test("a unit in a copy: only a kubelet or a container runtime of that node, and what stops with it", async (t) => {
  const nodes = await fakeNodes(t, ["worker-1"]);
  const [kubelet] = await nodeUndos(KUBELET, ["worker-1"], nodes.access, "run-1");
  if (kubelet?.action !== "start-unit") return t.fail();
  const evil = { ...kubelet, unit: "evil.service", timer: timerName("run-1", "evil.service") };
  await nodes.put("worker-1", "units/evil.service", "inactive\n");
  await nodes.put("worker-1", "units/other.service", "inactive\n");
  await stopUnit(
    { access: nodes.access, node: "worker-1" },
    { unit: "kubelet.service", timer: kubelet.timer, healAfterMs: 90_000 },
  );
  const { b } = await twoMachines(t, [kubelet, evil, { ...kubelet, also: ["other.service"] }]);
  const { code, said } = await b.restore({ ...there(b), runId: "run-1", allowCommands: true });
  t.is(code, ExitCode.notRestored);
  t.regex(said, /not believed: evil\.service on worker-1 runs neither a kubelet nor a container runtime/);
  t.regex(said, /not believed: other\.service on worker-1 does not stop with kubelet\.service/);
  t.is(nodes.unit("worker-1", "evil.service"), "inactive");
  t.is(nodes.unit("worker-1", "other.service"), "inactive");
  t.is(nodes.unit("worker-1", "kubelet.service"), "active");
  return t.regex(said, /SystemdUnit kubelet on worker-1: started/);
});

test("a user who may not read the copies is told so, and never that there is nothing to restore", async (t) => {
  const { c, a, b } = await twoMachines(t);
  c.server.fault({ kind: "status", status: 403, method: "GET", path: "secrets", times: Infinity });
  for (const change of [{}, { all: true }, { runId: "run-1" }]) {
    const { error, said } = await b.restore({ ...there(b), ...change });
    t.is((error as ChaosError | undefined)?.exitCode, ExitCode.preflightRefused);
    t.regex(messageOf(error), /cannot look for runs on context fake: .* forbids the request/);
    t.notRegex(said, /nothing to restore/);
  }
  const listed = await a.restore(there(a));
  t.is(listed.code, ExitCode.preflightRefused);
  t.regex(listed.said, /cannot look for runs on context fake[^]*run-1 \(kube-dns/);
});

test("forget: says what stays behind and how to undo it, and needs consent", async (t) => {
  const { c, a } = await twoMachines(t);
  const [run] = await a.unfinished();
  if (run === undefined) return t.fail();
  const refused = await a.forget("run-1", { yes: false });
  t.is((refused.error as ChaosError).exitCode, ExitCode.preflightRefused);
  t.regex(messageOf(refused.error), /run-1 was not forgotten: .* add --yes/);
  const file = join(run.folder, "deployment-kube-dns.json");
  t.true(
    refused.said.includes(
      `kubectl --kubeconfig ${a.kubeconfigPath} --context fake apply --server-side --force-conflicts -f ${file}`,
    ),
  );
  t.regex(
    refused.said,
    /Namespace kube-system-chaos may still exist:\n *kubectl --kubeconfig .* --context fake delete namespace -l /,
  );
  t.like(JSON.parse(await readFile(file, "utf8")), { kind: "Deployment", metadata: { name: "kube-dns" } });
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
  t.is((await a.unfinished()).length, 1);
  const { code, said } = await a.forget("run-1");
  t.is(code, ExitCode.asExpected, said);
  t.regex(said, /run run-1 is forgotten/);
  t.deepEqual(holdOf(c.server, "run-1"), ["Namespace"], "the next run is not refused");
  t.true((await readJournal(run.folder))?.closed);
  t.is(c.server.object(TARGET), undefined, "it restores nothing");
  return t.regex(messageOf((await a.forget("run-1")).error), /no unfinished run run-1/);
});

test("forget: what stays is said also when the file for it cannot be written", async (t) => {
  const { a } = await twoMachines(t);
  const [run] = await a.unfinished();
  if (run === undefined) return t.fail();
  const file = join(run.folder, "deployment-kube-dns.json");
  await mkdir(file);
  const { code, said } = await a.forget("run-1");
  t.is(code, ExitCode.asExpected, said);
  t.true(said.includes(`could not write ${file}: `), said);
  return t.regex(said, /Deployment kube-dns may be missing or changed:/);
});

test("forget: a run of another machine, by its copy", async (t) => {
  const { c, b } = await twoMachines(t);
  const { code, said } = await b.forget("run-1", there(b));
  t.is(code, ExitCode.asExpected, said);
  t.deepEqual(holdOf(c.server, "run-1"), ["Namespace"]);
  t.deepEqual(await b.unfinished(), []);
  t.regex(said, /kubectl --kubeconfig .* --context fake apply .*deployment-kube-dns\.json/);
});

test("forget: a damaged copy, and a journal that is damaged", async (t) => {
  const { c, a, b } = await twoMachines(t);
  const [run] = await a.unfinished();
  if (run === undefined) return t.fail();
  c.server.update("/api/v1/namespaces/kube-system-chaos/secrets/journal-run-1", {
    data: { "journal.gz": "eA==" },
  });
  const other = await b.forget("run-1", there(b));
  t.is(other.code, ExitCode.asExpected, String(other.error));
  t.regex(other.said, /more may be left, because .* cannot be unpacked/);
  t.deepEqual(holdOf(c.server, "run-1"), ["Namespace"]);
  const path = join(run.folder, "journal");
  await writeFile(path, (await readFile(path, "utf8")).replace('"type":"open"', '"type":"opem"'));
  const { code, said } = await a.forget("run-1", there(a));
  t.is(code, ExitCode.asExpected, said);
  t.regex(said, /Deployment kube-dns may be missing or changed/);
  t.regex(said, /more may be left, because .*its opening record is damaged/);
  return t.is(await readJournal(run.folder), undefined);
});

test("forget: planted copies, with the label or the content of another run, are removed by their names", async (t) => {
  const { c, b } = await twoMachines(t);
  const secrets = "/api/v1/namespaces/kube-system-chaos/secrets";
  const { metadata, ...copy } = c.server.object(`${secrets}/journal-run-1`) as never as Secret;
  const { labels = {} } = metadata;
  c.server.put(secrets, { ...copy, metadata: { name: "journal-content", labels } });
  const data = { "journal.gz": "eA==" };
  c.server.put(secrets, { ...copy, data, metadata: { name: "journal-label", labels } });
  for (const runId of ["content", "label"]) {
    const { code, said, error } = await b.forget(runId, there(b));
    t.is(code, ExitCode.asExpected, String(error));
    t.regex(said, /would be forgotten/);
    t.is(c.server.object(`${secrets}/journal-${runId}`), undefined);
  }
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
});

test("forget: the cluster is gone; its journal is closed all the same", async (t) => {
  const { c, a } = await twoMachines(t);
  const [run] = await a.unfinished();
  await c.server.close();
  const failed = await a.restore({ runId: "run-1" });
  t.regex(messageOf(failed.error), /no longer exists, close the run with `chaos restore --forget run-1`/);
  const { code, said } = await a.forget("run-1");
  t.is(code, ExitCode.asExpected, said);
  t.regex(said, /copy and lock in the cluster stay, if that cluster still exists/);
  t.true((await readJournal(run?.folder ?? ""))?.closed);
});

test("forget: refused while the runner renews its lock", async (t) => {
  const { c, b } = await twoMachines(t);
  b.clock.onTime = (nowMs) => lease(c.server, "run-1", `at ${nowMs}`);
  const { error } = await b.forget("run-1", there(b));
  t.regex(
    messageOf(error),
    /still renews the lock .*kubectl --kubeconfig .* --context fake -n kube-system delete lease kube-system-chaos/,
  );
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"]);
});

test("another cluster answers: the message names the way out, which works", async (t) => {
  const { c, a } = await twoMachines(t);
  c.server.put("/api/v1/namespaces", { metadata: { name: "kube-system", uid: randomUUID() } });
  const { error } = await a.restore({ runId: "run-1" });
  t.regex(messageOf(error), /was on another cluster .* close the run with `chaos restore --forget run-1`/);
  const { code, said } = await a.forget("run-1");
  t.is(code, ExitCode.asExpected, said);
  t.deepEqual(await a.unfinished(), []);
  t.deepEqual(holdOf(c.server, "run-1"), ["Lease", "Namespace", "Secret"], "another cluster's objects stay");
});

test("a node that another machine replaced, and one that was deleted: the messages name --accept-node, which works", async (t) => {
  const nodes = await fakeNodes(t, ["worker-1"]);
  const undos = await nodeUndos(KUBELET, ["worker-1"], nodes.access, "run-1");
  await stopUnit(
    { access: nodes.access, node: "worker-1" },
    { unit: "kubelet.service", timer: timerName("run-1", "kubelet.service"), healAfterMs: 90_000 },
  );
  await nodes.put("worker-1", "etc/machine-id", `${"9".repeat(32)}\n`);
  const { c, a } = await twoMachines(t, undos);
  const refused = await a.restore({ runId: "run-1" });
  t.is(refused.code, ExitCode.notRestored);
  t.regex(refused.said, /worker-1 is another machine .* add `--accept-node worker-1`/);
  const gone = nodes.path("worker-1");
  await rename(gone, `${gone}-gone`);
  c.server.remove("/api/v1/nodes/worker-1");
  const deleted = await a.restore({ runId: "run-1" });
  t.regex(
    deleted.said,
    /No such container: worker-1\. The cluster has no node worker-1 any more.*--accept-node worker-1/,
  );
  await rename(`${gone}-gone`, gone);
  const accepted = await a.restore({ runId: "run-1", acceptNodes: ["worker-1"] });
  t.is(accepted.code, ExitCode.asExpected, accepted.said);
  t.regex(accepted.said, /SystemdUnit kubelet on worker-1: started/);
  t.is(nodes.unit("worker-1", "kubelet.service"), "active");
});

test("a deleted node that the user gives up: gone, and its run is closed", async (t) => {
  const nodes = await fakeNodes(t, ["worker-1"]);
  const undos = await nodeUndos(KUBELET, ["worker-1"], nodes.access, "run-1");
  const { c, a } = await twoMachines(t, undos);
  await nodes.drop("worker-1", ".");
  c.server.remove("/api/v1/nodes/worker-1");
  const { code, said } = await a.restore({ runId: "run-1", acceptNodes: ["worker-1"] });
  t.is(code, ExitCode.asExpected, said);
  t.regex(said, /SystemdUnit kubelet on worker-1: gone/);
  t.deepEqual(await a.unfinished(), []);
});
