import { after as systemAfter } from "../../../src/common/clock.js";
import test from "ava";
import fc from "fast-check";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import type { ProbeName } from "../../../src/experiment/names.js";
import { experimentSchema, servicePathProblem, type AskedService } from "../../../src/experiment/schema.js";
import type { Transport } from "../../../src/kube/transport.js";
import { describeService, judgeAnswer, serviceRequest } from "../../../src/probes/service-proxy.js";
import { AbortWatch } from "../../../src/run/measuring/abort-when.js";
import { type Answer, FailingTime } from "../../../src/run/measuring/failing-time.js";
import { HealthTracker } from "../../../src/run/measuring/health.js";

const VALID_MS = 2_000;

const STATES = { "+": "good", "-": "failing", "?": "not known" } as const;

/** "0- 1? 2+": at 0 s failing, at 1 s not known, at 2 s good. */
function parsed(text: string): Answer[] {
  return text.split(" ").map((word) => ({
    atMs: Number(word.slice(0, -1)) * 1000,
    state: STATES[word.slice(-1) as keyof typeof STATES],
    detail: `at ${word.slice(0, -1)}`,
  }));
}

function after(all: readonly Answer[], holdMs = VALID_MS): FailingTime {
  const time = new FailingTime(holdMs);
  for (const one of all) time.add(one);
  return time;
}

const failing = (text: string): unknown => after(parsed(text)).failing;

test("failing counts from the first failed answer to the last one", (t) => {
  t.is(failing("0+"), undefined);
  t.deepEqual(
    failing("1-"),
    { sinceMs: 1000, forMs: 0, detail: "at 1" },
    "one failure counts for no time yet",
  );
  t.deepEqual(failing("1- 2- 3.5-"), { sinceMs: 1000, forMs: 2500, detail: "at 3.5" });
});

test("one good answer resets the failing time", (t) => {
  t.is(failing("1- 2- 3+"), undefined);
  t.deepEqual(failing("1- 2- 3+ 4- 5-"), { sinceMs: 4000, forMs: 1000, detail: "at 5" });
});

test("unknown time neither counts nor resets the failing time", (t) => {
  t.is(failing("0? 1? 9?"), undefined, "not known is not failing");
  t.deepEqual(
    failing("0- 1- 2? 3? 60?"),
    { sinceMs: 0, forMs: 1000, detail: "at 1" },
    "a failure that no later one confirms counts for nothing",
  );
  t.deepEqual(failing("0- 1- 2? 3? 60? 61- 62-"), { sinceMs: 0, forMs: 3000, detail: "at 62" });
  t.deepEqual(failing("0? 5- 6-"), { sinceMs: 5000, forMs: 1000, detail: "at 6" });
});

test("if the next answers are missing, an answer stays valid for a limited time", (t) => {
  t.deepEqual(failing("0- 60- 61-"), { sinceMs: 0, forMs: VALID_MS + 1000, detail: "at 61" });
});

test("a late answer is sorted in by its time", (t) => {
  // A sample that timed out was sent before those that succeeded immediately, and arrives after them.
  t.is(failing("1+ 2+ 0-"), undefined);
  t.deepEqual(failing("1- 3- 2+"), { sinceMs: 3000, forMs: 0, detail: "at 3" });
  t.deepEqual(failing("1- 3- 2-"), { sinceMs: 1000, forMs: 2000, detail: "at 3" });
  t.is(after(parsed("2+ 1-")).notGood, undefined);
});

test("not good: the newest answer is not good, or there is no answer", (t) => {
  const notGood = (text: string): unknown => after(parsed(text)).notGood;
  t.is(new FailingTime(VALID_MS).notGood, "no answer");
  t.is(notGood("1- 2+"), undefined);
  t.is(notGood("1+ 2-"), "failing: at 2");
  t.is(notGood("1+ 2- 3?"), "not known: at 3");
});

/** Answers at different moments, in order of time. */
const histories = fc
  .uniqueArray(
    fc.record({
      atMs: fc.integer({ min: 0, max: 120_000 }),
      state: fc.constantFrom("good" as const, "failing" as const, "not known" as const),
      detail: fc.string({ maxLength: 3 }),
    }),
    { selector: ({ atMs }) => atMs, maxLength: 40 },
  )
  .map((all) => all.sort((a, b) => a.atMs - b.atMs));

