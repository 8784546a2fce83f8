import { connect as connectSocket, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import test from "ava";
import type { ExecutionContext } from "ava";
import { messageOf } from "../../../src/common/errors.js";
import { ApiError, ApiUnreachableError, createTransport } from "../../../src/kube/transport.js";
import type { Transport, TransportOptions } from "../../../src/kube/transport.js";
import { FakeApiServer } from "../../helpers/fake-api-server.js";

const PODS = "/api/v1/namespaces/default/pods";
const TOKEN = "s3cr3t-t0ken";

async function setUp(
  t: ExecutionContext,
  options: Partial<TransportOptions> = {},
): Promise<{ server: FakeApiServer; transport: Transport }> {
  const server = await FakeApiServer.start();
  const transport = createTransport({ server: server.url, userAgent: "chaos-test/1", ...options });
  t.teardown(async () => {
    transport.close();
    await server.close();
  });
  return { server, transport };
}

const unreachable = async (t: ExecutionContext, work: Promise<unknown>): Promise<ApiUnreachableError> => {
  const error = await t.throwsAsync(work, { instanceOf: ApiUnreachableError });
  if (error === undefined) throw new Error("did not reject");
  return error;
};

test("200 calls use one connection", async (t) => {
  const { server, transport } = await setUp(t);
  for (let n = 0; n < 200; n++) await transport.json({ method: "GET", path: PODS });
  t.is(server.connections, 1);
  t.deepEqual(transport.requestCounts, { GET: 200 });
  t.is(server.requests[0]?.headers["user-agent"], "chaos-test/1");
});

test("every body has its length: the next request on the connection is intact", async (t) => {
  const { server, transport } = await setUp(t);
  const body = { kind: "DeleteOptions", apiVersion: "v1", note: "はず" };
  const path = `${PODS}/x`;
  t.is((await transport.request({ method: "DELETE", path, body })).status, 404);
  t.is(
    (await transport.request({ method: "POST", path: PODS, body: { metadata: { name: "a" } } })).status,
    201,
  );
  t.is((await transport.request({ method: "PUT", path: `${PODS}/a` })).status, 500);
  const [deletion, , put] = server.requests;
  t.is(deletion?.headers["content-length"], String(Buffer.byteLength(JSON.stringify(body))));
  t.is(deletion?.headers["transfer-encoding"], undefined);
  t.deepEqual(deletion?.body, body);
  t.is(put?.headers["content-length"], "0");
  t.is(server.connections, 1);
});

test("strings and Buffers are sent unchanged, with the given content type", async (t) => {
  const { server, transport } = await setUp(t);
  for (const body of ["a=1", Buffer.from("a=1")]) {
    await transport.request({ method: "POST", path: "/x", body, contentType: "text/plain" });
  }
  t.deepEqual(
    server.requests.map((r) => [r.body, r.headers["content-type"]]),
    [
      ["a=1", "text/plain"],
      ["a=1", "text/plain"],
    ],
  );
});

test("query: undefined is omitted, the rest is encoded", async (t) => {
  const { server, transport } = await setUp(t);
  await transport.request({
    method: "GET",
    path: "/version",
    query: { a: "x=y,z", b: undefined, c: 1, d: true },
  });
  t.is(server.requests[0]?.query.toString(), "a=x%3Dy%2Cz&c=1&d=true");
});

test("a base path of the server is prepended to every path", async (t) => {
  const { server, transport } = await setUp(t);
  const behind = createTransport({ server: `${server.url}/k8s/clusters/c-1`, userAgent: "t" });
  t.teardown(() => behind.close());
  await behind.request({ method: "GET", path: "/version" });
  t.is(server.requests[0]?.path, "/k8s/clusters/c-1/version");
  t.truthy(transport);
});

test("429 is retried after Retry-After, whatever the method", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "status", status: 429, retryAfter: 0.001, times: 2 });
  server.fault({ kind: "status", status: 429, retryAfterSeconds: 0.001 });
  t.is(
    (await transport.request({ method: "POST", path: PODS, body: { metadata: { name: "a" } } })).status,
    201,
  );
  t.deepEqual(transport.requestCounts, { POST: 4 });
});

