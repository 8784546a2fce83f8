/** A baseline that is refused while the machine was busy is measured once more. Of both, the last one counts. */
import { LiveLanes } from "../../../src/run/measuring/live-lanes.js";
import test from "ava";
import type { RunEvent, RunEventBody } from "../../../src/evidence/events.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { silentProgress } from "../../../src/common/progress.js";
import { baselineIsGood, measureBaseline } from "../../../src/run/phases/baseline.js";
import { inPhase } from "../../../src/run/phases/phase.js";
import type { RunState } from "../../../src/run/run-state.js";
import { at, defaultFacts, endpoints, stalls } from "../../helpers/synthetic-run.js";

interface Baseline {
  readonly good: boolean;
  readonly events: readonly RunEvent[];
  /** How often a baseline was measured, and how often the abort conditions were started. */
  readonly measured: number;
  readonly started: number;
}

/** When each baseline began, ms. */
const begins = ({ events }: Pick<Baseline, "events">): number[] =>
  events.flatMap((event) => (event.type === "phase" && event.state === "start" ? [event.tMs] : []));

const SOURCE = "kind-worker";

const PROBE = "metrics-are-served";

/**
 * One baseline of 15 s, and what follows; `lines` tells what the prober writes in each, from its start on.
 *
 * @param checkMs how long a check of the component's own function takes; undefined: it has none.
 */
async function baseline(
  lines: (attempt: number, fromMs: number) => SampleLine[],
  { signal, checkMs }: { readonly signal?: AbortSignal; readonly checkMs?: number } = {},
): Promise<Baseline> {
  const check = { name: PROBE, means: "it is scaled", deadlineMs: 60_000, disturbs: false } as const;
  const functionProbe = checkMs === undefined ? null : check;
  const facts: RunFacts = { ...defaultFacts, sources: [SOURCE], functionProbes: [], functionProbe };
  let now = 1000;
  let started = 0;
  const written: SampleLine[] = [{ boot: "b", t: 0, wall: 0, node: SOURCE }];
  const events: RunEvent[] = [
    endpoints(0, 2),
    at(0, { type: "clock", source: SOURCE, boot: "b", offsetMs: 0, uncertaintyMs: 0 }),
  ];
  const emit = (body: RunEventBody): void => {
    events.push({ ...body, tMs: now });
    if (body.type !== "phase" || body.state !== "start") return;
    written.push(...lines(events.filter(({ type }) => type === "phase").length > 2 ? 2 : 1, now));
  };
  const silent = (): void => undefined;
  const context = {
    clock: {
      now: () => now,
      sleep: async (ms: number) => await Promise.resolve(void (now += ms)),
    },
    resolved: { experiment: facts.experiment },
    recorder: { emit, events, samples: [{ source: SOURCE, lines: written }] },
    view: { ...silentProgress, live: silent, phase: silent, phaseEnd: silent },
  };
  let begunAt = 0;
  const functionChecks = {
    disturbs: false,
    deadlineMs: 60_000,
    finished: 0,
    begin: () => void (begunAt = now),
    another: async () => {
      now = begunAt + (checkMs ?? 0);
      const look = ++functionChecks.finished;
      events.push({
        type: "function",
        probe: PROBE,
        look,
        present: true,
        tookMs: checkMs ?? 0,
        evidence: "",
        tMs: begunAt,
      });
      return await Promise.resolve(true);
    },
    end: async () => await Promise.resolve(),
  };
  const state = {
    context,
    facts,
    stop: signal ?? new AbortController().signal,
    collector: {
      fetch: async () => await Promise.resolve(),
      health: { startCounting: silent, counts: { ok: 0, failing: 0 } },
      lanes: new LiveLanes(),
    },
    measuring: {
      ...(checkMs === undefined ? {} : { functionChecks }),
      watch: { endpointsReady: 1 },
      abortWhen: { start: () => void (started += 1), notGood: async () => await Promise.resolve(undefined) },
    },
    stopped: (code: string, message: string) => emit({ type: "stopped", code, message }),
  } as unknown as RunState;
  await inPhase(state.context, "baseline", async () => await measureBaseline(state));
  const good = await baselineIsGood(state);
  return { good, events, measured: begins({ events }).length, started };
}