test("property: the order in which answers arrive does not matter", (t) => {
  const shuffled = histories.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
  );
  fc.assert(
    fc.property(shuffled, ([all, mixed]) => {
      const [one, other] = [after(all), after(mixed)];
      t.deepEqual(one.failing, other.failing);
      t.is(one.notGood, other.notGood);
    }),
  );
  t.pass();
});

test("property: failing time is never longer than the time without a good answer, and lies between failures", (t) => {
  fc.assert(
    fc.property(histories, fc.integer({ min: 1, max: 10_000 }), (all, holdMs) => {
      const since = all.slice(all.findLastIndex(({ state }) => state === "good") + 1);
      const failures = since.filter(({ state }) => state === "failing");
      const found = after(all, holdMs).failing;
      if (failures.length === 0) return found === undefined;
      const [first, last] = [failures[0]?.atMs ?? NaN, failures.at(-1)?.atMs ?? NaN];
      const forMs = found?.forMs ?? NaN;
      return (
        found?.sinceMs === first &&
        forMs >= 0 &&
        forMs <= last - first &&
        forMs <= (failures.length - 1) * holdMs
      );
    }),
  );
  t.pass();
});

test("property: unknown answers never make the failing time longer", (t) => {
  fc.assert(
    fc.property(histories, (all) => {
      const known = all.filter(({ state }) => state !== "not known");
      const [withThem, without] = [after(all).failing, after(known).failing];
      return (
        (withThem === undefined) === (without === undefined) &&
        (withThem?.forMs ?? 0) <= (without?.forMs ?? 0)
      );
    }),
  );
  t.pass();
});

const asked = (change: Partial<AskedService> = {}): AskedService => ({
  namespace: "shop",
  service: "web",
  port: 80,
  path: "/",
  status: { from: 200, to: 399 },
  ...change,
});

test("the request goes through the service proxy, each part of the path percent-encoded", (t) => {
  const root = "/api/v1/namespaces/shop/services/web:80/proxy";
  const request = (path: string): unknown => serviceRequest(asked({ path }));
  t.deepEqual(request("/"), { path: `${root}/`, query: {} });
  t.deepEqual(request("/a/b/"), { path: `${root}/a/b/`, query: {} });
  t.deepEqual(request("/é;v=1:@/落"), { path: `${root}/%C3%A9%3Bv%3D1%3A%40/%E8%90%BD`, query: {} });
  t.deepEqual(request("/php?cmd=get&key=/../x"), {
    path: `${root}/php`,
    query: { cmd: "get", key: "/../x" },
  });
  t.is(serviceRequest(asked({ port: "http" })).path, "/api/v1/namespaces/shop/services/web:http/proxy/");
  t.is(describeService(asked({ path: "/php?a=b" })), "GET shop/web:80/php?a=b");
});

const EVIL = [
  ...["", "x", "http://example.com/", "//example.com", "/a//b", "/..", "/a/../b", "/a/..;/b", "/./a"],
  ...["/%2e%2e/b", "/a%2fb", "/a\\..\\b", "/a#b", "/a b", "/a\tb", "/a\r\nHost: x", "/a\u0000", "/a\u202eb"],
  ...["/a?b?c", "/a?b=1&b=2", "/\ud800", "/a?\udc00", "/a\u00a0b", "/a\u2028b"],
];

test("a path that could lead out of the Service is refused and never requested", (t) => {
  for (const path of EVIL) {
    t.is(typeof servicePathProblem(path), "string", JSON.stringify(path));
    t.throws(() => serviceRequest(asked({ path })), { instanceOf: RangeError });
  }
});

