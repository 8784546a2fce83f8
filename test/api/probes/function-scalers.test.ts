/** Components that correct values, and the metrics that an HPA needs. */
import test from "ava";
import type { KubeObject } from "../../../src/kube/objects.js";
import { ChaosError } from "../../../src/common/errors.js";
import { writerSince } from "../../../src/probes/functions/correction.js";
import { functionProbes } from "../../../src/probes/functions/all-function-checks.js";
import {
  HPAS,
  checkOnce,
  SYSTEM_DAEMONSETS,
  SYSTEM_DEPLOYMENTS,
  World,
} from "../../helpers/function-fixtures.js";

const DNS = `${SYSTEM_DEPLOYMENTS}/coredns`;

async function withDns(t: Parameters<typeof World.start>[0]): Promise<World> {
  const world = await World.start(t);
  world.server.put(SYSTEM_DEPLOYMENTS, {
    metadata: { name: "coredns", labels: { "k8s-app": "kube-dns" } },
    spec: { replicas: 2, paused: false },
  });
  return world;
}

const replicas = (world: World): number =>
  (world.server.object(DNS)?.spec as { replicas: number } | undefined)?.replicas ?? -1;

test("without the autoscaler the count stays wrong, and the check undoes its change", async (t) => {
  const world = await withDns(t);
  const ready = await functionProbes["dns-is-scaled"].prepare(world.context);
  t.deepEqual(world.records, [DNS], "in the journal before it is changed");
  t.deepEqual(world.changes(), []);
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.is(
    seen.evidence,
    "replicas of Deployment coredns set from 2 to 3: still 3 after 25.0 s; the check undid its change",
  );
  t.true(seen.tookMs <= 26_000);
  t.is(replicas(world), 2);
  t.deepEqual(world.changes(), [`PATCH ${DNS}/scale`, `PATCH ${DNS}/scale`]);
});

test("a count that someone else has set meanwhile stays", async (t) => {
  const world = await withDns(t);
  const ready = await functionProbes["dns-is-scaled"].prepare(world.context);
  world.server.handle("PATCH", /scale$/, () => {
    setTimeout(() => world.server.update(DNS, { spec: { replicas: 7 } }));
    return undefined;
  });
  const seen = await checkOnce(world, ready);
  t.regex(seen.evidence, /nothing to undo: someone else has set 7$/);
  t.is(replicas(world), 7);
});

test("a cancelled check undoes its change, too", async (t) => {
  const world = await withDns(t);
  const ready = await functionProbes["dns-is-scaled"].prepare(world.context);
  const controller = new AbortController();
  world.clock.after(3_000, () => controller.abort());
  const seen = await checkOnce(world, ready, controller.signal);
  t.false(seen.present);
  t.is(replicas(world), 2);
});

test("a count that could not be undone is undone by the next check", async (t) => {
  const world = await withDns(t);
  const ready = await functionProbes["dns-is-scaled"].prepare(world.context);
  world.clock.after(24_000, () => (world.api = "refuses"));
  const seen = await checkOnce(world, ready);
  t.regex(seen.evidence, /could not undo its change \(refused: .*\); the run undoes it at its end$/);
  t.is(replicas(world), 3);
  world.api = "answers";
  world.clock.after(4_000, () => world.server.update(DNS, { spec: { replicas: 2 } }));
  t.true((await checkOnce(world, ready)).present);
  t.is(replicas(world), 2);
});

test("the writer is the manager of a new entry for those fields, never this tool", (t) => {
  const object = (...managedFields: object[]): KubeObject => ({
    metadata: { name: "x", uid: "u", resourceVersion: "1", managedFields },
  });
  const entry = (manager: string, time: string, field = "f:replicas"): object => ({
    manager,
    time,
    fieldsV1: { "f:spec": { [field]: {} } },
  });
  const concerns = (fields: object): boolean => JSON.stringify(fields).includes("f:replicas");
  const before = object(entry("kubeadm", "1"));
  const now = object(
    entry("kubeadm", "1"),
    entry("cluster-proportional-autoscaler", "3"),
    entry("kube-controller-manager", "4", "f:status"),
    entry("kube-system-chaos", "2"),
  );
  t.is(writerSince(before, now, concerns), "cluster-proportional-autoscaler");
  t.is(writerSince(now, now, concerns), "an unknown field manager");
});

