/** Services follow their pods, and the default backend answers. The probers of every node ask. */
import test from "ava";
import { ChaosError } from "../../../src/common/errors.js";
import { describe, goodFromAll, wordsOf } from "../../../src/probes/functions/from-probers.js";
import { functionProbes } from "../../../src/probes/functions/all-function-checks.js";
import { checkOnce, SERVICES, World } from "../../helpers/function-fixtures.js";

const follow = functionProbes["services-follow"];

test("without kube-proxy the new Service is unreachable, and the existing one leads to the old pod", async (t) => {
  const world = await World.start(t);
  const ready = await follow.prepare(world.context);
  world.works.kubeProxy = false;
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(
    seen.evidence,
    /^new Service \S+: worker: timeout: no answer within 900 ms; worker2: timeout: \S.* \| existing Service \S+, pod \S+ in place after \S+ s: worker: timeout: /,
  );
  t.true(seen.tookMs <= follow.deadlineMs + 1_000);
  t.is(world.server.objects(SERVICES).length, 1, "the check's Service is deleted");
  world.works.kubeProxy = true;
  const again = await checkOnce(world, ready);
  t.true(again.present, again.evidence);
  t.is(world.server.objects(SERVICES).length, 1);
});

test("a pod that is not replaced is reported as such, not as a fault of the Service", async (t) => {
  const world = await World.start(t);
  const ready = await follow.prepare(world.context);
  world.works.controllers = false;
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /existing Service \S+: its pod could not be replaced: no new pod was created/);
  world.works.kubelet = false;
  world.works.controllers = true;
});

test("an unreachable prober does not count; without any prober the function is absent", async (t) => {
  const world = await World.start(t);
  const ready = await follow.prepare(world.context);
  world.silent.add("worker");
  const seen = await checkOnce(world, ready);
  t.true(seen.present, seen.evidence);
  t.regex(seen.evidence, /worker: not asked \(HTTP 503 no route to the pod\)/);
  world.silent.add("worker2");
  t.false((await checkOnce(world, ready)).present);
});

test("probers that are all gone are still asked, and each missing answer is reported", async (t) => {
  const world = await World.start(t);
  const ready = await follow.prepare(world.context);
  for (const node of ["worker", "worker2"]) {
    world.server.remove(`/api/v1/namespaces/kube-system-chaos/pods/prober-${node}`);
    world.silent.add(node);
  }
  const seen = await checkOnce(world, ready);
  t.false(seen.present);
  t.regex(seen.evidence, /worker: not asked \(.*worker2: not asked \(/);
});

test("the result over all nodes", (t) => {
  const good = { node: "a", outcome: "good", detail: "d" } as const;
  const bad = { node: "b", outcome: "bad", detail: "timeout" } as const;
  const silent = { node: "c", outcome: "not asked", detail: "HTTP 503" } as const;
  t.true(goodFromAll([good, silent]));
  t.false(goodFromAll([good, bad]));
  t.false(goodFromAll([silent]));
  t.false(goodFromAll([]));
  t.is(describe([good, bad, silent]), "a: d; b: timeout; c: not asked (HTTP 503)");
  t.is(describe([]), "no prober is known");
  t.is(wordsOf({ ok: false, ms: 1, kind: "refused" }), "refused");
  t.is(wordsOf({ ok: true, ms: 1.4 }), "connected in 1 ms");
  t.is(wordsOf({ ok: true, ms: 1, status: 404, body: "x\ny" }), 'HTTP 404 "x\\ny"');
});

const backend = functionProbes["unknown-path-is-answered"];
const SYSTEM_SERVICES = "/api/v1/namespaces/kube-system/services";

test("the default backend's Service is found by its selector or its name", async (t) => {
  for (const service of [
    {
      metadata: { name: "l7" },
      spec: { selector: { "k8s-app": "glbc" }, clusterIP: "10.96.1.1", ports: [{ port: 80 }] },
    },
    { metadata: { name: "default-http-backend" }, spec: { clusterIP: "10.96.1.1", ports: [{ port: 8080 }] } },
  ]) {
    const world = await World.start(t, ["worker"]);
    world.server.put(SYSTEM_SERVICES, {
      metadata: { name: "kube-dns" },
      spec: { clusterIP: "10.96.0.10", ports: [{ port: 53 }] },
    });
    world.server.put(SYSTEM_SERVICES, service);
    const ready = await backend.prepare(world.context);
    t.true((await checkOnce(world, ready)).present);
    world.works.defaultBackend = false;
    const seen = await checkOnce(world, ready);
    t.false(seen.present);
    t.regex(
      seen.evidence,
      /^GET http:\/\/10\.96\.1\.1:\d+\/chaos-[0-9a-f]{12}: worker: refused: connect ECONNREFUSED$/,
    );
    t.true(seen.tookMs <= backend.deadlineMs + 1_000);
  }
  const world = await World.start(t, ["worker"]);
  await t.throwsAsync(backend.prepare(world.context), {
    instanceOf: ChaosError,
    message: /selects its pods.*kube-system/,
  });
});

test("each check asks for another path", async (t) => {
  const world = await World.start(t, ["worker"]);
  world.server.put(SYSTEM_SERVICES, {
    metadata: { name: "default-http-backend" },
    spec: { clusterIP: "10.96.1.1", ports: [{ port: 80 }] },
  });
  const ready = await backend.prepare(world.context);
  const first = await checkOnce(world, ready);
  t.not(first.evidence, (await checkOnce(world, ready)).evidence);
});

test("setup fails without probers before it creates anything", async (t) => {
  const world = await World.start(t, []);
  for (const probe of [follow, backend])
    await t.throwsAsync(probe.prepare(world.context), {
      instanceOf: ChaosError,
      message: "cannot find a prober in namespace kube-system-chaos: none is running",
    });
  t.deepEqual(world.changes(), []);
});
