import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { AttackContext, RunningAttack } from "../../../src/attacks/attack.js";
import { createAttack } from "../../../src/attacks/all-attacks.js";
import { heldPath, timerName, rearm } from "../../../src/nodes/faults.js";
import { ChaosError } from "../../../src/common/errors.js";
import type { Attack as AttackSpec } from "../../../src/experiment/schema.js";
import type { NodeUndo } from "../../../src/safety/journal/journal.js";
import { undoOnNode } from "../../../src/safety/restore/on-node.js";
import { nodeUndos, undo } from "../../../src/safety/restore/undo-entries.js";
import type { NodeTarget } from "../../../src/targets/node-target.js";
import type { Target } from "../../../src/targets/target.js";
import type { Transport } from "../../../src/kube/transport.js";
import { fakeNodes, type FakeNodes, MANIFEST, MANIFEST_TEXT } from "../../helpers/fake-node.js";
import { until } from "../../helpers/target-fixtures.js";

const RUN = "20260801t120000z-kubelet-ab12";
const COMMON = { nodes: ["a", "b", "c"], count: 3, images: [], services: [], ownerChain: [] } as const;
const KUBELET: NodeTarget = {
  ...COMMON,
  kind: "SystemdUnit",
  name: "kubelet",
  namespace: "",
  unit: "kubelet.service",
  labels: {},
};
const SCHEDULER: NodeTarget = {
  ...COMMON,
  kind: "StaticPod",
  name: "kube-scheduler",
  namespace: "kube-system",
  manifest: MANIFEST,
  labels: { component: "kube-scheduler" },
};
const UNIT_SPEC: AttackSpec = { type: "systemd-unit", nodes: "one" };
const POD_SPEC: AttackSpec = { type: "static-pod", nodes: "one" };
const TIMER = timerName(RUN, "kubelet.service");
const HELD = heldPath(RUN, MANIFEST);

/** Neither attack nor undo may need the API server: it may be what is down. */
const NO_API = new Proxy({} as Transport, {
  get: (_target, name) => {
    throw new Error(`the API server was asked (${String(name)})`);
  },
});

interface Attacked {
  readonly nodes: FakeNodes;
  readonly running: RunningAttack;
  readonly events: { body: RunEventBody; tMs: number | undefined }[];
  kills(): Extract<RunEventBody, { type: "kill" }>[];
  /** Starts the timers that are due after this many ms. */
  advance(ms: number): number;
  /** The same, and waits until each check has set the timer of the next. */
  pass(ms: number): Promise<void>;
}

async function attacked(
  t: ExecutionContext,
  spec: AttackSpec,
  change: {
    target?: NodeTarget;
    on?: readonly string[];
    prepare?: (nodes: FakeNodes) => Promise<void>;
    undoKill?: (nodes: FakeNodes) => Promise<void>;
  } = {},
): Promise<Attacked> {
  const nodes = await fakeNodes(t, ["a", "b", "c"]);
  await change.prepare?.(nodes);
  let now = 0;
  let timers: { at: number; work: () => void }[] = [];
  const events: Attacked["events"] = [];
  const { undoKill } = change;
  const context: AttackContext = {
    transport: NO_API,
    target: change.target ?? (spec.type === "static-pod" ? SCHEDULER : KUBELET),
    watch: { attacked: change.on ?? ["a", "b"] } as never,
    emit: (body, tMs) => events.push({ body, tMs }),
    runId: RUN,
    now: () => now,
    after: (ms, work) => timers.push({ at: now + ms, work }),
    node: { access: nodes.access, healAfterMs: 120_000 },
    ...(undoKill === undefined ? {} : { undoKill: async () => await undoKill(nodes) }),
  };
  const advance = (ms: number): number => {
    now += ms;
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { work } of due) work();
    return due.length;
  };
  const running = createAttack(spec).start(context);
  t.teardown(async () => await running.stop());
  return {
    nodes,
    running,
    events,
    kills: () => events.flatMap(({ body }) => (body.type === "kill" ? [body] : [])),
    advance,
    pass: async (ms) => {
      const due = advance(ms);
      await until("what was due is done", () => timers.length >= due);
    },
  };
}

