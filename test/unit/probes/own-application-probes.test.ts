/** Writes and reads of an existing application, against real servers. */
import test, { type ExecutionContext } from "ava";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { Tokens } from "../../../src/probes/agent/judge.js";
import { judgeOwn, recentTokensIn, valueAt } from "../../../src/probes/agent/judge-own.js";
import { OwnArm } from "../../../src/probes/agent/measure-own.js";
import { type OwnTarget, validatePlan } from "../../../src/probes/prober-plan.js";

const TIMES = { timeout: 2000, tcpTimeout: 900 };
const GOOD = { status: { from: 200, to: 299 } };

interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

async function server(
  t: ExecutionContext,
  answer: (request: Request) => readonly [status: number, body: string],
): Promise<{ readonly port: number; readonly requests: Request[] }> {
  const requests: Request[] = [];
  const listening = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      requests.push({ method, url, headers, body });
      const [status, text] = answer({ method, url, headers, body });
      response.writeHead(status, { connection: "close" }).end(text);
    });
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  t.teardown(() => listening.close());
  return { port: (listening.address() as AddressInfo).port, requests };
}

const to = (port: number, name = "a"): { name: string; ip: string; port: number } => ({
  name,
  ip: "127.0.0.1",
  port,
});

const never = async (): Promise<string[]> => await Promise.reject(new Error("no name should be looked up"));

const tokensOf = (): Tokens => new Tokens("run-1", "boot", () => performance.now());

const target = (port: number, asked: Partial<NonNullable<OwnTarget["http"]>>): OwnTarget => ({
  endpoints: [to(port)],
  http: { method: "GET", path: "/", headers: {}, good: GOOD, ...asked },
});

test("a write sends a fresh token in path, header and body; a read expects one of this run", async (t) => {
  let stored = "";
  const { port, requests } = await server(t, ({ method, body }) => {
    if (method === "PUT") stored = body;
    return [200, stored];
  });
  const arm = new OwnArm(never);
  const tokens = tokensOf();
  const contains = { good: { ...GOOD, contains: '"value":"{token}"' } };
  t.is(await arm.read(target(port, contains), tokens, TIMES), undefined, "nothing was written yet");
  const write = target(port, {
    method: "PUT",
    path: "/items/{token}",
    headers: { "X-Token": "{token}", Host: "api.shop.svc" },
    body: '{"value":"{token}"}',
  });
  t.deepEqual(await arm.write(write, tokens, TIMES), { ok: true, target: "a" });
  await arm.write(write, tokens, TIMES);
  const [first, second] = requests;
  t.regex(first?.url ?? "", /^\/items\/run-1~boot~\d+\.\d{3}$/);
  t.is(first?.headers["x-token"], first?.url.slice("/items/".length));
  t.is(first?.headers.host, "api.shop.svc");
  t.is(first?.headers["content-length"], String(first?.body.length));
  t.not(first?.url, second?.url, "each sample has its own token");
  t.deepEqual(await arm.read(target(port, contains), tokens, TIMES), { ok: true, target: "a" });
  stored = '{"value":"run-0~boot~1.000"}';
  t.like(await arm.read(target(port, contains), tokens, TIMES), { ok: false, kind: "bad-body" });
  const asks = target(port, { path: "/items/{token}", good: { ...GOOD, contains: "{token}" } });
  await arm.read(asks, tokens, TIMES);
  t.is(requests.at(-1)?.url, second?.url, "a read asks for the token that was written last");
});

test("a token of another prober of the run is good, and one that was overwritten long ago is not", (t) => {
  let now = 0;
  const tokens = new Tokens("run.1", "boot", () => now);
  t.deepEqual(recentTokensIn("x run.1~other~5.000 run-1~other~5.000", tokens, tokens.newestMs), [
    "run.1~other~5.000",
  ]);
  now = 20_000;
  tokens.written("run.1~boot~20000.000");
  t.deepEqual(recentTokensIn("run.1~other~5.000", tokens, tokens.newestMs), []);
});

test("each pod is asked in turn; a name is looked up for each sample, and its failure is the sample's", async (t) => {
  const one = await server(t, () => [200, ""]);
  const other = await server(t, () => [200, ""]);
  const arm = new OwnArm(never);
  const pods = {
    ...target(one.port, { path: "/x" }),
    endpoints: [to(one.port, "a"), to(other.port, "b")],
  };
  for (const name of ["a", "b", "a"])
    t.like(await arm.write(pods, tokensOf(), TIMES), { ok: true, target: name });
  t.is(other.requests.length, 1);
  t.like(await arm.write({ ...pods, endpoints: [] }, tokensOf(), TIMES), { ok: false, kind: "no-target" });

  const asked: string[] = [];
  const byName = { ...pods, endpoints: [], host: { name: "api.shop.svc", port: one.port } };
  const named = new OwnArm(async (name) => await Promise.resolve((asked.push(name), ["127.0.0.1"])));
  await named.write(byName, tokensOf(), TIMES);
  t.deepEqual(await named.write(byName, tokensOf(), TIMES), { ok: true });
  t.deepEqual(asked, ["api.shop.svc", "api.shop.svc"]);
  const broken = new OwnArm(
    async () => await Promise.reject(Object.assign(new Error("queryA ENOTFOUND"), { code: "ENOTFOUND" })),
  );
  t.like(await broken.write(byName, tokensOf(), TIMES), { ok: false, kind: "nxdomain" });
});

