import { after } from "../../../src/common/clock.js";
import test from "ava";
import type { Clock } from "../../../src/common/clock.js";
import { pollUntil } from "../../../src/common/clock.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import { restorerWaitMs } from "../../../src/run/phases/release.js";
import type { Target } from "../../../src/targets/target.js";

const target = (
  kind: "Deployment" | "DaemonSet",
  labels?: Record<string, string>,
): Pick<Target, "kind" | "object"> =>
  ({ kind, object: { metadata: { name: "x", ...(labels && { labels }) } } }) as Pick<
    Target,
    "kind" | "object"
  >;

const windowStart = (tMs: number): RunEvent => ({ type: "phase", phase: "window", state: "start", tMs });
const recreated = (tMs: number, kind = "Deployment"): RunEvent => ({
  type: "recreated",
  object: { kind, name: "x" },
  tMs,
});

const ADDON = { "addonmanager.kubernetes.io/mode": "Reconcile" };

const TABLE: readonly (readonly [
  what: string,
  Pick<Target, "kind" | "object">,
  readonly RunEvent[],
  waitMs: number,
])[] = [
  ["no restorer seen, no label", target("Deployment"), [windowStart(1_000)], 0],
  ["addon-manager's label, nothing seen yet", target("Deployment", ADDON), [windowStart(1_000)], 75_000],
  [
    "addon-manager's label, seen often",
    target("Deployment", ADDON),
    [windowStart(0), recreated(100)],
    75_000,
  ],
  ["another label", target("Deployment", { app: "dns" }), [windowStart(0)], 0],
  [
    "recreated immediately: at least 5 s",
    target("Deployment"),
    [windowStart(1_000), recreated(1_100)],
    5_000,
  ],
  ["recreated after 10 s: twice that", target("Deployment"), [windowStart(1_000), recreated(11_000)], 20_000],
  [
    "the longest gap counts",
    target("Deployment"),
    [windowStart(0), recreated(4_000), recreated(16_000), recreated(17_000)],
    24_000,
  ],
  [
    "the first gap, from the window's start",
    target("Deployment"),
    [windowStart(0), recreated(30_000), recreated(31_000)],
    60_000,
  ],
  ["never longer than addon-manager", target("Deployment"), [windowStart(0), recreated(59_000)], 75_000],
  [
    "only pods and ReplicaSets were recreated",
    target("Deployment"),
    [windowStart(0), recreated(9_000, "Pod"), recreated(9_000, "ReplicaSet")],
    0,
  ],
  ["a DaemonSet", target("DaemonSet"), [windowStart(0), recreated(9_000, "DaemonSet")], 18_000],
  [
    "the start of another phase does not count",
    target("Deployment"),
    [
      { type: "phase", phase: "baseline", state: "start", tMs: 0 },
      { type: "phase", phase: "window", state: "end", tMs: 1 },
      recreated(9_000),
    ],
    0,
  ],
];

for (const [what, of, events, waitMs] of TABLE) {
  test(`waits ${waitMs} ms for the restorer: ${what}`, (t) => {
    t.is(restorerWaitMs(of, events), waitMs);
  });
}

/** A clock that only sleeping advances. */
function sleepingClock(): Clock & { readonly slept: number[] } {
  let now = 0;
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    after,
    wall: () => new Date(now),
    sleep: async (ms) => {
      slept.push(ms);
      now += ms;
      await Promise.resolve();
    },
  };
}

test("pollUntil: polls until there is an answer", async (t) => {
  const clock = sleepingClock();
  let asked = 0;
  const answer = await pollUntil(clock, { everyMs: 100, limitMs: 1_000 }, async () => {
    asked += 1;
    return await Promise.resolve(asked === 3 ? "yes" : undefined);
  });
  t.is(answer, "yes");
  t.deepEqual(clock.slept, [100, 100]);
});

test("pollUntil: polls once more at the end of the time, then gives up", async (t) => {
  const clock = sleepingClock();
  const times: number[] = [];
  const answer = await pollUntil(clock, { everyMs: 400, limitMs: 1_000 }, async () => {
    times.push(clock.now());
    return await Promise.resolve(undefined);
  });
  t.is(answer, undefined);
  t.deepEqual(times, [0, 400, 800, 1_000]);
});

test("pollUntil: without any time it polls once; false is an answer; a signal ends it", async (t) => {
  const clock = sleepingClock();
  t.is(await pollUntil(clock, { everyMs: 1, limitMs: 0 }, async () => await Promise.resolve("yes")), "yes");
  t.is(await pollUntil(clock, { everyMs: 1, limitMs: 9 }, async () => await Promise.resolve(false)), false);
  const signal = AbortSignal.abort();
  let asked = 0;
  await pollUntil(clock, { everyMs: 1, limitMs: 9, signal }, async () => {
    asked += 1;
    return await Promise.resolve(undefined);
  });
  t.is(asked, 1);
  await t.throwsAsync(
    pollUntil(clock, { everyMs: 1, limitMs: 9 }, async () => await Promise.reject(new Error("no"))),
    { message: "no" },
  );
});
