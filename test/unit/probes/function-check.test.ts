/** The time of a check, and how an outage is described. */
import test from "ava";
import type { Pod } from "../../../src/kube/objects.js";
import { ApiError, ApiUnreachableError } from "../../../src/kube/transport.js";
import { canaryPod, runNames, stateOf } from "../../../src/probes/functions/canary.js";
import type { Stopwatch } from "../../../src/common/clock.js";
import { PUBLIC_PODS } from "../../../src/own/pod-spec.js";
import type { FunctionContext } from "../../../src/probes/functions/function-check.js";
import { attempt, CheckTime, outageOf, seconds } from "../../../src/probes/functions/attempt.js";

const REQUEST = { method: "GET", path: "/api/v1/pods" } as const;

/** A clock that only sleeping advances. */
function stillClock(): Stopwatch & { at: number } {
  const clock = {
    at: 1_000,
    now: () => clock.at,
    sleep: async (ms: number, signal?: AbortSignal) => {
      if (signal?.aborted !== true) clock.at += ms;
      await Promise.resolve();
    },
  };
  return clock;
}

const unreachable = (code: string, timedOut = false): ApiUnreachableError =>
  new ApiUnreachableError(REQUEST, { cause: Object.assign(new Error("connect"), { code }), timedOut });

test("a request gets two seconds, and never more than the time left", (t) => {
  const clock = stillClock();
  const check = new CheckTime(clock, 5_000);
  t.deepEqual(check.call(), { timeoutMs: 2_000, retry: false });
  t.like(check.call(10_000), { timeoutMs: 5_000 });
  clock.at += 4_600.5;
  t.like(check.call(), { timeoutMs: 400 });
  t.is(check.tookMs, 4_600.5);
  clock.at += 1_000;
  t.is(check.leftMs, 0);
  t.true(check.over);
  // A time-out of 0 would mean no time-out.
  t.like(check.call(), { timeoutMs: 1 });
  const { signal } = new AbortController();
  t.is(new CheckTime(clock, 1_000, signal).call().signal, signal);
});

test("the question is asked until it has a result", async (t) => {
  const clock = stillClock();
  let asked = 0;
  const seen = await new CheckTime(clock, 5_000).until(300, async () =>
    Promise.resolve(++asked === 3 ? { done: "x" } : { not: "not yet" }),
  );
  t.deepEqual(seen, { done: "x" });
  t.is(clock.at, 1_600);
});

test("at the deadline the last complete answer counts, not the one cut short", async (t) => {
  const clock = stillClock();
  const check = new CheckTime(clock, 1_000);
  const seen = await check.until(400, async () => {
    if (check.leftMs > 300) return Promise.resolve({ not: "Pending" });
    clock.at += check.leftMs;
    throw unreachable("", true);
  });
  t.deepEqual(seen, { not: "Pending" });
  t.is(clock.at, 2_000);
});

test("when every request fails, the outage is the reason", async (t) => {
  const clock = stillClock();
  const check = new CheckTime(clock, 1_000);
  const seen = await check.until(400, async () => {
    await clock.sleep(1_500);
    throw unreachable("ECONNREFUSED");
  });
  t.deepEqual(seen, { not: "refused: connect" });
  t.deepEqual(await check.until(400, async () => Promise.resolve({ done: 1 })), {
    not: "no time was left to ask",
  });
});

test("a cancelled check asks no more", async (t) => {
  const controller = new AbortController();
  const check = new CheckTime(stillClock(), 60_000, controller.signal);
  let asked = 0;
  const seen = await check.until(100, async () => {
    if (++asked === 2) controller.abort();
    return Promise.resolve({ not: "no" });
  });
  t.deepEqual(seen, { not: "no" });
  t.is(asked, 2);
  t.true(check.over);
});

test("the description of an outage starts with its kind and has no path", (t) => {
  const body = Buffer.from(JSON.stringify({ reason: "ServiceUnavailable", message: "etcd is away" }));
  t.is(
    outageOf(new ApiError(REQUEST, { status: 503, headers: {}, body })),
    "HTTP 503 ServiceUnavailable: etcd is away",
  );
  const kinds = [
    ["ECONNREFUSED", "refused"],
    ["ECONNRESET", "reset"],
    ["EPIPE", "reset"],
    ["EHOSTUNREACH", "unreachable"],
    ["EWHATEVER", "no answer"],
  ] as const;
  for (const [code, kind] of kinds) t.is(outageOf(unreachable(code)), `${kind}: connect`);
  t.is(outageOf(unreachable("ECONNREFUSED", true)), "timed out: connect");
  const given = new ApiUnreachableError(REQUEST, { cause: new Error("stop"), aborted: true });
  t.is(outageOf(given), "cancelled: stop");
});

test("a bug is not an outage", async (t) => {
  t.throws(() => outageOf(new TypeError("x is not a function")), { instanceOf: TypeError });
  await t.throwsAsync(attempt(Promise.reject(new RangeError("bug"))), { instanceOf: RangeError });
});

test("the state of a pod, in the cluster's own words", (t) => {
  const pod = (status: object | undefined): Pod =>
    ({ metadata: { name: "p", uid: "u", resourceVersion: "1" }, status }) as unknown as Pod;
  t.is(stateOf(pod(undefined)), "no phase, no reason given");
  t.is(stateOf(pod({ phase: "Pending" })), "Pending, no reason given");
  t.is(
    stateOf(
      pod({
        phase: "Pending",
        conditions: [
          { type: "Initialized", status: "True" },
          {
            type: "PodScheduled",
            status: "False",
            reason: "Unschedulable",
            message: "0/3 nodes are available",
          },
        ],
      }),
    ),
    "Pending, PodScheduled=False Unschedulable 0/3 nodes are available",
  );
  t.is(
    stateOf(
      pod({ phase: "Pending", containerStatuses: [{ state: { waiting: { reason: "ContainerCreating" } } }] }),
    ),
    "Pending, ContainerCreating",
  );
  t.is(
    stateOf(pod({ phase: "Failed", reason: "OutOfpods", message: "no room" })),
    "Failed, OutOfpods, no room",
  );
});

test("names are unique for the run, of equal length, and valid for a label and a Service", (t) => {
  const names = (runId: string): string => runNames({ runId } as FunctionContext, "service").next();
  const name = names("20260101T000000Z-a-very-long-name-of-an-experiment-of-somebody-3f9a");
  t.regex(name, /^chaos-service-[0-9a-f]{8}-0001$/);
  t.not(name, names("20260101T000001Z-a-very-long-name-of-an-experiment-of-somebody-3f9a"));
});

test("only a pod bound to a node tolerates every taint", (t) => {
  t.like(canaryPod({ namespace: "n", pods: PUBLIC_PODS, name: "p", node: "w" }).spec, {
    nodeName: "w",
    tolerations: [{ operator: "Exists" }],
  });
  t.false("tolerations" in (canaryPod({ namespace: "n", pods: PUBLIC_PODS, name: "p" }).spec as object));
});

test("seconds", (t) => {
  t.is(seconds(1_449), "1.4 s");
});
