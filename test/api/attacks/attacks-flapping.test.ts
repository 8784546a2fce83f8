import test from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { Attack, AttackContext, RunningAttack } from "../../../src/attacks/attack.js";
import { flapping } from "../../../src/attacks/flapping.js";
import { createAttack } from "../../../src/attacks/all-attacks.js";
import type { Target } from "../../../src/targets/target.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import type { NodeTarget } from "../../../src/targets/node-target.js";

const OBJECT = { metadata: { name: "kube-dns", namespace: "kube-system", uid: "u", resourceVersion: "1" } };
const TARGET = {
  kind: "Deployment",
  name: "kube-dns",
  namespace: "kube-system",
  object: OBJECT,
} as unknown as Target;
const UNIT = { kind: "SystemdUnit", name: "kubelet" } as unknown as NodeTarget;

/** A clock that is moved by hand, an attack that only counts, and what happened, in order. */
class Bench {
  now = 0;
  readonly story: string[] = [];
  /** The target's pods, as the watch has them. */
  pods: KubeObject[] = [];
  readonly events: { body: RunEventBody; tMs: number }[] = [];
  /** If set, resolved by hand: the end of a kill, or an undo, that takes longer. */
  stopping: Promise<void> = Promise.resolve();
  undoing: Promise<void> = Promise.resolve();
  readonly context: AttackContext;
  #timers: { at: number; work: () => void }[] = [];

  constructor(change: Partial<AttackContext> = {}) {
    this.context = {
      transport: undefined as never,
      target: TARGET,
      watch: { attacked: ["a", "b"], current: () => this.pods } as never,
      emit: (body, tMs) => {
        this.events.push({ body, tMs: tMs ?? this.now });
        if (body.type === "let-up") this.#note(`let-up event of ${body.object.name}`);
      },
      runId: "run-1",
      now: () => this.now,
      after: (ms, work) => this.#timers.push({ at: this.now + ms, work }),
      undoKill: async () => {
        this.#note("undo");
        await this.undoing;
      },
      ...change,
    };
  }

  readonly attack: Attack = {
    type: "counted",
    plan: () => ["take it down", "again when it comes back"],
    start: (context): RunningAttack => {
      this.#note("down");
      const object = { kind: "Deployment", name: "kube-dns" };
      context.emit({ type: "kill", object, reason: "initial", status: 200, tookMs: 1 }, this.now);
      return {
        kills: 2,
        lastError: undefined,
        stop: async () => {
          this.#note("stop");
          await this.stopping;
        },
      };
    },
  };

