import http from "node:http";
import net, { type AddressInfo } from "node:net";
import test, { type ExecutionContext } from "ava";
import { ChaosError } from "../../../src/common/errors.js";
import { chooseWay, routedTransport } from "../../../src/kube/pod-route.js";
import { placeOf, podProxyPath } from "../../../src/kube/pod-proxy.js";
import { ApiError, ApiUnreachableError, createTransport } from "../../../src/kube/transport.js";

/** What the fake kubelet does with a port-forward; undefined: it connects to the pod's program. */
type Refusal = "forbidden" | "no listener" | undefined;

interface World {
  readonly transport: ReturnType<typeof routedTransport>;
  /** Method and URL of each request that reached the pod's program. */
  readonly reached: string[];
  /** Requests to the API server. */
  readonly asked: string[];
  proxy: { status: number; body: string };
  forward: Refusal;
}

/** An API server with a pod proxy that fails, and port-forwards of a pod's program. */
async function world(t: ExecutionContext): Promise<World> {
  const reached: string[] = [];
  const asked: string[] = [];
  const program = http.createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      reached.push(`${request.method} ${request.url} ${body}`.trim());
      response.writeHead(request.url === "/gone" ? 404 : 200, { "x-next-offset": "7", connection: "close" });
      response.end(request.url === "/large" ? "x".repeat(300_000) : '{"ok":true}');
    });
  });
  const api = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(self.proxy.status).end(self.proxy.body);
  });
  api.on("upgrade", (request: http.IncomingMessage, socket: net.Socket) => {
    asked.push(`${request.method} ${request.url}`);
    t.is(request.headers["sec-websocket-protocol"], "v4.channel.k8s.io");
    if (self.forward === "forbidden") {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
      return;
    }
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    socket.on("error", () => undefined);
    // As the kubelet: the port's two bytes on each channel first.
    socket.write(frame(Buffer.from([0, 0x90, 0x1f])));
    socket.write(frame(Buffer.from([1, 0x90, 0x1f])));
    if (self.forward === "no listener") {
      socket.end(frame(Buffer.concat([Buffer.from([1]), Buffer.from("connection refused")])));
      return;
    }
    const to = net.connect((program.address() as AddressInfo).port, "127.0.0.1");
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let message = masked(received); message !== undefined; message = masked(received)) {
        received = received.subarray(message.size);
        to.write(message.payload.subarray(1));
      }
    });
    // In pieces, so that messages are cut.
    to.on("data", (chunk: Buffer) => {
      const bytes = frame(Buffer.concat([Buffer.from([0]), chunk]));
      socket.write(bytes.subarray(0, 3));
      socket.write(bytes.subarray(3));
    });
    socket.on("close", () => to.destroy());
  });
  for (const server of [program, api]) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  const server = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  const transport = routedTransport(createTransport({ server, userAgent: "test" }));
  t.teardown(() => transport.close());
  const self: World = {
    transport,
    reached,
    asked,
    proxy: { status: 503, body: "error trying to reach service: dial tcp 10.1.0.5:8080: i/o timeout" },
    forward: undefined,
  };
  return self;
}

function frame(payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([0x82, length])
      : length < 65_536
        ? Buffer.from([0x82, 126, length >> 8, length & 255])
        : Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0]), bigEndian(length)]);
  return Buffer.concat([head, payload]);
}

function bigEndian(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

/** A client's message: masked, as RFC 6455 demands. */
function masked(bytes: Buffer): { payload: Buffer; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const [, second = 0] = bytes;
  if ((second & 0x80) === 0) throw new Error("a client must mask its messages");
  const short = second & 0x7f;
  const at = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < at + 4) return undefined;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < at + 4 + length) return undefined;
  const mask = bytes.subarray(at, at + 4);
  const payload = bytes.subarray(at + 4, at + 4 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return { payload: Buffer.from(payload), size: at + 4 + length };
}

const POD = { namespace: "ns", pod: "chaos-prober-x", port: 8080 };
const path = (inside: string): string => podProxyPath(POD.namespace, POD.pod, POD.port, inside);
const GET = (inside: string): { method: "GET"; path: string; retry: false; timeoutMs: number } => ({
  method: "GET",
  path: path(inside),
  retry: false,
  timeoutMs: 5_000,
});