test("429 whose delay does not fit into the time limit is the answer; retry: false returns it at once", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "status", status: 429, retryAfter: 3, reason: "TooManyRequests" });
  const error = await t.throwsAsync(transport.json({ method: "GET", path: PODS, timeoutMs: 2_000 }), {
    instanceOf: ApiError,
  });
  t.like(error, { status: 429, reason: "TooManyRequests", retryAfterMs: 3_000, method: "GET", path: PODS });
  server.fault({ kind: "status", status: 429, retryAfter: 0.001 });
  t.is((await transport.request({ method: "GET", path: PODS, retry: false })).status, 429);
});

for (const status of [502, 503, 504]) {
  test(`${status}: a GET is retried, a POST is not`, async (t) => {
    const { server, transport } = await setUp(t);
    server.fault({ kind: "status", status });
    t.is((await transport.request({ method: "GET", path: PODS })).status, 200);
    server.fault({ kind: "status", status });
    t.is((await transport.request({ method: "POST", path: PODS, body: {} })).status, status);
    t.deepEqual(transport.requestCounts, { GET: 2, POST: 1 });
  });
}

test("500 is an answer", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "status", status: 500 });
  t.is((await transport.request({ method: "GET", path: PODS })).status, 500);
});

test("a reset: a GET is retried, a POST rejects with its cause", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "reset", times: 2 });
  t.is((await transport.request({ method: "GET", path: PODS })).status, 200);
  server.fault({ kind: "reset", method: "POST" });
  const error = await unreachable(t, transport.request({ method: "POST", path: PODS, body: {} }));
  t.is((error.cause as NodeJS.ErrnoException).code, "ECONNRESET");
  t.false(error.timedOut);
  t.is(server.requestsOf("POST").length, 1);
});

test("an answer with an incomplete body is no answer; a GET is retried", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "cut-body" });
  t.is((await transport.request({ method: "GET", path: PODS })).status, 200);
  server.fault({ kind: "cut-body" });
  await unreachable(t, transport.request({ method: "GET", path: PODS, retry: false }));
});

test("a kept-alive socket that was reset: a deletion by uid is retried once, a deletion by name is not", async (t) => {
  const { server, transport } = await setUp(t);
  const path = `${PODS}/a`;
  const body = { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid: "u" } };
  await transport.request({ method: "GET", path: "/version" });
  server.fault({ kind: "reset" });
  t.is((await transport.request({ method: "DELETE", path, body })).status, 404);
  t.is(server.requestsOf("DELETE").length, 2);

  await transport.request({ method: "GET", path: "/version" });
  server.fault({ kind: "reset" });
  await unreachable(
    t,
    transport.request({ method: "DELETE", path, body: { ...body, preconditions: undefined } }),
  );
  t.is(server.requestsOf("DELETE").length, 3);

  await transport.request({ method: "GET", path: "/version" });
  server.fault({ kind: "reset", times: 2 });
  await unreachable(t, transport.request({ method: "DELETE", path, body }));
  t.is(server.requestsOf("DELETE").length, 5, "retried only once");
});

test("the second try uses a new socket, although others are kept alive", async (t) => {
  const { server, transport } = await setUp(t);
  const get = { method: "GET", path: "/version" } as const;
  await Promise.all([transport.request(get), transport.request(get)]);
  t.is(server.connections, 2);
  server.fault({ kind: "reset" });
  await transport.request({ method: "PUT", path: `${PODS}/a`, body: {} });
  t.deepEqual(
    server.requestsOf("PUT").map(({ connection }) => connection > 2),
    [false, true],
  );
});

test("a reset of a new socket is not retried as a kept-alive one", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "reset" });
  const body = { preconditions: { uid: "u" } };
  await unreachable(t, transport.request({ method: "DELETE", path: `${PODS}/a`, body }));
  t.is(server.requestsOf("DELETE").length, 1);
});

test("a server that closes its idle sockets causes no error", async (t) => {
  const { server, transport } = await setUp(t);
  for (let n = 0; n < 5; n++) {
    t.is((await transport.request({ method: "PUT", path: `${PODS}/a`, body: {} })).status, 404);
    server.closeIdleConnections();
  }
  t.true(server.connections >= 2);
});

