import test from "ava";
import type http from "node:http";
import { withDeadline } from "../../../src/probes/agent/deadline.js";
import {
  failureOf,
  judgeRead,
  judgeWrite,
  RECENT_MS,
  tokenOf,
  Tokens,
  type Outcome,
} from "../../../src/probes/agent/judge.js";
import { AppArm, httpGet, probeHttp, ReusedHttpProbe } from "../../../src/probes/agent/measure-http.js";
import { LongLivedProbe, probeDns, probeTcp, SearchProbe } from "../../../src/probes/agent/measure-net.js";
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
import { outcomeOf } from "../../helpers/outcome.js";

/** Long enough for any response over loopback on a busy machine, ms. */
const TIMEOUT = 5000;
/** For expected time-outs, ms. */
const SHORT = 150;

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

test("HTTP on a reused connection: one connection, opened again when the server has closed it", async (t) => {
  const answers: ((response: http.ServerResponse) => void)[] = [];
  const server = closing(
    t,
    await LocalHttp.start((_url, response) => (answers.shift() ?? ((each) => each.end("ok")))(response)),
  );
  const probe = new ReusedHttpProbe();
  const target = { ...server.endpoint, path: "/" };
  const ask = (timeoutMs = TIMEOUT): Promise<Record<string, unknown>> =>
    outcomeOf(probe.measure(target, timeoutMs));
  t.deepEqual(await ask(), { ok: true });
  t.deepEqual(await ask(), { ok: true, reused: true });
  t.is(server.connections.size, 1);
  answers.push((response) => response.writeHead(500).end("Oops"));
  t.like(await ask(), { ok: false, kind: "http-status", reused: true });
  answers.push((response) => response.socket?.resetAndDestroy());
  t.like(await ask(), { ok: false, kind: "reset", reused: true });
  t.deepEqual(await ask(), { ok: true }, "on a new connection");
  answers.push((response) => response.writeHead(200, { connection: "close" }).end("ok"));
  t.deepEqual(await ask(), { ok: true, reused: true });
  t.deepEqual(await ask(), { ok: true });
  t.is(server.connections.size, 3);
  // While one request hangs on the kept connection, the next one opens its own.
  answers.push(() => undefined);
  const hanging = ask(SHORT);
  await until("the request that hangs", () => answers.length === 0);
  t.deepEqual(await ask(), { ok: true });
  t.like(await hanging, { ok: false, kind: "timeout", reused: true });
  t.deepEqual(await ask(), { ok: true, reused: true });
  probe.close();
  await until("no open connection", async () => (await server.open()) === 0);
});

test("HTTP on a reused connection: a request in progress still ends well when the probe is closed", async (t) => {
  let release: (() => void) | undefined;
  const server = closing(t, await LocalHttp.start((_url, response) => (release = () => response.end("ok"))));
  const probe = new ReusedHttpProbe();
  const sample = outcomeOf(probe.measure({ ...server.endpoint, path: "/" }, TIMEOUT));
  await until("the request", () => release !== undefined);
  probe.close();
  release?.();
  t.deepEqual(await sample, { ok: true });
  await until("no open connection", async () => (await server.open()) === 0);
});

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

/** A test's clock, and tokens of one prober that uses it. */
function tokensAt(startMs: number, writer = "boot-1"): { clock: { ms: number }; tokens: Tokens } {
  const clock = { ms: startMs };
  return { clock, tokens: new Tokens("run-1", writer, () => clock.ms) };
}

const dataOf = (data: unknown): string => JSON.stringify({ data });

