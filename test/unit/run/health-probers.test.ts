import test from "ava";
import type { ApiRequest, ApiResponse, Transport } from "../../../src/kube/transport.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { ChaosError } from "../../../src/common/errors.js";
import { validatePlan } from "../../../src/probes/prober-plan.js";
import {
  type Addresses,
  fetchAll,
  fetchSamples,
  proberPlan,
  readClock,
  untilAnswered,
} from "../../../src/run/measuring/probers.js";

const PROBER = { node: "worker-1", pod: "chaos-prober-abc" };

/** Sends one answer after the other; each advances the clock by the time to the pod and the time back. */
function scripted(
  script: readonly {
    readonly there: number;
    readonly back: number;
    readonly status?: number;
    readonly body?: unknown;
  }[],
): { transport: Transport; now: () => number; requests: ApiRequest[] } {
  let now = 10_000;
  const requests: ApiRequest[] = [];
  const left = [...script];
  const request = async (sent: ApiRequest): Promise<ApiResponse> => {
    requests.push(sent);
    const { there, back, status = 200, body } = left.shift() ?? { there: 0, back: 0, status: 500 };
    now += there;
    // The agent's clock started when the runner's clock was at 7000.
    const text = JSON.stringify(body ?? { boot: "boot-1", t: now - 7_000 });
    now += back;
    return await Promise.resolve({ status, headers: {}, body: Buffer.from(text) });
  };
  return { transport: { request } as unknown as Transport, now: () => now, requests };
}

test("a clock is read at the midpoint of the shortest round trip", async (t) => {
  const { transport, now, requests } = scripted([
    { there: 40, back: 60 },
    { there: 3, back: 5 },
    { there: 100, back: 0 },
  ]);
  t.deepEqual(await readClock(transport, PROBER, now, 3), {
    boot: "boot-1",
    offsetMs: 7_001,
    uncertaintyMs: 4,
  });
  t.deepEqual(
    requests.map(({ method, path, retry }) => ({ method, path, retry })),
    Array.from({ length: 3 }, () => ({
      method: "GET",
      path: "/api/v1/namespaces/kube-system-chaos/pods/chaos-prober-abc:8080/proxy/clock",
      retry: false,
    })),
  );
});

test("the true offset is always within the uncertainty", async (t) => {
  for (const [there, back] of [
    [0, 0],
    [1, 0],
    [0, 1],
    [17, 3],
    [0, 500],
    [500, 0],
  ] as const) {
    const { transport, now } = scripted([{ there, back }]);
    const reading = await readClock(transport, PROBER, now, 1);
    t.true(Math.abs((reading?.offsetMs ?? Number.NaN) - 7_000) <= (reading?.uncertaintyMs ?? -1));
  }
});

test("equal round trips: the first counts; a failed answer does not count; no answer gives no reading", async (t) => {
  const failed = { there: 0, back: 0, status: 503, body: "no endpoints" };
  const mixed = scripted([failed, { there: 0, back: 10 }, { there: 10, back: 0 }, failed]);
  t.deepEqual(await readClock(mixed.transport, PROBER, mixed.now, 4), {
    boot: "boot-1",
    offsetMs: 7_005,
    uncertaintyMs: 5,
  });
  const none = scripted([failed, failed]);
  t.is(await readClock(none.transport, PROBER, none.now, 2), undefined);
});

test("an agent restarts in between: its new clock counts, however slow the answer", async (t) => {
  const { transport, now } = scripted([
    { there: 1, back: 1 },
    { there: 50, back: 50, body: { boot: "boot-2", t: 10 } },
  ]);
  const reading = await readClock(transport, PROBER, now, 2);
  t.is(reading?.boot, "boot-2");
  t.is(reading?.uncertaintyMs, 50);
  t.is(reading?.offsetMs, 10_002 + 50 - 10);
});

test("samples: lines and the next offset; anything but a sample file is an error with the node's name", async (t) => {
  const answer = (change: Partial<ApiResponse>): Transport => {
    const response = { status: 200, headers: { "x-next-offset": "99" }, body: Buffer.from(""), ...change };
    return { request: async () => await Promise.resolve(response) } as unknown as Transport;
  };
  const good = `{"probe":"app-write","t":1,"d":2,"ok":true}\n`;
  t.deepEqual(await fetchSamples(answer({ body: Buffer.from(good + good) }), PROBER, 5), {
    lines: [JSON.parse(good), JSON.parse(good)],
    nextOffset: 99,
  });
  t.deepEqual(await fetchSamples(answer({}), PROBER, 5), { lines: [], nextOffset: 99 });
  for (const bad of [
    { status: 503, body: Buffer.from("dial tcp: no route") },
    { headers: {} },
    { headers: { "x-next-offset": "soon" } },
    { body: Buffer.from('{"probe":') },
  ]) {
    await t.throwsAsync(fetchSamples(answer(bad), PROBER, 5), {
      instanceOf: ChaosError,
      message: /prober on worker-1/,
    });
  }
});

test("all samples: asked again after each full answer, from its end, and no more after one that is not full", async (t) => {
  const ends = [1_000_000, 2_000_000, 2_000_100];
  const asked: unknown[] = [];
  const transport = {
    request: async ({ query }: { query: { offset: unknown } }) => {
      asked.push(query.offset);
      const next = String(ends[asked.length - 1] ?? 0);
      return await Promise.resolve({
        status: 200,
        headers: { "x-next-offset": next },
        body: Buffer.from(""),
      });
    },
  } as unknown as Transport;
  const taken: number[] = [];
  await fetchAll(transport, PROBER, 7, ({ nextOffset }) => void taken.push(nextOffset));
  t.deepEqual(taken, ends);
  t.deepEqual(asked, [7, 1_000_000, 2_000_000]);
});

