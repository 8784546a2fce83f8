/** What all function checks have in common: present in a healthy cluster; an outage is a result in time. */
import test from "ava";
import { ChaosError } from "../../../src/common/errors.js";
import { FUNCTION_CHECK_NAMES, type FunctionCheckName } from "../../../src/components/functions.js";
import { functionProbes } from "../../../src/probes/functions/all-function-checks.js";
import {
  BESIDE_THE_WORLD,
  HPAS,
  checkOnce,
  SYSTEM_DAEMONSETS,
  SYSTEM_DEPLOYMENTS,
  World,
} from "../../helpers/function-fixtures.js";

/** What a check needs besides the world. */
const NEEDS: Partial<Record<FunctionCheckName, (world: World) => void>> = {
  ...BESIDE_THE_WORLD,
  "dns-is-scaled": putDns,
  "fluentd-is-scaled": putFluentd,
  "metrics-are-served": serveMetrics,
};

function putDns(world: World): void {
  const path = `${SYSTEM_DEPLOYMENTS}/coredns`;
  world.server.put(SYSTEM_DEPLOYMENTS, {
    metadata: { name: "coredns", labels: { "k8s-app": "kube-dns" } },
    spec: { replicas: 2 },
  });
  const autoscaler = (): void => {
    world.server.update(path, { spec: { replicas: 2 } });
    world.clock.after(10_000, autoscaler);
  };
  world.clock.after(10_000, autoscaler);
}

function putFluentd(world: World): void {
  const path = `${SYSTEM_DAEMONSETS}/log-agent`;
  const spec = {
    template: {
      spec: {
        containers: [
          { name: "fluentd-gcp", image: "x", resources: { requests: { memory: "20Mi", cpu: "10m" } } },
          { name: "exporter", image: "y" },
        ],
      },
    },
  };
  const metadata = { name: "log-agent", labels: { "app.kubernetes.io/instance": "log-agent" } };
  world.server.put(SYSTEM_DAEMONSETS, { metadata, spec });
  const scaler = (): void => {
    world.server.update(path, { spec });
    world.clock.after(10_000, scaler);
  };
  world.clock.after(10_000, scaler);
}

function serveMetrics(world: World): void {
  world.server.groups.set("metrics.k8s.io", ["v1beta1"]);
  world.server.handle("GET", /metrics\.k8s\.io\/v1beta1\/nodes$/, () => ({
    headers: { date: new Date(1_000_000_000_000).toUTCString() },
    body: {
      items: ["worker", "worker2"].map((name) => ({
        metadata: { name },
        timestamp: new Date(1_000_000_000_000 - 30_000).toISOString(),
      })),
    },
  }));
  world.server.store.onEvent(({ object, type }) => {
    if (object.kind !== "HorizontalPodAutoscaler" || type !== "ADDED") return;
    const condition = { type: "ScalingActive", status: "True", reason: "ValidMetricFound" };
    const status = { conditions: [{ ...condition, lastTransitionTime: "2026-01-01T00:00:00Z" }] };
    world.clock.after(15_000, () => world.server.update(`${HPAS}/${object.metadata.name}`, { status }));
  });
}

test("each name has its check", (t) => {
  t.deepEqual(Object.keys(functionProbes).sort(), [...FUNCTION_CHECK_NAMES].sort());
  for (const name of FUNCTION_CHECK_NAMES) t.is(functionProbes[name].name, name);
});

for (const name of FUNCTION_CHECK_NAMES) {
  const probe = functionProbes[name];

  test(`${name}: present in a healthy cluster, repeatedly`, async (t) => {
    const world = await World.start(t);
    NEEDS[name]?.(world);
    const ready = await probe.prepare(world.context);
    for (let index = 0; index < 3; index += 1) {
      const seen = await checkOnce(world, ready);
      t.true(seen.present, seen.evidence);
      t.true(seen.tookMs <= probe.deadlineMs);
      t.not(seen.evidence, "");
      t.log(seen.evidence);
      await world.clock.sleep(probe.everyMs);
    }
  });

  for (const api of ["hangs", "refuses"] as const) {
    test(`${name}: an API that ${api} means absent, in time, without an error`, async (t) => {
      const world = await World.start(t);
      NEEDS[name]?.(world);
      const ready = await probe.prepare(world.context);
      world.api = api;
      for (let index = 0; index < 2; index += 1) {
        world.sent.length = 0;
        const began = world.clock.now();
        const seen = await checkOnce(world, ready);
        t.false(seen.present, seen.evidence);
        t.true(seen.tookMs <= probe.deadlineMs + 1_000, `${seen.tookMs} ms`);
        t.regex(seen.evidence, api === "hangs" ? /timed out/ : /refused/);
        t.log(seen.evidence);
        for (const { at, timeoutMs, retry, path } of world.sent) {
          t.is(retry, false, path);
          t.true(at + (timeoutMs ?? Infinity) <= began + probe.deadlineMs + 1_000, path);
        }
      }
      // After the outage the check works again.
      world.api = "answers";
      await world.clock.sleep(30_000);
      await checkOnce(world, ready);
      const again = await checkOnce(world, ready);
      t.true(again.present, again.evidence);
    });
  }

  test(`${name}: a cancelled check ends immediately`, async (t) => {
    const world = await World.start(t);
    NEEDS[name]?.(world);
    const ready = await probe.prepare(world.context);
    const controller = new AbortController();
    world.clock.after(50, () => controller.abort());
    const { tookMs } = await checkOnce(world, ready, controller.signal);
    t.true(tookMs <= 1_000, `${tookMs} ms`);
    world.clock.pass(world.clock.now() + 20_000);
    const next = await checkOnce(world, ready);
    t.true(next.present, next.evidence);
  });

  test(`${name}: setup fails with a message while nothing answers`, async (t) => {
    const world = await World.start(t);
    world.api = "hangs";
    // A check without objects to create cannot fail.
    if (name === "api-stores") return t.pass();
    await t.throwsAsync(probe.prepare(world.context), { instanceOf: ChaosError });
  });
}

test("a preparation stops when the run is interrupted", async (t) => {
  const world = await World.start(t);
  const controller = new AbortController();
  const context = { ...world.context, interrupted: controller.signal };
  world.clock.after(1_000, () => controller.abort());
  const began = world.clock.now();
  await t.throwsAsync(functionProbes["metrics-are-served"].prepare(context), { instanceOf: ChaosError });
  t.true(world.clock.now() - began < 3_000);
});
