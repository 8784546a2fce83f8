import test from "ava";
import { type SampleLine } from "../../../src/evidence/sample.js";
import { PROBES } from "../../../src/experiment/names.js";
import { BodyError } from "../../../src/probes/agent/body.js";
import { Prober } from "../../../src/probes/agent/prober.js";
import { AGENT_PROBES, validatePlan, type ProberPlan } from "../../../src/probes/prober-plan.js";
import { closedPort, FakeClock, LocalRedis, until } from "../../helpers/prober-servers.js";

const app = {
  frontends: [{ name: "frontend-6d4f-x2x", ip: "10.244.1.5", port: 80 }],
  path: "/guestbook.php",
};

const plan: ProberPlan = {
  runId: "20240102T030405-kube-dns",
  interval: 250,
  timeout: 2000,
  tcpTimeout: 900,
  searchInterval: 5000,
  probes: {
    "app-write": app,
    "app-read": app,
    "app-write-env": app,
    "app-read-env": app,
    "http-service": { ip: "10.96.0.12", port: 80, path: "/" },
    "http-service-reused": { ip: "10.96.0.12", port: 80, path: "/" },
    "dns-internal": { name: "redis-leader.guestbook.svc.cluster.local" },
    "dns-same-socket": { name: "redis-leader.guestbook.svc.cluster.local" },
    "dns-external": { name: "example.com." },
    "dns-search": { name: "redis-leader" },
    "tcp-service": { ip: "10.96.0.11", port: 6379 },
    "tcp-pod": { ip: "fd00:10:244::7", port: 6379 },
    "tcp-long-lived": { ip: "10.244.2.7", port: 6379 },
  },
};

test("the agent measures every probe except the one from outside", (t) => {
  t.deepEqual([...AGENT_PROBES].sort(), PROBES.filter((probe) => probe !== "outside").sort());
});

test("a full plan is valid, and so is a nearly empty one", (t) => {
  t.is(validatePlan(plan), plan);
  t.notThrows(() => validatePlan({ ...plan, probes: {} }));
  t.notThrows(() => validatePlan({ ...plan, probes: { "app-write": { ...app, frontends: [] } } }));
});

/** The plan with one value replaced, or (undefined) removed. */
function planWith(path: string, value: unknown): unknown {
  const copy = JSON.parse(JSON.stringify(plan)) as Record<string, unknown>;
  const keys = path.split("/");
  const last = keys.pop() ?? "";
  const parent = keys.reduce((object, key) => object[key] as Record<string, unknown>, copy);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return copy;
}

const refused: Array<[string, unknown, RegExp]> = [
  ["runId", undefined, /^plan\.runId is missing$/],
  ["runId", "two words", /^plan\.runId must be 1 to 253/],
  ["interval", 49, /^plan\.interval must be a whole number from 50 to 60000$/],
  ["interval", "250ms", /^plan\.interval must be a whole number/],
  ["interval", 250.5, /^plan\.interval must be a whole number/],
  ["timeout", 30_001, /^plan\.timeout/],
  ["tcpTimeout", 1000, /^plan\.tcpTimeout .* to 999$/],
  ["searchInterval", 999, /^plan\.searchInterval/],
  ["intervall", 250, /^plan\.intervall is unknown$/],
  ["probes", [], /^plan\.probes must be an object$/],
  ["probes/outside", {}, /^plan\.probes\.outside is unknown$/],
  ["probes/tcp-pod", null, /^plan\.probes\.tcp-pod must be an object$/],
  ["probes/tcp-pod/ip", "redis-leader", /^plan\.probes\.tcp-pod\.ip must be an IP address$/],
  ["probes/tcp-pod/port", 0, /^plan\.probes\.tcp-pod\.port/],
  ["probes/tcp-pod/port", 65536, /^plan\.probes\.tcp-pod\.port/],
  ["probes/tcp-pod/name", "x", /^plan\.probes\.tcp-pod\.name is unknown$/],
  ["probes/app-write/frontends", {}, /frontends must be a list/],
  ["probes/app-write/frontends/0/ip", "10.0.0.256", /frontends\[0\]\.ip must be an IP address$/],
  ["probes/app-write/frontends/0/name", undefined, /frontends\[0\]\.name is missing$/],
  ["probes/app-write/path", "guestbook.php", /app-write\.path must be a path/],
  ["probes/app-write/path", "/guestbook.php?cmd=set", /app-write\.path must be a path/],
  ["probes/app-write/path", "/a b\r\nHost: x", /app-write\.path must be a path/],
  ["probes/app-write/key", "guestbook", /app-write\.key is unknown$/],
  ["probes/dns-internal/name", "a..b", /dns-internal\.name must be a DNS name$/],
  ["probes/dns-internal/name", "-a.b", /dns-internal\.name must be a DNS name$/],
  ["probes/dns-internal/name", `${"a".repeat(64)}.b`, /dns-internal\.name must be a DNS name$/],
  ["probes/app-write", undefined, /^plan\.probes\.app-read needs app-write$/],
  ["probes/app-write-env", undefined, /^plan\.probes\.app-read-env needs app-write-env/],
];
for (const [path, value, reason] of refused) {
  test(`refused: ${path} = ${String(JSON.stringify(value))}`, (t) => {
    t.throws(() => validatePlan(planWith(path, value)), { instanceOf: BodyError, message: reason });
  });
}