test("no answer: rejects at the time limit", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "hang", times: 2 });
  const error = await unreachable(t, transport.request({ method: "GET", path: PODS, timeoutMs: 20 }));
  t.true(error.timedOut);
  t.false(error.aborted);
  t.regex(error.message, /^GET \/api\/v1\/namespaces\/default\/pods: no answer: no response within 20 ms$/);
  t.true((await unreachable(t, transport.stream({ method: "GET", path: PODS, timeoutMs: 20 }))).timedOut);
});

test("the time limit covers the body and the credentials too", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "silent-watch" });
  const query = { watch: true };
  t.true(
    (await unreachable(t, transport.request({ method: "GET", path: PODS, query, timeoutMs: 300 }))).timedOut,
  );
  const hanging = createTransport({
    server: server.url,
    userAgent: "t",
    headers: () => new Promise(() => undefined),
  });
  t.teardown(() => hanging.close());
  t.true((await unreachable(t, hanging.request({ method: "GET", path: "/none", timeoutMs: 20 }))).timedOut);
  t.deepEqual(server.requestsOf("GET", "/none"), []);
});

test("nothing listens: refused, with the cause; a GET retries until the time limit", async (t) => {
  const { server, transport } = await setUp(t);
  await server.close();
  const once = await unreachable(t, transport.request({ method: "POST", path: PODS, body: {} }));
  t.is((once.cause as NodeJS.ErrnoException).code, "ECONNREFUSED");
  const controller = new AbortController();
  const tried = unreachable(t, transport.request({ method: "GET", path: PODS, signal: controller.signal }));
  while ((transport.requestCounts.GET ?? 0) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort(new Error("enough"));
  t.true((await tried).aborted);
  // No time for a second try: the first error is the result.
  const short = await unreachable(t, transport.request({ method: "GET", path: PODS, timeoutMs: 20 }));
  t.true(short.timedOut || (short.cause as NodeJS.ErrnoException).code === "ECONNREFUSED");
});

test("an abort ends a request at once", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "hang" });
  const controller = new AbortController();
  const work = transport.request({ method: "GET", path: PODS, signal: controller.signal });
  controller.abort(new Error("enough"));
  const error = await unreachable(t, work);
  t.true(error.aborted);
  t.is((error.cause as Error).message, "enough");
  await unreachable(t, transport.request({ method: "GET", path: PODS, signal: controller.signal }));
});

test("ApiError: status, reason and the server's message; a body that is not a Status is the message", async (t) => {
  const { server, transport } = await setUp(t);
  const error = await t.throwsAsync(transport.json({ method: "GET", path: `${PODS}/a` }), {
    instanceOf: ApiError,
  });
  t.is(error?.message, `GET ${PODS}/a: HTTP 404 NotFound: pods "a" not found`);
  t.like(error, { status: 404, reason: "NotFound" });
  server.handle("GET", /plain/, () => ({ status: 502, body: "<html>bad gateway</html>" }));
  const plain = await t.throwsAsync(transport.json({ method: "GET", path: "/plain", retry: false }));
  t.is(plain?.message, "GET /plain: HTTP 502 <html>bad gateway</html>");
});

test("no secret is in any message", async (t) => {
  const headers = async (): Promise<Record<string, string>> =>
    await Promise.resolve({ Authorization: `Bearer ${TOKEN}` });
  const { server, transport } = await setUp(t, { headers, key: `-----BEGIN ${TOKEN}`, cert: TOKEN });
  const secret = { method: "POST", path: PODS, body: { data: TOKEN } } as const;
  server.handle("GET", /secret/, () => ({ body: `{"token": ${TOKEN}` }));
  const works = [
    () => transport.json({ method: "GET", path: `${PODS}/none` }),
    () => (server.fault({ kind: "reset" }), transport.request(secret)),
    () => (server.fault({ kind: "hang" }), transport.request({ ...secret, timeoutMs: 20 })),
    () => (server.fault({ kind: "status", status: 403 }), transport.json(secret)),
    () => transport.json({ method: "GET", path: "/secret" }),
    () => {
      const tls = createTransport({
        server: "https://127.0.0.1:1",
        userAgent: "t",
        key: TOKEN,
        cert: TOKEN,
        headers,
      });
      return tls.request(secret);
    },
    () => {
      const broken = { Authorization: `Bearer ${TOKEN}\n` };
      const t2 = createTransport({
        server: server.url,
        userAgent: "t",
        headers: () => Promise.resolve(broken),
      });
      return t2.request(secret);
    },
  ];
  for (const work of works) {
    const error = await t.throwsAsync(work());
    t.notRegex(`${messageOf(error)} ${JSON.stringify(error)} ${error?.stack}`, new RegExp(TOKEN));
  }
  t.is(server.requests[0]?.headers.authorization, `Bearer ${TOKEN}`);
});

