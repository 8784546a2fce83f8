/** What a client saw: the class, when, and what explains it. */
import test from "ava";
import { analyse } from "../../../src/analysis/analyse.js";
import type { ClientFinding, RunResult } from "../../../src/analysis/result.js";
import * as runs from "../../helpers/synthetic-run.js";

const [A, B] = runs.FRONT_ENDS;
const [WORKER, WORKER2] = runs.WORKERS;
const APPLICATION = ["app-write", "app-read"] as const;

type Failing = Parameters<typeof runs.threeFrontEnds>[0];
type Cut = Partial<Failing[number]>;

/** Both probes of the application fail from 45 s on. */
function cut(forMs: number, of: Cut = {}): Failing {
  return APPLICATION.map((probe) => ({ probe, fromMs: 45_000, toMs: 45_000 + forMs, ...of }));
}

function resultOf(failing: Failing, shiftMs = 125): RunResult {
  const run = runs.threeFrontEnds(failing, { shiftMs });
  return analyse(run.facts, run.events, run.samples);
}

function clientOf(failing: Failing, shiftMs?: number): ClientFinding {
  const { client } = resultOf(failing, shiftMs);
  if (client == null) throw new Error("no class of the client");
  return client;
}

const INTERVAL = 250;
const TURN = INTERVAL * runs.FRONT_ENDS.length;

test("one front end of three cut for 30 s: intermittent, 1 of 3 front ends, 30 s", (t) => {
  const client = clientOf(cut(30_000, { target: A }));
  t.is(client.class, "intermittent");
  t.deepEqual(client.explainedBy, { what: "front end", names: [A], of: 3 });
  t.true(Math.abs(client.lastedMs - 30_000) <= INTERVAL, String(client.lastedMs));
  t.true(Math.abs(client.share - 1 / 3) < 0.02);
  t.regex(client.because, /^intermittent, 1 of 3 front ends, (29\.[89]|30\.[012]) s$/);
});

test("one front end of three cut for 30 s: no outage, one intermittent time from each worker", (t) => {
  for (const { probe, outages, intermittent } of resultOf(cut(30_000, { target: A })).probes) {
    t.deepEqual(outages, [], probe);
    const expected = probe === "app-write" || probe === "app-read" ? 1 : 0;
    t.is(intermittent?.length, expected, probe);
    for (const { fromMs, toMs, share } of intermittent ?? []) {
      t.true(Math.abs((toMs ?? 0) - fromMs - 30_000) <= TURN + 10);
      t.true(Math.abs(share - 1 / 3) < 0.02);
    }
  }
});

test("two of three front ends: intermittent, 2 of 3 front ends", (t) => {
  const client = clientOf([...cut(10_000, { target: A }), ...cut(10_000, { target: B })]);
  t.is(client.class, "intermittent");
  t.deepEqual(client.explainedBy, { what: "front end", names: [A, B], of: 3 });
});

test("one worker: unreachable from 1 of 2 workers", (t) => {
  const client = clientOf(cut(5000, { source: WORKER }));
  t.is(client.class, "unreachable");
  t.deepEqual(client.explainedBy, { what: "worker", names: [WORKER], of: 2 });
  t.true(Math.abs(client.lastedMs - 5000) <= INTERVAL, String(client.lastedMs));
  t.true(Math.abs(client.share - 1 / 2) < 0.05);
  t.is(client.because, "unreachable, from 1 of 2 workers, 5.0 s");
});

test("workers that fail one after the other: unreachable for as long as any of them, not only while all are", (t) => {
  const client = clientOf([
    ...cut(20_000, { source: WORKER }),
    ...cut(0, { source: WORKER2, fromMs: 60_000, toMs: 90_000 }),
  ]);
  t.is(client.class, "unreachable");
  t.true(Math.abs(client.lastedMs - 45_000) <= INTERVAL, String(client.lastedMs));
});

test("a node: its worker and the front end on it fail with all others", (t) => {
  const client = clientOf([
    ...cut(20_000, { source: WORKER2 }),
    // The front end on that node, from everywhere.
    ...cut(20_000, { target: B }),
  ]);
  t.deepEqual(client.explainedBy, { what: "node", names: [WORKER2], of: 3 });
  t.is(client.class, "unreachable");
});

test("everything: unreachable, and no part of it explains it", (t) => {
  const client = clientOf(cut(5000));
  t.is(client.class, "unreachable");
  t.is(client.explainedBy, null);
  t.is(client.because, "unreachable, 5.0 s");
});

test("a short time without any answer does not hide a long intermittent one", (t) => {
  const client = clientOf([...cut(2000), ...cut(0, { target: A, fromMs: 47_000, toMs: 75_000 })]);
  t.is(client.class, "unreachable");
  t.regex(client.because, /^unreachable, (1\.9|2\.[0-2]) s, and intermittent for (27\.[5-9]|28\.[0-5]) s$/);
});

for (const ms of [500, 1000]) {
  test(`a worker cut for ${ms} ms is reported, within one interval`, (t) => {
    const { client } = resultOf([
      ...cut(ms, { source: WORKER }),
      ...(["tcp-pod", "tcp-service", "http-service", "dns-internal"] as const).map((probe) => ({
        probe,
        source: WORKER,
        fromMs: 45_000,
        toMs: 45_000 + ms,
      })),
    ]);
    t.not(client?.class, "unaffected");
    t.true(Math.abs((client?.lastedMs ?? 0) - ms) <= INTERVAL + 10, String(client?.lastedMs));
  });
}