test("a value that is not a plan is refused", (t) => {
  for (const value of [null, undefined, 1, "plan", []])
    t.throws(() => validatePlan(value), { instanceOf: BodyError, message: "plan must be an object" });
});

// --- the prober: plan → schedule ---------------------------------------------------------------------------

/** When each sample was sent, by probe. */
function sentAt(lines: SampleLine[], probe: string): number[] {
  return lines
    .flatMap((line) => ("probe" in line && line.probe === probe ? [line.t] : []))
    .sort((a, b) => a - b);
}

test("the probes are staggered over the interval; new targets do not move the schedule", async (t) => {
  const clock = new FakeClock(1000);
  const lines: SampleLine[] = [];
  const prober = new Prober({ boot: "b", clock, emit: (line) => lines.push(line) });
  const endpoint = await closedPort();
  const tcp = { ...plan, interval: 1300, probes: { "tcp-service": endpoint, "tcp-pod": endpoint } };
  prober.apply(tcp);
  await clock.advance(2700);
  const redis = await LocalRedis.start();
  t.teardown(() => redis.close());
  prober.apply({ ...tcp, timeout: 1500, probes: { ...tcp.probes, "tcp-pod": redis.endpoint } });
  await clock.advance(1300);
  prober.apply({ ...tcp, probes: { "tcp-pod": redis.endpoint } });
  await clock.advance(1300);
  prober.apply(tcp);
  await clock.advance(1300);
  // Positions 10 and 11 of 13: phases 1000 and 1100.
  await until("the samples have ended", () => lines.length === 9);
  t.deepEqual(sentAt(lines, "tcp-service"), [2000, 3300, 4600, 7200]);
  t.deepEqual(sentAt(lines, "tcp-pod"), [2100, 3400, 4700, 6000, 7300]);
  const good = lines.filter((line) => "ok" in line && line.ok);
  t.deepEqual(sentAt(good, "tcp-pod"), [4700, 6000], "the new target was asked from the next tick on");
  prober.stop();
  await clock.advance(5000);
  t.is(lines.length, 9);
  t.is(prober.plan, undefined);
});

test("a new interval restarts the schedule", async (t) => {
  const clock = new FakeClock(1000);
  const lines: SampleLine[] = [];
  const prober = new Prober({ boot: "b", clock, emit: (line) => lines.push(line) });
  const endpoint = await closedPort();
  prober.apply({ ...plan, interval: 1300, probes: { "tcp-pod": endpoint } });
  await clock.advance(1200); // 2100
  prober.apply({ ...plan, interval: 650, probes: { "tcp-pod": endpoint } });
  await clock.advance(1250); // 2200 + 550, 3400
  await until("the samples have ended", () => lines.length === 3);
  t.deepEqual(sentAt(lines, "tcp-pod"), [2100, 2750, 3400]);
  prober.stop();
});
