import { stat } from "node:fs/promises";
import test from "ava";
import {
  actBehindTimer,
  heldPath,
  holdManifest,
  inspect,
  returnManifest,
  startUnit,
  stopUnit,
  timerName,
} from "../../../src/nodes/faults.js";
import { fakeNodes, type FakeNodes, MANIFEST, MANIFEST_TEXT } from "../../helpers/fake-node.js";

const RUN = "20260801t120000z-kubelet-ab12";
const UNIT = "kubelet.service";
const TIMER = timerName(RUN, UNIT);
const HELD = heldPath(RUN, MANIFEST);
const HELD_FOLDER = HELD.replace(/\/[^/]+$/, "");
const MANIFEST_TIMER = timerName(RUN, MANIFEST);
const MACHINE = "0".repeat(32);

const unitFault = { unit: UNIT, timer: TIMER, healAfterMs: 90_000 };
const manifestFault = { manifest: MANIFEST, heldAt: HELD, timer: MANIFEST_TIMER, healAfterMs: 90_500 };
const unitUndo = { unit: UNIT, also: [], invocation: "start-1", timer: TIMER, machineId: MACHINE };
const manifestUndo = { manifest: MANIFEST, heldAt: HELD, timer: MANIFEST_TIMER, machineId: MACHINE };

const on = (nodes: FakeNodes, node = "a"): { access: FakeNodes["access"]; node: string } => ({
  access: nodes.access,
  node,
});

test("timers: one per run and fault, with characters that systemd accepts", (t) => {
  t.regex(TIMER, /^kube-system-chaos-[0-9a-f]{8}-kubelet$/);
  t.regex(MANIFEST_TIMER, /^kube-system-chaos-[0-9a-f]{8}-kube-scheduler$/);
  t.not(timerName("another-run", UNIT), TIMER);
  t.regex(timerName(RUN, "/x/odd name@1.yaml"), /^[A-Za-z0-9-]+$/);
  t.is(HELD, `/etc/kubernetes/kube-system-chaos/${RUN}/kube-scheduler.yaml`);
});

test("a unit: stopped once after its timer is set; the undo starts it and removes the timer", async (t) => {
  const nodes = await fakeNodes(t, ["a", "b"]);
  t.true(await stopUnit(on(nodes), unitFault));
  t.is(nodes.unit("a", UNIT), "inactive");
  t.deepEqual(nodes.timer("a", TIMER), { afterS: 90, command: ["systemctl", "start", UNIT] });
  t.is(nodes.unit("b", UNIT), "active");
  t.false(await stopUnit(on(nodes), unitFault), "there was nothing to stop");
  t.deepEqual(await startUnit(on(nodes), unitUndo), { how: "put-back", by: "runner" });
  t.is(nodes.unit("a", UNIT), "active");
  t.is(nodes.timer("a", TIMER), undefined);
  // The unit was started after the fault, but not by this call.
  t.deepEqual(await startUnit(on(nodes), unitUndo), { how: "found", by: "the timer on the node" });
});

test("a unit: not stopped if its timer cannot be set", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.put("a", "no-timers", "");
  await t.throwsAsync(stopUnit(on(nodes), unitFault), { message: /Failed to start transient timer unit/ });
  t.is(nodes.unit("a", UNIT), "active");
});

test("a unit: its timer undoes the fault, and the undo reports that", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await stopUnit(on(nodes), unitFault);
  await nodes.elapse("a", TIMER);
  t.is(nodes.unit("a", UNIT), "active");
  t.deepEqual(await startUnit(on(nodes), unitUndo), { how: "found", by: "the timer on the node" });
});

test("a unit: a foreign start is distinguished from the timer's start and from no fault", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  t.deepEqual(await startUnit(on(nodes), unitUndo), { how: "untouched", by: "runner" });
  await stopUnit(on(nodes), unitFault);
  await nodes.access.exec("a", ["systemctl", "start", UNIT], 30_000);
  t.deepEqual(await startUnit(on(nodes), unitUndo), { how: "found", by: "someone else on the node" });
  t.is(nodes.timer("a", TIMER), undefined);
});

test("a unit: stopped again after a foreign start, which does not postpone the timer", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await stopUnit(on(nodes), unitFault);
  await nodes.access.exec("a", ["systemctl", "start", UNIT], 30_000);
  t.true(await stopUnit(on(nodes), { ...unitFault, healAfterMs: 1_000 }));
  t.is(nodes.timer("a", TIMER)?.afterS, 90);
  await nodes.elapse("a", TIMER);
  t.true(
    await stopUnit(on(nodes), { ...unitFault, healAfterMs: 1_000 }),
    "after its timer has fired, with a new timer",
  );
  t.is(nodes.timer("a", TIMER)?.afterS, 1);
});

