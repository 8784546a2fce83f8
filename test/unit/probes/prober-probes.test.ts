import test from "ava";
import { withDeadline } from "../../../src/probes/agent/deadline.js";
import { failureOf, judgeRead, judgeWrite, Tokens, type Outcome } from "../../../src/probes/agent/judge.js";
import { AppArm, httpGet, probeHttp } from "../../../src/probes/agent/measure-http.js";
import { LongLivedProbe, probeDns, probeTcp, SearchProbe } from "../../../src/probes/agent/measure-net.js";
import { sampleOnce } from "../../../src/probes/agent/schedule.js";
import type { FailureKind } from "../../../src/evidence/sample.js";
import {
  closedPort,
  Guestbook,
  LocalDns,
  LocalHttp,
  LocalRedis,
  PHP_ERROR,
  silentPort,
  until,
  type Closing,
} from "../../helpers/prober-servers.js";

/** Long enough for any response over loopback on a busy machine, ms. */
const TIMEOUT = 5000;
/** For expected time-outs, ms. */
const SHORT = 150;

/** The outcome, with errors mapped as in the agent. */
async function outcomeOf(measure: Promise<Outcome | undefined>): Promise<Record<string, unknown>> {
  const line = await sampleOnce(
    "outside",
    () => measure,
    () => 0,
  );
  const { probe, t, d, ...outcome } = (line ?? {}) as Record<string, unknown>;
  void [probe, t, d];
  return outcome;
}

function closing<T extends Closing>(t: { teardown(run: () => void): void }, server: T): T {
  t.teardown(() => server.close());
  return server;
}

// --- deadlines -------------------------------------------------------------------------------------------

test("a deadline ends the work with ETIMEDOUT and cleans up once", async (t) => {
  let cleaned = 0;
  const work = withDeadline(20, (onEnd) => {
    onEnd(() => (cleaned += 1));
    return new Promise<never>(() => undefined);
  });
  await t.throwsAsync(work, { code: "ETIMEDOUT", message: "no answer within 20 ms" });
  t.is(cleaned, 1);
});

test("work that ends in time is cleaned up, and late clean-ups run immediately", async (t) => {
  let cleaned = 0;
  let later: ((cleanUp: () => void) => void) | undefined;
  t.is(
    await withDeadline(TIMEOUT, async (onEnd) => {
      later = onEnd;
      onEnd(() => (cleaned += 1));
      return Promise.resolve("done");
    }),
    "done",
  );
  later?.(() => (cleaned += 1));
  t.is(cleaned, 2);
});

// Serial, because it blocks the event loop.
test.serial("a blocked event loop does not count against the target", async (t) => {
  const server = closing(t, await LocalHttp.start((_url, response) => response.end("ok")));
  const sample = outcomeOf(probeHttp({ ...server.endpoint, path: "/" }, 1000));
  // Blocks for longer than the time-out: neither the response nor the deadline can run.
  const end = performance.now() + 2200;
  while (performance.now() < end);
  t.deepEqual(await sample, { ok: true });
});

// --- HTTP ------------------------------------------------------------------------------------------------

test("HTTP: good, status, reset, time-out and refused are distinguished", async (t) => {
  const server = closing(
    t,
    await LocalHttp.start((url, response) => {
      if (url.pathname === "/good") response.end("hello");
      else if (url.pathname === "/reset") response.socket?.resetAndDestroy();
      else if (url.pathname === "/hang-up") response.socket?.destroy();
      else if (url.pathname === "/cut") {
        response.writeHead(200, { "content-length": "100" });
        response.write("half");
        setTimeout(() => response.socket?.destroy(), 20);
      } else if (url.pathname === "/500") response.writeHead(500).end("<h1>Oops</h1>");
      else if (url.pathname === "/302") response.writeHead(302, { location: "/good" }).end();
      else if (url.pathname === "/drip") {
        response.write("never the end");
      }
    }),
  );
  const ask = (path: string, timeoutMs = TIMEOUT): Promise<Record<string, unknown>> =>
    outcomeOf(probeHttp({ ...server.endpoint, path }, timeoutMs));
  t.deepEqual(await ask("/good"), { ok: true });
  t.deepEqual(await ask("/500"), { ok: false, kind: "http-status", message: "500 Oops" });
  t.deepEqual(await ask("/302"), { ok: false, kind: "http-status", message: "302" });
  t.like(await ask("/reset"), { ok: false, kind: "reset" });
  t.like(await ask("/hang-up"), { ok: false, kind: "reset" });
  t.like(await ask("/cut"), { ok: false, kind: "reset" });
  t.deepEqual(await ask("/silence", SHORT), {
    ok: false,
    kind: "timeout",
    message: `no answer within ${SHORT} ms`,
  });
  t.like(await ask("/drip", SHORT), { ok: false, kind: "timeout" });
  await until("what timed out is closed", async () => (await server.open()) === 0);
  const refused = await outcomeOf(probeHttp({ ...(await closedPort()), path: "/" }, TIMEOUT));
  t.like(refused, { ok: false, kind: "refused" });
});