test("systemd-unit: stopped on the attacked nodes and no other, behind a timer on each", async (t) => {
  const a = await attacked(t, UNIT_SPEC);
  await until("both are stopped", () => a.running.kills === 2);
  t.deepEqual(
    ["a", "b", "c"].map((node) => a.nodes.unit(node, "kubelet.service")),
    ["inactive", "inactive", "active"],
  );
  for (const node of ["a", "b"]) t.is(a.nodes.timer(node, TIMER)?.afterS, 120);
  t.is(a.nodes.timer("c", TIMER), undefined);
  t.deepEqual(
    a
      .kills()
      .map(({ object, reason, action, status }) => ({ object, reason, action, status }))
      .sort((x, y) => x.object.name.localeCompare(y.object.name)),
    ["a", "b"].map((node) => ({
      object: { kind: "SystemdUnit", name: `kubelet on ${node}` },
      reason: "initial" as const,
      action: "unit-stopped" as const,
      status: 200,
    })),
  );
  t.is(a.running.lastError, undefined);
});

test("systemd-unit: while the runner lives, the timer restarts every 15 s; a timer that has fired does not", async (t) => {
  const a = await attacked(t, UNIT_SPEC, { on: ["a"] });
  await until("it is stopped", () => a.running.kills === 1);
  const restarts = (): number =>
    (a.nodes.text("a", `units/${TIMER}.timer.restarts`) ?? "").split("x").length - 1;
  for (let seconds = 2; seconds <= 14; seconds += 2) await a.pass(2_000);
  t.is(restarts(), 0);
  await a.pass(2_000);
  t.is(restarts(), 1);
  for (let seconds = 2; seconds <= 16; seconds += 2) await a.pass(2_000);
  t.is(restarts(), 2);
  await a.running.stop();
  await a.nodes.elapse("a", TIMER);
  t.is(a.nodes.unit("a", "kubelet.service"), "active");
  await rearm({ access: a.nodes.access, node: "a" }, TIMER);
  t.is(restarts(), 2);
  t.is(a.nodes.timer("a", TIMER), undefined);
});

test("systemd-unit: found started, it is stopped again; a check that fails is not a kill", async (t) => {
  const a = await attacked(t, UNIT_SPEC, { on: ["a"] });
  await until("it is stopped", () => a.running.kills === 1);
  await a.pass(2_000);
  t.is(a.kills().length, 1, "down: nothing to do");
  await a.nodes.access.exec("a", ["systemctl", "start", "kubelet"], 5_000);
  await a.pass(2_000);
  t.is(a.nodes.unit("a", "kubelet.service"), "inactive");
  t.deepEqual(
    a.kills().map(({ reason }) => reason),
    ["initial", "recreated"],
  );
  await a.nodes.put("a", "broken", "");
  await a.pass(2_000);
  t.is(a.kills().length, 2, "a failed check is not a kill");
  t.regex(a.running.lastError?.message ?? "", /the node is broken/);
  await a.nodes.drop("a", "broken");
  await a.pass(5_000);
  t.is(a.running.lastError, undefined);
});

test("systemd-unit: without its timer it is not stopped; the error is reported and the kill retried", async (t) => {
  const a = await attacked(t, UNIT_SPEC, {
    on: ["a"],
    prepare: async (nodes) => await nodes.put("a", "no-timers", ""),
  });
  await until("it failed", () => a.running.lastError !== undefined);
  t.is(a.nodes.unit("a", "kubelet.service"), "active");
  t.like(a.kills()[0], { reason: "initial", status: 0 });
  await a.pass(500);
  t.is(a.kills().length, 2);
  await a.nodes.drop("a", "no-timers");
  await a.pass(1_000);
  t.is(a.nodes.unit("a", "kubelet.service"), "inactive");
  t.like(a.kills()[2], { reason: "initial", status: 200 });
  t.is(a.running.kills, 1);
});