test("a unit: the timer and the undo also start the units that systemd stopped with it", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.put("a", "units/kubelet.service.dependents", "docker.service\nidle.service\n");
  await nodes.put("a", "units/docker.service", "active\n");
  await nodes.put("a", "units/idle.service", "inactive\n");
  const { also } = await inspect(on(nodes), { unit: UNIT });
  t.deepEqual(also, ["docker.service"], "only units that were running");
  await stopUnit(on(nodes), unitFault);
  t.is(nodes.unit("a", "docker.service"), "inactive");
  t.deepEqual(nodes.timer("a", TIMER)?.command, ["systemctl", "start", UNIT, "docker.service"]);
  await startUnit(on(nodes), { ...unitUndo, also });
  t.is(nodes.unit("a", "docker.service"), "active");
  t.is(nodes.unit("a", "idle.service"), "inactive");
});

test("a unit: an attack may have its own fault and undo, after setting the same timer", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  const fault = 'arm systemctl restart "$1"\nsystemctl stop "$1"\necho acted';
  t.true(await actBehindTimer(on(nodes), unitFault, fault, [UNIT]));
  t.deepEqual(nodes.timer("a", TIMER), { afterS: 90, command: ["systemctl", "restart", UNIT] });
  const own = { state: 'systemctl is-active "$1"', undo: 'systemctl start "$1"' };
  await t.throwsAsync(startUnit(on(nodes), unitUndo, { ...own, undo: "true" }), {
    message: /is inactive after the undo/,
  });
  t.deepEqual(await startUnit(on(nodes), unitUndo, own), { how: "put-back", by: "runner" });
  t.is(nodes.timer("a", TIMER), undefined);
});

test("a unit that does not stop or start is an error; its timer stays", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.put("a", "units/kubelet.service.stubborn", "");
  await t.throwsAsync(stopUnit(on(nodes), unitFault), {
    message: /kubelet.service is active after systemctl stop/,
  });
  await nodes.drop("a", "units/kubelet.service.stubborn");
  await stopUnit(on(nodes), unitFault);
  await nodes.put("a", "units/kubelet.service.fails", "");
  await t.throwsAsync(startUnit(on(nodes), unitUndo), { message: /is failed after the undo/ });
  t.not(nodes.timer("a", TIMER), undefined, "the timer can still undo the fault");
});

test("another machine with the same name is not changed", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await stopUnit(on(nodes), unitFault);
  await holdManifest(on(nodes), manifestFault);
  const machineId = "f".repeat(32);
  await t.throwsAsync(startUnit(on(nodes), { ...unitUndo, machineId }), {
    message: /another machine.*add `--accept-node a`/,
  });
  await t.throwsAsync(returnManifest(on(nodes), { ...manifestUndo, machineId }), {
    message: /another machine/,
  });
  t.is(nodes.unit("a", UNIT), "inactive");
  t.is(nodes.text("a", MANIFEST), undefined);
  t.not(nodes.timer("a", TIMER), undefined);
});

const [UUID, OTHER_UUID] = ["a01b0912-8ed2-471c-8926-e31c2d08b1e9", "d99d7562-e9ec-4803-9125-1e76aa359ef8"];

/** A start of the machine: a new boot or a new first process. */
async function started(nodes: FakeNodes, boot: string, ticks: number): Promise<void> {
  await nodes.put("a", "proc/sys/kernel/random/boot_id", `${boot}\n`);
  const before = Array.from({ length: 18 }, () => "0").join(" ");
  await nodes.put("a", "proc/1/stat", `1 (systemd (x)) S ${before} ${ticks} 9 9\n`);
}

/** A kind node as its entrypoint leaves it: a new machine id, and no transient unit of before. */
async function restartKindNode(nodes: FakeNodes, ticks: number): Promise<void> {
  await started(nodes, "boot-1", ticks);
  await nodes.put("a", "etc/machine-id", `${String(ticks % 10).repeat(32)}\n`);
  for (const timer of [TIMER, MANIFEST_TIMER])
    if (nodes.timer("a", timer) !== undefined) await nodes.drop("a", `units/${timer}.timer`);
  await nodes.access.exec("a", ["systemctl", "start", UNIT], 30_000);
}