test("each HTTP sample has its own connection", async (t) => {
  const server = closing(t, await LocalHttp.start((_url, response) => response.end("ok")));
  for (let i = 0; i < 3; i += 1) await httpGet(server.endpoint, "/", TIMEOUT);
  t.is(server.connections.size, 3);
});

test("an endless body is read only up to a limit", async (t) => {
  const server = closing(
    t,
    await LocalHttp.start((_url, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(4096)));
      };
      response.on("drain", more);
      more();
    }),
  );
  const { body } = await httpGet(server.endpoint, "/", TIMEOUT);
  t.true(body.length >= 64 * 1024 && body.length < 1024 * 1024);
});

// --- the application -------------------------------------------------------------------------------------

test("a write is good only with status 200 and the guestbook's message", (t) => {
  const judge = (status: number, body: string): unknown => judgeWrite(status, body);
  t.deepEqual(judge(200, '{"message": "Updated"}'), { ok: true });
  t.like(judge(500, '{"message": "Updated"}'), { ok: false, kind: "http-status" });
  t.like(judge(200, '{"message": "Failed"}'), { ok: false, kind: "bad-body" });
  t.like(judge(200, '{"data": "Updated"}'), { ok: false, kind: "bad-body" });
  t.like(judge(200, `${PHP_ERROR}{"message": "Updated"}`), { ok: false, kind: "bad-body" });
  t.like(judge(200, "null"), { ok: false, kind: "bad-body" });
  t.deepEqual(judge(200, ""), { ok: false, kind: "bad-body", message: "(empty)" });
});

test("a PHP error with status 200 is a bad body, without tags and at most 200 characters", (t) => {
  const failure = judgeWrite(200, PHP_ERROR) as { kind: FailureKind; message: string };
  t.is(failure.kind, "bad-body");
  t.regex(failure.message, /^Fatal error : Uncaught Predis/);
  t.notRegex(failure.message, /[<>]/);
  t.is((judgeWrite(200, "x".repeat(500)) as { message: string }).message.length, 200);
});

test("a read is good only with a recent token of this arm", (t) => {
  const tokens = new Tokens("boot-dns");
  const read = (data: unknown): Outcome => judgeRead(200, JSON.stringify({ data }), tokens);
  t.false(tokens.canJudge);
  const first = tokens.next();
  tokens.acknowledge(first);
  t.true(tokens.canJudge);
  t.deepEqual(read(first), { ok: true });
  t.like(read("boot-dns-2"), { ok: false, kind: "bad-body" }, "never sent");
  t.like(read(""), { ok: false, kind: "bad-body" });
  t.like(read(1), { ok: false, kind: "bad-body" });
  t.like(read("boot-env-1"), { ok: false, kind: "bad-body" }, "of the other arm");
  t.like(read("boot-dns-1x"), { ok: false, kind: "bad-body" });
  t.like(judgeRead(200, first, tokens), { ok: false, kind: "bad-body" }, "not JSON");
  t.like(judgeRead(503, `{"data":"${first}"}`, tokens), { ok: false, kind: "http-status" });
});

test("while writes fail, the last good token and every unacknowledged one are good reads", (t) => {
  const tokens = new Tokens("b");
  const good = tokens.next();
  tokens.acknowledge(good);
  let last = "";
  for (let i = 0; i < 500; i += 1) last = tokens.next();
  t.true(tokens.isRecent(good), "the follower still holds it");
  t.true(tokens.isRecent(last), "its answer may have been lost, not the write");
  tokens.acknowledge(last);
  t.false(tokens.isRecent(good), "500 writes behind is no lag");
  tokens.acknowledge(good);
  t.false(tokens.isRecent(good), "an old acknowledgement that comes late changes nothing");
});