test("a failure that is too small for the severity is said beside it, and a control run does not deny it", (t) => {
  const { severity, severityBecause, verdict, verdictBecause } = resultOf(cut(750, { source: WORKER }));
  t.is(severity, "none");
  t.is(verdict, "control");
  const said = /A client saw a failure that is too small to count: unreachable, .* \(degraded: over 1 % of/;
  t.regex(severityBecause, said);
  t.regex(verdictBecause, said);
  t.notRegex(verdictBecause, /nothing was affected/);
});

test("stray failures are part of nothing: no class, no time to impact", (t) => {
  const failing = [
    { probe: "app-write", source: WORKER, fromMs: 40_000, toMs: 40_000 + INTERVAL },
    { probe: "app-write", source: WORKER2, fromMs: 70_000, toMs: 70_000 + INTERVAL },
  ] as const;
  const result = resultOf(failing, 0);
  t.is(result.client?.class, "unaffected");
  t.is(result.client?.fromMs, null);
  for (const { probe, outages, intermittent, phases } of result.probes) {
    t.deepEqual([outages, intermittent], [[], []], probe);
    if (probe === "app-write") t.is(phases.window.samples - phases.window.good, 1);
  }
});

test("failures far apart, but more than noise explains: intermittent for the whole window", (t) => {
  const failing = Array.from({ length: 10 }, (_, index) => ({
    probe: "app-write" as const,
    source: WORKER,
    fromMs: 38_000 + index * 5750,
    toMs: 38_000 + index * 5750 + INTERVAL,
  }));
  const { client, probes } = resultOf(failing, 0);
  t.true(probes.every(({ outages, intermittent }) => outages.length + (intermittent?.length ?? 0) === 0));
  t.is(client?.class, "intermittent");
  t.is(client?.because, "intermittent, from 1 of 2 workers, 60.0 s");
});

test("time to impact is the first failure of an outage or an intermittent time, not of a stray", (t) => {
  const { facts, events } = runs.kubeDnsOutage();
  const samples = runs.samplesOf({
    failing: [
      { probe: "app-write", source: WORKER, fromMs: 40_000, toMs: 40_250 },
      { probe: "app-write", source: WORKER, fromMs: 60_000, toMs: 70_000 },
    ],
  });
  const write = analyse(facts, events, samples).probes.find(
    ({ probe, source }) => probe === "app-write" && source === WORKER,
  );
  t.is(write?.timeToImpactMs, 60_000 - runs.FIRST_KILL_MS);
});

test("a stray soon before an outage is not its impact, and one of another probe during it is no impact", (t) => {
  const { facts, events } = runs.kubeDnsOutage();
  const outage = { fromMs: 60_000, toMs: 70_000 };
  const samples = runs.samplesOf({
    failing: [
      ...APPLICATION.map((probe) => ({ probe, source: WORKER, ...outage })),
      { probe: "app-write", source: WORKER, fromMs: 59_000, toMs: 59_250 },
      { probe: "tcp-pod", source: WORKER, fromMs: 65_000, toMs: 65_250 },
      { probe: "dns-internal", source: WORKER, ...outage },
    ],
  });
  const { probes } = analyse(facts, events, samples);
  const impact = (probe: string): number | null | undefined =>
    probes.find((one) => one.probe === probe && one.source === WORKER)?.timeToImpactMs;
  t.is(impact("app-write"), 60_000 - runs.FIRST_KILL_MS);
  t.is(impact("app-read"), 60_000 - runs.FIRST_KILL_MS);
  t.is(impact("tcp-pod"), null);
});

test("some of everything fails: intermittent with its share, not explained", (t) => {
  const failing = Array.from({ length: 20 }, (_, index) =>
    APPLICATION.map((probe) => ({ probe, fromMs: 45_000 + index * 1000, toMs: 45_000 + index * 1000 + 500 })),
  ).flat();
  const client = clientOf(failing, 0);
  t.is(client.class, "intermittent");
  t.is(client.explainedBy, null);
  t.regex(client.because, /^intermittent, 5\d\.\d % of writes, 1[89]\.\d s$/);
});

test("slow: as slow as the severity's rule says, with both p95", (t) => {
  const { facts, events } = runs.controlRun();
  const slow = APPLICATION.map((probe) => ({ probe, fromMs: 36_000, toMs: 96_000, factor: 50 }));
  const { client } = analyse(facts, events, runs.samplesOf({ slow }));
  t.is(client?.class, "slow");
  t.is(client?.lastedMs, 60_000);
  t.regex(client?.because ?? "", /^slow, p95 \d/);
});

test("nothing fails: unaffected; no window: no class", (t) => {
  const { facts, events, samples } = runs.controlRun();
  t.is(analyse(facts, events, samples).client?.class, "unaffected");
  const early = events.filter((event) => event.type !== "phase" || event.phase === "baseline");
  t.is(analyse(facts, early, samples).client, null);
});

test("reads alone fail: the class is theirs", (t) => {
  const { facts, events } = runs.controlRun();
  const failing = [{ probe: "app-read" as const, fromMs: 45_000, toMs: 50_000 }];
  const { client } = analyse(facts, events, runs.samplesOf({ failing }));
  t.is(client?.probe, "app-read");
  t.is(client?.class, "unreachable");
  t.regex(client?.because ?? "", /^unreachable, reads, 5\.\d s$/);
});
