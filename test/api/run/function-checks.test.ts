/** Checks of a component's own function, against an API server that fails at times. */
import { ownPods } from "../../../src/application/own-pods.js";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEvent, RunEventBody } from "../../../src/evidence/events.js";
import { components } from "../../../src/components/all-components.js";
import type { RunContext } from "../../../src/run/context.js";
import { canaryNamespaceOf, FunctionChecks } from "../../../src/run/measuring/function-checks.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import type { AnyTarget } from "../../../src/targets/target.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { serve } from "../../helpers/target-fixtures.js";

type CheckEvent = Extract<RunEvent, { type: "function" }>;

interface Checking {
  readonly checks: FunctionChecks;
  readonly server: FakeApiServer;
  readonly seen: () => CheckEvent[];
  readonly intents: Undo[];
  readonly made: unknown[];
}

const TARGET = {
  kind: "StaticPod",
  name: "kube-apiserver",
  namespace: "kube-system",
  nodes: ["a"],
} as unknown as AnyTarget;

async function checking(t: ExecutionContext): Promise<Checking> {
  const { server, transport } = await serve(t);
  const events: RunEvent[] = [];
  const intents: Undo[] = [];
  const made: unknown[] = [];
  let now = 0;
  const context = {
    runId: "20260101t000000z-x-3f9a",
    resolved: { component: components["kube-apiserver"] },
    transport,
    nodes: [],
    pods: ownPods({}, []),
    recorder: { emit: (body: RunEventBody, tMs = now) => void events.push({ ...body, tMs }) },
    clock: {
      now: () => now,
      // The limit of a check (over five seconds) is never reached here; every other wait ends immediately.
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (ms > 5_000)
          await new Promise<void>((resolve) =>
            signal?.addEventListener("abort", () => resolve(), { once: true }),
          );
        else {
          now += ms;
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
    },
    journal: { intent: async (undo: Undo) => await Promise.resolve(intents.push(undo)) },
    made,
    changed: [],
    interrupted: new AbortController().signal,
  } as unknown as RunContext;
  const checks = await FunctionChecks.prepare(context, TARGET, ["a"]);
  if (checks === undefined) throw new Error("kube-apiserver must have a function check");
  t.teardown(async () => await checks.end());
  const seen = (): CheckEvent[] => events.filter((event): event is CheckEvent => event.type === "function");
  return { checks, server, seen, intents, made };
}

const NEVER = new AbortController().signal;

test("the canaries' namespace is in the journal before it is created, and is the run's own", async (t) => {
  const { intents, made, server } = await checking(t);
  t.is(canaryNamespaceOf("20260101t000000z-x-3f9a"), "kube-system-chaos-canary-3f9a");
  t.like(intents[0], {
    action: "remove",
    object: { kind: "Namespace", name: "kube-system-chaos-canary-3f9a" },
  });
  t.is(made.length, 1);
  t.not(server.object("/api/v1/namespaces/kube-system-chaos-canary-3f9a"), undefined);
});

test("finished checks are events, present and absent, with their evidence", async (t) => {
  const { checks, server, seen } = await checking(t);
  t.true(await checks.another(1_000_000, NEVER));
  await checks.end();
  t.is(checks.finished, seen().length);
  t.like(seen()[0], { probe: "api-stores", look: 1, present: true });
  server.fault({ kind: "status", status: 503, method: "POST", path: "configmaps", times: Infinity });
  t.false(await checks.another(1_000_000, NEVER));
  await checks.end();
  t.like(seen().at(-1), { present: false });
  t.regex(seen().at(-1)?.evidence ?? "", /503/);
  t.false(checks.lastPresent);
});

test("a check that the end of its phase cuts off is no evidence", async (t) => {
  const { checks, server, seen } = await checking(t);
  let asked = (): void => undefined;
  const begun = new Promise<void>((resolve) => (asked = resolve));
  let giveUp = (): void => undefined;
  const givenUp = new Promise<void>((resolve) => (giveUp = resolve));
  server.handle("POST", /configmaps$/, async () => {
    asked();
    await givenUp;
    return { status: 503 };
  });
  checks.begin();
  await begun;
  const ended = checks.end();
  giveUp();
  await ended;
  t.deepEqual(seen(), []);
  t.is(checks.finished, 0);
});

test("a component without a function check has no checks", async (t) => {
  const { transport } = await serve(t);
  const context = { resolved: { component: components["kube-dns"] }, transport } as unknown as RunContext;
  t.is(await FunctionChecks.prepare(context, TARGET, []), undefined);
});