test("a read is good with a token of this run, also one that another prober wrote", (t) => {
  const { tokens } = tokensAt(1000);
  const read = (data: unknown): Outcome => judgeRead(200, dataOf(data), tokens, tokens.newestMs);
  const own = tokens.next();
  t.deepEqual(read(own), { ok: true });
  t.deepEqual(
    read(tokenOf("run-1", "boot-2", 77_000_000)),
    { ok: true },
    "another prober's, on another clock",
  );
  t.deepEqual(read(tokenOf("run-1", "outside-ab", 5)), { ok: true });
  for (const [other, why] of [
    [tokenOf("run-2", "boot-1", 1000), "of another run"],
    ["", "the database is empty"],
    [1, "not a text"],
    ["hello", "a guest's"],
    ["run-1~boot-1", "cut off"],
    [`${own}x`, "continued"],
    [`${own}~1.000`, "too many parts"],
    ["run-1~~1000.000", "no writer"],
  ] as const)
    t.like(read(other), { ok: false, kind: "bad-body" }, why);
  t.like(judgeRead(200, own, tokens, 0), { ok: false, kind: "bad-body" }, "not JSON");
  t.like(judgeRead(503, dataOf(own), tokens, 0), { ok: false, kind: "http-status" });
});

test("a follower that no longer replicates is found out RECENT_MS after a newer write succeeded", (t) => {
  const { clock, tokens } = tokensAt(1000);
  const frozen = tokens.next();
  tokens.written(frozen);
  const read = (data: string): Outcome => judgeRead(200, dataOf(data), tokens, tokens.newestMs);
  // Every write fails: the followers still have the last value, and that is right.
  clock.ms += 10 * RECENT_MS;
  t.deepEqual(read(frozen), { ok: true });
  // Writes succeed again, and this follower does not get them.
  const after = { soon: 1000 + RECENT_MS, late: 1000 + RECENT_MS + 1 };
  clock.ms = after.soon;
  tokens.written(tokens.next());
  t.deepEqual(read(frozen), { ok: true });
  clock.ms = after.late;
  tokens.written(tokens.next());
  const stale = read(frozen);
  t.like(stale, { ok: false, kind: "bad-body" });
  t.regex("message" in stale ? (stale.message ?? "") : "", /^a value that was overwritten 15 s ago/);
  t.deepEqual(read(tokens.next()), { ok: true }, "the other follower is fine");
});

test("a follower that froze is found out by the tokens of other probers, whatever their clocks say", (t) => {
  const { clock, tokens } = tokensAt(1_000_000);
  const other = (sentMs: number): string => tokenOf("run-1", "boot-2", sentMs);
  const read = (data: string): Outcome => judgeRead(200, dataOf(data), tokens, tokens.newestMs);
  t.deepEqual(read(other(500)), { ok: true });
  // 20 s later on both clocks: its new tokens arrive, this prober's own writes all fail.
  clock.ms += 20_000;
  t.deepEqual(read(other(20_480)), { ok: true });
  t.like(
    read(other(500)),
    { ok: false, kind: "bad-body" },
    "a frozen follower, found by another one's writes",
  );
});

test("a write that was judged failed and arrives much later is a good read", (t) => {
  const { clock, tokens } = tokensAt(1000);
  tokens.written(tokens.next());
  clock.ms += 250;
  const lost = tokens.next();
  clock.ms += 4 * RECENT_MS;
  tokens.written(tokens.next());
  t.deepEqual(judgeRead(200, dataOf(lost), tokens, tokens.newestMs), { ok: true });
});

test("a write that ends during a read does not make the read's value old", (t) => {
  const { clock, tokens } = tokensAt(1000);
  const before = tokens.next();
  tokens.written(before);
  const { newestMs } = tokens;
  clock.ms += 2 * RECENT_MS;
  tokens.written(tokens.next());
  t.deepEqual(judgeRead(200, dataOf(before), tokens, newestMs), { ok: true });
});