test("401: calls onUnauthorized once and retries once with new credentials", async (t) => {
  let token = "old";
  let told = 0;
  const { server, transport } = await setUp(t, {
    headers: () => Promise.resolve({ Authorization: `Bearer ${token}` }),
    onUnauthorized: () => {
      told++;
      token = "new";
    },
  });
  server.handle("GET", /pods/, (request) =>
    request.headers.authorization === "Bearer new" ? { body: { ok: true } } : { status: 401 },
  );
  t.deepEqual(await transport.json({ method: "GET", path: PODS }), { ok: true });
  t.is(told, 1);
  server.handle("GET", /pods/, () => ({ status: 401 }));
  t.is((await transport.request({ method: "GET", path: PODS })).status, 401);
  t.is(told, 2);
  t.is((await transport.stream({ method: "GET", path: PODS })).status, 401);
});

test("the fast lane is warm: its sockets are open before the first deletion, and separate from the others", async (t) => {
  const { server, transport } = await setUp(t);
  await transport.warm(4);
  t.is(server.connections, 4);
  const remove = (): Promise<unknown> =>
    transport.request({ method: "DELETE", path: `${PODS}/a`, lane: "fast" });
  await Promise.all([remove(), remove(), remove(), remove()]);
  t.is(server.connections, 4);
  await transport.request({ method: "GET", path: PODS });
  t.is(server.connections, 5);
  await transport.warm(4);
  t.is(server.connections, 5);
});

test("a stream: a refusal has its body, an open stream ends with the caller's signal", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "status", status: 403, message: "no" });
  const refused = await transport.stream({ method: "GET", path: PODS, query: { watch: true } });
  t.is(refused.status, 403);
  const chunks: Buffer[] = [];
  for await (const chunk of refused.stream) chunks.push(chunk as Buffer);
  t.regex(Buffer.concat(chunks).toString(), /"message":"no"/);

  const controller = new AbortController();
  const open = await transport.stream({
    method: "GET",
    path: PODS,
    query: { watch: true },
    signal: controller.signal,
    timeoutMs: 500,
  });
  const closed = new Promise((resolve) => open.stream.once("close", resolve));
  await new Promise((resolve) => setTimeout(resolve, 600));
  t.false(open.stream.destroyed, "the time limit covers only the headers");
  controller.abort();
  await closed;
});

test("many requests and streams on one signal: no leak warning", async (t) => {
  const { transport } = await setUp(t);
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  t.teardown(() => process.off("warning", note));
  const { signal } = new AbortController();
  const open = { method: "GET", path: PODS, query: { watch: true }, signal } as const;
  await Promise.all(
    Array.from({ length: 30 }, () => transport.request({ method: "GET", path: "/version", signal })),
  );
  const streams = await Promise.all(Array.from({ length: 15 }, () => transport.stream(open)));
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(warnings, []);
  for (const { stream } of streams) stream.destroy();
});

test("close ends pending requests", async (t) => {
  const { server, transport } = await setUp(t);
  server.fault({ kind: "hang" });
  const work = transport.request({ method: "GET", path: PODS });
  transport.close();
  const error = await unreachable(t, work);
  t.true(error.aborted);
});

test("a server that sends half a status line and closes the connection", async (t) => {
  const server = createServer((socket) => socket.end("HTTP/1.1 20"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const transport = createTransport({ server: `http://127.0.0.1:${port}`, userAgent: "t" });
  t.teardown(() => {
    transport.close();
    server.close();
  });
  await unreachable(t, transport.request({ method: "POST", path: PODS, body: {} }));
  connectSocket(port).destroy();
});