const ADDRESSES: Addresses = {
  frontends: [{ name: "frontend-1", ip: "10.244.1.5", port: 80 }],
  frontendNodes: [{ name: "frontend-1", node: "kind-worker" }],
  control: [{ name: "frontend-env-1", ip: "10.244.1.6", port: 80 }],
  leaderPodIp: "10.244.1.7",
  leaderServiceIp: "10.96.0.21",
  frontendServiceIp: "10.96.0.22",
};

const experiment = (probes: Record<string, unknown> = {}): ReturnType<typeof experimentSchema.parse> =>
  experimentSchema.parse({
    apiVersion: "kube-system-chaos/v1",
    kind: "Experiment",
    metadata: { name: "x" },
    target: { component: "kube-dns" },
    application: { guestbook: { namespace: "shop" } },
    probes,
  });

/** A request that is answered at the given time, and a clock that only sleeping moves. */
function answeredAt(
  answerMs: number,
  signal = new AbortController().signal,
): { readonly answer: Promise<number>; readonly asked: () => number } {
  let nowMs = 0;
  let asked = 0;
  const clock = { now: () => nowMs, sleep: async (ms: number) => await Promise.resolve(void (nowMs += ms)) };
  const answer = untilAnswered({ clock, signal }, async () => {
    asked += 1;
    if (nowMs < answerMs) throw new ChaosError(`no answer to request ${asked}`);
    return await Promise.resolve(asked);
  });
  return { answer, asked: () => asked };
}

test("a prober that answers after some seconds is asked again until then", async (t) => {
  t.is(await answeredAt(0).answer, 1);
  t.is(await answeredAt(12_000).answer, 13);
});

test("a prober that does not answer for 30 s: the last error", async (t) => {
  await t.throwsAsync(answeredAt(Infinity).answer, { message: "no answer to request 31" });
});

test("a prober is not asked again after an interrupt", async (t) => {
  const { answer, asked } = answeredAt(Infinity, AbortSignal.abort());
  await t.throwsAsync(answer);
  t.is(asked(), 1);
});

test("a prober's plan: every layer by address", (t) => {
  const plan = proberPlan("run-1", experiment({ interval: "100ms", timeout: "1s" }), ADDRESSES);
  t.deepEqual(plan, {
    runId: "run-1",
    interval: 100,
    timeout: 1_000,
    tcpTimeout: 900,
    searchInterval: 2_000,
    probes: {
      "app-write": { frontends: ADDRESSES.frontends, path: "/guestbook.php" },
      "app-read": { frontends: ADDRESSES.frontends, path: "/guestbook.php" },
      "app-write-env": { frontends: ADDRESSES.control, path: "/guestbook.php" },
      "app-read-env": { frontends: ADDRESSES.control, path: "/guestbook.php" },
      "http-service": { ip: "10.96.0.22", port: 80, path: "/" },
      "http-service-reused": { ip: "10.96.0.22", port: 80, path: "/" },
      "dns-internal": { name: "redis-leader.shop.svc" },
      "dns-same-socket": { name: "redis-leader.shop.svc" },
      "dns-external": { name: "example.com" },
      "dns-search": { name: "redis-leader.shop" },
      "tcp-service": { ip: "10.96.0.21", port: 6379 },
      "tcp-pod": { ip: "10.244.1.7", port: 6379 },
      "tcp-long-lived": { ip: "10.96.0.21", port: 6379 },
    },
  });
});

test("a prober's plan where Services have IPv6 addresses: names of Services are asked for AAAA records", (t) => {
  const frontends = [{ name: "frontend-1", ip: "fd00:10:244:1::5", port: 80 }];
  const addresses = {
    frontends,
    frontendNodes: [],
    control: frontends,
    leaderPodIp: "fd00:10:244:1::7",
    leaderServiceIp: "fd00:10:96::21",
    frontendServiceIp: "fd00:10:96::22",
  };
  const plan = validatePlan(proberPlan("r", experiment(), addresses));
  t.deepEqual(plan.probes["tcp-service"], { ip: "fd00:10:96::21", port: 6379 });
  t.deepEqual(plan.probes["dns-internal"], { name: "redis-leader.shop.svc", family: 6 });
  t.deepEqual(plan.probes["dns-search"], { name: "redis-leader.shop", family: 6 });
  t.deepEqual(plan.probes["dns-external"], { name: "example.com" });
  t.throws(() => validatePlan({ ...plan, probes: { "dns-search": { name: "a.b", family: 5 } } }), {
    message: "plan.probes.dns-search.family must be 4 or 6",
  });
});

test("a prober's plan without an outside name; nothing in it needs DNS to be reached", (t) => {
  const { probes } = proberPlan("r", experiment({ external: false }), ADDRESSES);
  t.false("dns-external" in probes);
  for (const [name, probe] of Object.entries(probes)) {
    if (name.startsWith("dns-")) continue;
    const text = JSON.stringify(probe).replaceAll(/"(name|key|path)":"[^"]*"/g, "");
    t.notRegex(text, /[g-z]\.[a-z]/, name);
  }
});