test("a restarted kind node: recognised by its UUID; what healed by itself is found, what has not is undone", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.put("a", "kind/product_uuid", `${UUID}\n`);
  await started(nodes, "boot-1", 100);
  const { machine } = await inspect(on(nodes), { unit: UNIT });
  t.deepEqual(machine, { machineId: MACHINE, hardware: UUID, started: "boot-1/100" });
  await stopUnit(on(nodes), unitFault);
  await holdManifest(on(nodes), manifestFault);
  await restartKindNode(nodes, 207);
  t.is(nodes.text("a", MANIFEST), undefined, "a restart does not bring it back");
  t.deepEqual(await startUnit(on(nodes), { ...unitUndo, ...machine }), {
    how: "found",
    by: "systemd when the node restarted",
  });
  t.deepEqual(await returnManifest(on(nodes), { ...manifestUndo, ...machine }), {
    how: "put-back",
    by: "runner",
  });
  t.is(nodes.text("a", MANIFEST), MANIFEST_TEXT);
  await nodes.put("a", "kind/product_uuid", OTHER_UUID);
  await t.throwsAsync(startUnit(on(nodes), { ...unitUndo, ...machine }), { message: /another machine/ });
});

test("a kind node that restarted: its unit is not enabled, so the undo starts it", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.put("a", "kind/product_uuid", UUID);
  const { machine } = await inspect(on(nodes), { unit: UNIT });
  await restartKindNode(nodes, 207);
  await nodes.put("a", `units/${UNIT}`, "inactive\n");
  t.deepEqual(await startUnit(on(nodes), { ...unitUndo, ...machine }), { how: "put-back", by: "runner" });
});

test("a machine is identified by its hardware's UUID, a container never by its host's", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  const hardware = async (): Promise<string | undefined> =>
    (await inspect(on(nodes), { unit: UNIT })).machine.hardware;
  t.is(await hardware(), undefined);
  await nodes.put("a", "sys/class/dmi/id/product_uuid", UUID);
  t.is(await hardware(), UUID);
  for (const junk of ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"]) {
    await nodes.put("a", "sys/class/dmi/id/product_uuid", junk);
    t.is(await hardware(), undefined, junk);
  }
  await nodes.put("a", "sys/class/dmi/id/product_uuid", UUID);
  await nodes.program("a", "../bin/systemd-detect-virt", "exit 0");
  t.is(await hardware(), undefined, "in a container");
  await nodes.put("a", "kind/product_uuid", OTHER_UUID);
  t.is(await hardware(), OTHER_UUID);
});

test("another machine that the user accepts: what it lacks is undone, and what it never had is gone", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  const accepted = { machineId: "f".repeat(32), accept: true };
  await stopUnit(on(nodes), unitFault);
  t.deepEqual(await startUnit(on(nodes), { ...unitUndo, ...accepted }), { how: "put-back", by: "runner" });
  t.like(await startUnit(on(nodes), { ...unitUndo, ...accepted }), {
    how: "found",
    by: "the machine that replaced the node's",
  });
  const none = { ...unitUndo, unit: "crio.service", ...accepted };
  t.like(await startUnit(on(nodes), none), { how: "gone" });
  await holdManifest(on(nodes), manifestFault);
  t.like(await returnManifest(on(nodes), { ...manifestUndo, ...accepted }), { how: "put-back" });
  await nodes.drop("a", MANIFEST);
  t.like(await returnManifest(on(nodes), { ...manifestUndo, ...accepted }), { how: "gone" });
});

test("inspect: machine, state and current start", async (t) => {
  const nodes = await fakeNodes(t, ["a", "b"]);
  t.deepEqual(await inspect(on(nodes, "b"), { unit: UNIT }), {
    machine: { machineId: "1".repeat(32) },
    state: "active",
    invocation: "start-1",
    also: [],
  });
  t.like(await inspect(on(nodes), { manifest: MANIFEST }), {
    machine: { machineId: MACHINE },
    state: "there",
  });
  await nodes.drop("a", MANIFEST);
  t.is((await inspect(on(nodes), { manifest: MANIFEST })).state, "");
  t.is((await inspect(on(nodes), { unit: "none.service" })).state, "inactive");
  await nodes.put("a", "etc/machine-id", "uninitialized\n");
  await t.throwsAsync(inspect(on(nodes), { unit: UNIT }), { message: /a has no machine id/ });
});

