/** What is forwarded to the sink: log lines, Events, metric points; late and lost told apart. */
import test from "ava";
import { ChaosError } from "../../../src/common/errors.js";
import { functionProbes } from "../../../src/probes/functions/all-function-checks.js";
import { onItsWayMs } from "../../../src/probes/functions/sink.js";
import { checkOnce, World } from "../../helpers/function-fixtures.js";

test("without a sink, setup says how to install one", async (t) => {
  const world = await World.start(t);
  for (const name of ["logs-arrive", "events-arrive", "metric-points-arrive"] as const)
    await t.throwsAsync(functionProbes[name].prepare(world.context), {
      instanceOf: ChaosError,
      message: /no pod of the sink is running.*chaos cluster up --addons/,
    });
});

test("log lines: a missing line is pending, then late or lost", async (t) => {
  const world = await World.start(t);
  world.startSink();
  const ready = await functionProbes["logs-arrive"].prepare(world.context);
  world.works.fluentd = false;
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /-0001: 0 of 2 lines arrived; none from worker, worker2$/);
  t.true(seen.tookMs <= 11_000);
  const id = seen.pendingId ?? "";
  t.regex(id, /^chaos-log-\S+-0001$/);
  t.deepEqual(world.printed, [`worker ${id} on node worker.`, `worker2 ${id} on node worker2.`]);
  t.like(await ready.followUp?.(id), { arrived: false, evidence: `${id}: 0 of 2 lines have arrived so far` });
  // "worker" is a prefix of "worker2": the lines are told apart.
  world.sink.logs.push({ receivedAt: 1, node: "worker2", text: `2026 stdout F ${id} on node worker2.` });
  t.like(await ready.followUp?.(id), {
    arrived: false,
    evidence: `${id}: 1 of 2 lines have arrived so far (worker2)`,
  });
  world.sink.logs.push({ receivedAt: 1, text: `${id} on node worker.` });
  t.like(await ready.followUp?.(id), { arrived: true });
  t.like(await ready.followUp?.("unknown"), { arrived: false });
});

test("log lines: a missing line of one node means absent; a silent prober does not", async (t) => {
  const world = await World.start(t);
  world.startSink();
  const ready = await functionProbes["logs-arrive"].prepare(world.context);
  world.silent.add("worker2");
  const seen = await checkOnce(world, ready);
  t.true(seen.present, seen.evidence);
  t.is(seen.pendingId, undefined);
  t.regex(seen.evidence, /1 of 1 lines arrived \(worker after 0\.6 s\); not asked: worker2 \(HTTP 503/);
});

test("Events: pending, then late or lost", async (t) => {
  const world = await World.start(t);
  world.startSink();
  const ready = await functionProbes["events-arrive"].prepare(world.context);
  world.works.eventExporter = false;
  const first = await checkOnce(world, ready);
  const second = await checkOnce(world, ready);
  t.false(first.present);
  t.regex(first.evidence, /^Event chaos-event-\S+-0001 after 10\.0 s: it has not arrived$/);
  world.sink.events.push({ receivedAt: 1, message: `… ${second.pendingId}` });
  t.like(await ready.followUp?.(first.pendingId ?? ""), { arrived: false });
  t.like(await ready.followUp?.(second.pendingId ?? ""), { arrived: true });
});

test("the Event of a check has what the API and an exporter require", async (t) => {
  const world = await World.start(t);
  world.startSink();
  const ready = await functionProbes["events-arrive"].prepare(world.context);
  await checkOnce(world, ready);
  const [event] = world.server.objects(`/api/v1/namespaces/${world.context.namespace}/events`);
  t.like(event, {
    involvedObject: { kind: "Namespace", namespace: world.context.namespace },
    type: "Normal",
    source: { component: "kube-system-chaos" },
  });
});

test("metric points: a point from before the check does not count", async (t) => {
  const world = await World.start(t);
  world.startSink();
  world.sendPoints(["worker", "worker2"], 10_000);
  const ready = await functionProbes["metric-points-arrive"].prepare(world.context);
  world.works.heapster = false;
  await world.clock.sleep(2_000);
  const seen = await checkOnce(world, ready);
  t.false(seen.present, seen.evidence);
  t.regex(
    seen.evidence,
    /^after 15\.0 s: no new point of worker, worker2; age of the newest point: worker 1\d\.\d s, /,
  );
  world.works.heapster = true;
  t.true((await checkOnce(world, ready)).present);
});

test("metric points: every node that sent points must continue to send", async (t) => {
  const world = await World.start(t);
  world.startSink();
  world.sendPoints(["worker", "worker2"], 5_000);
  const ready = await functionProbes["metric-points-arrive"].prepare(world.context);
  world.works.heapster = false;
  const keep = (): void => {
    world.sink.metrics.worker = { receivedAt: world.sinkNow() };
    world.clock.after(5_000, keep);
  };
  world.clock.after(5_000, keep);
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /no new point of worker2;/);
});

test("metric points: setup fails if none ever arrive", async (t) => {
  const world = await World.start(t);
  world.startSink();
  await t.throwsAsync(functionProbes["metric-points-arrive"].prepare(world.context), {
    instanceOf: ChaosError,
    message: "no metric points arrive: the sink has no points of any node",
  });
});

test("the delivery time needs no common clock", (t) => {
  // Sent 5 s ago; the sink has had it for 4.2 s.
  t.is(onItsWayMs(5_000, { now: 104_200 }, { receivedAt: 100_000 }), 800);
  t.is(onItsWayMs(5, { now: 20 }, { receivedAt: 0 }), 0);
});

test("a sink that has moved is found again", async (t) => {
  const world = await World.start(t);
  world.startSink();
  const ready = await functionProbes["events-arrive"].prepare(world.context);
  world.server.fault({ kind: "status", status: 404, path: "chaos-sink-1:8080", times: 2 });
  const seen = await checkOnce(world, ready);
  t.true(seen.present, seen.evidence);
});