test("writes and reads each use the front ends in turn", async (t) => {
  const one = closing(t, await Guestbook.start());
  const two = closing(t, await Guestbook.start());
  two.data.set = (key, value) => one.data.set(key, value); // one Redis behind both
  two.data.get = (key) => one.data.get(key);
  const target = {
    frontends: [
      { name: "one", ...one.endpoint },
      { name: "two", ...two.endpoint },
    ],
    path: "/guestbook.php",
    key: "k",
  };
  const arm = new AppArm("boot-dns");
  t.is(await arm.read(target, TIMEOUT), undefined, "nothing was written yet: no sample");
  const writes = [];
  for (let i = 0; i < 3; i += 1) writes.push(await arm.write(target, TIMEOUT));
  t.deepEqual(
    writes,
    ["one", "two", "one"].map((name) => ({ ok: true, target: name })),
  );
  t.deepEqual(await arm.read(target, TIMEOUT), { ok: true, target: "one" });
  t.deepEqual(await arm.read(target, TIMEOUT), { ok: true, target: "two" });
  const values = [...one.http.requests, ...two.http.requests]
    .map((url) => url.searchParams.get("value"))
    .filter((value) => value !== null);
  t.is(new Set(values).size, 3, "a fresh token each");
  t.is(one.http.requests[0]?.pathname, "/guestbook.php");

  one.fault = (_url, response) => response.end(PHP_ERROR);
  t.like(await arm.read(target, TIMEOUT), { ok: false, kind: "bad-body", target: "one" });
  t.like(await arm.read({ ...target, frontends: [] }, TIMEOUT), { ok: false, kind: "no-target" });
  t.like(await arm.write({ ...target, frontends: [] }, TIMEOUT), { ok: false, kind: "no-target" });
  const dead = { ...target, frontends: [{ name: "dead", ...(await closedPort()) }] };
  t.like(await arm.write(dead, TIMEOUT), { ok: false, kind: "refused", target: "dead" });
});

test("reads cannot be judged after only a failed write, or after a new key", async (t) => {
  const guestbook = closing(t, await Guestbook.start());
  const target = { frontends: [{ name: "f", ...guestbook.endpoint }], path: "/g", key: "k" };
  const arm = new AppArm("b");
  guestbook.fault = (_url, response) => response.end(PHP_ERROR);
  await arm.write(target, TIMEOUT);
  t.is(await arm.read(target, TIMEOUT), undefined);
  guestbook.fault = undefined;
  await arm.write(target, TIMEOUT);
  t.like(await arm.read(target, TIMEOUT), { ok: true });
  const other = { ...target, key: "other" };
  t.is(await arm.read(other, TIMEOUT), undefined);
  guestbook.fault = (_url, response) => response.end(PHP_ERROR);
  await arm.write(other, TIMEOUT);
  t.is(await arm.read(other, TIMEOUT), undefined);
  const values = guestbook.http.requests.map((url) => url.searchParams.get("value")).filter(Boolean);
  t.is(new Set(values).size, 3, "a token is never used again");
});

// --- DNS -------------------------------------------------------------------------------------------------

test("DNS: an answer, NXDOMAIN, SERVFAIL, REFUSED, an empty answer, silence and no server are distinguished", async (t) => {
  const server = closing(t, await LocalDns.start());
  const ask = (timeoutMs = TIMEOUT): Promise<Record<string, unknown>> =>
    outcomeOf(probeDns("redis-leader.guestbook.svc.cluster.local", timeoutMs, [server.address]));
  t.deepEqual(await ask(), { ok: true });
  const kinds: Array<[typeof server.answer, FailureKind]> = [
    ["NXDOMAIN", "nxdomain"],
    ["SERVFAIL", "servfail"],
    ["REFUSED", "refused"],
    ["empty", "no-data"],
  ];
  for (const [answer, kind] of kinds) {
    server.answer = answer;
    t.like(await ask(), { ok: false, kind }, answer);
  }
  server.answer = "silence";
  const started = performance.now();
  t.like(await ask(SHORT), { ok: false, kind: "timeout" });
  t.true(performance.now() - started < 1000, "our own deadline, not that of c-ares");
  const { port } = await closedPort();
  t.like(await outcomeOf(probeDns("a.b", TIMEOUT, [`127.0.0.1:${port}`])), { ok: false, kind: "refused" });
});