test("a manifest: moved away unchanged after its timer is set, and moved back", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  t.true(await holdManifest(on(nodes), manifestFault));
  t.is(nodes.text("a", MANIFEST), undefined);
  t.is(nodes.text("a", HELD), MANIFEST_TEXT);
  t.is((await stat(nodes.path("a", HELD))).mode & 0o777, 0o600);
  t.is((await stat(nodes.path("a", HELD_FOLDER))).mode & 0o777, 0o700);
  t.deepEqual(nodes.timer("a", MANIFEST_TIMER), {
    afterS: 91,
    command: ["mv", "-n", nodes.path("a", HELD), nodes.path("a", MANIFEST)],
  });
  t.false(await holdManifest(on(nodes), manifestFault));
  t.deepEqual(await returnManifest(on(nodes), manifestUndo), { how: "put-back", by: "runner" });
  t.is(nodes.text("a", MANIFEST), MANIFEST_TEXT);
  t.is((await stat(nodes.path("a", MANIFEST))).mode & 0o777, 0o600);
  t.is(nodes.timer("a", MANIFEST_TIMER), undefined);
  await t.throwsAsync(stat(nodes.path("a", "etc/kubernetes/kube-system-chaos")), { code: "ENOENT" });
  t.deepEqual(await returnManifest(on(nodes), manifestUndo), { how: "untouched", by: "runner" });
});

test("a manifest: not moved if its timer cannot be set", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.put("a", "no-timers", "");
  await t.throwsAsync(holdManifest(on(nodes), manifestFault), { message: /Failed to start transient/ });
  t.is(nodes.text("a", MANIFEST), MANIFEST_TEXT);
  t.deepEqual(await returnManifest(on(nodes), manifestUndo), { how: "untouched", by: "runner" });
});

test("a manifest: its timer moves it back, and the undo reports that", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await holdManifest(on(nodes), manifestFault);
  await nodes.elapse("a", MANIFEST_TIMER);
  t.is(nodes.text("a", MANIFEST), MANIFEST_TEXT);
  t.deepEqual(await returnManifest(on(nodes), manifestUndo), { how: "found", by: "the timer on the node" });
  await t.throwsAsync(stat(nodes.path("a", HELD_FOLDER)), { code: "ENOENT" });
});

test("a manifest that reappears is moved away again; the undo restores the first one, and nothing is lost", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await holdManifest(on(nodes), manifestFault);
  await nodes.put("a", MANIFEST, MANIFEST_TEXT);
  t.true(await holdManifest(on(nodes), manifestFault), "the same content");
  await nodes.put("a", MANIFEST, "kind: Other\n");
  t.true(await holdManifest(on(nodes), manifestFault), "another content");
  t.is(nodes.text("a", MANIFEST), undefined);
  t.deepEqual(await returnManifest(on(nodes), manifestUndo), { how: "put-back", by: "runner" });
  t.is(nodes.text("a", MANIFEST), MANIFEST_TEXT);
  const left = await nodes.access.exec("a", ["sh", "-c", `cat ${HELD_FOLDER}/*`], 30_000);
  t.is(left, "kind: Other");
});

test("a manifest restored by someone else: reported; different content stays, and the original is kept", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await holdManifest(on(nodes), manifestFault);
  await nodes.put("a", MANIFEST, MANIFEST_TEXT);
  t.deepEqual(await returnManifest(on(nodes), manifestUndo), {
    how: "found",
    by: "someone else on the node",
  });
  t.is(nodes.text("a", HELD), undefined);
  await holdManifest(on(nodes), manifestFault);
  await nodes.put("a", MANIFEST, "kind: Other\n");
  const { how, by } = await returnManifest(on(nodes), manifestUndo);
  t.is(how, "found");
  t.regex(
    by,
    /someone else on the node \(with different content: the original is kept in .*kube-scheduler.yaml\)/,
  );
  t.is(nodes.text("a", MANIFEST), "kind: Other\n");
  t.is(nodes.text("a", HELD), MANIFEST_TEXT);
});

test("a manifest that does not exist is an error", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  await nodes.drop("a", MANIFEST);
  await t.throwsAsync(holdManifest(on(nodes), manifestFault), {
    message: /kube-scheduler.yaml does not exist/,
  });
  await t.throwsAsync(returnManifest(on(nodes), manifestUndo), { message: /neither .* nor .* exists/ });
  t.is(nodes.timer("a", MANIFEST_TIMER), undefined);
});