test("systemd-unit: after stop no unit is stopped, and stop waits for what is in flight", async (t) => {
  const a = await attacked(t, UNIT_SPEC, { on: ["a"] });
  await a.running.stop();
  t.is(a.running.kills, 1, "its answer is in");
  await a.nodes.access.exec("a", ["systemctl", "start", "kubelet"], 5_000);
  await a.pass(60_000);
  t.is(a.nodes.unit("a", "kubelet.service"), "active");
});

test("static-pod: its manifest is moved away behind a timer, again when it reappears", async (t) => {
  const a = await attacked(t, POD_SPEC, { on: ["a"] });
  await until("it is moved", () => a.running.kills === 1);
  t.is(a.nodes.text("a", MANIFEST), undefined);
  t.is(a.nodes.text("a", HELD), MANIFEST_TEXT);
  t.not(a.nodes.timer("a", timerName(RUN, MANIFEST)), undefined);
  t.like(a.kills()[0], {
    object: { kind: "StaticPod", name: "kube-scheduler on a" },
    reason: "initial",
    action: "manifest-moved",
    status: 200,
  });
  await a.nodes.put("a", MANIFEST, MANIFEST_TEXT);
  await a.pass(2_000);
  t.is(a.nodes.text("a", MANIFEST), undefined);
  t.is(a.kills()[1]?.reason, "recreated");
  t.is(a.nodes.text("b", MANIFEST), MANIFEST_TEXT);
});

for (const [spec, target, down] of [
  [UNIT_SPEC, KUBELET, (nodes: FakeNodes) => nodes.unit("a", "kubelet.service") === "inactive"],
  [POD_SPEC, SCHEDULER, (nodes: FakeNodes) => nodes.text("a", MANIFEST) === undefined],
] as const) {
  test(`${spec.type}: recorded before, undone after, and nothing of it is left`, async (t) => {
    let entries: NodeUndo[] = [];
    const a = await attacked(t, spec, {
      on: ["a"],
      prepare: async (nodes) => {
        entries = await nodeUndos(target, ["a"], nodes.access, RUN);
      },
    });
    await until("it is down", () => a.running.kills === 1);
    t.true(down(a.nodes));
    await a.running.stop();
    const [entry, ...others] = JSON.parse(JSON.stringify(entries)) as NodeUndo[];
    if (entry === undefined) throw new Error("no entry");
    t.deepEqual(others, []);
    t.deepEqual(entry.access, a.nodes.access.spec);
    // By what the journal says alone, and without the API.
    const undone = await undo(NO_API, entry);
    t.deepEqual(undone, {
      object: { kind: target.kind, name: `${target.name} on a` },
      how: spec.type === "systemd-unit" ? "started" : "returned",
      by: "runner",
    });
    t.false(down(a.nodes));
    t.is(a.nodes.timer("a", entry.timer), undefined);
    t.is((await undo(NO_API, entry)).how === "started", false, "twice is once");
  });

  test(`${spec.type}: the timer undoes the attack of a runner that died`, async (t) => {
    const a = await attacked(t, spec, { on: ["a"] });
    await until("it is down", () => a.running.kills === 1);
    await a.running.stop();
    await a.nodes.elapse("a", timerName(RUN, spec.type === "systemd-unit" ? "kubelet.service" : MANIFEST));
    t.false(down(a.nodes));
  });

  test(`${spec.type}: flapping: down, undone from the journal, down again behind a new timer`, async (t) => {
    let entries: NodeUndo[] = [];
    const a = await attacked(
      t,
      { ...spec, every: 10_000 },
      {
        on: ["a"],
        prepare: async (nodes) => {
          entries = await nodeUndos(target, ["a"], nodes.access, RUN);
        },
        undoKill: async (nodes) => {
          for (const entry of entries) await undo(NO_API, entry, { access: nodes.access });
        },
      },
    );
    await until("it is down", () => down(a.nodes) && a.running.kills === 1);
    a.advance(5_000);
    await until("the let-up event comes", () => a.events.some(({ body }) => body.type === "let-up"));
    t.false(down(a.nodes));
    t.is(a.nodes.timer("a", entries[0]?.timer ?? ""), undefined);
    a.advance(5_000);
    await until("it is down again", () => a.running.kills === 2);
    t.true(down(a.nodes));
    t.not(a.nodes.timer("a", entries[0]?.timer ?? ""), undefined);
    t.deepEqual(
      a.kills().map(({ reason }) => reason),
      ["initial", "recreated"],
    );
  });
}

