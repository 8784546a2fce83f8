import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { createSinkServer } from "../../../src/addons/sink/sink-server.js";
import { parseLines, Ring, Sink } from "../../../src/addons/sink/sink.js";
import { packageRoot } from "../../../src/common/package-root.js";

interface Answer {
  readonly status: number;
  readonly body: {
    readonly error?: string;
    readonly now?: number;
    readonly count?: number;
    readonly entries?: readonly Record<string, unknown>[];
    readonly byNode?: Record<string, unknown>;
  };
}

type Ask = (method: string, path: string, body?: string) => Promise<Answer>;

async function serve(t: ExecutionContext, sink: Sink): Promise<Ask> {
  const server = createSinkServer(sink).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { body }),
    });
    return { status: response.status, body: (await response.json()) as Answer["body"] };
  };
}

const line = (entry: object): string => JSON.stringify(entry);

const attributes = (of: Record<string, string>): object[] =>
  Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));

/** As the collector's exporter sent it (0.159.0, encoding json): one resource, some lines. */
const logsOf = (pod: string, ...texts: readonly string[]): string =>
  line({
    resourceLogs: [
      {
        resource: {
          attributes: attributes({
            "k8s.pod.uid": "11111111-2222-3333-4444-555555555555",
            "k8s.container.name": "c",
            "k8s.namespace.name": "kube-system",
            "k8s.pod.name": pod,
          }),
        },
        scopeLogs: [
          {
            scope: {},
            logRecords: texts.map((stringValue) => ({
              timeUnixNano: "1795950000123456789",
              observedTimeUnixNano: "1795952535099483748",
              body: { stringValue },
              attributes: attributes({ logtag: "F", "log.iostream": "stdout" }),
            })),
          },
        ],
      },
    ],
  });

/** As the collector sends the kubelet's figures: a resource for the node, one for each pod. */
const pointsOf = (node: string, timeUnixNano: string): string =>
  line({
    resourceMetrics: [
      {
        resource: { attributes: attributes({ "k8s.node.name": node }) },
        scopeMetrics: [
          {
            metrics: [
              { name: "k8s.node.cpu.usage", gauge: { dataPoints: [{ timeUnixNano, asDouble: 0.5 }] } },
              { name: "k8s.node.network.io", sum: { dataPoints: [{ timeUnixNano }, { timeUnixNano }] } },
            ],
          },
        ],
      },
      {
        resource: { attributes: attributes({ "k8s.pod.name": "p" }) },
        scopeMetrics: [{ metrics: [{ gauge: { dataPoints: [{ timeUnixNano }] } }] }],
      },
    ],
  });

test("logs: stored with arrival time and sequence number, found by text, newest last", async (t) => {
  let now = 1_000;
  const ask = await serve(t, new Sink({ now: () => now }));
  t.deepEqual(await ask("POST", "/v1/logs", logsOf("p", "a canary-1", "b")), { status: 200, body: {} });
  now = 2_000;
  await ask("POST", "/v1/logs", logsOf("q", "c canary-1"));
  const { body } = await ask("GET", "/logs?contains=canary-1");
  const from = { namespace: "kube-system", container: "c", time: "1795950000123456789" };
  t.deepEqual(body, {
    now: 2_000,
    entries: [
      { ...from, pod: "p", text: "a canary-1", receivedAt: 1_000, seq: 1 },
      { ...from, pod: "q", text: "c canary-1", receivedAt: 2_000, seq: 3 },
    ],
  });
  t.is((await ask("GET", "/logs")).body.entries?.length, 3);
  t.deepEqual((await ask("GET", "/logs?contains=nothing")).body.entries, []);
  t.deepEqual((await ask("GET", "/events")).body.entries, []);
});

test("a text with quotation marks and other JSON escapes is found", async (t) => {
  const ask = await serve(t, new Sink());
  const text = 'said "yes"\tand \\ no';
  await ask("POST", "/events", line({ message: text }));
  t.is((await ask("GET", `/events?contains=${encodeURIComponent(text)}`)).body.entries?.length, 1);
});

test("an answer has at most 200 entries: the newest", async (t) => {
  const ask = await serve(t, new Sink());
  await ask("POST", "/events", Array.from({ length: 250 }, (_, n) => line({ n })).join("\n"));
  const { entries = [] } = (await ask("GET", "/events")).body;
  t.is(entries.length, 200);
  t.is(entries[0]?.["n"], 50);
  t.is(entries.at(-1)?.["n"], 249);
});