/** A clock whose waits end at once. */
function clock(): Parameters<typeof chooseWay>[2] {
  let now = 0;
  const self = {
    now: () => now,
    sleep: async (ms: number) => {
      now += ms;
      await Promise.resolve();
    },
    wall: () => new Date(0),
    after: () => () => undefined,
  };
  return { clock: self, signal: new AbortController().signal };
}

test("the port-forward carries requests with their query, body, status and headers", async (t) => {
  const { transport, reached, asked } = await world(t);
  transport.way = "port-forward";
  const samples = await transport.request({ ...GET("/samples"), query: { offset: 5 } });
  t.is(samples.status, 200);
  t.is(samples.headers["x-next-offset"], "7");
  t.deepEqual(await transport.json({ ...GET("/plan"), method: "POST", body: { key: "ü".repeat(70_000) } }), {
    ok: true,
  });
  t.is((await transport.request(GET("/large"))).body.length, 300_000);
  t.is((await transport.request(GET("/gone"))).status, 404);
  t.is(reached[0], "GET /samples?offset=5");
  t.true(reached[1]?.startsWith('POST /plan {"key":"üü'));
  t.is(reached[1]?.length, "POST /plan ".length + JSON.stringify({ key: "ü".repeat(70_000) }).length);
  t.deepEqual(
    new Set(asked),
    new Set(["GET /api/v1/namespaces/ns/pods/chaos-prober-x/portforward?ports=8080"]),
  );
  // What is not for a pod goes its usual way.
  await transport.request({ method: "GET", path: "/version", retry: false });
  t.is(asked.at(-1), "GET /version");
});

test("a port-forward that is refused or finds no listener says so", async (t) => {
  const at = await world(t);
  at.transport.way = "port-forward";
  at.forward = "forbidden";
  const refused = await t.throwsAsync(at.transport.request(GET("/healthz")), { instanceOf: ApiError });
  t.is(refused.status, 403);
  at.forward = "no listener";
  await t.throwsAsync(at.transport.request(GET("/healthz")), {
    instanceOf: ApiUnreachableError,
    message: /portforward: no answer: connection refused/,
  });
});

test("pods that the pod proxy reaches: it is used, after one request", async (t) => {
  const at = await world(t);
  at.proxy = { status: 200, body: "{}" };
  t.is(await chooseWay(at.transport, [POD], clock()), undefined);
  t.is(at.transport.way, "pod proxy");
  t.is(at.asked.length, 1);
});

test("an API server that cannot reach pods: the port-forward is used, and the reason is given", async (t) => {
  const at = await world(t);
  const why = await chooseWay(at.transport, [POD], clock());
  t.is(at.transport.way, "port-forward");
  t.regex(
    why ?? "",
    /^chaos-prober-x answers HTTP 503 error trying to reach service: dial tcp .*i\/o timeout$/,
  );
  t.deepEqual(at.reached, ["GET /healthz"]);
  // Tried again for a while first: the network of a new pod may need a moment.
  t.true(at.asked.filter((each) => each.includes("/proxy/")).length > 5);
});

test("neither way works: the error has both reasons and what to do", async (t) => {
  const at = await world(t);
  at.forward = "forbidden";
  await t.throwsAsync(chooseWay(at.transport, [POD], clock()), {
    instanceOf: ChaosError,
    message:
      /pod proxy, chaos-prober-x answers HTTP 503.*port-forward, .*HTTP 403.*port 8080.*port 10250.*pods\/portforward/,
  });
  t.is(at.transport.way, "pod proxy");
});

test("a path of the pod proxy gives the pod's port and the path inside", (t) => {
  t.deepEqual(placeOf(podProxyPath("ns", "p", 1, "/a/b/")), {
    namespace: "ns",
    pod: "p",
    port: 1,
    path: "/a/b/",
  });
  t.is(placeOf("/api/v1/namespaces/ns/services/s:80/proxy/"), undefined);
  t.is(placeOf("/api/v1/namespaces/ns/pods/p"), undefined);
});