test("property: every accepted path stays in the Service, for every parser of the URL on the way", (t) => {
  const root = "/api/v1/namespaces/shop/services/web:80/proxy/";
  const piece = fc.oneof(
    fc.constantFrom(..."/.%?#&=\\@:; \t", "..", "//", "%2e", "%2f", "http:", "\ud800", "．", "／"),
    fc.string({ unit: "binary", maxLength: 4 }),
  );
  const paths = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join("")}`);
  let accepted = 0;
  fc.assert(
    fc.property(paths, (path) => {
      if (servicePathProblem(path) !== undefined) return true;
      accepted += 1;
      const request = serviceRequest(asked({ path }));
      const url = new URL(`https://api.example${request.path}`);
      const decoded = decodeURIComponent(request.path);
      return (
        url.host === "api.example" &&
        url.pathname.startsWith(root) &&
        url.search === "" &&
        /^[\w./:%!~*'()-]+$/.test(request.path) &&
        decoded.startsWith(root) &&
        !decoded.split("/").some((part) => part === "." || part === "..") &&
        !decoded.includes("//")
      );
    }),
    { numRuns: 2_000 },
  );
  t.true(accepted > 100, `only ${accepted} paths were accepted: the property tested too little`);
});

test("property: a file's namespace, service and port cannot lead elsewhere either", (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom("a/b", "..", "a:80", "web:80/proxy/..", "%2e", "https:web"),
  );
  const shape = experimentSchema.shape.abortWhen;
  fc.assert(
    fc.property(text, text, text, (namespace, service, port) => {
      const parsed = shape.safeParse([{ failsFor: "5s", http: { namespace, service, port } }]);
      const http = parsed.data?.[0]?.http;
      if (http === undefined) return true;
      return /^\/api\/v1\/namespaces\/[a-z0-9-]+\/services\/[a-z0-9-]+:[a-z0-9-]+\/proxy\/$/.test(
        serviceRequest(http).path,
      );
    }),
  );
  t.pass();
});

const statusBody = (message: string): string => JSON.stringify({ kind: "Status", apiVersion: "v1", message });

test("the application's status decides; the API server's own answers are never good", (t) => {
  const good = { from: 200, to: 399 };
  t.is(judgeAnswer(200, "", good).state, "good");
  t.is(judgeAnswer(302, "", good).state, "good");
  t.deepEqual(judgeAnswer(400, "<html>", good), { state: "failing", detail: "HTTP 400" });
  t.deepEqual(judgeAnswer(503, statusBody("no endpoints available for service"), good), {
    state: "failing",
    detail: "HTTP 503 no endpoints available for service",
  });
  t.is(
    judgeAnswer(404, '{"kind":"Page"}', { from: 404, to: 404 }).state,
    "good",
    "a 404 can be the expected status",
  );
  t.is(judgeAnswer(404, statusBody("not found"), { from: 404, to: 404 }).state, "failing");
  for (const refusal of [401, 403, 429]) {
    t.deepEqual(judgeAnswer(refusal, statusBody("no"), good), {
      state: "not known",
      detail: `the API server refuses to forward the request: HTTP ${refusal} no`,
    });
    t.is(judgeAnswer(refusal, "null", good).state, "failing", "the application itself refuses");
  }
});

const line = (probe: ProbeName, ok: boolean): SampleLine =>
  ok ? { probe, t: 0, d: 1, ok } : { probe, t: 0, d: 1, ok, kind: "timeout", message: "no answer" };

/** A watch on probes, with samples that are passed in: no Service is asked, so no time passes. */
function ofProbes(...conditions: { failsFor: number; probe: "app-write" | "app-read" }[]): {
  readonly watch: AbortWatch;
  readonly events: RunEventBody[];
  /** Adds good or failed samples at these seconds. */
  readonly sample: (probe: ProbeName, source: string, ok: boolean, ...seconds: number[]) => void;
} {
  const events: RunEventBody[] = [];
  const health = new HealthTracker(3);
  const watch = new AbortWatch({
    conditions,
    health,
    intervalMs: 250,
    // Never used: a test that sends a request fails.
    transport: undefined as unknown as Transport,
    clock: {
      now: () => 0,
      after: systemAfter,
      wall: () => new Date(0),
      sleep: async () => await Promise.resolve(),
    },
    emit: (event) => void events.push(event),
  });
  watch.start();
  return {
    watch,
    events,
    sample: (probe, source, ok, ...seconds) => {
      for (const second of seconds) health.add(source, line(probe, ok), second * 1000);
    },
  };
}