test("DNS: each sample queries exactly the given name once, with or without the trailing dot", async (t) => {
  const server = closing(t, await LocalDns.start());
  server.answer = "NXDOMAIN";
  await outcomeOf(probeDns("short", TIMEOUT, [server.address]));
  await outcomeOf(probeDns("example.com.", TIMEOUT, [server.address]));
  t.deepEqual(server.questions, ["short", "example.com"]);
});

test("DNS: IPv6 addresses are asked for with AAAA", async (t) => {
  const server = closing(t, await LocalDns.start());
  server.answer = "empty";
  await outcomeOf(probeDns("a.b", TIMEOUT, [server.address]));
  await outcomeOf(probeDns("a.b", TIMEOUT, [server.address], 6));
  t.deepEqual(server.types, [1, 28]);
});

test("IPv6: connections to an address without brackets", async (t) => {
  const guestbook = closing(t, await Guestbook.start("::1"));
  t.deepEqual(await outcomeOf(probeTcp(guestbook.endpoint, TIMEOUT)), { ok: true });
  t.is((await httpGet(guestbook.endpoint, "/guestbook.php?cmd=get&key=k", TIMEOUT)).status, 200);
});

test("the search look-up is good, not found, timed out, or busy while an earlier one hangs", async (t) => {
  const probe = new SearchProbe();
  t.deepEqual(await outcomeOf(probe.measure("localhost")), { ok: true });
  const notFound = Object.assign(new Error("getaddrinfo ENOTFOUND x"), { code: "ENOTFOUND" });
  t.like(await outcomeOf(probe.measure("x", TIMEOUT, () => Promise.reject(notFound))), { kind: "nxdomain" });
  const again = Object.assign(new Error("getaddrinfo EAI_AGAIN x"), { code: "EAI_AGAIN" });
  t.deepEqual(await outcomeOf(probe.measure("x", TIMEOUT, () => Promise.reject(again))), {
    ok: false,
    kind: "other",
    message: "getaddrinfo EAI_AGAIN x",
  });

  let release: (() => void) | undefined;
  const hanging = (): Promise<void> => new Promise((resolve) => (release = resolve));
  t.like(await outcomeOf(probe.measure("x", 20, hanging)), { ok: false, kind: "timeout" });
  t.deepEqual(await outcomeOf(probe.measure("localhost")), { missed: "busy" });
  release?.();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(await outcomeOf(probe.measure("localhost")), { ok: true });
});

// --- TCP -------------------------------------------------------------------------------------------------

test("TCP: a connection, a refusal and dropped packets are distinguished", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  t.deepEqual(await outcomeOf(probeTcp(redis.endpoint, TIMEOUT)), { ok: true });
  t.like(await outcomeOf(probeTcp(await closedPort(), TIMEOUT)), { ok: false, kind: "refused" });
  const silent = closing(t, await silentPort());
  t.like(await outcomeOf(probeTcp(silent.endpoint, SHORT)), { ok: false, kind: "timeout" });
  await until("the connection is closed", () => redis.sockets[0]?.destroyed === true);
});

test("kernel errors have their kinds, and unknown errors are other", (t) => {
  const kindOf = (code: string): unknown => failureOf(Object.assign(new Error("words"), { code }));
  for (const code of ["EHOSTUNREACH", "ENETUNREACH"]) t.like(kindOf(code), { kind: "unreachable" });
  for (const code of ["ECONNRESET", "EPIPE"]) t.like(kindOf(code), { kind: "reset" });
  for (const code of ["ETIMEDOUT", "ETIMEOUT"]) t.like(kindOf(code), { kind: "timeout" });
  t.deepEqual(kindOf("EMFILE"), { ok: false, kind: "other", message: "words" });
  t.deepEqual(kindOf("toString"), { ok: false, kind: "other", message: "words" });
  t.deepEqual(failureOf("a string"), { ok: false, kind: "other", message: "a string" });
});

test("long-lived: one connection serves many PINGs", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  for (let i = 0; i < 3; i += 1)
    t.deepEqual(await probe.measure(redis.endpoint, TIMEOUT, TIMEOUT), { ok: true });
  t.is(redis.sockets.length, 1);
});

