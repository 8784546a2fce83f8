/** The release of a fault on many nodes, most of which cannot be reached. */
import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { NodeAccess } from "../../../src/nodes/spec.js";
import type { RunContext } from "../../../src/run/context.js";
import { GivingUp } from "../../../src/run/giving-up.js";
import { release } from "../../../src/run/phases/release.js";
import type { NodeUndo, PendingUndo } from "../../../src/safety/journal/journal.js";
import type { NodeTarget } from "../../../src/targets/node-target.js";
import { serve } from "../../helpers/target-fixtures.js";

const NODE_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const ATTEMPT_MS = 60_000;
const NODES = Array.from({ length: 20 }, (_, index) => `worker-${index + 1}`);

/** A clock on which several sleep at the same time: it goes to the next end of a sleep when nothing else happens. */
class SharedClock {
  nowMs = 0;
  readonly #sleepers: { atMs: number; wake: () => void }[] = [];
  readonly now = (): number => this.nowMs;
  readonly wall = (): Date => new Date(this.nowMs);
  sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    if (signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      this.#sleepers.push({ atMs: this.nowMs + ms, wake: resolve });
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  };
  /** Lets time pass until the work is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    void work.finally(() => (isDone = true)).catch(() => undefined);
    for (;;) {
      // Requests to the fake API server take real time.
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (isDone) return await work;
      this.#sleepers.sort((a, b) => a.atMs - b.atMs);
      const next = this.#sleepers[0];
      if (next === undefined) continue;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      while (this.#sleepers[0] !== undefined && this.#sleepers[0].atMs <= this.nowMs)
        this.#sleepers.shift()?.wake();
    }
  }
}

interface Released {
  readonly whole: boolean;
  readonly tookMs: number;
  readonly events: readonly RunEventBody[];
  readonly undone: readonly number[];
}

async function releasing(
  t: ExecutionContext,
  options: {
    readonly reachable: readonly string[];
    /** Nodes whose kubelet is silent. */
    readonly silent?: readonly string[];
    readonly abandonAtMs?: number;
  },
): Promise<Released> {
  const { server, transport } = await serve(t);
  const clock = new SharedClock();
  for (const name of NODES) {
    server.put("/api/v1/nodes", {
      metadata: { name },
      status: { conditions: [{ type: "Ready", status: "True" }] },
    });
    server.put(NODE_LEASES, { metadata: { name }, spec: { renewTime: "never" } });
  }
  server.handle("GET", /kube-node-lease\/leases\//, ({ path }) => {
    const name = path.split("/").at(-1) ?? "";
    const renewTime =
      options.silent?.includes(name) === true ? "never" : String(Math.floor(clock.nowMs / 10_000));
    return { status: 200, body: { metadata: { name }, spec: { renewTime } } };
  });
  const access: NodeAccess = {
    how: "ssh",
    spec: { type: "command", argv: ["ssh", "{node}"] },
    exec: async (node) => {
      if (options.reachable.includes(node)) return "timer=active\nbefore=inactive\ninvocation=1";
      await clock.sleep(ATTEMPT_MS);
      throw new Error(`ssh on ${node}: timed out after ${ATTEMPT_MS} ms`);
    },
  };
  const pending: PendingUndo[] = NODES.map((node, seq) => {
    const undo: NodeUndo = {
      action: "start-unit",
      object: { kind: "SystemdUnit", name: `kubelet on ${node}` },
      node,
      access: access.spec,
      unit: "kubelet.service",
      also: [],
      invocation: "0",
      timer: "t",
      machineId: "0".repeat(32),
    };
    return { seq, undo };
  });
  const events: RunEventBody[] = [];
  const undone: number[] = [];
  const user = new AbortController();
  if (options.abandonAtMs !== undefined)
    void clock.sleep(options.abandonAtMs).then(() => user.abort("a later Ctrl-C ended the restore"));
  const context = {
    transport,
    clock,
    nodeAccess: access,
    givingUp: new GivingUp(clock, user.signal),
    recorder: { emit: (body: RunEventBody) => void events.push(body), events },
    view: { step: async <T>(_: string, work: () => Promise<T>) => await work() },
    journal: { restored: async (seq: number) => await Promise.resolve(void undone.push(seq)) },
  } as unknown as RunContext;
  const target = { kind: "SystemdUnit", name: "kubelet", nodes: NODES } as unknown as NodeTarget;
  const attack = { type: "systemd-unit", nodes: "all" } as const;
  const whole = await clock.run(release(context, { target, attack }, pending));
  return { whole, tookMs: clock.nowMs, events, undone };
}

const textOf = (events: readonly RunEventBody[]): string[] =>
  events.flatMap((event) => (event.type === "warning" ? [event.text] : []));

test("20 nodes, 19 not reachable: within four minutes, and the timers healed them, as the API shows", async (t) => {
  const { whole, tookMs, events, undone } = await releasing(t, { reachable: ["worker-7"] });
  t.true(whole);
  t.true(tookMs <= 4 * 60_000, `${tookMs} ms`);
  t.is(undone.length, 20);
  const restored = events.filter((event) => event.type === "restored");
  t.is(restored.length, 20);
  t.is(restored.filter(({ by }) => by === "the timer on the node, as the API shows").length, 19);
  t.regex(
    textOf(events).join("\n"),
    /^cannot undo the attack on 19 nodes \(worker-20, worker-19, worker-18 and 16 more\): ssh on worker-20: timed out.*The timer on each node undoes it, 90 s after/,
  );
});

test("one of them stays silent: not restored, its node is named, the others are", async (t) => {
  const { whole, tookMs, events, undone } = await releasing(t, {
    reachable: ["worker-7"],
    silent: ["worker-3"],
  });
  t.false(whole);
  t.true(tookMs <= 4 * 60_000, `${tookMs} ms`);
  t.is(undone.length, 19);
  t.regex(
    textOf(events).at(-1) ?? "",
    /^not restored: ssh on worker-3: timed out.* \(after its timer's time: the kubelet of worker-3 does not renew its Lease\)$/,
  );
});

test("all nodes reachable: at once, without looking in the API", async (t) => {
  const { whole, tookMs, undone } = await releasing(t, { reachable: NODES });
  t.true(whole);
  t.is(tookMs, 0);
  t.is(undone.length, 20);
});

test("a later Ctrl-C ends it at once: what is undone is undone, the rest is named", async (t) => {
  const { whole, tookMs, events, undone } = await releasing(t, {
    reachable: ["worker-7"],
    abandonAtMs: 3_000,
  });
  t.false(whole);
  t.true(tookMs <= 3_000, `${tookMs} ms`);
  t.deepEqual(undone, [6]);
  t.is(textOf(events).filter((text) => text.startsWith("not restored: ")).length, 19);
  t.regex(textOf(events)[0] ?? "", /a later Ctrl-C ended the restore/);
});
