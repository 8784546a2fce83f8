/** Looks at a component's own function, against an API server that comes and goes. */
import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEvent, RunEventBody } from "../../../src/evidence/events.js";
import { discover } from "../../../src/kube/api.js";
import { components } from "../../../src/components/all-components.js";
import type { RunContext } from "../../../src/run/context.js";
import { canaryNamespaceOf, FunctionChecks } from "../../../src/run/measuring/function-checks.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import type { AnyTarget } from "../../../src/targets/target.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { serve } from "../../helpers/target-fixtures.js";

type Look = Extract<RunEvent, { type: "function" }>;

interface Looking {
  readonly looks: FunctionChecks;
  readonly server: FakeApiServer;
  readonly seen: () => Look[];
  readonly intents: Undo[];
  readonly made: unknown[];
}

const TARGET = {
  kind: "StaticPod",
  name: "kube-apiserver",
  namespace: "kube-system",
  nodes: ["a"],
} as unknown as AnyTarget;

async function looking(t: ExecutionContext): Promise<Looking> {
  const { server, transport } = await serve(t);
  const events: RunEvent[] = [];
  const intents: Undo[] = [];
  const made: unknown[] = [];
  let now = 0;
  const context = {
    runId: "20260101t000000z-x-3f9a",
    resolved: { component: components["kube-apiserver"] },
    transport,
    discovery: await discover(transport),
    nodes: [],
    recorder: { emit: (body: RunEventBody, tMs = now) => void events.push({ ...body, tMs }) },
    clock: {
      now: () => now,
      // The limit of a look (over five seconds) is never reached here; every other wait is over at once.
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
  const looks = await FunctionChecks.prepare(context, TARGET, ["a"]);
  if (looks === undefined) throw new Error("kube-apiserver has a function probe");
  t.teardown(async () => await looks.end());
  const seen = (): Look[] => events.filter((event): event is Look => event.type === "function");
  return { looks, server, seen, intents, made };
}

const NEVER = new AbortController().signal;

test("the canaries' namespace is in the journal before it is made, and is the run's own", async (t) => {
  const { intents, made, server } = await looking(t);
  t.is(canaryNamespaceOf("20260101t000000z-x-3f9a"), "kube-system-chaos-canary-3f9a");
  t.like(intents[0], {
    action: "remove",
    object: { kind: "Namespace", name: "kube-system-chaos-canary-3f9a" },
  });
  t.is(made.length, 1);
  t.not(server.object("/api/v1/namespaces/kube-system-chaos-canary-3f9a"), undefined);
});

test("finished looks are events, present and absent, with their evidence", async (t) => {
  const { looks, server, seen } = await looking(t);
  t.true(await looks.another(1_000_000, NEVER));
  await looks.end();
  t.is(looks.finished, seen().length);
  t.like(seen()[0], { probe: "api-stores", look: 1, present: true });
  server.fault({ kind: "status", status: 503, method: "POST", path: "configmaps", times: Infinity });
  t.false(await looks.another(1_000_000, NEVER));
  await looks.end();
  t.like(seen().at(-1), { present: false });
  t.regex(seen().at(-1)?.evidence ?? "", /503/);
  t.false(looks.lastPresent);
});

test("a look that the end of its phase cuts off is no evidence", async (t) => {
  const { looks, server, seen } = await looking(t);
  let asked = (): void => undefined;
  const begun = new Promise<void>((resolve) => (asked = resolve));
  let giveUp = (): void => undefined;
  const givenUp = new Promise<void>((resolve) => (giveUp = resolve));
  server.handle("POST", /configmaps$/, async () => {
    asked();
    await givenUp;
    return { status: 503 };
  });
  looks.begin();
  await begun;
  const ended = looks.end();
  giveUp();
  await ended;
  t.deepEqual(seen(), []);
  t.is(looks.finished, 0);
});

test("a component without a probe of its own has no looks", async (t) => {
  const { transport } = await serve(t);
  const context = { resolved: { component: components["kube-dns"] }, transport } as unknown as RunContext;
  t.is(await FunctionChecks.prepare(context, TARGET, []), undefined);
});