test("long-lived: a connection that breaks while idle fails the next sample; the one after it reconnects", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  const ask = (): Promise<Record<string, unknown>> =>
    outcomeOf(probe.measure(redis.endpoint, TIMEOUT, TIMEOUT));
  await ask();
  redis.sockets[0]?.resetAndDestroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.like(await ask(), { ok: false, kind: "reset" });
  t.deepEqual(await ask(), { ok: true });
  redis.sockets[1]?.end(); // an orderly end is a loss just as well
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.like(await ask(), { ok: false, kind: "reset" });
  t.deepEqual(await ask(), { ok: true });
  t.is(redis.sockets.length, 3);
});

test("long-lived: a connection that breaks under a PING fails that sample only", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  const ask = (): Promise<Record<string, unknown>> =>
    outcomeOf(probe.measure(redis.endpoint, TIMEOUT, TIMEOUT));
  await ask();
  const pong = redis.onPing;
  redis.onPing = (socket) => socket.resetAndDestroy();
  t.like(await ask(), { ok: false, kind: "reset" });
  redis.onPing = pong;
  t.deepEqual(await ask(), { ok: true });
});

test("long-lived: after a time-out the connection is not used again, but answers to later PINGs still count", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  await probe.measure(redis.endpoint, TIMEOUT, TIMEOUT);
  let held: Array<() => void> = [];
  redis.onPing = (socket) => void held.push(() => socket.write("+PONG\r\n"));
  const first = outcomeOf(probe.measure(redis.endpoint, SHORT, TIMEOUT));
  const second = outcomeOf(probe.measure(redis.endpoint, TIMEOUT, TIMEOUT));
  t.like(await first, { ok: false, kind: "timeout" });
  redis.onPing = (socket) => socket.write("+PONG\r\n");
  t.deepEqual(await outcomeOf(probe.measure(redis.endpoint, TIMEOUT, TIMEOUT)), { ok: true });
  t.is(redis.sockets.length, 2, "a new connection");
  for (const answer of held) answer();
  held = [];
  t.deepEqual(await second, { ok: true }, "slow, and good: its place in the row was kept");
  await until("the old connection is closed", () => redis.sockets[0]?.destroyed === true);
  t.false(redis.sockets[1]?.destroyed);
});

test("long-lived: connections that never answer do not accumulate", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  redis.onPing = () => undefined;
  const asks = [1, 2].map(() => outcomeOf(probe.measure(redis.endpoint, SHORT, TIMEOUT)));
  for (const outcome of await Promise.all(asks)) t.like(outcome, { ok: false, kind: "timeout" });
  await until("they are closed", () => redis.sockets.every((socket) => socket.destroyed));
});

test("long-lived: Redis that is not ready is a bad body; no Redis is refused; dropped packets time out", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  redis.onPing = (socket) => socket.write("-LOADING Redis is loading\r\n");
  t.deepEqual(await outcomeOf(probe.measure(redis.endpoint, TIMEOUT, TIMEOUT)), {
    ok: false,
    kind: "bad-body",
    message: "-LOADING Redis is loading",
  });
  const nobody = await closedPort();
  t.like(await outcomeOf(probe.measure(nobody, TIMEOUT, TIMEOUT)), { ok: false, kind: "refused" });
  const silent = closing(t, await silentPort());
  t.like(await outcomeOf(probe.measure(silent.endpoint, TIMEOUT, SHORT)), { ok: false, kind: "timeout" });
});

test("long-lived: a new target gets a new connection without a failure; parallel samples keep one connection", async (t) => {
  const one = closing(t, await LocalRedis.start());
  const two = closing(t, await LocalRedis.start());
  const probe = new LongLivedProbe();
  t.teardown(() => probe.close());
  t.deepEqual(await probe.measure(one.endpoint, TIMEOUT, TIMEOUT), { ok: true });
  const both = await Promise.all([1, 2].map(() => probe.measure(two.endpoint, TIMEOUT, TIMEOUT)));
  t.deepEqual(both, [{ ok: true }, { ok: true }]);
  await until("the first target is left", () => one.sockets[0]?.destroyed === true);
  t.is(two.sockets.length, 2);
  await until("one is too many", () => two.sockets.filter((socket) => socket.destroyed).length === 1);
  t.deepEqual(await probe.measure(two.endpoint, TIMEOUT, TIMEOUT), { ok: true });
  t.is(two.sockets.length, 2);
});