test("a good answer: status, text and JSON value must all be met", (t) => {
  const judge = (good: object, body: string, status = 200): boolean | undefined => {
    const outcome = judgeOwn({ good: { ...GOOD, ...good }, headers: {} }, status, body, ["T"]);
    return "ok" in outcome ? outcome.ok : undefined;
  };
  t.true(judge({}, "anything"));
  t.false(judge({}, "anything", 404));
  t.true(judge({ contains: "a{token}b" }, "xaTby"));
  t.false(judge({ contains: "a{token}b" }, "xaUby"));
  t.true(judge({ json: { pointer: "/a/0/~1", equals: 1 } }, '{"a":[{"/":1}]}'));
  t.false(judge({ json: { pointer: "/a/0/~1", equals: "1" } }, '{"a":[{"/":1}]}'));
  t.true(judge({ json: { pointer: "/id", equals: "{token}" } }, '{"id":"T"}'));
  t.false(judge({ json: { pointer: "/id", equals: "{token}" } }, "not JSON"));
  t.is(valueAt("", { a: 1 }) === undefined, false);
  t.is(valueAt("/toString", {}), undefined);
});

test("an answer that repeats a header's value does not get it into the sample", (t) => {
  const headers = { Authorization: "Bearer s3cretvalue" };
  for (const body of ["denied: Bearer s3cretvalue", "token s3cretvalue is bad"]) {
    const outcome = judgeOwn({ good: GOOD, headers }, 403, body, []);
    t.notRegex(JSON.stringify(outcome), /s3cret/);
    t.regex(JSON.stringify(outcome), /http-status.*403/);
  }
});

test("an answer that repeats a value of the query or the body does not get it into the sample", (t) => {
  const said = (asked: object, body: string): string =>
    JSON.stringify(judgeOwn({ good: GOOD, headers: {}, ...asked }, 404, body, []));
  const path = "/login?key=s3cret%2Fvalue&a=1";
  t.notRegex(said({ path }, `Cannot GET ${path}`), /s3cret/);
  t.notRegex(said({ path }, "bad key s3cret/value"), /s3cret/);
  const json = '{"user":{"password":"s3cretvalue"},"n":1}';
  t.regex(said({ body: json }, `unknown field in ${json}`), /user.*password.*n.*1/);
  t.notRegex(said({ body: json }, `unknown field in ${json}`), /s3cret/);
  t.notRegex(said({ body: "name=shop&password=s3cretvalue" }, "s3cretvalue is bad"), /s3cret/);
  t.regex(said({ body: '{"id":"{token}"}' }, '{"id":"run-1~boot~1.000"}'), /run-1~boot/);
});

test("TCP: a connection alone, or an exchange over it", async (t) => {
  const listening = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => socket.end(data.toString() === "PING\r\n" ? "+PONG\r\n" : "-ERR\r\n"));
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  t.teardown(() => listening.close());
  const { port } = listening.address() as AddressInfo;
  const arm = new OwnArm(never);
  const ask = async (tcp: object): Promise<unknown> =>
    await arm.write({ endpoints: [to(port)], tcp }, tokensOf(), TIMES);
  t.deepEqual(await ask({}), { ok: true, target: "a" });
  t.deepEqual(await ask({ send: "PING\r\n", expect: "+PONG" }), { ok: true, target: "a" });
  t.deepEqual(await ask({ send: "PING\r\n" }), { ok: true, target: "a" });
  t.like(await ask({ send: "HELLO\r\n", expect: "+PONG" }), { ok: false, kind: "bad-body", message: "-ERR" });
});

test("a plan with an own application is checked", (t) => {
  const plan = (write: unknown): unknown => ({
    runId: "r",
    interval: 250,
    timeout: 2000,
    tcpTimeout: 900,
    searchInterval: 2000,
    probes: { "app-write": write },
  });
  t.notThrows(() => validatePlan(plan(target(80, { body: "x\n", method: "POST" }))));
  t.throws(() => validatePlan(plan(target(80, { method: "DELETE" as "GET" }))), {
    message: "plan.probes.app-write.http.method must be a method",
  });
  t.throws(() => validatePlan(plan(target(80, { headers: { a: "b\r\nc: d" } }))), {
    message: "plan.probes.app-write.http.headers.a must be printable ASCII characters",
  });
});