test("metrics: the count of the nodes' points, and the newest of each node", async (t) => {
  let now = 10;
  const ask = await serve(t, new Sink({ now: () => now }));
  t.deepEqual((await ask("GET", "/metrics/latest")).body, { now: 10, count: 0, byNode: {} });
  for (const node of ["a", "b"]) await ask("POST", "/v1/metrics", pointsOf(node, "1"));
  now = 20;
  t.deepEqual(await ask("POST", "/v1/metrics", pointsOf("a", "2")), { status: 200, body: {} });
  t.deepEqual((await ask("GET", "/metrics/latest")).body, {
    now: 20,
    count: 9,
    byNode: { a: { receivedAt: 20, time: "2" }, b: { receivedAt: 10, time: "1" } },
  });
});

for (const [path, body, message] of [
  ["/v1/logs", "\u001f\u008b", /not JSON: .* compression none/],
  ["/v1/logs", "null", /no list resourceLogs/],
  ["/v1/metrics", line({ resourceLogs: [] }), /no list resourceMetrics/],
] as const) {
  test(`what is not OTLP is refused: ${path} ${JSON.stringify(body)}`, async (t) => {
    const answer = await (await serve(t, new Sink()))("POST", path, body);
    t.is(answer.status, 400);
    t.regex(answer.body.error ?? "", message);
  });
}

for (const [what, bad, message] of [
  ["not JSON", "{oops", /line 3 is not JSON/],
  ["not an object", "[1]", /line 3 is not a JSON object/],
  ["null", "null", /line 3 is not a JSON object/],
] as const) {
  test(`malformed (${what}): 400 with the line, and the whole body is rejected`, async (t) => {
    const ask = await serve(t, new Sink());
    const { status, body } = await ask("POST", "/events", `${line({ a: 1 })}\n\n${bad}\n${line({ b: 2 })}`);
    t.is(status, 400);
    t.regex(body.error ?? "", message);
    t.deepEqual((await ask("GET", "/events")).body.entries, []);
  });
}

test("unknown path, wrong method, too long body", async (t) => {
  const ask = await serve(t, new Sink());
  t.is((await ask("GET", "/")).status, 404);
  for (const path of ["/metrics/latest", "/logs", "/constructor"])
    t.is((await ask("POST", path, "{}")).status, 404);
  t.is((await ask("DELETE", "/logs")).status, 405);
  t.is((await ask("POST", "/events", "x".repeat(9 * 1024 * 1024))).status, 413);
  t.deepEqual((await ask("GET", "/healthz")).body, { ok: true });
});

test("an empty body has no entries", (t) => {
  t.deepEqual(parseLines(""), []);
  t.deepEqual(parseLines("\r\n \n"), []);
});

/** The lines that a ring keeps. */
function keptOf(limits: { entries: number; characters: number }, lines: readonly string[]): string[] {
  const ring = new Ring(limits);
  for (const [seq, each] of lines.entries()) ring.add({ receivedAt: 0, seq, line: each });
  return ring.newest("", 1_000).map((kept) => kept.line);
}

test("a ring keeps the newest entries, however many arrive", (t) => {
  const lines = Array.from({ length: 1_000 }, (_, n) => String(n));
  t.deepEqual(keptOf({ entries: 3, characters: 1_000 }, lines), ["997", "998", "999"]);
  t.deepEqual(keptOf({ entries: 3, characters: 1_000 }, ["a", "b"]), ["a", "b"]);
});

test("a ring keeps at most its limit of characters, and always the newest entry", (t) => {
  t.deepEqual(keptOf({ entries: 100, characters: 10 }, ["aaaa", "bbbb", "cccc"]), ["bbbb", "cccc"]);
  t.deepEqual(keptOf({ entries: 100, characters: 10 }, ["a", "b".repeat(50)]), ["b".repeat(50)]);
});

test("20,000 entries by default", (t) => {
  const made = new Ring();
  for (let seq = 0; seq < 20_005; seq += 1) made.add({ receivedAt: 0, seq, line: `${seq}` });
  t.is(made.size, 20_000);
  t.is(made.newest("", 20_000)[0]?.seq, 5);
});

test("the program behind a ConfigMap's link listens, and ends on SIGTERM", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sink-"));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const program = join(folder, "sink.mjs");
  await symlink(join(packageRoot(), "dist/sink.mjs"), program);
  const child = spawn(process.execPath, [program], {
    env: { PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const port = /port (\d+)/.exec(said.toString())?.[1];
  t.deepEqual(await (await fetch(`http://127.0.0.1:${port ?? ""}/healthz`)).json(), { ok: true });
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number];
  t.is(code, 0);
});
