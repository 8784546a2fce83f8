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