test("setup fails if there is no DNS or no fluentd", async (t) => {
  const world = await World.start(t);
  for (const name of ["dns-is-scaled", "fluentd-is-scaled"] as const)
    await t.throwsAsync(functionProbes[name].prepare(world.context), {
      instanceOf: ChaosError,
      message: /looked for a .* in kube-system$/,
    });
  t.deepEqual(world.records, []);
});

const FLUENTD = `${SYSTEM_DAEMONSETS}/log-agent`;

async function withFluentd(
  t: Parameters<typeof World.start>[0],
  resources?: object,
): Promise<{ world: World; containers: () => { name: string; resources?: object }[] }> {
  const world = await World.start(t);
  const containers = [
    { name: "fluentd-gcp", image: "x", ...(resources === undefined ? {} : { resources }) },
    { name: "exporter", image: "y", resources: { limits: { cpu: "1" } } },
  ];
  world.server.put(SYSTEM_DAEMONSETS, {
    metadata: { name: "log-agent", labels: { "app.kubernetes.io/instance": "log-agent" } },
    spec: { template: { spec: { containers } } },
  });
  const read = (): { name: string; resources?: object }[] => {
    type Spec = { template: { spec: { containers: { name: string; resources?: object }[] } } };
    return (world.server.object(FLUENTD)?.spec as Spec).template.spec.containers;
  };
  return { world, containers: read };
}

test("without the scaler the resources stay wrong, and the check undoes only them", async (t) => {
  const resources = { requests: { cpu: "10m", memory: "19Mi" }, limits: { memory: "200Mi" } };
  const { world, containers } = await withFluentd(t, resources);
  const before = containers();
  const ready = await functionProbes["fluentd-is-scaled"].prepare(world.context);
  t.deepEqual(world.records, [FLUENTD]);
  let odd: object | undefined;
  world.clock.after(5_000, () => {
    odd = containers()[0]?.resources;
    // Someone else changes something else in the meantime.
    world.server.update(FLUENTD, { metadata: { annotations: { other: "kept" } } });
  });
  world.server.fault({ kind: "status", status: 409, method: "PATCH", path: "fluentd", times: 2 });
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(
    seen.evidence,
    /: still \{"requests":\{"cpu":"10m","memory":"18Mi"\}.* after 25\.0 s; the check undid its change$/,
  );
  t.deepEqual(odd, { requests: { cpu: "10m", memory: "18Mi" }, limits: { memory: "200Mi" } });
  t.deepEqual(containers(), before);
  t.is(world.server.object(FLUENTD)?.metadata.annotations?.other, "kept");
});

test("a fluentd without resources has nothing to correct and is left unchanged", async (t) => {
  const { world } = await withFluentd(t);
  const ready = await functionProbes["fluentd-is-scaled"].prepare(world.context);
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /had no resources/);
  t.deepEqual([...world.changes(), ...world.records], []);
});

// --- metrics -------------------------------------------------------------------------------------------------

const NOW = 1_700_000_000_000;

/** metrics.k8s.io, and an HPA controller with an interval of 15 s. */
interface Metrics {
  readonly world: World;
  readonly state: { serves: boolean; ageMs: number; nodes: string[]; controller: boolean };
}