  #note(what: string): void {
    this.story.push(`${this.now} ${what}`);
  }

  /** Moves the clock and runs every timer that is due. */
  async until(ms: number): Promise<void> {
    for (; this.now <= ms; this.now += 100) {
      const due = this.#timers.filter(({ at }) => at <= this.now);
      this.#timers = this.#timers.filter(({ at }) => at > this.now);
      for (const { work } of due) work();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test("down for half of the interval, undone for the other half, at a fixed rate", async (t) => {
  const b = new Bench();
  const running = flapping(b.attack, { every: 10_000, comesBack: false }).start(b.context);
  await b.until(22_000);
  t.deepEqual(b.story, [
    "0 down",
    "5000 stop",
    "5000 undo",
    "5000 let-up event of kube-dns",
    "10000 down",
    "15000 stop",
    "15000 undo",
    "15000 let-up event of kube-dns",
    "20000 down",
  ]);
  t.is(running.kills, 6);
  t.deepEqual(
    b.events.flatMap(({ body }) => (body.type === "kill" ? [body.reason] : [])),
    ["initial", "recreated", "recreated"],
  );
  t.like(b.events.find(({ body }) => body.type === "let-up")?.body, {
    object: { kind: "Deployment", namespace: "kube-system", name: "kube-dns", uid: "u" },
  });
  await running.stop();
  await b.until(60_000);
  t.is(b.story.at(-1), "22100 stop");
});

const pod = (ready: boolean): KubeObject =>
  ({
    metadata: { name: "p", uid: "p", deletionTimestamp: "2020-01-01T00:00:00Z" },
    status: { conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  }) as unknown as KubeObject;

test("a target that its controller brings back is killed until no pod of it is ready, and the runner undoes nothing", async (t) => {
  const b = new Bench({ undoKill: undefined as never });
  b.pods = [pod(false), pod(true)];
  const running = flapping(b.attack, { every: 4_000, comesBack: true }).start(b.context);
  await b.until(1_400);
  t.deepEqual(b.story, ["0 down"], "a terminating pod that is ready still serves");
  b.pods = [pod(false)];
  await b.until(7_000);
  t.deepEqual(b.story, ["0 down", "1500 stop", "4000 down", "4100 stop"]);
  t.is(running.kills, 4);
  await running.stop();
});

test("a target that does not go down is left alone for half of each interval", async (t) => {
  const b = new Bench({ undoKill: undefined as never });
  b.pods = [pod(true)];
  const running = flapping(b.attack, { every: 4_000, comesBack: true }).start(b.context);
  await b.until(7_000);
  t.deepEqual(b.story, ["0 down", "2000 stop", "4000 down", "6000 stop"]);
  await running.stop();
  await b.until(30_000);
  t.is(b.story.filter((line) => line.endsWith(" down")).length, 2);
});

test("an undo that takes longer delays the next kill, and two never overlap", async (t) => {
  const b = new Bench();
  let end = (): void => undefined;
  b.undoing = new Promise((resolve) => (end = resolve));
  const running = flapping(b.attack, { every: 4_000, comesBack: false }).start(b.context);
  await b.until(6_900);
  end();
  await b.until(7_500);
  t.deepEqual(b.story, ["0 down", "2000 stop", "2000 undo", "7000 let-up event of kube-dns", "7100 down"]);
  await running.stop();
});

test("an undo that fails is a warning, and the next kill follows anyway", async (t) => {
  const b = new Bench({ undoKill: async () => await Promise.reject(new Error("not to be reached")) });
  const running = flapping(b.attack, { every: 4_000, comesBack: false }).start(b.context);
  await b.until(5_000);
  t.deepEqual(b.story, ["0 down", "2000 stop", "4000 down"]);
  t.deepEqual(
    b.events.flatMap(({ body }) => (body.type === "warning" ? [body.text] : [])),
    ["could not undo the attack between two kills: not to be reached"],
  );
  await running.stop();
});

test("stopped while the target is down, while a kill ends and during an undo: nothing more is done", async (t) => {
  const down = new Bench();
  const first = flapping(down.attack, { every: 10_000, comesBack: false }).start(down.context);
  await down.until(1_000);
  await first.stop();
  await down.until(40_000);
  t.deepEqual(down.story, ["0 down", "1100 stop"], "the release undoes it");

  const ending = new Bench();
  let end = (): void => undefined;
  ending.stopping = new Promise((resolve) => (end = resolve));
  const second = flapping(ending.attack, { every: 10_000, comesBack: false }).start(ending.context);
  await ending.until(6_000);
  const stopping = second.stop();
  end();
  await stopping;
  await ending.until(40_000);
  t.false(ending.story.some((line) => line.includes("undo")));

  const up = new Bench();
  let finish = (): void => undefined;
  up.undoing = new Promise((resolve) => (finish = resolve));
  const third = flapping(up.attack, { every: 10_000, comesBack: false }).start(up.context);
  await up.until(6_000);
  let stopped = false;
  const waiting = third.stop().then(() => (stopped = true));
  await up.until(7_000);
  t.false(stopped, "stop waits for the undo in flight: it must not overlap with the release");
  finish();
  await waiting;
  await up.until(40_000);
  t.is(up.story.filter((line) => line.endsWith(" down")).length, 1);
});

test("on nodes there is one let-up event per node", async (t) => {
  const b = new Bench({ target: UNIT, node: {} as never });
  const running = flapping(b.attack, { every: 4_000, comesBack: false }).start(b.context);
  await b.until(2_000);
  t.deepEqual(
    b.events.flatMap(({ body }) => (body.type === "let-up" ? [body.object.name] : [])),
    ["kubelet on a", "kubelet on b"],
  );
  await running.stop();
});

test("without a way to undo a kill nothing begins", (t) => {
  const b = new Bench({ undoKill: undefined as never });
  t.throws(() => flapping(b.attack, { every: 4_000, comesBack: false }).start(b.context), {
    message: /^cannot flap kube-dns: there is no way to undo a kill$/,
  });
  t.deepEqual(b.story, []);
});

test("the plan says how often, and how it comes back", (t) => {
  const b = new Bench();
  t.deepEqual(flapping(b.attack, { every: 10_000, comesBack: false }).plan(TARGET), [
    "every 10 s:",
    "take it down",
    "again when it comes back",
    "undo it 5 s after each kill",
  ]);
  t.deepEqual(flapping(b.attack, { every: 2_500, comesBack: true }).plan(TARGET), [
    "every 2.5 s:",
    "take it down",
    "again when it comes back",
    "stop when no pod of it is ready: its controller brings it back",
  ]);
  t.is(createAttack({ type: "scale-to-zero", every: 10_000 }).plan(TARGET)[0], "every 10 s:");
  t.not(createAttack({ type: "scale-to-zero" }).plan(TARGET)[0], "every 10 s:");
});
