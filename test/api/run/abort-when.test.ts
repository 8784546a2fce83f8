/** Abort conditions on a Service, through the service proxy of the fake API server, and the window that they end. */
import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import { experimentSchema, type AskedService } from "../../../src/experiment/schema.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import { askService, type ServiceAnswer } from "../../../src/probes/service-proxy.js";
import { AbortWatch } from "../../../src/run/measuring/abort-when.js";
import { systemClock } from "../../../src/common/clock.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import type { RunContext } from "../../../src/run/context.js";
import { HealthTracker } from "../../../src/run/measuring/health.js";
import { PHASES } from "../../../src/run/phases/all-phases.js";
import { runPhases } from "../../../src/run/phases/phase.js";
import { endOutage } from "../../../src/run/phases/window.js";
import { RunState } from "../../../src/run/run-state.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import {
  isDying,
  pod,
  PODS,
  putKubeDns,
  REPLICASET,
  serve,
  type Served,
  until,
  watching,
} from "../../helpers/target-fixtures.js";

const SHOP: AskedService = {
  namespace: "shop",
  service: "web",
  port: 80,
  path: "/healthz?full=1",
  status: { from: 200, to: 399 },
};
const PROXY = /^\/api\/v1\/namespaces\/shop\/services\/web:80\/proxy\/healthz$/;
/** For answers that come: a busy machine may take its time. */
const TIMEOUT_MS = 10_000;
/** For answers that never come. */
const SILENT_TIMEOUT_MS = 500;

/** A cluster whose API server also answers a request of its own. */
async function shop(t: ExecutionContext): Promise<Served> {
  const served = await serve(t);
  served.server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  return served;
}

const ask = async (
  { transport }: Served,
  change: Partial<AskedService> = {},
  timeoutMs = TIMEOUT_MS,
): Promise<ServiceAnswer> =>
  await askService(transport, { ...SHOP, ...change }, { signal: new AbortController().signal, timeoutMs });

/** Sets the Service's answer from now on. */
function answers(server: FakeApiServer, status: number, body: unknown = "ok", headers = {}): void {
  server.handle("GET", PROXY, () => ({ status, body, headers }));
}

const statusOf = (message: string): object => ({ kind: "Status", apiVersion: "v1", message });

test("a good answer: one GET through the service proxy, with its query, and nothing else", async (t) => {
  const served = await shop(t);
  answers(served.server, 204, "");
  t.deepEqual(await ask(served), { state: "good", detail: "" });
  t.deepEqual(
    served.server.requests.map(({ method, path, query }) => [method, path, query.toString()]),
    [["GET", "/api/v1/namespaces/shop/services/web:80/proxy/healthz", "full=1"]],
  );
});

test("a redirect counts as an answer and is not followed", async (t) => {
  const served = await shop(t);
  answers(served.server, 302, "", { location: "/api/v1/secrets" });
  t.is((await ask(served)).state, "good");
  t.deepEqual(await ask(served, { status: { from: 200, to: 299 } }), {
    state: "failing",
    detail: "HTTP 302",
  });
  t.deepEqual(served.server.requestsOf("GET", "secrets"), []);
});

test("failing: a bad status, no endpoint, no Service; the API server answers for itself", async (t) => {
  const served = await shop(t);
  const { server } = served;
  answers(server, 500, "oops");
  t.deepEqual(await ask(served), { state: "failing", detail: "HTTP 500" });
  answers(server, 503, statusOf('no endpoints available for service "web"'));
  t.deepEqual(await ask(served), {
    state: "failing",
    detail: 'HTTP 503 no endpoints available for service "web"',
  });
  answers(server, 404, statusOf('services "web" not found'));
  t.is((await ask(served)).detail, 'HTTP 404 services "web" not found');
});

test("a silent application is failing if the API server itself answers", async (t) => {
  const served = await shop(t);
  const disarm = served.server.fault({ kind: "hang", path: "/proxy/", times: Infinity });
  const answer = await ask(served, {}, SILENT_TIMEOUT_MS);
  disarm();
  t.is(answer.state, "failing");
  t.regex(answer.detail, /within 500 ms/);
  // A path that every run may read anyway: no extra permission is needed.
  t.is(served.server.requests.at(-1)?.path, "/api/v1/namespaces/kube-system");
});