async function withMetrics(t: Parameters<typeof World.start>[0]): Promise<Metrics> {
  const world = await World.start(t);
  const state = { serves: true, ageMs: 20_000, nodes: ["worker", "worker2"], controller: true };
  world.server.groups.set("metrics.k8s.io", ["v1", "v1beta1"]);
  world.server.handle("GET", /metrics\.k8s\.io\/v1\/nodes$/, () =>
    state.serves
      ? {
          headers: { date: new Date(NOW).toUTCString() },
          body: {
            items: state.nodes.map((name) => ({
              metadata: { name },
              timestamp: new Date(NOW - state.ageMs).toISOString(),
            })),
          },
        }
      : {
          status: 503,
          body: { kind: "Status", reason: "ServiceUnavailable", message: "unable to handle the request" },
        },
  );
  const round = (): void => {
    world.clock.after(15_000, round);
    if (!state.controller) return;
    for (const { metadata } of world.server.objects(HPAS)) {
      const reason = state.serves ? "ValidMetricFound" : "FailedGetResourceMetric";
      const status = state.serves ? "True" : "False";
      const condition = {
        type: "ScalingActive",
        status,
        reason,
        message: "why",
        lastTransitionTime: `t${world.clock.now()}`,
      };
      world.server.update(`${HPAS}/${metadata.name}`, { status: { conditions: [condition] } });
    }
  };
  world.clock.after(15_000, round);
  return { world, state };
}

const metrics = functionProbes["metrics-are-served"];

test("without metrics the function is absent, and the HPA's condition is the evidence", async (t) => {
  const { world, state } = await withMetrics(t);
  const ready = await metrics.prepare(world.context);
  await checkOnce(world, ready);
  state.serves = false;
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(
    seen.evidence,
    /^metrics\.k8s\.io: HTTP 503 ServiceUnavailable: unable to handle the request; HPA ScalingActive=False since t\d+ \(FailedGetResourceMetric: why\)$/,
  );
  t.true(seen.tookMs > 5_000 && seen.tookMs <= 16_000, `${seen.tookMs} ms`);
  // The next check need not wait: both are known.
  t.true((await checkOnce(world, ready)).tookMs < 1_000);
  state.serves = true;
  const back = await checkOnce(world, ready);
  t.true(back.present, back.evidence);
  t.true(back.tookMs <= 16_000);
});

test("metrics that return during a check do not make it present", async (t) => {
  const { world, state } = await withMetrics(t);
  const ready = await metrics.prepare(world.context);
  state.serves = false;
  world.clock.after(2_000, () => (state.serves = true));
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /HTTP 503/);
});

test("old samples, or samples of only some nodes, do not count", async (t) => {
  const { world, state } = await withMetrics(t);
  const ready = await metrics.prepare(world.context);
  state.ageMs = 91_000;
  const old = await checkOnce(world, ready);
  t.false(old.present);
  t.regex(old.evidence, /the oldest 91\.0 s; too old: worker, worker2; HPA ScalingActive=True/);
  t.true(old.tookMs <= metrics.deadlineMs + 1_000);
  state.ageMs = 90_000;
  t.true((await checkOnce(world, ready)).present);
  state.nodes = ["worker"];
  t.regex((await checkOnce(world, ready)).evidence, /no sample of worker2/);
});

test("without an active HPA the function is absent, too", async (t) => {
  const { world, state } = await withMetrics(t);
  const ready = await metrics.prepare(world.context);
  state.controller = false;
  const [hpa] = world.server.objects(HPAS);
  const condition = {
    type: "ScalingActive",
    status: "False",
    reason: "FailedGetResourceMetric",
    message: "m",
  };
  world.server.update(`${HPAS}/${hpa?.metadata.name}`, { status: { conditions: [condition] } });
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /HPA ScalingActive=False since \? \(FailedGetResourceMetric: m\)$/);
});

test("setup fails if metrics never work, and says how to install them", async (t) => {
  const { world, state } = await withMetrics(t);
  state.serves = false;
  await t.throwsAsync(metrics.prepare(world.context), {
    instanceOf: ChaosError,
    message:
      /HTTP 503.*after 120\.\d s\. Check that metrics-server is installed \(chaos cluster up --addons\)$/,
  });
});

test("without the API metrics.k8s.io setup fails at once and creates nothing", async (t) => {
  const { world } = await withMetrics(t);
  world.server.groups.delete("metrics.k8s.io");
  const now = world.clock.now();
  await t.throwsAsync(metrics.prepare(world.context), {
    instanceOf: ChaosError,
    message:
      /^cannot check metrics: the cluster has no API metrics\.k8s\.io.*\. Check that metrics-server is installed \(chaos cluster up --addons\)$/,
  });
  t.deepEqual(world.changes(), []);
  t.is(world.clock.now(), now);
});