test("recorded: nothing is recorded for a node on which the target does not run", async (t) => {
  const nodes = await fakeNodes(t, ["a", "b"]);
  await nodes.put("b", "units/kubelet.service", "failed\n");
  const refused = { instanceOf: ChaosError };
  await t.throwsAsync(nodeUndos(KUBELET, ["a", "b"], nodes.access, RUN), {
    ...refused,
    message: "cannot attack kubelet on b: kubelet.service is failed, not active. Start it first",
  });
  await nodes.drop("b", MANIFEST);
  await t.throwsAsync(nodeUndos(SCHEDULER, ["a", "b"], nodes.access, RUN), {
    ...refused,
    message: `cannot attack kube-scheduler on b: ${MANIFEST} does not exist. Check that it runs there as a static pod`,
  });
  await t.throwsAsync(nodeUndos({ ...KUBELET, kind: "StaticPod" }, ["a"], nodes.access, RUN), refused);
  t.deepEqual(await nodeUndos(KUBELET, ["a"], nodes.access, RUN), [
    {
      action: "start-unit",
      object: { kind: "SystemdUnit", name: "kubelet on a" },
      node: "a",
      access: nodes.access.spec,
      unit: "kubelet.service",
      also: [],
      invocation: "start-1",
      timer: TIMER,
      machineId: "0".repeat(32),
    },
  ]);
});

test("recorded: an undo that this version does not have is not guessed, and its timer stays", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  const [entry] = await nodeUndos(KUBELET, ["a"], nodes.access, RUN, "systemd-unit");
  t.false("attack" in entry!, "its undo is the one that every version has");
  for (const attack of ["of-a-later-version", "constructor", "none"]) {
    const unknown = { ...entry, attack } as NodeUndo;
    await t.throwsAsync(undoOnNode(unknown, { access: nodes.access }), { message: /cannot undo the attack/ });
  }
});

test("plans: the timer first, then the fault; by name", async (t) => {
  await Promise.resolve();
  t.deepEqual(createAttack(UNIT_SPEC).plan(KUBELET), [
    "set a systemd timer on each attacked node that starts kubelet.service if the runner does not",
    "stop kubelet.service on the node",
    "stop it again whenever it was started",
  ]);
  t.regex(
    createAttack(POD_SPEC).plan(SCHEDULER).join("\n"),
    /timer.*moves .*kube-scheduler.yaml back.*\nmove .*into/s,
  );
});

test("an attack that does not fit its target is refused at the start", (t) => {
  const context = {
    transport: NO_API,
    watch: { attacked: ["a"] },
    emit: () => undefined,
    runId: RUN,
    now: () => 0,
    after: () => undefined,
  } as unknown as AttackContext;
  const workload = { kind: "Deployment", name: "kube-dns" } as Target;
  for (const type of ["systemd-unit", "static-pod"] as const) {
    const attack = createAttack({ type, nodes: "one" });
    t.throws(() => attack.start({ ...context, target: workload }), { message: /is a workload/ });
    t.throws(() => attack.start({ ...context, target: KUBELET }), {
      message: /there is no access to its nodes/,
    });
  }
  for (const spec of [
    { type: "delete-pods", gracePeriod: 1000, delay: 0 },
    { type: "delete-workload", gracePeriod: 1000 },
  ] as const) {
    t.throws(() => createAttack(spec).start({ ...context, target: KUBELET }), {
      message: /kubelet is not a workload/,
    });
  }
});