test("not known: the API server is silent, refuses connections, has lost etcd, or refuses to forward the request", async (t) => {
  const served = await shop(t);
  const { server } = served;
  for (const fault of [
    { kind: "hang" },
    { kind: "reset" },
    { kind: "status", status: 500, message: "etcdserver: request timed out" },
    { kind: "status", status: 503 },
  ] as const) {
    const disarm = server.fault({ ...fault, times: Infinity });
    const answer = await ask(served, {}, SILENT_TIMEOUT_MS);
    disarm();
    t.is(answer.state, "not known", fault.kind);
    t.regex(answer.detail, /^the API server does not answer: /);
  }
  answers(server, 403, statusOf("services is forbidden"));
  t.deepEqual(await ask(served), {
    state: "not known",
    detail: "the API server refuses to forward the request: HTTP 403 services is forbidden",
  });
  await server.close();
  t.is((await ask(served)).state, "not known");
});

test("a signal ends a pending request", async (t) => {
  const served = await shop(t);
  const disarm = served.server.fault({ kind: "hang", times: Infinity });
  const ended = new AbortController();
  const asking = askService(served.transport, SHOP, { signal: ended.signal, timeoutMs: 60_000 });
  await until("it is asked", () => served.server.requests.length > 0);
  ended.abort();
  await t.throwsAsync(asking);
  disarm();
});

interface Following {
  readonly watch: AbortWatch;
  readonly events: RunEventBody[];
}

/** The condition on the shop: asked every 20 ms, met after 200 ms. */
function following(
  t: ExecutionContext,
  { transport }: Served,
  change: { failsFor?: number } = {},
): Following {
  const events: RunEventBody[] = [];
  const watch = new AbortWatch({
    conditions: [{ failsFor: change.failsFor ?? 200, http: SHOP }],
    health: new HealthTracker(3),
    intervalMs: 250,
    transport,
    clock: systemClock(),
    emit: (event) => void events.push(event),
    askEveryMs: 20,
    timeoutMs: TIMEOUT_MS,
  });
  t.teardown(async () => await watch.stop());
  return { watch, events };
}

test("a Service that fails for long enough ends the outage; only changes are reported, not every answer", async (t) => {
  const served = await shop(t);
  const { watch, events } = following(t, served);
  answers(served.server, 200);
  watch.start();
  t.is(await watch.notGood(), undefined);
  const signal = watch.arm();
  answers(served.server, 502, "bad gateway");
  await until("it is met", () => signal.aborted);
  answers(served.server, 200);
  await until("it is good again", () => events.length === 3);
  t.deepEqual(events[0], {
    type: "condition",
    asked: "GET shop/web:80/healthz?full=1",
    state: "failing",
    detail: "HTTP 502",
  });
  const met = events[1];
  t.true(met?.type === "stopped" && met.code === "aborted");
  t.regex(
    met?.type === "stopped" ? met.message : "",
    /^GET shop\/web:80\/healthz\?full=1 has failed for \d.* \(abortWhen: 200 ms\), since .* after the start; last: HTTP 502\.$/,
  );
  t.like(events[2], { type: "condition", state: "good" });
});

test("time without the API server does not count as failing time of the application", async (t) => {
  const served = await shop(t);
  const { watch, events } = following(t, served, { failsFor: 60_000 });
  answers(served.server, 200);
  watch.start();
  const disarm = served.server.fault({ kind: "reset", times: Infinity });
  await until("it is not known", () =>
    events.some((event) => event.type === "condition" && event.state === "not known"),
  );
  t.regex((await watch.notGood()) ?? "", /is not known: the API server does not answer/, "which is not good");
  t.false(watch.arm().aborted);
  disarm();
  await until("it is good again", () =>
    events.some((event) => event.type === "condition" && event.state === "good"),
  );
  t.is(await watch.notGood(), undefined);
  t.false(events.some(({ type }) => type === "stopped"));
});

