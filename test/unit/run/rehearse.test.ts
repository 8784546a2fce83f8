/** What would disturb the baseline comes before it, and has an end before it begins. */
import test from "ava";
import { silentProgress } from "../../../src/common/progress.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { rehearse } from "../../../src/run/phases/warm-up.js";
import type { RunState } from "../../../src/run/run-state.js";
import { at, stalls } from "../../helpers/synthetic-run.js";

const SOURCE = "kind-worker";

/** How long rehearsing takes, ms, if a check takes 5 s and the prober stalls once a second for `stalledFor` seconds after it. */
async function rehearsal(
  disturbs: boolean,
  {
    stalledFor = 0,
    interrupted = false,
  }: { readonly stalledFor?: number; readonly interrupted?: boolean } = {},
): Promise<{ tookMs: number; checks: number }> {
  let now = 1_000;
  let checks = 0;
  const lines: SampleLine[] = [{ boot: "b", t: 0, wall: 0, node: SOURCE }];
  const stop = new AbortController();
  const state = {
    context: {
      clock: { now: () => now, sleep: async (ms: number) => await Promise.resolve(void (now += ms)) },
      interrupted: stop.signal,
      resolved: { experiment: {} },
      recorder: {
        events: [at(0, { type: "clock", source: SOURCE, boot: "b", offsetMs: 0, uncertaintyMs: 0 })],
        samples: [{ source: SOURCE, lines }],
      },
      view: silentProgress,
    },
    stop: stop.signal,
    collector: {
      fetch: async () => await Promise.resolve(),
      health: { everGood: () => new Set(), unhealthy: () => [], reset: () => undefined },
    },
    measuring: {
      functionChecks: {
        disturbs,
        deadlineMs: 25_000,
        another: async () => {
          checks += 1;
          now += 5_000;
          lines.push(...stalls(now, stalledFor));
          if (interrupted) stop.abort();
          return await Promise.resolve(true);
        },
        end: async () => await Promise.resolve(),
      },
    },
  } as unknown as RunState;
  await rehearse(state);
  return { tookMs: now - 1_000, checks };
}

test("a check that disturbs nothing is left to the baseline", async (t) => {
  t.deepEqual(await rehearsal(false), { tookMs: 0, checks: 0 });
});

test("after a check that disturbs, the baseline waits for three seconds without a stall, at most thirty", async (t) => {
  t.deepEqual(await rehearsal(true), { tookMs: 8_000, checks: 1 });
  t.deepEqual(await rehearsal(true, { stalledFor: 4 }), { tookMs: 14_000, checks: 1 });
  t.deepEqual(await rehearsal(true, { stalledFor: 90 }), { tookMs: 35_000, checks: 1 });
});

test("Ctrl-C during the check: nothing is waited for", async (t) => {
  t.deepEqual(await rehearsal(true, { stalledFor: 90, interrupted: true }), { tookMs: 5_000, checks: 1 });
});

/**
 * What the rehearsal reports if the database's followers lag for so long after the replacement. A read of a lagging
 * follower fails once its value is 15 s old, as judgeRead has it.
 */
async function replacement(lagMs: number): Promise<{ readonly tookMs: number; readonly churn: unknown }> {
  let now = 0;
  let replacedMs = Infinity;
  let sinceMs = 0;
  const events: unknown[] = [];
  const podNow = (): object => ({
    metadata: { name: "redis-leader", uid: replacedMs <= now ? "new" : "old" },
    spec: { nodeName: SOURCE },
    status: { phase: "Running" },
  });
  const json = async ({ method }: { method: string }): Promise<unknown> => {
    if (method === "PATCH") replacedMs = now + 2_000;
    return await Promise.resolve({ metadata: { resourceVersion: "1" }, items: [podNow()] });
  };
  const failing = (): boolean => sinceMs < replacedMs + lagMs && now >= replacedMs + 15_000;
  // A second of good samples makes a probe healthy.
  const lagging = { probe: "app-read", source: SOURCE };
  const state = {
    context: {
      clock: {
        now: () => now,
        wall: () => new Date(0),
        sleep: async (ms: number) => {
          now += ms;
          if (failing()) sinceMs = now;
          return await Promise.resolve();
        },
      },
      interrupted: new AbortController().signal,
      resolved: {
        experiment: { churn: { after: 10_000 }, application: { guestbook: { namespace: "guestbook" } } },
      },
      recorder: { emit: (event: unknown) => events.push(event) },
      transport: { json },
      view: silentProgress,
    },
    stop: new AbortController().signal,
    collector: {
      health: {
        everGood: () => new Set(),
        reset: (ms: number) => void (sinceMs = ms),
        unhealthy: () => (now - sinceMs < 1_000 ? [lagging] : []),
      },
    },
    measuring: {},
  } as unknown as RunState;
  await rehearse(state);
  return { tookMs: now, churn: events[0] };
}

test("replacing the database's pod is over when the reads return what was written since", async (t) => {
  const soon = await replacement(5_000);
  t.like(soon.churn, { rehearsal: true, ok: true });
  t.true(soon.tookMs < 20_000, `${soon.tookMs} ms`);
  const late = await replacement(40_000);
  t.like(late.churn, { rehearsal: true, ok: true });
  t.true(late.tookMs > 42_000 && late.tookMs < 45_000, `${late.tookMs} ms`);
});

test("replacing the database's pod was not harmless if a follower does not come back", async (t) => {
  const { churn } = await replacement(Infinity);
  t.like(churn, { rehearsal: true, ok: false });
  t.regex(
    (churn as { detail: string }).detail,
    /^pod redis-leader on kind-worker took its place, but these probes failed: app-read from kind-worker$/,
  );
});