/** Samples of the application over 15 s; `bad` of the first 20 ticks fail. */
function samples(fromMs: number, bad = 0): SampleLine[] {
  const ticks = Array.from({ length: 60 }, (_, index) => ({ t: fromMs + 10 + index * 250, index }));
  return ticks.flatMap(({ t, index }) =>
    (["app-write", "app-read", "app-write-env"] as const).map((probe): SampleLine =>
      index < bad
        ? { probe, t, d: 100, ok: false, kind: "timeout", message: "no answer" }
        : { probe, t, d: 5, ok: true },
    ),
  );
}

const late = (fromMs: number, d: number): SampleLine => ({ own: "late", t: fromMs + 9_000, d, late: d - 50 });
const warnings = ({ events }: Baseline): string[] =>
  events.flatMap((event) => (event.type === "warning" ? [event.text] : []));
const stops = ({ events }: Baseline): string[] =>
  events.flatMap((event) => (event.type === "stopped" ? [event.code] : []));

test("a good baseline is measured once, also when the prober was late for a moment", async (t) => {
  const result = await baseline((_, fromMs) => [...samples(fromMs), late(fromMs, 200)]);
  t.like(result, { good: true, measured: 1, started: 1 });
  t.deepEqual(warnings(result), []);
});

test("an unhealthy baseline of a machine that was on time is refused at once", async (t) => {
  const result = await baseline((_, fromMs) => samples(fromMs, 20));
  t.like(result, { good: false, measured: 1 });
  t.deepEqual([...new Set(stops(result))].sort(), ["baseline-unhealthy", "control-arm-failed"]);
});

test("a refused baseline of a late prober is measured again, and the second one counts", async (t) => {
  const result = await baseline((attempt, fromMs) =>
    attempt === 1 ? [...samples(fromMs, 20), late(fromMs, 400)] : samples(fromMs),
  );
  t.like(result, { good: true, measured: 2, started: 1 });
  t.deepEqual(warnings(result), [
    "the baseline was disturbed: the prober on kind-worker was late for 400 ms in total. It is measured again, once",
  ]);
  t.deepEqual(stops(result), []);
});

test("each baseline waits for a function check of its own, however long one takes", async (t) => {
  const result = await baseline(
    (attempt, fromMs) => (attempt === 1 ? [...samples(fromMs, 20), late(fromMs, 400)] : samples(fromMs)),
    { checkMs: 20_000 },
  );
  t.like(result, { good: true, measured: 2 });
  t.deepEqual(stops(result), []);
});

test("a baseline of a busy machine is measured again, even if no timer was late", async (t) => {
  const busy = (t: number): SampleLine => ({ own: "cpu", t, d: 5000, steal: 0, pressure: 0.9 });
  const result = await baseline((attempt, fromMs) => [
    ...samples(fromMs, attempt === 1 ? 20 : 0),
    busy(fromMs),
  ]);
  t.like(result, { good: true, measured: 2 });
});

test("the second baseline begins after three seconds without a stall", async (t) => {
  const busy = async (seconds: number): Promise<number> => {
    const result = await baseline((attempt, fromMs) =>
      attempt === 1 ? [...samples(fromMs, 20), ...stalls(fromMs, seconds)] : samples(fromMs),
    );
    t.like(result, { good: true, measured: 2 });
    const [first = 0, second = 0] = begins(result);
    return second - first - 15_000;
  };
  t.is(await busy(10), 3_000);
  t.is(await busy(20), 9_000);
});

test("a machine that does not become calm is measured after thirty seconds", async (t) => {
  const result = await baseline((attempt, fromMs) =>
    attempt === 1 ? [...samples(fromMs, 20), ...stalls(fromMs, 90)] : samples(fromMs),
  );
  t.is(result.measured, 2);
  const [first = 0, second = 0] = begins(result);
  t.is(second - first, 45_000);
});

test("a prober that is late for more than a fifth of both baselines: disturbed, after the second", async (t) => {
  const result = await baseline((_, fromMs) => [...samples(fromMs), late(fromMs, 4_000)]);
  t.like(result, { good: false, measured: 2 });
  t.deepEqual(stops(result), ["disturbed"]);
});

test("a signal ends it: no second baseline", async (t) => {
  const result = await baseline((_, fromMs) => [...samples(fromMs), late(fromMs, 4_000)], {
    signal: AbortSignal.abort(),
  });
  t.like(result, { good: false, measured: 1 });
});