test("not good at the end of the baseline: asked once more, then reported", async (t) => {
  const served = await shop(t);
  const { watch } = following(t, served);
  answers(served.server, 503, "starting");
  t.is(
    await watch.notGood(),
    "An abort condition is not good before the attack: GET shop/web:80/healthz?full=1 is failing: HTTP 503.",
  );
  answers(served.server, 200);
  t.is(await watch.notGood(), undefined);
});

/** A window of 60 s in which kube-dns's pods are deleted. */
async function window(
  t: ExecutionContext,
  served: Served,
  abortWhen: AbortWatch,
): Promise<{ running: Promise<{ readonly kills: number }>; events: RunEventBody[] }> {
  putKubeDns(served.server);
  const watched = await watching(t, served);
  const experiment = experimentSchema.parse({
    apiVersion: "kube-system-chaos/v1",
    kind: "Experiment",
    metadata: { name: "x" },
    target: { component: "kube-dns" },
    attack: { type: "delete-pods", gracePeriod: "0s" },
  });
  const { events, emit } = watched;
  const silent = (): void => undefined;
  const context = {
    runId: "run-1",
    resolved: resolveExperiment(experiment),
    transport: served.transport,
    nodes: [],
    nodeAccess: undefined,
    clock: systemClock(),
    target: watched.target,
    recorder: { emit, events, onEvent: silent },
    view: { phase: silent, phaseEnd: silent, live: silent },
    interrupted: new AbortController().signal,
  };
  const state = new RunState(
    context as unknown as RunContext,
    { experiment, target: watched.target } as unknown as RunFacts,
  );
  state.measuring = { nodes: [], watch: watched.watch, companions: [], abortWhen };
  const running = runPhases(
    PHASES.filter(({ name }) => name === "window"),
    state,
  ).then(async () => {
    await endOutage(state);
    return { kills: state.harm?.attack?.kills ?? 0 };
  });
  return { running, events };
}

test("a condition that is met ends the window: the attack stops, and new pods stay alive", async (t) => {
  const served = await shop(t);
  const { server } = served;
  const { watch, events } = following(t, served);
  answers(server, 200);
  watch.start();
  const { running, events: told } = await window(t, served, watch);
  await until("both pods are killed", () => told.filter(({ type }) => type === "kill").length >= 2);
  answers(server, 500);
  const startedAt = performance.now();
  const { kills } = await running;
  t.true(performance.now() - startedAt < 20_000, "a window of 60 s ended early");
  t.is(kills, 2);
  t.true(events.some((event) => event.type === "stopped" && event.code === "aborted"));
  t.deepEqual(
    told.filter(({ type }) => type === "phase"),
    [
      { type: "phase", phase: "window", state: "start" },
      { type: "phase", phase: "window", state: "end" },
    ],
  );
  const deletions = server.requestsOf("DELETE").length;
  server.put(PODS, pod(`${REPLICASET}-c`));
  await until("the watch has seen it", () =>
    told.some((event) => event.type === "instance" && /-c$/.test(event.object.name)),
  );
  t.is(server.requestsOf("DELETE").length, deletions);
  t.deepEqual(
    server
      .objects(PODS)
      .filter((object) => !isDying(object))
      .map(({ metadata }) => metadata.name),
    [`${REPLICASET}-c`],
  );
});

test("a condition that is met before the window: nothing is attacked", async (t) => {
  const served = await shop(t);
  const { watch, events } = following(t, served, { failsFor: 20 });
  answers(served.server, 500);
  watch.start();
  await until("it has failed", () => served.server.requestsOf("GET", "/proxy/").length > 10);
  const { running, events: told } = await window(t, served, watch);
  t.deepEqual(await running, { kills: 0 });
  t.deepEqual(served.server.requestsOf("DELETE"), []);
  t.deepEqual(
    told.filter(({ type }) => type === "phase" || type === "kill"),
    [],
  );
  t.true(events.some((event) => event.type === "stopped" && event.code === "aborted"));
});