test("writes and reads each use the front ends in turn", async (t) => {
  const one = closing(t, await Guestbook.start());
  const two = closing(t, await Guestbook.start());
  // One Redis behind both.
  Object.defineProperty(two, "value", { get: () => one.value, set: (value: string) => (one.value = value) });
  const target = {
    frontends: [
      { name: "one", ...one.endpoint },
      { name: "two", ...two.endpoint },
    ],
    path: "/guestbook.php",
  };
  const { clock, tokens } = tokensAt(1000);
  const arm = new AppArm();
  t.is(await arm.read(target, tokens, TIMEOUT), undefined, "nothing was written yet: no sample");
  const writes = [];
  for (let i = 0; i < 3; i += 1) {
    clock.ms += 50;
    writes.push(await arm.write(target, tokens, TIMEOUT));
  }
  t.deepEqual(
    writes,
    ["one", "two", "one"].map((name) => ({ ok: true, target: name })),
  );
  t.deepEqual(await arm.read(target, tokens, TIMEOUT), { ok: true, target: "one" });
  t.deepEqual(await arm.read(target, tokens, TIMEOUT), { ok: true, target: "two" });
  const values = [...one.http.requests, ...two.http.requests]
    .map((url) => url.searchParams.get("value"))
    .filter((value) => value !== null);
  t.is(new Set(values).size, 3, "a fresh token each");
  t.is(one.http.requests[0]?.pathname, "/guestbook.php");

  one.fault = (_url, response) => response.end(PHP_ERROR);
  t.like(await arm.read(target, tokens, TIMEOUT), { ok: false, kind: "bad-body", target: "one" });
  t.like(await arm.read({ ...target, frontends: [] }, tokens, TIMEOUT), { ok: false, kind: "no-target" });
  t.like(await arm.write({ ...target, frontends: [] }, tokens, TIMEOUT), { ok: false, kind: "no-target" });
  const dead = { ...target, frontends: [{ name: "dead", ...(await closedPort()) }] };
  t.like(await arm.write(dead, tokens, TIMEOUT), { ok: false, kind: "refused", target: "dead" });
});

for (const workers of [2, 3, 4]) {
  test(`${workers} probers, both arms and the probe from outside overwrite one value, and every read is good`, async (t) => {
    const guestbook = closing(t, await Guestbook.start());
    const target = { frontends: [{ name: "f", ...guestbook.endpoint }], path: "/guestbook.php" };
    // Each node's monotonic clock began at another time.
    const probers = Array.from({ length: workers }, (_each, index) => {
      const tokens = new Tokens("run-1", `boot-${index}`, () => performance.now() + index * 1e7);
      return { tokens, arms: [new AppArm(), new AppArm()] };
    });
    const reads: (Outcome | undefined)[] = [];
    for (let round = 0; round < 5; round += 1) {
      guestbook.value = tokenOf("run-1", "outside-ab", performance.now());
      await Promise.all(
        probers.flatMap(({ tokens, arms }) =>
          arms.map(async (arm) => {
            t.like(await arm.write(target, tokens, TIMEOUT), { ok: true });
            reads.push(await arm.read(target, tokens, TIMEOUT));
          }),
        ),
      );
    }
    t.is(reads.length, workers * 2 * 5);
    for (const read of reads) t.deepEqual(read, { ok: true, target: "f" });
  });
}

test("reads cannot be judged after only a failed write", async (t) => {
  const guestbook = closing(t, await Guestbook.start());
  const target = { frontends: [{ name: "f", ...guestbook.endpoint }], path: "/g" };
  const { tokens } = tokensAt(1000);
  const arm = new AppArm();
  guestbook.fault = (_url, response) => response.end(PHP_ERROR);
  await arm.write(target, tokens, TIMEOUT);
  t.is(await arm.read(target, tokens, TIMEOUT), undefined);
  guestbook.fault = undefined;
  await arm.write(target, tokens, TIMEOUT);
  t.like(await arm.read(target, tokens, TIMEOUT), { ok: true });
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

test("a connection after the kernel has resent the SYN is a time-out, and is closed", async (t) => {
  const redis = closing(t, await LocalRedis.start());
  const after = (ms: number): (() => number) => {
    const times = [500, 500 + ms];
    return () => times.shift() ?? 0;
  };
  t.deepEqual(await outcomeOf(probeTcp(redis.endpoint, TIMEOUT, after(999))), { ok: true });
  t.deepEqual(await outcomeOf(probeTcp(redis.endpoint, TIMEOUT, after(1000))), {
    ok: false,
    kind: "timeout",
    message: "no answer within 1000 ms, after which the kernel resends the SYN",
  });
  await until(
    "both are closed",
    () => redis.sockets.length === 2 && redis.sockets.every((each) => each.destroyed),
  );
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