test("a probe that fails for long enough from one worker ends the outage once, and says when and why", (t) => {
  const { watch, events, sample } = ofProbes({ failsFor: 3000, probe: "app-write" });
  const signal = watch.arm();
  sample("app-write", "n1", true, 10, 11, 12, 13, 14);
  sample("app-write", "n2", true, 10);
  sample("app-write", "n2", false, 11, 12, 13);
  t.false(signal.aborted, "2 s are not 3 s");
  sample("app-write", "n2", false, 14, 15);
  t.true(signal.aborted);
  sample("app-write", "n2", false, 16);
  t.deepEqual(events, [
    {
      type: "stopped",
      code: "aborted",
      message:
        "app-write from n2 has failed for 3.0 s without a good answer (abortWhen: 3.0 s), since 11.0 s after the " +
        "start; last: timeout: no answer.",
    },
  ]);
});

test("two workers that fail in turn do not add up; other probes do not count", (t) => {
  const { watch, sample } = ofProbes({ failsFor: 3000, probe: "app-write" });
  const signal = watch.arm();
  sample("app-read", "n1", false, 1, 2, 3, 4, 5, 6, 7);
  for (const second of [1, 3, 5, 7, 9]) {
    sample("app-write", "n1", false, second);
    sample("app-write", "n2", true, second);
    sample("app-write", "n1", true, second + 1);
    sample("app-write", "n2", false, second + 1);
  }
  t.false(signal.aborted);
});

test("any one of several conditions is enough", (t) => {
  const { watch, events, sample } = ofProbes(
    { failsFor: 60_000, probe: "app-write" },
    { failsFor: 2000, probe: "app-read" },
  );
  const signal = watch.arm();
  sample("app-write", "n1", false, 1, 2, 3);
  t.false(signal.aborted);
  sample("app-read", "n1", false, 1, 2, 3);
  t.true(signal.aborted);
  t.is(events.length, 1);
});

test("samples that waited in a prober count with the time at which they were taken", (t) => {
  const { watch, sample } = ofProbes({ failsFor: 3000, probe: "app-write" });
  const signal = watch.arm();
  sample("app-write", "n1", true, 10);
  // All fetched together, minutes later.
  sample("app-write", "n1", false, 11, 12, 13, 14);
  t.true(signal.aborted);
});

test("only an armed watch ends the outage; failures from before it was armed count", (t) => {
  const early = ofProbes({ failsFor: 2000, probe: "app-write" });
  early.sample("app-write", "n1", false, 1, 2, 3, 4);
  t.deepEqual(early.events, []);
  t.true(early.watch.arm().aborted, "the attack must not even start");
  t.is(early.events.length, 1);

  const late = ofProbes({ failsFor: 2000, probe: "app-write" });
  const signal = late.watch.arm();
  late.watch.disarm();
  late.sample("app-write", "n1", false, 1, 2, 3, 4);
  t.false(signal.aborted);
  t.deepEqual(late.events, []);
});

test("at the end of the baseline every worker's newest sample must be good", async (t) => {
  const { watch, events, sample } = ofProbes({ failsFor: 2000, probe: "app-write" });
  const head = "An abort condition is not good before the attack: ";
  t.is(await watch.notGood(), `${head}app-write has no sample.`);
  sample("app-write", "n1", true, 1);
  t.is(await watch.notGood(), undefined);
  sample("app-write", "n2", false, 1);
  t.is(await watch.notGood(), `${head}app-write from n2 is failing: timeout: no answer.`);
  sample("app-write", "n2", true, 2);
  t.is(await watch.notGood(), undefined);
  t.deepEqual(events, [], "the caller reports it");
});

test("after stop, samples are ignored", async (t) => {
  const { watch, sample } = ofProbes({ failsFor: 1000, probe: "app-write" });
  const signal = watch.arm();
  await watch.stop();
  sample("app-write", "n1", false, 1, 2, 3, 4);
  t.false(signal.aborted);
  t.true(watch.arm().aborted === false, "it has seen nothing");
});
